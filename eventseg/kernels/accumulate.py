"""Events into integer sums per pixel and polarity: exact, order-free, mergeable, subtractable.

For a cell (pixel and polarity) with n events at ``dt = t - t0`` microseconds, the packed form
holds two int64 words, ``n << 40 + sum(dt)`` and ``sum(dt ** 2)``. Both are sums, so events can be
added in any order and in any split, taken away again, and their origin moved, all without a
rounding. The wide form holds the same in four words for windows beyond the packed limits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventseg.kernels import cells
from eventseg.kernels.compiled import compiled

PACKED_MAX_WINDOW_US = 1 << 20
"""dt < 2^20 us keeps sum(dt) of fewer than 2^20 events below 2^40, and sum(dt^2) below 2^60."""
PACKED_MAX_EVENTS = 1 << 20

BLOCK = 2048
"""Events staged at a time: the two staging buffers stay in the first-level cache."""

_inlined = njit(nogil=True, inline="always")
cell_of = _inlined(cells.cell_of)
packed_words = _inlined(cells.packed_words)
wide_words = _inlined(cells.wide_words)


@compiled
def stage(t, x, y, p, begin, count, t0_us, row0, rows, width, cell, dt):
    """Write the cell index and dt of ``count`` events from ``begin`` on into the staging buffers.

    Cells run over ON rows, then OFF rows; one more, the last, takes the events outside the rows.
    Slices of one known length let LLVM drop the index checks and vectorise this loop.
    """
    t, x = t[begin : begin + count], x[begin : begin + count]
    y, p = y[begin : begin + count], p[begin : begin + count]
    cell, dt = cell[:count], dt[:count]
    for i in range(count):
        cell[i] = cell_of(x[i], y[i], p[i], row0, rows, width)
        dt[i] = np.int32(t[i] - t0_us)


@compiled
def add_packed(count_time, square, t, x, y, p, lo, hi, t0_us, row0, rows, width, cell, dt):
    """Add the events ``lo`` to ``hi`` to the two packed words of their cells."""
    for begin in range(lo, hi, BLOCK):
        m = min(BLOCK, hi - begin)
        stage(t, x, y, p, begin, m, t0_us, row0, rows, width, cell, dt)
        for i in range(m):
            # Unsigned, so that no code is made for an index counted from the end.
            c = np.uint32(cell[i])
            one_and_time, time_squared = packed_words(np.int64(dt[i]))
            count_time[c] += one_and_time
            square[c] += time_squared


@compiled
def subtract_packed(count_time, square, t, x, y, p, lo, hi, t0_us, row0, rows, width, cell, dt):
    """Take the events ``lo`` to ``hi`` away from the two packed words of their cells."""
    for begin in range(lo, hi, BLOCK):
        m = min(BLOCK, hi - begin)
        stage(t, x, y, p, begin, m, t0_us, row0, rows, width, cell, dt)
        for i in range(m):
            c = np.uint32(cell[i])
            one_and_time, time_squared = packed_words(np.int64(dt[i]))
            count_time[c] -= one_and_time
            square[c] -= time_squared


@compiled
def add_wide(count, time, square_high, square_low, t, x, y, p, lo, hi, t0_us, row0, rows, width):
    """Add the events ``lo`` to ``hi`` to the four wide words of their cells."""
    outside = 2 * rows * width
    for i in range(lo, hi):
        c = cell_of(x[i], y[i], p[i], row0, rows, width)
        if c < outside:
            dt, high, low = wide_words(t[i] - t0_us)
            count[c] += 1
            time[c] += dt
            square_high[c] += high
            square_low[c] += low
