"""Position prior: classes predicted from the place of a pixel alone, plain or tuned for mIoU."""

from __future__ import annotations

from typing import NamedTuple

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
    counted = _Counted(columns, columns.sum(0), share)
    ends = [_ascend(counted, weights) for weights in (np.ones(len(columns)), reciprocal)]
    return max(ends, key=lambda weights: _miou(counted, _rivals(columns, weights).first))


class _Counted(NamedTuple):
    """Counts of each class and pixel, (K, N), and their sums over classes and over pixels."""

    columns: NDArray[np.float64]
    pixels: NDArray[np.float64]
    truth: NDArray[np.float64]


class _Rivals(NamedTuple):
    """Classes with the largest and second largest product of each pixel, and the products, (N,)."""

    first: NDArray[np.intp]
    largest: NDArray[np.float64]
    second: NDArray[np.intp]
    next_largest: NDArray[np.float64]

    def without(self, k: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the class with the largest product besides k, and the product."""
        leads = self.first == k
        rival = np.where(leads, self.second, self.first)
        return rival, np.where(leads, self.next_largest, self.largest)


def _ascend(counted: _Counted, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights after setting one after the other to its best value until none changes."""
    columns = counted.columns
    rivals = _rivals(columns, weights)
    best = _miou(counted, rivals.first)
    # Classes that no weight of their own betters beside the weights of now.
    settled: set[int] = set()
    for _ in range(MOST_ROUNDS):
        before = best
        for k in np.flatnonzero(counted.truth).tolist():
            if k in settled:
                continue
            settled.add(k)
            rival, top = rivals.without(k)
            weight = _best_weight(counted, k, rival, top)
            product = columns[k] * weight
            wins = (product > top) | ((product == top) & (k < rival))
            score = _miou(counted, np.where(wins, k, rival))
            if score > best:
                weights, best = weights.copy(), score
                weights[k] = weight
                rivals = _rivals(columns, weights)
                settled = {k}
        if best == before:
            break
    return weights


def _rivals(columns: NDArray[np.float64], weights: NDArray[np.float64]) -> _Rivals:
    products = columns * weights[:, None]
    first, largest = _largest(products)
    products[first, np.arange(len(first))] = -1
    return _Rivals(first, largest, *_largest(products))


def _largest(products: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the first class with the largest product of each pixel, and the product.

    Row by row: `argmax` along the first axis takes several times as long.
    """
    largest = products[0].copy()
    first = np.zeros(len(largest), np.intp)
    for k, row in enumerate(products[1:], start=1):
        first[row > largest] = k
        np.maximum(largest, row, out=largest)
    return first, largest


def _best_weight(
    counted: _Counted, k: int, rival: NDArray[np.intp], top: NDArray[np.float64]
) -> float:
    """Return the weight of class k with the largest mIoU while the other weights stay.

    A pixel goes over to k where the weight passes the ratio of its largest other product, `top` of
    the class `rival`, to its count of k. So the candidates are one weight between each two
    neighbours of the sorted ratios, and from one to the next the IoU of k and of one other class
    changes.
    """
    columns, pixels, truth = counted
    mine = np.flatnonzero(columns[k])
    ratio = top[mine] / columns[k, mine]
    order = np.argsort(ratio, kind="stable")
    ratio, mine = ratio[order], mine[order]
    taken = pixels[mine]
    # Mean IoU times the number of classes with m pixels taken by k, m = 0, 1, ..., len(mine).
    total = _iou(_sums_from_zero(columns[k, mine]), _sums_from_zero(taken), truth[k])
    for iou in _ious_of_losers(counted, k, rival, mine):
        total += iou
    between = np.concatenate((ratio[:1] > 0, ratio[1:] > ratio[:-1], [True]))
    m = int(np.where(between, total, -np.inf).argmax())
    if m == len(ratio):
        return float(2 * ratio[-1]) or 1.0
    return float(np.sqrt(ratio[m - 1] * ratio[m]) if m and ratio[m - 1] else ratio[m] / 2)


def _ious_of_losers(
    counted: _Counted, k: int, rival: NDArray[np.intp], mine: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the IoU of each class that loses pixels to k, after m pixels of `mine`, (J, M + 1).

    All classes at once: entries are sorted by class, and sums within a class are differences of
    sums over all. They are sums of whole numbers, so that nothing is rounded.
    """
    columns, pixels, truth = counted
    loser = rival[mine]
    at = np.flatnonzero((truth[loser] > 0) & (loser != k))
    # Integers of 16 bits are sorted by counting.
    at = at[np.argsort(loser[at].astype(np.uint16), kind="stable")]
    loser, lost = loser[at], mine[at]
    begins = np.flatnonzero(np.diff(loser, prepend=-1))
    number = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(loser)))
    everywhere = columns[rival, np.arange(len(rival))]
    left = []
    for values, gone in ((everywhere, everywhere[lost]), (pixels, pixels[lost])):
        whole = np.bincount(rival, weights=values, minlength=len(columns)).astype(np.float64)
        sums = _sums_from_zero(gone)
        left.append((whole[loser[begins]], whole[loser] - (sums[1:] - sums[begins][number])))
    (hits, hits_left), (predicted, predicted_left) = left
    iou = _iou(hits_left, predicted_left, truth[loser])
    change = np.zeros((len(begins), len(mine) + 1))
    change[:, 0] = _iou(hits, predicted, truth[loser[begins]])
    earlier = np.concatenate(([0.0], iou))[:-1]
    earlier[begins] = change[:, 0]
    change[number, at + 1] = iou - earlier
    return change.cumsum(1)


def _sums_from_zero(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of the first 0, 1, ... values."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums


def _iou(
    hits: NDArray[np.float64],
    predicted: NDArray[np.float64],
    truth: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the IoU of classes of `truth` pixels for each pair of right and predicted pixels."""
    iou: NDArray[np.float64] = hits / (truth + predicted - hits)
    return iou


def _miou(counted: _Counted, chosen: NDArray[np.intp]) -> float:
    """Return the mean IoU over the true classes of a prior (N,) on the counted samples."""
    columns, pixels, truth = counted
    hits, predicted = (
        np.bincount(chosen, weights=values, minlength=len(columns))
        for values in (columns[chosen, np.arange(len(chosen))], pixels)
    )
    there = truth > 0
    return float(np.mean((hits / np.maximum(truth + predicted - hits, 1))[there]))
