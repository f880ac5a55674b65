"""Events counted in bytes: the planes of ``count`` and ``stack`` without sums in between.

A count stays at 255, so that the result is that of counting in integers and cutting them.

Arguments of both kernels:

t, x, y, p : columns of an event stream
    x is below ``width``, p is 0 or 1; events of other rows are left out. For ``stack_bytes`` t is
    ascending: events whose times were changed are encoded by other kernels.
lo, hi : int64 (K,)
    First event of each window and the one after its last.
t0_us, t1_us : int64 (K,)
    Begin and end of each window; ``stack_bytes`` only.
bins : int
    Equal parts of a window, as in the representation ``stack:BINS``; 1 of ``count_bytes``.
out : uint8 (K, 2 bins, C)
    C = rows x width pixels: planes of ON, one a part, then those of OFF.
row0, rows, width : int
    First row kept, and the size of a plane.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eventseg.kernels.compiled import compiled

STAGED = 2048
"""Events staged at a time: their cells stay in the first-level cache."""

OUTSIDE = np.int32(-1)
"""Cell of events outside the rows, the largest one as an unsigned number."""


@compiled
def stage_cells(x, y, p, row0, rows, width, plane, cell):
    """Write the cell of each event, OFF ``plane`` cells after ON: a loop of vector instructions."""
    cell = cell[: len(x)]
    for i in range(len(x)):
        row = np.int32(y[i]) - np.int32(row0)
        index = (np.int32(1) - np.int32(p[i])) * np.int32(plane) + row * np.int32(width)
        cell[i] = index + np.int32(x[i]) if np.int32(0) <= row < np.int32(rows) else OUTSIDE


@compiled
def count_cells(x, y, p, begin, end, flat, row0, rows, width, plane, cell):
    """Count the events ``begin`` to ``end`` in bytes that stay at 255."""
    # The plane is a product and no choice: polarities are hard to predict, which costs 2 ns each.
    for first in range(begin, end, STAGED):
        last = min(first + STAGED, end)
        stage_cells(x[first:last], y[first:last], p[first:last], row0, rows, width, plane, cell)
        for i in range(last - first):
            # Unsigned, so that no code is made for an index counted from the end.
            c = np.uint32(cell[i])
            if c < len(flat):
                count = flat[c]
                flat[c] = count + np.uint8(count != 255)


def _count_bytes(x, y, p, lo, hi, out, row0, rows, width):
    """Count the events of consecutive windows by polarity: ON in plane 0, OFF in plane 1."""
    cells = rows * width
    cell = np.empty(STAGED, np.int32)
    for k in range(len(lo)):
        flat = out[k].reshape(2 * cells)
        flat[:] = 0
        count_cells(x, y, p, lo[k], hi[k], flat, row0, rows, width, cells, cell)


def _stack_bytes(t, x, y, p, lo, hi, t0_us, t1_us, bins, out, row0, rows, width):
    """Count the events of consecutive windows by polarity and part of the window."""
    cells = rows * width
    half = bins * cells
    cell = np.empty(STAGED, np.int32)
    for k in range(len(lo)):
        flat = out[k].reshape(2 * half)
        flat[:] = 0
        window_us = t1_us[k] - t0_us[k]
        first = lo[k]
        # Events are in order of time: each part is a run of them, and nothing is divided.
        for part in range(bins):
            # First time of the next part: the least dt with dt * bins // window_us > part.
            next_us = t0_us[k] + ((part + 1) * window_us + bins - 1) // bins
            last = first + np.searchsorted(t[first : hi[k]], next_us)
            planes = flat[part * cells :]
            count_cells(x, y, p, first, last, planes, row0, rows, width, half, cell)
            first = last


count_bytes: Any = compiled(_count_bytes)
stack_bytes: Any = compiled(_stack_bytes)
