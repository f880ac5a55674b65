"""Bootstrap confidence interval of the mean IoU over stretches of the recordings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    right = np.diagonal(blocks, axis1=1, axis2=2)
    union = blocks.sum(2) + blocks.sum(1) - right
    generator = np.random.default_rng(seed)
    times = generator.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), size=repeats)
    tp, of = times @ right, times @ union
    iou = np.divide(tp, of, out=np.zeros(tp.shape), where=of > 0)
    mious = iou.sum(1) / (of > 0).sum(1)
    low, high = np.quantile(mious, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level, len(blocks), repeats)
