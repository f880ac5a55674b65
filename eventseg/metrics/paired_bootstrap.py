"""Paired bootstrap of two runs over the same stretches of recordings: intervals and p-values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from eventseg.errors import LabelError
from eventseg.metrics.confusion import Confusion

FEWEST_TESTED = 6
"""Fewest blocks of a test: of equal runs, all blocks favour one with a chance of ``2^(1 - B)``,
which is below 5 % from six blocks on."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Scores of two runs and their paired difference, as shares; nan where undefined.

    Parameters
    ----------
    first, second : float
        Score of each over all blocks, the mean over its seeds.
    difference : float
        first - second.
    low, high : float
        Expanded percentile interval of the difference.
    p_value : float
        From the share of draws on the other side of 0, see :func:`paired_bootstrap`.
    better : float
        Probability that the first is better: share of the draws in which it is, of equal ones
        half, expanded for few blocks as the interval is.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    better: float = math.nan


@dataclass(frozen=True, slots=True)
class PairedDifferences:
    """Differences of the mean IoU and of each class's IoU, from the same draws.

    Parameters
    ----------
    miou : Difference
        Mean over the classes that have true pixels.
    iou : tuple of Difference (K,)
        nan for a class without true pixels; no interval for one with true pixels in fewer than
        :data:`FEWEST_TESTED` blocks.
    blocks, repeats : int
        Number of blocks with pixels and of draws.
    level : float
        Share of the draws inside the intervals.
    """

    miou: Difference
    iou: tuple[Difference, ...]
    blocks: int
    repeats: int
    level: float


def paired_bootstrap(
    first: Confusion,
    second: Confusion,
    *,
    seed: int,
    repeats: int = 2000,
    level: float = 0.95,
) -> PairedDifferences:
    """Return the differences of two runs under resampling of blocks that both share.

    A draw r takes B of the B blocks with replacement, the same ones for both runs, and of each
    run as many of its seeds, with replacement, as it has (Efron and Tibshirani, An Introduction
    to the Bootstrap, 1993, sections 8.3 and 13.3). With the counts summed over the drawn blocks,
    ``d_r = mean over seeds of IoU(first) - mean over seeds of IoU(second)``; the mean IoU averages
    over the classes that have true pixels in the draw, which are the same for both.

    ``q = min(1, 2 (1 + min(#{d_r <= 0}, #{d_r >= 0})) / (R + 1))`` is the share of draws with the
    other sign, for both sides, and never 0 (Davison and Hinkley, Bootstrap Methods and their
    Application, 1997, equation 4.11). Draws of few blocks spread too little; as Hesterberg (What
    Teachers Should Know About the Bootstrap, The American Statistician 69, 2015) expands the
    percentile interval, normal quantiles z stand for those of Student's t with B - 1 degrees of
    freedom, ``t = z sqrt((B - 1) / B)``: the interval is that of the percentiles at the z of its
    level's t, and p is that of the t of q's z, no less than ``2^(1 - B)``, the least of a test of
    signs. For many blocks these are the plain percentiles and q.

    Parameters
    ----------
    first, second : int64 (S, B, K, K)
        Confusion matrices by seed and block; S may differ. Blocks without a scored pixel are left
        out.
    seed : int
        The same seed gives the same result.
    repeats : int
        Number R of draws.
    level : float
        Share of the draws inside the intervals, above 0 and below 1.

    Raises
    ------
    LabelError
        Matrices that do not fit, of other truth, fewer than :data:`FEWEST_TESTED` blocks with
        pixels, or settings out of range.

    Examples
    --------
    >>> better = np.array([[[[9, 1], [1, 9]], [[8, 2], [1, 9]]] * 4])
    >>> worse = np.array([[[[8, 2], [2, 8]], [[8, 2], [3, 7]]] * 4])
    >>> found = paired_bootstrap(better, worse, seed=0)
    >>> found.miou.difference > 0, found.miou.p_value < 0.05
    (True, True)
    """
    runs = [np.asarray(first), np.asarray(second)]
    for matrices in runs:
        if matrices.ndim != 4 or matrices.shape[2] != matrices.shape[3] or not len(matrices):
            raise LabelError(
                f"give matrices of each seed and block, (S, B, K, K), not {matrices.shape}"
            )
    if runs[0].shape[1:] != runs[1].shape[1:]:
        raise LabelError(
            f"blocks and classes {runs[0].shape[1:3]} of the first and {runs[1].shape[1:3]} of the "
            "second do not fit; score both on the same samples and classes"
        )
    if repeats < 1 or not 0 < level < 1:
        raise LabelError(f"{repeats} repeats at level {level}; give 1 or more, and 0 < level < 1")
    truth = runs[0][0].sum(2)
    if any((matrices.sum(3) != truth).any() for matrices in runs):
        raise LabelError(
            "the true pixels of the blocks differ; score all on the same pixels and labels"
        )
    scored = truth.any(1)
    blocks = int(scored.sum())
    if blocks < FEWEST_TESTED:
        raise LabelError(
            f"{blocks} blocks with scored pixels; a test needs {FEWEST_TESTED} or more, each a "
            "recording or a stretch of one: score longer or more recordings"
        )
    truth = truth[scored]
    generator = np.random.default_rng(seed)
    times = generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=repeats)
    whole = np.ones((1, blocks), np.int64)
    drawn, total = [], []
    for matrices in runs:
        seeds = len(matrices)
        weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=repeats) / seeds
        drawn.append(drawn_iou(matrices[:, scored], truth, times, weights))
        total.append(
            drawn_iou(matrices[:, scored], truth, whole, np.full((1, seeds), 1 / seeds))[0]
        )
    pairs = zip(total[0], total[1], (drawn[0] - drawn[1]).T, (truth > 0).sum(0), strict=True)
    return PairedDifferences(
        _difference(
            float(np.nanmean(total[0])),
            float(np.nanmean(total[1])),
            np.nanmean(drawn[0], axis=1) - np.nanmean(drawn[1], axis=1),
            blocks=blocks,
            level=level,
        ),
        tuple(
            _difference(float(one), float(two), draws, blocks=int(having), level=level)
            for one, two, draws, having in pairs
        ),
        blocks,
        repeats,
        level,
    )


