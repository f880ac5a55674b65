"""The position prior: weights that no change of one of them betters, on the training part alone."""

from __future__ import annotations

from itertools import pairwise

import naive_metrics
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from eventseg.evaluation import position_prior as module
from eventseg.evaluation.position_prior import position_prior, tuned_weights

Counts = NDArray[np.int64]

COUNTS = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(0, 9))
).filter(lambda counts: counts.any())  # fmt: skip


def naive_score(counts: Counts, weights: list[float]) -> float:
    flat = counts.reshape(len(counts), -1).tolist()
    return naive_metrics.prior_miou(flat, naive_metrics.prior_of(flat, weights))


def candidates(counts: Counts, weights: list[float], k: int) -> list[float]:
    """Return a weight of class k on either side of every ratio at which a pixel goes over to it."""
    ratios = {0.0}
    for column in counts.reshape(len(counts), -1).T.tolist():
        if column[k]:
            others = [n * w for j, (n, w) in enumerate(zip(column, weights, strict=True)) if j != k]
            ratios.add(max(others, default=0.0) / column[k])
    ordered = [*sorted(ratios), 2 * max(ratios) + 1]
    return [(low + high) / 2 for low, high in pairwise(ordered)]


@settings(deadline=None, max_examples=60)
@given(COUNTS)
def test_no_change_of_one_weight_betters_the_tuned_prior(counts: Counts) -> None:
    weights = tuned_weights(counts).tolist()
    tuned = naive_score(counts, weights)
    assert tuned >= naive_score(counts, [1.0] * len(counts))
    for k in range(len(counts)):
        for weight in candidates(counts, weights, k):
            changed = [*weights[:k], weight, *weights[k + 1 :]]
            assert naive_score(counts, changed) <= tuned + 1e-12


@given(COUNTS, st.integers(0, 2**32 - 1))
def test_a_prior_is_the_largest_weighted_count(counts: Counts, seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.1, 10, len(counts))
    flat = counts.reshape(len(counts), -1).tolist()
    for given_weights in (None, weights):
        expected = naive_metrics.prior_of(
            flat, [1.0] * len(counts) if given_weights is None else weights.tolist()
        )
        got = position_prior(counts, weights=given_weights)
        assert (got.dtype, got.shape) == (np.uint8, counts.shape[1:])
        assert got.ravel().tolist() == expected


def test_a_rare_class_in_its_place_is_predicted_by_the_tuned_prior_only() -> None:
    # Ten frames of 20 pixels; a pole stands in one column in four of them, road is all else.
    counts = np.zeros((3, 1, 20), np.int64)
    counts[0], counts[1, 0, 4], counts[0, 0, 4] = 10, 4, 6
    assert set(position_prior(counts).ravel()) == {0}
    tuned = position_prior(counts, weights=tuned_weights(counts))
    assert tuned.ravel().tolist() == [1 if x == 4 else 0 for x in range(20)]


def test_large_pictures_are_tuned_on_every_nth_pixel(monkeypatch) -> None:
    counts = np.random.default_rng(0).integers(0, 50, (4, 30, 40))
    monkeypatch.setattr(module, "MOST_TUNED_PIXELS", 400)
    thinned = counts.reshape(4, 1, -1)[:, :, ::3]
    assert tuned_weights(counts).tolist() == tuned_weights(thinned).tolist()


def tuned_class_by_class(counts: Counts) -> NDArray[np.float64]:
    """Return the weights of the same ascent, in which every class and rival is visited alone."""
    columns = counts.reshape(len(counts), -1).astype(np.float64)
    truth = columns.sum(1)
    reciprocal = np.where(truth > 0, truth.max() / np.maximum(truth, 1), 1.0)
    ends = [slow_ascent(columns, weights) for weights in (np.ones(len(columns)), reciprocal)]
    return max(ends, key=lambda weights: slow_miou(columns, weights))


