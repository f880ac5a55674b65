"""Bootstrap over stretches of recordings: intervals of a mean IoU and of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.metrics.confusion import Confusion, checked_matrix


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap interval of `miou_present`: from `low` to `high` with probability `level`.

    `blocks` is the number of blocks that hold pixels, `repeats` that of the draws.
    """

    low: float
    high: float
    level: float
    blocks: int
    repeats: int


def bootstrap_interval(
    matrices: Confusion, *, seed: int, repeats: int = 1000, level: float = 0.95
) -> Interval:
    """Return the percentile interval of the mean IoU under resampling of blocks.

    Frames of one drive resemble each other, so pixels and even frames are no independent draws:
    the block bootstrap draws as many stretches of the drives, with replacement, as there are
    (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, sections 8.6 and 13.3). Every
    draw averages over the classes that it holds.

    Parameters
    ----------
    matrices : int64 (B, K, K)
        One confusion matrix a block, such as a minute of a recording. Blocks without a scored
        pixel are left out.
    seed : int
        The same seed gives the same interval.
    repeats : int
        Number of draws.
    level : float
        Share of the draws inside the interval, above 0 and below 1.

    Raises
    ------
    LabelError
        Matrices of another shape, fewer than two blocks with pixels, or settings out of range.
    """
    blocks = _scored_blocks(matrices, repeats=repeats, level=level)
    return iou_interval(*_counts(blocks), seed=seed, repeats=repeats, level=level)


def iou_interval(
    both: NDArray[np.int64],
    either: NDArray[np.int64],
    *,
    holding: NDArray[np.int64] | None = None,
    seed: int,
    repeats: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Return the interval of :func:`bootstrap_interval` for intersections and unions of any kind.

    Parameters
    ----------
    both, either : int64 (B, K)
        Intersection and union of each class in each block. Blocks without any are left out.
    holding : int64 (B, K), optional
        Pixels by which a class counts in a draw, such as those of the truth; by default the
        union. Blocks and draws without any are left out.
    seed, repeats, level
        As for :func:`bootstrap_interval`.

    Raises
    ------
    LabelError
        Fewer than two blocks with such pixels.
    """
    holding = either if holding is None else holding
    scored = holding.any(1)
    blocks = int(scored.sum())
    if blocks < 2:
        raise LabelError(f"{blocks} block with scored pixels; an interval needs two or more")
    iou = _drawn_iou(both[scored], either[scored], holding[scored], seed=seed, repeats=repeats)
    mious = np.nan_to_num(iou).sum(1) / (~np.isnan(iou)).sum(1)
    low, high = np.quantile(mious, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, blocks, repeats)


def class_intervals(
    matrices: Confusion, *, seed: int, repeats: int = 1000, level: float = 0.95
) -> tuple[Interval | None, ...]:
    """Return the percentile interval of the IoU of each class under resampling of blocks.

    The draws are those of :func:`bootstrap_interval`; draws without the class are left out.

    Parameters
    ----------
    matrices, seed, repeats, level
        As for :func:`bootstrap_interval`.

    Returns
    -------
    tuple of Interval (K,)
        None for a class that fewer than two blocks hold in truth or prediction. `blocks` counts
        those that hold it.

    Raises
    ------
    LabelError
        As :func:`bootstrap_interval`.
    """
    blocks = _scored_blocks(matrices, repeats=repeats, level=level)
    right, union = _counts(blocks)
    holding = (union > 0).sum(0)
    iou = _drawn_iou(right, union, union, seed=seed, repeats=repeats)
    intervals: list[Interval | None] = []
    for draws, count in zip(iou.T, holding.tolist(), strict=True):
        if count < 2:
            intervals.append(None)
            continue
        low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
        intervals.append(Interval(float(low), float(high), level, count, repeats))
    return tuple(intervals)


def _scored_blocks(matrices: Confusion, *, repeats: int, level: float) -> Confusion:
    """Return the matrices of the blocks that hold pixels, checked."""
    blocks = np.asarray(matrices)
    if blocks.ndim != 3:
        raise LabelError(f"give one confusion matrix a block, (B, K, K), not {blocks.shape}")
    if repeats < 1 or not 0 < level < 1:
        raise LabelError(f"{repeats} repeats at level {level}; give 1 or more, and 0 < level < 1")
    blocks = np.array([matrix for matrix in map(checked_matrix, blocks) if matrix.any()])
    if len(blocks) < 2:
        raise LabelError(
            f"{len(blocks)} block with scored pixels; an interval needs two or more: cut the "
            "recordings into shorter stretches"
        )
    return blocks


def _counts(blocks: Confusion) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return right pixels and the union of truth and prediction, int64 (B, K) each."""
    right = np.diagonal(blocks, axis1=1, axis2=2)
    return right, blocks.sum(2) + blocks.sum(1) - right


def _drawn_iou(
    right: NDArray[np.int64],
    union: NDArray[np.int64],
    holding: NDArray[np.int64],
    *,
    seed: int,
    repeats: int,
) -> NDArray[np.float64]:
    """Return the IoU of each class in each draw of blocks, (R, K), nan where none holds it."""
    blocks = len(right)
    generator = np.random.default_rng(seed)
    times = generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=repeats)
    tp, of = times @ right, times @ union
    drawn: NDArray[np.float64] = np.divide(
        tp, of, out=np.full(tp.shape, np.nan), where=times @ holding > 0
    )
    return drawn
