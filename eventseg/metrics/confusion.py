"""Confusion matrices: from labels, and merged into the classes of another table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.labels.tables import IGNORED

Confusion = NDArray[np.int64]
Ids = NDArray[np.integer[Any]]


def counted_pixels(truth: Ids, prediction: Ids, *, classes: int | None = None) -> tuple[Ids, Ids]:
    """Return truth and prediction of the pixels that are scored: those whose truth is not 255.

    Parameters
    ----------
    truth, prediction : integer arrays of one shape
        Class ids; predictions at pixels whose truth is ignored have no effect.
    classes : int, optional
        Number of classes both must keep to; by default only 255 is refused in the prediction.

    Returns
    -------
    (integer (pixels,), integer (pixels,))

    Raises
    ------
    LabelError
        Arrays of other types or of two shapes, or ids outside the classes.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    for name, ids in (("truth", truth), ("prediction", prediction)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise LabelError(f"{name} is {ids.dtype}; give integer class ids")
    if truth.shape != prediction.shape:
        raise LabelError(
            f"truth of shape {truth.shape} and prediction of {prediction.shape} do not fit; "
            "bring them to one size first"
        )
    counted = truth != IGNORED
    truth, prediction = truth[counted], prediction[counted]
    top = IGNORED - 1 if classes is None else classes - 1
    for name, ids in (("truth", truth), ("prediction", prediction)):
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) <= top:
            wrong = int(ids.max()) if ids.max() > top else int(ids.min())
            raise LabelError(
                f"{name} holds {wrong} where the truth is not {IGNORED}; allowed are 0 to {top}, "
                f"and a truth of {IGNORED} where nothing is to be scored"
            )
    return truth, prediction


def confusion_matrix(truth: Ids, prediction: Ids, *, classes: int) -> Confusion:
    """Return how many pixels of each class were predicted as each class.

    Parameters
    ----------
    truth, prediction : integer arrays of one shape
        Class ids. Pixels whose truth is 255 are dropped.
    classes : int
        Number K of classes, 1 to 255.

    Returns
    -------
    int64 (K, K)
        Rows are the truth, columns the prediction. Matrices of several images add up.

    Raises
    ------
    LabelError
        Arrays of other types or of two shapes, or ids outside the classes.
    """
    if not 1 <= classes <= IGNORED:
        raise LabelError(f"{classes} classes; allowed are 1 to {IGNORED}")
    classes = int(classes)  # the square of 20 classes as uint8 would be 144
    rows, columns = counted_pixels(truth, prediction, classes=classes)
    cells = rows.astype(np.intp)
    cells *= classes
    cells += columns
    return np.bincount(cells, minlength=classes**2).astype(np.int64).reshape(classes, classes)


def merge_confusion(matrix: Confusion, merge: Sequence[int], *, classes: int) -> Confusion:
    """Return the confusion matrix of labels merged into another class table.

    Equal to merging truth and prediction first, and to the category score of Cityscapes where
    classes become categories: an error inside a merged class is none.

    Parameters
    ----------
    matrix : int64 (K, K)
    merge : sequence of int (K,)
        New id of each old one. Pixels whose true class becomes 255 are dropped.
    classes : int
        Number of new classes.

    Returns
    -------
    int64 (classes, classes)

    Raises
    ------
    LabelError
        A matrix of another shape, a new id that is no class, or pixels of a class that stays
        predicted as one that becomes 255.
    """
    matrix = checked_matrix(matrix)
    to = np.array(merge, np.int64)
    if len(to) != len(matrix):
        raise LabelError(f"a merge of {len(to)} classes does not fit a matrix of {len(matrix)}")
    kept = to != IGNORED
    if not np.all((to[kept] >= 0) & (to[kept] < classes)):
        raise LabelError(f"merge into {to.tolist()}: allowed are 0 to {classes - 1} and {IGNORED}")
    lost = int(matrix[kept][:, ~kept].sum())
    if lost:
        raise LabelError(
            f"{lost} pixels are predicted as classes that the merge ignores; merge the "
            "probabilities instead, so that every pixel gets a class that stays"
        )
    merged = np.zeros((classes, classes), np.int64)
    np.add.at(merged, (to[kept, None], to[None, kept]), matrix[np.ix_(kept, kept)])
    return merged


def checked_matrix(matrix: Confusion) -> Confusion:
    """Return a confusion matrix as int64 after a look at its shape and signs.

    Raises
    ------
    LabelError
        It is not square, not of integers, or holds a negative count.
    """
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise LabelError(f"a confusion matrix is (K, K), this one is {counts.shape}")
    if not np.issubdtype(counts.dtype, np.integer) or counts.min() < 0:
        raise LabelError("a confusion matrix holds counts of pixels: integers from 0")
    return counts.astype(np.int64, copy=False)
