"""Parts of a source: which samples are taken, and the reason where none is left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from eventseg.errors import TrainingError
from eventseg.sources.selection import part

SPLITS = ("train", "train", "test", "test", "test", "val")
LABELLED = (True, False, True, True, False, False)
COVERED = {"50ms": (1.0, 1.0, 0.5, 1.0, 1.0, 1.0), "9s": (0.2, 0.9, 0.1256, 0.1, 0.9, 1.0)}


@pytest.fixture
def source() -> Any:
    return SimpleNamespace(
        path=Path("data"),
        splits=SPLITS,
        labelled=np.array(LABELLED),
        covered=lambda window: np.array(COVERED[window]),
    )


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("window", [None, "50ms", "9s"])
@pytest.mark.parametrize("min_covered", [0.0, 0.1, 0.125])
def test_labelled_and_covered_samples_are_taken(
    source: Any, split: str, window: str | None, min_covered: float
) -> None:
    expected = [
        i
        for i in range(len(SPLITS))
        if SPLITS[i] == split
        and LABELLED[i]
        and (window is None or COVERED[window][i] >= min_covered)
    ]
    taken = part(source, split=split, window=window, min_covered=min_covered)
    assert taken.tolist() == expected


def test_reason_why_no_sample_is_left(source: Any) -> None:
    for split in ("val", "other"):
        with pytest.raises(
            TrainingError,
            match=rf"^data has no labelled samples of split {split}; it has those of test, train: "
            "choose one with --split$",
        ):
            part(source, split=split)
    with pytest.raises(
        TrainingError,
        match=r"^none of the 2 labelled samples of split test in data has 100% of its window 9s "
        r"within its recording: the best has 12\.6%; take a shorter --window$",
    ):
        part(source, split="test", window="9s")
    source.labelled[:] = False
    with pytest.raises(TrainingError, match=r"split test; none of its samples has labels$"):
        part(source, split="test", window="9s")
