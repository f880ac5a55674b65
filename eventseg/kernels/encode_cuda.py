"""CUDA twins of the encoding loops: a batch of windows in one launch, any order of events.

Two or four integer atomics an event on the same words as on the CPU, so that the sums are equal
to the bit whichever thread comes first. Words of a cell lie side by side: its atomics fall into
one sector of memory. The second axis of the grid counts windows, the first walks their events or
cells in strides, so any grid gives the same result. Cells are checked against the sums there are:
columns on a GPU are not looked at before, and must not lead into another tensor's memory.

Arguments of all kernels:

plan : int64 (K, 5)
    Of each window in this launch: its place in ``out``, its first event and the one after its
    last, its begin and end in us.
sums : int64 (K, 2 C, 2 or 4)
    Words of ON and OFF cells, C = rows x width: packed ``n << 40 + sum(dt)`` and ``sum(dt ** 2)``,
    or wide count, time, square_high and square_low. Zero before, and after ``finalize``.
largest : int64 (K, 2)
    Largest count of each polarity; zero before.
out : float32 (N, 6, C)
"""

from __future__ import annotations

import math

import numpy as np

from eventseg.kernels import cells
from eventseg.kernels.cells import COUNT_SHIFT, EXACT_LIMIT, TIME_MASK
from eventseg.kernels.cuda_device import cuda, inlined, product32, product64

PACKED_WORDS, WIDE_WORDS = 2, 4
RAW, SQRT, EVSEGNET = 0, 1, 2
NORMALISED = {"raw": RAW, "sqrt": SQRT, "evsegnet": EVSEGNET}
"""Number of each normalisation of :mod:`eventseg.encoding.normalise`."""

THREADS = 256
"""Threads of a block."""

cell_of = inlined(cells.cell_of)
packed_words = inlined(cells.packed_words)
wide_words = inlined(cells.wide_words)
exact_moments = inlined(cells.exact_moments)
far_moments = inlined(cells.far_moments)


@cuda.jit
def accumulate_packed(t, x, y, p, plan, sums, row0, rows, width):
    """Add the events of each window to the two packed words of their cells."""
    first, k = cuda.grid(2)
    stride = cuda.gridsize(2)[0]
    for i in range(plan[k, 1] + first, plan[k, 2], stride):
        cell = cell_of(x[i], y[i], p[i], row0, rows, width)
        if 0 <= cell < sums.shape[1]:
            one_and_time, time_squared = packed_words(t[i] - plan[k, 3])
            cuda.atomic.add(sums, (k, cell, 0), one_and_time)
            cuda.atomic.add(sums, (k, cell, 1), time_squared)


@cuda.jit
def accumulate_wide(t, x, y, p, plan, sums, row0, rows, width):
    """Add the events of each window to the four wide words of their cells."""
    first, k = cuda.grid(2)
    stride = cuda.gridsize(2)[0]
    for i in range(plan[k, 1] + first, plan[k, 2], stride):
        cell = cell_of(x[i], y[i], p[i], row0, rows, width)
        if 0 <= cell < sums.shape[1]:
            dt, high, low = wide_words(t[i] - plan[k, 3])
            cuda.atomic.add(sums, (k, cell, 0), np.int64(1))
            cuda.atomic.add(sums, (k, cell, 1), dt)
            cuda.atomic.add(sums, (k, cell, 2), high)
            cuda.atomic.add(sums, (k, cell, 3), low)


@cuda.jit
def find_largest(sums, largest):
    """Find the largest count of each polarity and window, which the normalisation divides by."""
    first, k = cuda.grid(2)
    stride = cuda.gridsize(2)[0]
    plane = sums.shape[1] // 2
    packed = sums.shape[2] == PACKED_WORDS
    for polarity in range(2):
        most = np.int64(0)
        for i in range(first, plane, stride):
            word = sums[k, polarity * plane + i, 0]
            most = max(most, word >> COUNT_SHIFT if packed else word)
        if most > 0:
            cuda.atomic.max(largest, (k, polarity), most)


@cuda.jit
def finalize(plan, sums, largest, out, ddof, normalise):
    """Write the six channels of each window, normalised, and clear its words."""
    first, k = cuda.grid(2)
    stride = cuda.gridsize(2)[0]
    plane = sums.shape[1] // 2
    packed = sums.shape[2] == PACKED_WORDS
    window, window_us = plan[k, 0], plan[k, 4] - plan[k, 3]
    one, two = np.float32(1), np.float32(2)
    for cell in range(first, 2 * plane, stride):
        polarity = cell // plane
        i = cell - polarity * plane
        if packed:
            n, s1 = sums[k, cell, 0] >> COUNT_SHIFT, sums[k, cell, 0] & TIME_MASK
            high, low = sums[k, cell, 1] >> 32, sums[k, cell, 1] & 0xFFFFFFFF
        else:
            n, s1 = sums[k, cell, 0], sums[k, cell, 1]
            high, low = sums[k, cell, 2], sums[k, cell, 3]
        if n * window_us < EXACT_LIMIT:
            s2 = (high << 32) + low
            mean, std = exact_moments(n, s1, s2, np.float32(1.0 / window_us), np.float32(ddof))
        else:
            mean_us = s1 / n
            squared = product64(mean_us, mean_us)
            mean, std = far_moments(n, mean_us, squared, high, low, window_us, ddof)
        count = np.float32(n)
        if normalise == SQRT:
            count = np.float32(math.sqrt(count))
        elif normalise == EVSEGNET:
            per_count = two / np.float32(max(largest[k, polarity], np.int64(1)))
            count = product32(count, per_count) - one
            # 2 * mean is exact, so that fusing it with the sum changes nothing.
            mean = two * mean - one if n > 0 else np.float32(0)
            std = min(two * std, one)
        out[window, polarity, i] = count
        out[window, 2 + 2 * polarity, i] = mean
        out[window, 3 + 2 * polarity, i] = std
        for word in range(sums.shape[2]):
            sums[k, cell, word] = 0
