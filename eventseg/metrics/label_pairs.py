"""Counts of a true and a predicted label map of 8 bits: confusion, boundary IoU and boundary F.

The same counts as :mod:`eventseg.metrics.confusion_torch` and :mod:`eventseg.metrics.boundaries`
have, for label maps on the CPU that come one by one: several times quicker than with scores of
each class.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.kernels.label_pairs import (
    count_matched,
    count_near,
    count_pairs,
    mark_near,
    spread_classes,
)
from eventseg.labels.tables import IGNORED

Labels = NDArray[np.uint8]

BITS = 32
"""Classes whose boundaries are widened at once."""


class PairCounts(NamedTuple):
    """Pixels of a pair of label maps.

    Parameters
    ----------
    confusion : int64 (K, K)
        Rows are the truth; pixels with truth and a prediction.
    silent : int
        Pixels with truth where nothing is predicted (255).
    ignored : int
        Pixels without truth (255).
    """

    confusion: NDArray[np.int64]
    silent: int
    ignored: int


class PairBoundaries(NamedTuple):
    """Pixels near boundaries of a pair of label maps at one width.

    Parameters
    ----------
    both, either : int64 (K,)
        As of :class:`eventseg.metrics.boundaries.BoundaryCounts`.
    trimap : int64 (K, K)
    predicted, matched_predicted : int64 (K,)
        Boundary pixels of a class in the prediction, and those of them that are at most the width
        away, in rows and columns, from a boundary pixel of the class in the truth. A boundary
        pixel has a pixel of another class among its eight neighbours.
    true, matched_true : int64 (K,)
        The same with truth and prediction exchanged.
    """

    both: NDArray[np.int64]
    either: NDArray[np.int64]
    trimap: NDArray[np.int64]
    predicted: NDArray[np.int64]
    matched_predicted: NDArray[np.int64]
    true: NDArray[np.int64]
    matched_true: NDArray[np.int64]


def pair_counts(truth: Labels, prediction: Labels, *, classes: int) -> PairCounts:
    """Return the confusion matrix of a pair of label maps.

    Parameters
    ----------
    truth, prediction : uint8 (H, W)
        Classes, 255 for ignored and for no prediction.
    classes : int
        Number K of classes.

    Raises
    ------
    LabelError
        Other types or shapes, or values outside the classes.

    Examples
    --------
    >>> truth = np.array([[0, 1, 255]], np.uint8)
    >>> pair_counts(truth, np.array([[0, 255, 1]], np.uint8), classes=2)[1:]
    (1, 1)
    """
    if truth.dtype != np.uint8 or prediction.dtype != np.uint8 or truth.shape != prediction.shape:
        raise LabelError(
            f"label maps are {truth.dtype} {truth.shape} and {prediction.dtype} "
            f"{prediction.shape}; give two uint8 maps of one shape"
        )
    tables = np.zeros((4, 256, 256), np.int32)
    count_pairs(truth, prediction, tables)
    top = [*range(classes), IGNORED]
    inside = tables[np.ix_(range(4), top, top)].sum(0, dtype=np.int64)
    ignored, silent = int(inside[-1].sum()), int(inside[:-1, -1].sum())
    if int(inside.sum()) != truth.size:
        raise LabelError(f"labels are outside the classes 0 to {classes - 1} and {IGNORED}")
    return PairCounts(inside[:-1, :-1].copy(), silent, ignored)


def pair_boundaries(
    truth: Labels, prediction: Labels, *, width: int, classes: int
) -> PairBoundaries:
    """Return the counts near boundaries of a pair of label maps.

    Parameters
    ----------
    truth, prediction : uint8 (H, W)
        Classes of one shape; pixels whose truth or prediction is 255 are left out of both.
    width : int
        Width of the band in pixels on each side of a boundary, and distance at which boundary
        pixels match.
    classes : int
        Number K of classes.

    Raises
    ------
    LabelError
        A width below 1.
    """
    if width < 1:
        raise LabelError(f"boundaries of {width} pixels; give 1 or more")
    left_out = (truth == IGNORED) | (prediction == IGNORED)
    truth, prediction = np.where(left_out, IGNORED, truth), np.where(left_out, IGNORED, prediction)
    near = near_pixels(truth, width), near_pixels(prediction, width)
    edges = near if width == 1 else (near_pixels(truth, 1), near_pixels(prediction, 1))
    both, either, trimap = (
        np.zeros(shape, np.int64) for shape in (classes, classes, (classes,) * 2)
    )
    count_near(truth, prediction, *near, both, either, trimap)
    true, found = _matched(truth, edges[0], prediction, edges[1], width=width, classes=classes)
    predicted, right = _matched(prediction, edges[1], truth, edges[0], width=width, classes=classes)
    return PairBoundaries(both, either - both, trimap, predicted, right, true, found)


def near_pixels(labels: Labels, width: int) -> NDArray[np.bool_]:
    """Return which pixels have one of another class nearby, bool (H, W).

    As :func:`eventseg.metrics.boundaries.near_boundary` of one map.
    """
    near = np.empty(labels.shape, np.bool_)
    mark_near(labels, labels + np.uint8(1), width, near)
    return near


def _matched(
    labels: Labels,
    edge: NDArray[np.bool_],
    other: Labels,
    other_edge: NDArray[np.bool_],
    *,
    width: int,
    classes: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the edge pixels of each class, and those with one of it in the other map nearby."""
    total, matched = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    spread = np.empty(labels.shape, np.uint32)
    for first in range(0, classes, BITS):
        bits = np.zeros(256, np.uint32)
        inside = range(first, min(first + BITS, classes))
        bits[inside] = np.uint32(1) << np.arange(len(inside), dtype=np.uint32)
        spread_classes(other, other_edge, bits, width, spread)
        count_matched(labels, edge, bits, spread, total, matched)
    return total, matched
