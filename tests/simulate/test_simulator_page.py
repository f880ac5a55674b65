"""The code of docs/simulator.md, run as it stands."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from eventseg.events import SensorSize
from eventseg.simulate import simulate_street
from eventseg.simulate.scene.scenarios import SimulationError
from eventseg.simulate.scene.settings import LIMITS, StreetSettings, settings_with

PAGE = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"


def test_labels_between_frames_as_the_page_renders_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = SensorSize(24, 32)
    drive = tmp_path / "drive.hdf5"
    simulate_street(drive, duration_us=150_000, seed=7, sensor=sensor, threads=1)
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {}
    exec(compile(block, "simulator.md", "exec"), names)
    view = names["view"]
    assert view.label.shape == view.depth.shape == tuple(sensor)  # type: ignore[attr-defined]
    assert view.flow.shape == (2, *sensor)  # type: ignore[attr-defined]


def test_the_page_lists_all_settings_of_a_street_with_their_limits() -> None:
    section = PAGE.read_text().split("### Settings of a street\n")[1].split("\n#")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (\S+) to (\S+) \|$", section, re.MULTILINE)
    assert [name for name, *_ in rows] == [field.name for field in fields(StreetSettings)]
    assert {name: (float(low), float(high)) for name, _, low, high in rows} == LIMITS
    with pytest.raises(SimulationError, match=r"the table of settings in docs/simulator\.md lists"):
        settings_with(StreetSettings(), {"no_such_thing": 1})