def seeds_interval(
    matrices: Confusion, *, seed: int, repeats: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of the mean over seeds of the mean IoU, under draws of blocks and seeds.

    Parameters
    ----------
    matrices : int64 (S, B, K, K)
        Confusion matrices by seed and block, of the same truth.
    seed : int
        The same seed gives the same interval.
    repeats, level
        As for :func:`paired_bootstrap`.

    Raises
    ------
    LabelError
        Fewer than two blocks with scored pixels.
    """
    truth = matrices[0].sum(2)
    scored = truth.any(1)
    seeds, blocks = len(matrices), int(scored.sum())
    if blocks < 2:
        raise LabelError(f"{blocks} block with scored pixels; an interval needs two or more")
    generator = np.random.default_rng(seed)
    times = generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=repeats)
    weights = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=repeats) / seeds
    drawn = np.nanmean(drawn_iou(matrices[:, scored], truth[scored], times, weights), axis=1)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def drawn_iou(
    matrices: Confusion,
    truth: NDArray[np.int64],
    times: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the IoU of each class in each draw, weighted over seeds, nan without true pixels.

    Matrices are (S, B, K, K), truth (B, K), times (R, B), weights (R, S), the result is (R, K).
    """
    right = np.diagonal(matrices, axis1=2, axis2=3)
    union = truth + matrices.sum(2) - right
    present = times @ truth > 0
    tp, of = times @ right, times @ union
    nan = np.full(tp.shape, np.nan)
    iou = np.divide(tp, of, out=nan, where=np.broadcast_to(present, tp.shape))
    averaged: NDArray[np.float64] = np.einsum("rs,srk->rk", weights, iou)
    return averaged


def _difference(
    first: float, second: float, draws: NDArray[np.float64], *, blocks: int, level: float
) -> Difference:
    """Return a difference with interval and p-value, nan where too few blocks have true pixels."""
    if blocks < FEWEST_TESTED:
        return Difference(first, second, first - second, math.nan, math.nan, math.nan)
    known = draws[~np.isnan(draws)]
    shrink = math.sqrt((blocks - 1) / blocks)
    tail = float(ndtr(stdtrit(blocks - 1, (1 - level) / 2) / shrink))
    low, high = np.quantile(known, [tail, 1 - tail])
    other_side = min(int((known <= 0).sum()), int((known >= 0).sum()))
    share = min(1.0, 2 * (1 + other_side) / (len(known) + 1))
    p_value = max(2 * float(stdtr(blocks - 1, ndtri(share / 2) * shrink)), 2.0 ** (1 - blocks))
    above = float((known > 0).sum() + 0.5 * (known == 0).sum())
    # No draw on a side is less than one: the probability is never 0 or 1.
    above = (above + 0.5) / (len(known) + 1)
    better = float(stdtr(blocks - 1, ndtri(above) * shrink))
    return Difference(first, second, first - second, float(low), float(high), p_value, better)
