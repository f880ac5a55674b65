"""Blocks of facades as a table of numbers that compiled loops look up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

(NEAR, FAR, STRIP, HEIGHT, FAR_HEIGHT, ALBEDO, PITCH, DUTY, SEED, CROSSING) = range(10)
"""Rows of the table: the fields of a block, and whether a street crosses there."""

_FIELDS = ("near", "far", "strip", "height", "far_height", "albedo", "pitch", "duty", "seed")


def block_table(blocks: NDArray[np.void]) -> NDArray[np.float64]:
    """Return blocks (2, N) as float64 (10, 2 N): the N of the left side, then of the right."""
    flat = blocks.reshape(-1)
    rows = [flat[name].astype(np.float64) for name in _FIELDS]
    return np.stack([*rows, (flat["near"] < 0).astype(np.float64)])
