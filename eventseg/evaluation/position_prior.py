"""Position prior: classes predicted from the place of a pixel alone, plain or tuned for mIoU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.labels.maps import ClassTable, Labels
from eventseg.sources.selection import merge_into, truth_of
from eventseg.sources.source import Source

MOST_TUNED_PIXELS = 2**15
"""Most pixels that the weights are tuned on; of larger pictures every n-th is taken."""

MOST_ROUNDS = 10
"""Most passes over the classes while tuning; a few are enough until no weight changes."""


def position_counts(
    source: Source, indices: NDArray[np.int64], *, classes: ClassTable
) -> NDArray[np.int64]:
    """Return how often each pixel has each class over samples, int64 (K, H, W)."""
    merge = merge_into(source.classes, classes)
    counts = np.zeros((len(classes), *source.size), np.int64)
    for i in indices:
        labels = truth_of(source, int(i), merge=merge).numpy()
        for k in range(len(classes)):
            counts[k] += labels == k
    return counts


def position_prior(
    counts: NDArray[np.int64], *, weights: NDArray[np.float64] | None = None
) -> Labels:
    """Return the class with the largest weighted count of each pixel, uint8 (H, W).

    Parameters
    ----------
    counts : int64 (K, H, W)
        How often each pixel has each class.
    weights : float64 (K,), optional
        Weight of each class; by default 1. Of equal products the first class is taken.
    """
    weighted = counts if weights is None else counts * weights[:, None, None]
    prior: Labels = weighted.argmax(0).astype(np.uint8)
    return prior


def tuned_weights(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return class weights with which the position prior has a larger mIoU, float64 (K,).

    Score and weights are of the counted samples themselves: a prediction that depends on the
    pixel alone has a confusion matrix that follows from the counts, so that no sample is read
    again. One weight after the other is set to its best value, found exactly, until none
    changes. The ascent begins at equal weights and at the reciprocal shares of the classes, and
    the better end is returned: never worse than the plain prior, but not always the best of all
    weights.

    Parameters
    ----------
    counts : int64 (K, H, W)
        How often each pixel has each class over the training samples.
    """
    flat = counts.reshape(len(counts), -1)
    columns = flat[:, :: -(-flat.shape[1] // MOST_TUNED_PIXELS)].astype(np.float64, order="C")
    share = columns.sum(1)
    reciprocal = np.where(share > 0, share.max() / np.maximum(share, 1), 1.0)
    ends = [_ascend(columns, weights) for weights in (np.ones(len(columns)), reciprocal)]
    return max(ends, key=lambda weights: _miou(columns, weights))


def _ascend(columns: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights after setting one after the other to its best value until none changes."""
    best = _miou(columns, weights)
    for _ in range(MOST_ROUNDS):
        before = best
        for k in np.flatnonzero(columns.sum(1)):
            changed = weights.copy()
            changed[k] = _best_weight(columns, weights, int(k))
            score = _miou(columns, changed)
            if score > best:
                weights, best = changed, score
        if best == before:
            break
    return weights


def _best_weight(columns: NDArray[np.float64], weights: NDArray[np.float64], k: int) -> float:
    """Return the weight of class k with the largest mIoU while the other weights stay.

    A pixel goes over to k where the weight passes the ratio of its largest other product to its
    count of k. So the candidates are one weight between each two neighbours of the sorted ratios,
    and from one to the next the IoU of k and of one other class changes.
    """
    products = columns * weights[:, None]
    products[k] = -1
    rival = products.argmax(0)
    top = np.take_along_axis(products, rival[None], 0)[0]
    mine = np.flatnonzero(columns[k])
    ratio = top[mine] / columns[k, mine]
    order = np.argsort(ratio, kind="stable")
    ratio, mine = ratio[order], mine[order]
    pixels, truth = columns.sum(0), columns.sum(1)
    won, taken = columns[k, mine], pixels[mine]
    # Mean IoU times the number of classes with m pixels taken by k, m = 0, 1, ..., len(mine).
    total = _iou(np.cumsum(np.r_[0, won]), np.cumsum(np.r_[0, taken]), truth[k])
    for j in np.flatnonzero(truth):
        lost = np.flatnonzero(rival[mine] == j)
        if j == k or len(lost) == 0:
            continue
        held = rival == j
        hits = columns[j, held].sum() - np.cumsum(np.r_[0, columns[j, mine[lost]]])
        predicted = pixels[held].sum() - np.cumsum(np.r_[0, taken[lost]])
        iou = _iou(hits, predicted, truth[j])
        change = np.zeros(len(mine) + 1)
        change[0] = iou[0]
        change[lost + 1] = np.diff(iou)
        total += np.cumsum(change)
    between = np.r_[ratio[:1] > 0, ratio[1:] > ratio[:-1], True]
    m = int(np.where(between, total, -np.inf).argmax())
    if m == len(ratio):
        return float(2 * ratio[-1]) or 1.0
    return float(np.sqrt(ratio[m - 1] * ratio[m]) if m and ratio[m - 1] else ratio[m] / 2)


def _iou(
    hits: NDArray[np.float64], predicted: NDArray[np.float64], truth: float
) -> NDArray[np.float64]:
    """Return the IoU of a class of `truth` pixels for each pair of right and predicted pixels."""
    iou: NDArray[np.float64] = hits / (truth + predicted - hits)
    return iou


def _miou(columns: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the mean IoU over the true classes of the weighted prior on the counted samples."""
    chosen = (columns * weights[:, None]).argmax(0)
    hits, predicted = (
        np.bincount(chosen, weights=values, minlength=len(columns))
        for values in (columns[chosen, np.arange(len(chosen))], columns.sum(0))
    )
    truth = columns.sum(1)
    there = truth > 0
    return float(np.mean((hits / np.maximum(truth + predicted - hits, 1))[there]))
