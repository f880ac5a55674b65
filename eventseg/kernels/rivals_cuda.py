"""CUDA twins of the rival representations: a batch of windows in one launch.

``plan`` and the grid are as in :mod:`eventseg.kernels.encode_cuda`; ``sums`` is int64
(K, planes, C), zero before and after, and ``plane0`` the first plane that a kernel writes.

Every index is checked against the planes and pixels there are: columns on a GPU are not looked
at before, and an event outside its window must not write into another tensor's memory.
"""

from __future__ import annotations

import numpy as np

from eventseg.kernels import rival_cells
from eventseg.kernels.cuda_device import cuda, inlined

pixel_of = inlined(rival_cells.pixel_of)
slice_plane = inlined(rival_cells.slice_plane)
voxel_shares = inlined(rival_cells.voxel_shares)
latest_mark = inlined(rival_cells.latest_mark)
share = inlined(rival_cells.share)
decayed = inlined(rival_cells.decayed)


@cuda.jit
def add_slices(t, x, y, p, plan, sums, plane0, bins, row0, rows, width):
    """Count events by polarity and time slice: ``2 bins`` planes."""
    first, k = cuda.grid(2)
    window_us = plan[k, 4] - plan[k, 3]
    for i in range(plan[k, 1] + first, plan[k, 2], cuda.gridsize(2)[0]):
        pixel = pixel_of(x[i], y[i], row0, rows, width)
        plane = plane0 + slice_plane(t[i] - plan[k, 3], p[i], window_us, bins)
        if 0 <= pixel < sums.shape[2] and 0 <= plane < sums.shape[1]:
            cuda.atomic.add(sums, (k, plane, pixel), np.int64(1))


@cuda.jit
def add_voxels(t, x, y, p, plan, sums, plane0, bins, row0, rows, width):
    """Share each event between the two bins around it: ``bins`` planes, in w-ths of an event."""
    first, k = cuda.grid(2)
    window_us = plan[k, 4] - plan[k, 3]
    for i in range(plan[k, 1] + first, plan[k, 2], cuda.gridsize(2)[0]):
        pixel = pixel_of(x[i], y[i], row0, rows, width)
        lower, below, above = voxel_shares(t[i] - plan[k, 3], p[i], window_us, bins)
        if 0 <= pixel < sums.shape[2] and 0 <= lower < bins - 1:
            cuda.atomic.add(sums, (k, plane0 + lower, pixel), below)
            cuda.atomic.add(sums, (k, plane0 + lower + 1, pixel), above)


@cuda.jit
def keep_latest(t, x, y, p, plan, sums, plane0, _bins, row0, rows, width):
    """Keep the latest event of each polarity, two planes, 0 without one."""
    first, k = cuda.grid(2)
    for i in range(plan[k, 1] + first, plan[k, 2], cuda.gridsize(2)[0]):
        pixel = pixel_of(x[i], y[i], row0, rows, width)
        plane = plane0 + 1 - np.int64(p[i])
        if 0 <= pixel < sums.shape[2] and 0 <= plane < sums.shape[1]:
            cuda.atomic.max(sums, (k, plane, pixel), latest_mark(t[i] - plan[k, 3]))


@cuda.jit
def finalize_shares(plan, sums, of_window, out):
    """Write planes as they are, or where ``of_window`` as shares of the window; clear them."""
    first, k = cuda.grid(2)
    window, window_us = plan[k, 0], plan[k, 4] - plan[k, 3]
    for plane in range(sums.shape[1]):
        unit = window_us if of_window[plane] else np.int64(1)
        for pixel in range(first, sums.shape[2], cuda.gridsize(2)[0]):
            out[window, plane, pixel] = share(sums[k, plane, pixel], unit)
            sums[k, plane, pixel] = 0


@cuda.jit
def finalize_decay(plan, sums, decay, out):
    """Write the latest times as decayed surfaces; clear them."""
    first, k = cuda.grid(2)
    window, window_us = plan[k, 0], plan[k, 4] - plan[k, 3]
    for plane in range(sums.shape[1]):
        for pixel in range(first, sums.shape[2], cuda.gridsize(2)[0]):
            out[window, plane, pixel] = decayed(sums[k, plane, pixel], window_us, decay)
            sums[k, plane, pixel] = 0
