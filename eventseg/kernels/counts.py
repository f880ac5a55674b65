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


def _count_bytes(x, y, p, lo, hi, out, row0, rows, width):
    """Count the events of consecutive windows by polarity: ON in plane 0, OFF in plane 1."""
    # The plane is a product and no choice: polarities are hard to predict, which costs 2 ns each.
    cells = rows * width
    for k in range(len(lo)):
        flat = out[k].reshape(2 * cells)
        flat[:] = 0
        for i in range(lo[k], hi[k]):
            row = np.int64(y[i]) - row0
            if 0 <= row < rows:
                cell = (1 - np.int64(p[i])) * cells + row * width + np.int64(x[i])
                count = flat[cell]
                flat[cell] = count + np.uint8(count != 255)


def _stack_bytes(t, x, y, p, lo, hi, t0_us, t1_us, bins, out, row0, rows, width):
    """Count the events of consecutive windows by polarity and part of the window."""
    cells = rows * width
    half = bins * cells
    for k in range(len(lo)):
        flat = out[k].reshape(2 * half)
        flat[:] = 0
        window_us = t1_us[k] - t0_us[k]
        i = lo[k]
        # Events are in order of time: each part is a run of them, and nothing is divided.
        for part in range(bins):
            on = part * cells
            # First time of the next part: the least dt with dt * bins // window_us > part.
            next_us = t0_us[k] + ((part + 1) * window_us + bins - 1) // bins
            while i < hi[k] and t[i] < next_us:
                row = np.int64(y[i]) - row0
                if 0 <= row < rows:
                    cell = on + (1 - np.int64(p[i])) * half + row * width + np.int64(x[i])
                    count = flat[cell]
                    flat[cell] = count + np.uint8(count != 255)
                i += 1


count_bytes: Any = compiled(_count_bytes)
stack_bytes: Any = compiled(_stack_bytes)
