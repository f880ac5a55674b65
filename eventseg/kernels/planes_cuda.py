"""CUDA twins of :mod:`eventseg.kernels.planes`: a batch of windows in one launch.

``plan`` and the grid are as in :mod:`eventseg.kernels.encode_cuda`; ``sums`` is int64
(K, planes, C), zero before and after.

Every index is checked against the planes and pixels there are: columns on a GPU are not looked
at before, and an event outside its window must not write into another tensor's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from eventseg.kernels import planes
from eventseg.kernels.cuda_device import cuda, inlined

pixel = inlined(planes.pixel_of)


@inlined
def add_atomically(sums, place, value):
    """Add a value to a sum that other threads change too."""
    cuda.atomic.add(sums, place, value)


@inlined
def raise_atomically(sums, place, value):
    """Raise a sum that other threads change too to a value, where that is larger."""
    cuda.atomic.max(sums, place, value)


MERGE = {"sum": add_atomically, "max": raise_atomically}
"""How the value of an event is merged into a sum, by the name of the rule."""


@cache
def event_kernel(add: Callable[..., Any], combine: str) -> Any:
    """Return the kernel that adds the events of each window to its sums."""
    add_event, merge = inlined(add), MERGE[combine]

    @cuda.jit
    def kernel(t, x, y, p, plan, sums, parameter, row0, rows, width):
        first, k = cuda.grid(2)
        window_us = plan[k, 4] - plan[k, 3]
        for i in range(plan[k, 1] + first, plan[k, 2], cuda.gridsize(2)[0]):
            c = pixel(x[i], y[i], row0, rows, width)
            pairs = add_event(t[i] - plan[k, 3], np.int64(p[i]), window_us, parameter)
            for plane, value in pairs:
                if 0 <= c < sums.shape[2] and 0 <= plane < sums.shape[1]:
                    merge(sums, (k, plane, c), value)

    return kernel


@cache
def finish_kernel(finish: Callable[..., Any]) -> Any:
    """Return the kernel that writes the sums of each window as floats and clears them."""
    value_of = inlined(finish)

    @cuda.jit
    def kernel(plan, sums, parameter, table, out):
        first, k = cuda.grid(2)
        window, window_us = plan[k, 0], plan[k, 4] - plan[k, 3]
        for plane in range(sums.shape[1]):
            for c in range(first, sums.shape[2], cuda.gridsize(2)[0]):
                out[window, plane, c] = value_of(
                    sums[k, plane, c], plane, window_us, parameter, table
                )
                sums[k, plane, c] = 0

    return kernel
