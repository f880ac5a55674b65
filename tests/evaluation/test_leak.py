"""Validation rows of EV-SegNet's recordings: copied labels score no better than another drive's.

The recordings are not here. Label maps are constructed for the published rows instead: the class of
a pixel is the largest of random processes around what is frequent at its place in every drive, and
after a correlation time of 2 s a drive shows something else.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from eventseg.evaluation.nearest_frame import nearest_training
from eventseg.splits import EVSEGNET_VALIDATION, evsegnet_rows, evsegnet_splits

CLASSES, PIXELS, MEMORY_ROWS = 4, 200, 40


def drive(rows: NDArray[np.int64], usual: NDArray[np.float64], seed: int) -> NDArray[np.uint8]:
    """Return the label maps of some rows of one drive, uint8 (N, P)."""
    decay = np.exp(-1 / MEMORY_ROWS)
    shape = (rows.max() + 1, CLASSES, PIXELS)
    noise = np.random.default_rng(seed).standard_normal(shape, np.float32)
    noise[1:] *= np.sqrt(1 - decay**2)
    scenes = lfilter(np.float32([1.0]), np.float32([1.0, -decay]), noise, axis=0)
    shown: NDArray[np.uint8] = (scenes[rows] + usual).argmax(1).astype(np.uint8)
    return shown


@pytest.fixture(scope="module")
def drives() -> Any:
    usual = np.random.default_rng(0).normal(size=(CLASSES, PIXELS))
    ids, sequences, splits, maps = [], [], [], []
    for seed, name in enumerate(EVSEGNET_VALIDATION):
        rows = evsegnet_rows(name, window_us=50_000)
        assert rows is not None
        ids += [f"{name}_export_{row}" for row in rows]
        sequences += [name] * len(rows)
        splits += evsegnet_splits(name, rows, window_us=50_000).tolist()
        maps.append(drive(rows, usual, seed + 1))
    return SimpleNamespace(
        ids=tuple(ids),
        sequences=tuple(sequences),
        splits=np.array(splits),
        maps=np.concatenate(maps),
    )


def copied_miou(
    drives: Any, training: NDArray[np.int64], validation: NDArray[np.int64], *, others: bool = False
) -> float:
    """Return the mean IoU of copied labels, of the recording or of others only."""
    chosen = nearest_training(drives, training, validation)
    sequences = np.array(drives.sequences)
    for name in EVSEGNET_VALIDATION if others else ():
        mine = sequences[validation] == name
        known = training[sequences[training] != name]
        chosen[mine] = nearest_training(drives, known, validation[mine])
    pairs = CLASSES * drives.maps[validation].astype(int) + drives.maps[chosen]
    matrix = np.bincount(pairs.ravel(), minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    hits = np.diag(matrix)
    return float(np.mean(hits / (matrix.sum(0) + matrix.sum(1) - hits)))


def test_copied_labels_are_worth_no_more_than_those_of_another_drive(drives: Any) -> None:
    training, validation = (np.flatnonzero(drives.splits == part) for part in ("train", "val"))
    elsewhere = copied_miou(drives, training, validation, others=True)
    copied = copied_miou(drives, training, validation)
    assert copied == pytest.approx(elsewhere, abs=0.01)
    # The same rows without a gap, and frames drawn one by one, are nearer than that.
    beside = np.flatnonzero(drives.splits != "val")
    assert copied_miou(drives, beside, validation) > copied + 0.015
    order = np.random.default_rng(0).permutation(len(drives.ids))
    drawn = copied_miou(drives, np.sort(order[1600:]), np.sort(order[:300]))
    assert drawn > elsewhere + 0.4
