"""A damaged ``run.json`` is one error that names the entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eventseg.errors import TrainingError
from eventseg.training.check import check_run
from eventseg.training.run_folder import RUN, read_run, recorded_config

SOUND: dict[str, Any] = {
    "data": "/data/drives", "inputs": {"drive": "ab"}, "parts": {}, "config": "", "seed": 0,
    "device": "cpu", "threads": 1, "parameters": 7, "versions": {}, "command": ["eventseg"],
    "arithmetic": {"amp": "off", "memory_format": "contiguous", "step_ms": {}}, "init": None,
    "resumed": [{"device": "cpu", "processes": 2}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "value", "named"),
    [
        ("data", 7, "data"),
        ("inputs", [], "inputs"),
        ("config", {}, "config"),
        ("init", "street", "init"),
        ("arithmetic", {"amp": "off"}, "arithmetic"),
        ("arithmetic", {"amp": "no", "memory_format": "contiguous"}, "arithmetic"),
        ("arithmetic", {"amp": "off", "memory_format": "contiguous", "more": 1}, "arithmetic"),
        ("resumed", {}, "resumed"),
        ("resumed", [3], "resumed"),
        ("resumed", [{"device": 3}], "resumed"),
    ],
)
def test_an_entry_of_another_type_is_named(
    tmp_path: Path, entry: str, value: object, named: str
) -> None:
    (tmp_path / RUN).write_text(json.dumps(SOUND))
    assert read_run(tmp_path / RUN) == SOUND
    (tmp_path / RUN).write_text(json.dumps({**SOUND, entry: value}))
    with pytest.raises(TrainingError, match=rf"run\.json is damaged: no valid entry {named};"):
        read_run(tmp_path / RUN)


def test_brackets_without_end_are_one_error(tmp_path: Path) -> None:
    (tmp_path / RUN).write_text("[" * 100_000)
    with pytest.raises(TrainingError, match="cannot read"):
        read_run(tmp_path / RUN)


@pytest.mark.parametrize("text", ['name = "x', "epochs = -1", "nothing = 1", "a = " + "[" * 3_000])
def test_recorded_settings_that_are_damaged_are_one_error(text: str) -> None:
    with pytest.raises(TrainingError, match=r"entry config of .*run\.json is no configuration"):
        recorded_config({**SOUND, "config": text}, Path(RUN))


def test_a_path_of_data_that_cannot_be_is_data_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / RUN).write_text(json.dumps({**SOUND, "data": "x" * 5_000}))
    _, warnings = check_run(tmp_path)
    assert "its data are no longer at" in warnings[0]
