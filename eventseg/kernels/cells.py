"""Bodies of the six channels, for CPU and CUDA: the sums of one event and the finish of a cell.

Plain functions without a decorator: ``accumulate`` and ``finalize`` compile them for the CPU and
``encode_cuda`` for the GPU, so that no formula stands twice. Each has one way through and calls
nothing but arithmetic, so that either compiler can put it inside its loops.

Floats are the same to the bit on both devices: a product that is added to anything could be fused
with the sum by CUDA's compiler, which rounds once where the CPU rounds twice, and Numba has no
switch for that. So no body here adds to a product of floats; callers pass such products in.
"""

from __future__ import annotations

import math

import numpy as np

COUNT_SHIFT = 40
TIME_MASK = (1 << COUNT_SHIFT) - 1
_ONE = 1 << COUNT_SHIFT

EXACT_LIMIT = 6_000_000_000
"""n w below this keeps n s2 - s1^2 below 2^63."""


def cell_of(x, y, p, row0, rows, width):
    """Return the cell of an event, int32: ON rows, then OFF rows, then one for all other rows."""
    plane = np.int32(rows * width)
    row = np.int32(y) - np.int32(row0)
    index = (np.int32(1) - np.int32(p)) * plane + row * np.int32(width) + np.int32(x)
    return index if np.int32(0) <= row < np.int32(rows) else np.int32(2) * plane


def packed_words(dt_us):
    """Return the addends of an event to the two packed words of its cell, int64 each."""
    return _ONE + dt_us, dt_us * dt_us


def wide_words(dt_us):
    """Return the addends of an event to time, square_high and square_low of its cell, int64 each.

    ``dt ** 2`` is split at 2^32, so that 2^31 events of 2^31 - 1 us fit every word.
    """
    return dt_us, (dt_us * dt_us) >> 32, (dt_us * dt_us) & 0xFFFFFFFF


def exact_moments(n, s1, s2, per_window, less):
    """Return mean and std of a cell as shares of the window, float32, while n w < EXACT_LIMIT.

    ``n s2 - s1^2`` is formed modulo 2^64 in integers. ``per_window`` is 1 / w and ``less`` the
    ddof, float32 both.
    """
    one, zero = np.float32(1), np.float32(0)
    count = np.float32(n)
    divisor = count - less
    per_event = one / (count if n > 0 else one)
    per_freedom = one / (divisor if divisor > zero else one)
    variance = np.float32(n * s2 - s1 * s1) * per_event * per_freedom
    return np.float32(s1) * per_event * per_window, np.float32(math.sqrt(variance)) * per_window


def far_moments(n, mean_us, mean_us_squared, square_high, square_low, window_us, ddof):
    """Return mean and std of a cell beyond EXACT_LIMIT, float32, by way of float64.

    ``mean_us_squared`` is the square of ``mean_us``, rounded by itself.
    """
    mean_square = (square_high * 4294967296.0 + square_low) / n
    variance_us = max(mean_square - mean_us_squared, 0.0) * (n / (n - ddof))
    return np.float32(mean_us / window_us), np.float32(math.sqrt(variance_us) / window_us)
