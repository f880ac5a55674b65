"""Event filters on the CPU: one pass over the events in order, with the latest time of each pixel.

``too_soon`` and ``unsupported`` are plain functions that :mod:`eventseg.kernels.filters_cuda`
compiles for the GPU too, so that no limit stands twice.

Maps have one pixel more on every side of the sensor, (height + 2) x (width + 2) in one row, so that
every pixel has eight neighbours.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventseg.kernels.compiled import compiled

KEPT, HOT, REFRACTORY, BACKGROUND = 0, 1, 2, 3
"""What becomes of an event: kept, or dropped by one of the filters."""

NEVER = -(1 << 62)
"""Time of a pixel without an event, so long ago that any time may be taken from it."""


def too_soon(t_us, before_us, refractory_us):
    """Return whether an event falls into the dead time after the one before it."""
    return t_us - before_us < refractory_us


def unsupported(t_us, before_us, support_us):
    """Return whether the latest event of the neighbours is too long ago."""
    return t_us - before_us > support_us


_inlined = njit(nogil=True, inline="always")
_too_soon = _inlined(too_soon)
_unsupported = _inlined(unsupported)


@compiled
def count_pixels(x, y, counts):
    """Add the events of each pixel to ``counts``, int64 (H, W)."""
    for i in range(len(x)):
        counts[y[i], x[i]] += 1


@compiled
def keep_events(
    t,
    x,
    y,
    p,
    hot,
    latest,
    passed,
    refractory_us,
    support_us,
    width,
    kept_t,
    kept_x,
    kept_y,
    kept_p,
    fates,
):
    """Write the events that pass every filter into the output columns; return their number.

    ``hot`` (bool), ``latest`` and ``passed`` (int64) are maps: the pixels to drop, the latest event
    of each other pixel, and the latest that was not refractory. They serve the events that follow
    as well. The outcomes of the events are counted in ``fates``, int64 (4,). A time of 0 switches
    its filter off. There are no branches on an event's values: they would be mispredicted too
    often.
    """
    stride, one = np.uint32(width + 2), np.uint32(1)
    n, kept, n_hot, n_refractory, n_background = len(t), 0, 0, 0, 0
    x, y, p = x[:n], y[:n], p[:n]
    for i in range(n):
        now = t[i]
        # Unsigned, so that no code is made for an index counted from the end.
        at = (np.uint32(y[i]) + one) * stride + np.uint32(x[i]) + one
        is_hot, is_refractory, is_background = hot[at], False, False
        if refractory_us > 0:
            is_refractory = _too_soon(now, latest[at], refractory_us) & (not is_hot)
            latest[at] = now
        drop = is_hot | is_refractory
        if support_us > 0:
            up, down = at - stride, at + stride
            beside = max(passed[at - one], passed[at + one])
            above = max(max(passed[up - one], passed[up]), passed[up + one])
            below = max(max(passed[down - one], passed[down]), passed[down + one])
            before = max(beside, max(above, below))
            is_background = _unsupported(now, before, support_us) & (not drop)
            passed[at] = passed[at] if drop else now
        kept_t[kept], kept_x[kept], kept_y[kept], kept_p[kept] = now, x[i], y[i], p[i]
        n_hot += is_hot
        n_refractory += is_refractory
        n_background += is_background
        kept += not (drop | is_background)
    fates[KEPT] += kept
    fates[HOT] += n_hot
    fates[REFRACTORY] += n_refractory
    fates[BACKGROUND] += n_background
    return kept
