"""The code of docs/simulator.md, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eventseg.events import SensorSize
from eventseg.simulate import simulate_street

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
