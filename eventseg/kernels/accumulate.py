"""Events into integer sums per pixel and polarity: exact, order-free, mergeable, subtractable.

For a cell (pixel and polarity) with n events at ``dt = t - t0`` microseconds, the packed form
holds two int64 words, ``n << 40 + sum(dt)`` and ``sum(dt ** 2)``. Both are sums, so events can be
added in any order and in any split, taken away again, and their origin moved, all without a
rounding. The wide form holds the same in four words for windows beyond the packed limits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

COUNT_SHIFT = 40
PACKED_MAX_WINDOW_US = 1 << 20
"""dt < 2^20 us keeps sum(dt) of fewer than 2^20 events below 2^40, and sum(dt^2) below 2^60."""
PACKED_MAX_EVENTS = 1 << 20

BLOCK = 2048
"""Events staged at a time: the two staging buffers stay in the first-level cache."""

_ONE = 1 << COUNT_SHIFT


@njit(cache=True, nogil=True, boundscheck=False)
def stage(t, x, y, p, begin, count, t0_us, row0, rows, width, cell, dt):
    """Write the cell index and dt of ``count`` events from ``begin`` on into the staging buffers.

    Cells run over ON rows, then OFF rows; one more, the last, takes the events outside the rows.
    Slices of one known length let LLVM drop the index checks and vectorise this loop.
    """
    plane = np.int32(rows * width)
    outside = np.int32(2) * plane
    t, x = t[begin : begin + count], x[begin : begin + count]
    y, p = y[begin : begin + count], p[begin : begin + count]
    cell, dt = cell[:count], dt[:count]
    for i in range(count):
        row = np.int32(y[i]) - np.int32(row0)
        inside = np.uint32(row) < np.uint32(rows)
        index = (np.int32(1) - np.int32(p[i])) * plane + row * np.int32(width) + np.int32(x[i])
        cell[i] = index if inside else outside
        dt[i] = np.int32(t[i] - t0_us)


@njit(cache=True, nogil=True, boundscheck=False)
def add_packed(count_time, square, t, x, y, p, lo, hi, t0_us, row0, rows, width, cell, dt):
    """Add the events ``lo`` to ``hi`` to the two packed words of their cells."""
    for begin in range(lo, hi, BLOCK):
        m = min(BLOCK, hi - begin)
        stage(t, x, y, p, begin, m, t0_us, row0, rows, width, cell, dt)
        for i in range(m):
            # Unsigned, so that no code is made for an index counted from the end.
            c, d = np.uint32(cell[i]), np.int64(dt[i])
            count_time[c] += _ONE + d
            square[c] += d * d


@njit(cache=True, nogil=True, boundscheck=False)
def subtract_packed(count_time, square, t, x, y, p, lo, hi, t0_us, row0, rows, width, cell, dt):
    """Take the events ``lo`` to ``hi`` away from the two packed words of their cells."""
    for begin in range(lo, hi, BLOCK):
        m = min(BLOCK, hi - begin)
        stage(t, x, y, p, begin, m, t0_us, row0, rows, width, cell, dt)
        for i in range(m):
            c, d = np.uint32(cell[i]), np.int64(dt[i])
            count_time[c] -= _ONE + d
            square[c] -= d * d


@njit(cache=True, nogil=True, boundscheck=False)
def add_wide(count, time, square_high, square_low, t, x, y, p, lo, hi, t0_us, row0, rows, width):
    """Add the events ``lo`` to ``hi`` to the four wide words of their cells.

    ``dt ** 2`` is split at 2^32, so that 2^31 events of 2^31 - 1 us fit every word.
    """
    plane = rows * width
    for i in range(lo, hi):
        row = np.int64(y[i]) - row0
        if 0 <= row < rows:
            c = (1 - np.int64(p[i])) * plane + row * width + np.int64(x[i])
            d = t[i] - t0_us
            count[c] += 1
            time[c] += d
            square_high[c] += (d * d) >> 32
            square_low[c] += (d * d) & 0xFFFFFFFF
