"""The position prior: weights that no change of one of them betters, on the training part alone."""

from __future__ import annotations

from itertools import pairwise

import naive_metrics
import numpy as np
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
