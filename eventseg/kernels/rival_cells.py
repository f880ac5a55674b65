"""What one event adds to the rival representations, and what a cell becomes: for CPU and CUDA.

Plain functions as in :mod:`eventseg.kernels.cells`: integers while events are added, so that any
order gives the same sums, and one division or product where floats begin.
"""

from __future__ import annotations

import numpy as np

DECAY_BITS = 11
DECAY_STEPS = 1 << DECAY_BITS
DECAY_TABLES = 3
"""Ages below 2^33 us fall into three digits of 11 bits."""


def pixel_of(x, y, row0, rows, width):
    """Return the pixel of an event among the rows kept, int32, or -1 for all other rows."""
    row = np.int32(y) - np.int32(row0)
    inside = np.int32(0) <= row < np.int32(rows)
    return row * np.int32(width) + np.int32(x) if inside else np.int32(-1)


def slice_plane(dt_us, p, window_us, bins):
    """Return the plane of the event's polarity and time slice: ON slices, then OFF slices."""
    return (1 - np.int64(p)) * bins + dt_us * bins // window_us


def voxel_shares(dt_us, p, window_us, bins):
    """Return the lower of the two bins around an event, and what it adds to lower and upper.

    The bins stand at dt = b w / (bins - 1). Shares are counted in w-ths of an event, ON positive:
    dt (bins - 1) modulo w is an integer, so nothing is rounded. At least two bins.
    """
    position = dt_us * (bins - 1)
    lower = position // window_us
    to_upper = position - lower * window_us
    sign = 2 * np.int64(p) - 1
    return lower, sign * (window_us - to_upper), sign * to_upper


def latest_mark(dt_us):
    """Return the time an event ends at, dt + 1: above 0, which marks a cell without an event."""
    return dt_us + 1


def share(value, unit):
    """Return ``value / unit`` as float32, rounded from float64."""
    return np.float32(np.float64(value) / np.float64(unit))


def decayed(mark, window_us, decay):
    """Return exp(-age / tau) as float32 for a cell marked ``age`` before the window's end, else 0.

    The exponential is the product of one entry for each digit of the age: the same entries and
    the same two roundings on any device, where two libraries' exp would differ.
    """
    age = window_us - max(mark, np.int64(1))
    low, middle = age & (DECAY_STEPS - 1), (age >> DECAY_BITS) & (DECAY_STEPS - 1)
    value = decay[0, low] * decay[1, middle] * decay[2, age >> (2 * DECAY_BITS)]
    return np.float32(value if mark > 0 else 0.0)
