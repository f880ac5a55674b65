"""Texts of a run folder as editors and spreadsheets of other systems leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eventseg.errors import TrainingError
from eventseg.training import load_config
from eventseg.training.epoch_tables import (
    EpochCost,
    EpochScores,
    read_metrics,
    read_skipped,
    read_timing,
    write_metrics,
    write_skipped,
    write_timing,
)
from eventseg.training.layout import CONFIG, METRICS, RUN, SKIPPED, TIMING
from eventseg.training.run_folder import check_run_folder, claim_run
from eventseg.training.run_record import RUN_KEYS, TYPES, read_run

SAVED_AS = {
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "blank": lambda text: ("\n" + text + "\n\n").encode(),
    "utf-16": lambda text: text.encode("utf-16"),
}
READERS: dict[str, Callable[[Path], Any]] = {
    METRICS: read_metrics,
    TIMING: read_timing,
    SKIPPED: read_skipped,
    RUN: lambda root: read_run(root / RUN),
    CONFIG: lambda root: check_run_folder(root, load_config(), resume=True),
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    claim_run(tmp_path, load_config(), {}, resume=False)
    scores = EpochScores(1, 10, 1e-3, 0.5, 90.0, 50.0, 0.25, 80.0, 40.0, (40.0, 41.5), 40.75, 40.75)
    write_metrics(tmp_path, [scores], classes=("road", "s\u00e4ule"))
    write_timing(tmp_path, [EpochCost(1, 2.5, 1.5, 12.0, 0.0)])
    write_skipped(tmp_path, {"a_1": "cannot read a, it is cut", "b_2": "its row is damaged"})
    values = {str: "\u00e9", int: 1, dict: {"\u00e9": "\u00e9"}, list: ["\u00e9"]}
    entries = {name: values[TYPES.get(name, str)] for name in RUN_KEYS}
    (tmp_path / RUN).write_text(json.dumps(entries, indent=1))
    return tmp_path


@pytest.mark.parametrize("saved_as", SAVED_AS)
@pytest.mark.parametrize("name", READERS)
def test_saved_by_another_program(run: Path, name: str, saved_as: str) -> None:
    before = READERS[name](run)
    text = (run / name).read_text(encoding="utf-8")
    (run / name).write_bytes(SAVED_AS[saved_as](text))
    assert READERS[name](run) == before


@pytest.mark.parametrize("text", ["sample,reason\na_1\n", "sample,reason\na,b,c\n", "\n"])
def test_damaged_list_of_skipped_samples(run: Path, text: str) -> None:
    (run / SKIPPED).write_text(text)
    with pytest.raises(TrainingError, match=r"cannot read .*skipped\.csv: .*; delete it"):
        read_skipped(run)
