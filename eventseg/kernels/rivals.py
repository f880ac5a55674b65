"""Rival representations on the CPU: loops over the events of one window, then over its cells.

``sums`` is int64 (planes, C), C = rows x width pixels, zero before and after; ``plane0`` is the
first plane that a loop writes; ``out`` is float32 (planes, C).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventseg.kernels import rival_cells
from eventseg.kernels.compiled import compiled

_inlined = njit(nogil=True, inline="always")
pixel_of = _inlined(rival_cells.pixel_of)
slice_plane = _inlined(rival_cells.slice_plane)
voxel_shares = _inlined(rival_cells.voxel_shares)
latest_mark = _inlined(rival_cells.latest_mark)
share = _inlined(rival_cells.share)
decayed = _inlined(rival_cells.decayed)


@compiled
def add_slices(sums, plane0, t, x, y, p, lo, hi, t0_us, window_us, bins, row0, rows, width):
    """Count events by polarity and time slice: ``2 bins`` planes."""
    for i in range(lo, hi):
        pixel = pixel_of(x[i], y[i], row0, rows, width)
        if pixel >= 0:
            sums[plane0 + slice_plane(t[i] - t0_us, p[i], window_us, bins), pixel] += 1


@compiled
def add_voxels(sums, plane0, t, x, y, p, lo, hi, t0_us, window_us, bins, row0, rows, width):
    """Share each event between the two bins around it: ``bins`` planes, in w-ths of an event."""
    for i in range(lo, hi):
        pixel = pixel_of(x[i], y[i], row0, rows, width)
        if pixel >= 0:
            lower, below, above = voxel_shares(t[i] - t0_us, p[i], window_us, bins)
            sums[plane0 + lower, pixel] += below
            sums[plane0 + lower + 1, pixel] += above


@compiled
def keep_latest(sums, plane0, t, x, y, p, lo, hi, t0_us, _window_us, _bins, row0, rows, width):
    """Keep the latest event of each polarity, two planes, 0 without one."""
    for i in range(lo, hi):
        pixel = pixel_of(x[i], y[i], row0, rows, width)
        if pixel >= 0:
            plane = plane0 + 1 - np.int64(p[i])
            sums[plane, pixel] = max(sums[plane, pixel], latest_mark(t[i] - t0_us))


@compiled
def finalize_shares(sums, window_us, of_window, out):
    """Write planes as they are, or where ``of_window`` as shares of the window; clear them."""
    for plane in range(sums.shape[0]):
        unit = np.int64(window_us) if of_window[plane] else np.int64(1)
        for pixel in range(sums.shape[1]):
            out[plane, pixel] = share(sums[plane, pixel], unit)
            sums[plane, pixel] = 0


@compiled
def finalize_decay(sums, window_us, decay, out):
    """Write the latest times as decayed surfaces; clear them."""
    for plane in range(sums.shape[0]):
        for pixel in range(sums.shape[1]):
            out[plane, pixel] = decayed(sums[plane, pixel], window_us, decay)
            sums[plane, pixel] = 0