def slow_ascent(columns, weights):
    best = slow_miou(columns, weights)
    for _ in range(module.MOST_ROUNDS):
        before = best
        for k in np.flatnonzero(columns.sum(1)):
            changed = weights.copy()
            changed[k] = slow_best_weight(columns, weights, int(k))
            score = slow_miou(columns, changed)
            if score > best:
                weights, best = changed, score
        if best == before:
            break
    return weights


def slow_best_weight(columns, weights, k):
    products = columns * weights[:, None]
    products[k] = -1
    rival = products.argmax(0)
    top = products.max(0)
    mine = np.flatnonzero(columns[k])
    ratio = top[mine] / columns[k, mine]
    order = np.argsort(ratio, kind="stable")
    ratio, mine = ratio[order], mine[order]
    pixels, truth = columns.sum(0), columns.sum(1)

    def iou(hits, predicted, j):
        return hits / (truth[j] + predicted - hits)

    won, taken = columns[k, mine], pixels[mine]
    total = iou(np.cumsum(np.r_[0, won]), np.cumsum(np.r_[0, taken]), k)
    for j in np.flatnonzero(truth):
        lost = np.flatnonzero(rival[mine] == j)
        if j == k or len(lost) == 0:
            continue
        held = rival == j
        hits = columns[j, held].sum() - np.cumsum(np.r_[0, columns[j, mine[lost]]])
        predicted = pixels[held].sum() - np.cumsum(np.r_[0, taken[lost]])
        left = iou(hits, predicted, j)
        change = np.zeros(len(mine) + 1)
        change[0] = left[0]
        change[lost + 1] = np.diff(left)
        total += np.cumsum(change)
    between = np.r_[ratio[:1] > 0, ratio[1:] > ratio[:-1], True]
    m = int(np.where(between, total, -np.inf).argmax())
    if m == len(ratio):
        return float(2 * ratio[-1]) or 1.0
    return float(np.sqrt(ratio[m - 1] * ratio[m]) if m and ratio[m - 1] else ratio[m] / 2)


def slow_miou(columns, weights):
    chosen = (columns * weights[:, None]).argmax(0)
    hits, predicted = (
        np.bincount(chosen, weights=values, minlength=len(columns))
        for values in (columns[chosen, np.arange(len(chosen))], columns.sum(0))
    )
    truth = columns.sum(1)
    iou = hits / np.maximum(truth + predicted - hits, 1)
    return float(np.mean(iou[truth > 0]))


@settings(deadline=None, max_examples=60)
@given(COUNTS)
def test_weights_have_the_bits_of_a_search_class_by_class(counts: Counts) -> None:
    assert tuned_weights(counts).tolist() == tuned_class_by_class(counts).tolist()


@pytest.mark.parametrize(("classes", "most"), [(2, 3), (6, 6), (6, 900), (12, 2), (19, 40)])
def test_weights_of_many_pixels_have_the_bits_of_a_search_class_by_class(
    classes: int, most: int
) -> None:
    rng = np.random.default_rng(classes)
    counts = rng.integers(0, most + 1, (classes, 12, 20)) * (rng.random((classes, 12, 20)) < 0.4)
    counts[classes // 2] = 0
    assert tuned_weights(counts).tolist() == tuned_class_by_class(counts).tolist()


def test_a_class_is_not_weighed_again_beside_the_same_weights(monkeypatch) -> None:
    weighed = []
    best = module._best_weight

    def recorded(counted, k, rival, top):
        weighed.append((k, rival.tobytes(), top.tobytes()))
        return best(counted, k, rival, top)

    monkeypatch.setattr(module, "_best_weight", recorded)
    counts = np.random.default_rng(1).integers(0, 9, (6, 12, 20))
    module._ascend(module._Counted(*_sums(counts)), np.ones(6))
    assert len(weighed) == len(set(weighed)) > 6


def _sums(counts: Counts) -> tuple[NDArray[np.float64], ...]:
    columns = counts.reshape(len(counts), -1).astype(np.float64)
    return columns, columns.sum(0), columns.sum(1)
