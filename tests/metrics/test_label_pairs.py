"""Counts of label maps: against those of scores, and boundary F against distances by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_cdt
from sklearn.metrics import confusion_matrix

from eventseg.errors import LabelError
from eventseg.evaluation.scoring.sections import f_scores
from eventseg.metrics.boundaries import boundary_counts
from eventseg.metrics.label_pairs import PairBoundaries, near_pixels, pair_boundaries, pair_counts

CLASSES = 3
IDS = st.sampled_from([0, 0, 1, 2, 255])
MAPS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda size: arrays(np.uint8, (2, *size), elements=IDS)
)


@given(MAPS, st.integers(1, 5))
def test_counts_equal_those_of_other_implementations(maps: np.ndarray, width: int) -> None:
    truth, prediction = maps
    found = pair_counts(truth, prediction, classes=CLASSES)
    known = (truth != 255) & (prediction != 255)
    if known.any():
        expected = confusion_matrix(truth[known], prediction[known], labels=range(CLASSES))
        np.testing.assert_array_equal(found.confusion, expected)
    assert found.ignored == (truth == 255).sum()
    assert found.silent == ((prediction == 255) & (truth != 255)).sum()
    near = pair_boundaries(truth, prediction, width=width, classes=CLASSES)
    both = [torch.from_numpy(np.where(known, one, 255)).long()[None] for one in maps]
    for one, other in zip(near, boundary_counts(*both, width=width, classes=CLASSES), strict=False):
        np.testing.assert_array_equal(one, other[0].numpy())


def slow_f(truth: np.ndarray, prediction: np.ndarray, width: int, k: int) -> float:
    """Return the boundary F of a class by the distance to the other map's boundary pixels."""
    known = (truth != 255) & (prediction != 255)
    maps = [np.where(known, one, 255) for one in (truth, prediction)]
    true, predicted = ((one == k) & near_pixels(one.astype(np.uint8), 1) for one in maps)
    if not (true.any() or predicted.any()):
        return float("nan")

    def share(of: np.ndarray, to: np.ndarray) -> float:
        if not (of.any() and to.any()):
            return 0.0
        return float((distance_transform_cdt(~to, "chessboard")[of] <= width).mean())

    precision, recall = share(predicted, true), share(true, predicted)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@given(MAPS, st.integers(1, 5))
def test_boundary_f_equals_distances(maps: np.ndarray, width: int) -> None:
    truth, prediction = maps
    counts = pair_boundaries(truth, prediction, width=width, classes=CLASSES)
    expected = [slow_f(truth, prediction, width, k) for k in range(CLASSES)]
    np.testing.assert_allclose(f_scores(PairBoundaries(*(one[None] for one in counts))), expected)


def test_many_classes_and_wide_bands() -> None:
    rng = np.random.default_rng(0)
    truth = np.kron(rng.integers(0, 70, (9, 8)), np.ones((7, 9))).astype(np.uint8)
    prediction = np.roll(truth, 2, axis=1)
    counts = pair_boundaries(truth, prediction, width=3, classes=70)
    expected = [slow_f(truth, prediction, 3, k) for k in range(70)]
    np.testing.assert_allclose(f_scores(PairBoundaries(*(one[None] for one in counts))), expected)


def test_what_is_no_pair_is_refused() -> None:
    truth = np.zeros((2, 3), np.uint8)
    for other in (truth[:1], truth.astype(np.int64)):
        with pytest.raises(LabelError, match="give two uint8 maps of one shape"):
            pair_counts(truth, other, classes=2)
    with pytest.raises(LabelError, match="outside the classes 0 to 1"):
        pair_counts(truth, truth + np.uint8(7), classes=2)
    with pytest.raises(LabelError, match="give 1 or more"):
        pair_boundaries(truth, truth, width=0, classes=2)
