"""CUDA twins of the event filters: every event by itself, on events sorted by pixel.

A filter asks for the latest earlier event of a pixel. The CPU remembers it as it goes; here
``order``, int64 (N,), holds the numbers of the events sorted by pixel, those of one pixel in their
own order, so that the event before is the slot before, and that of a neighbour a binary search
away. ``pixel``, int32 (N,), is row x width + column, and height x width for an event that takes no
part; ``fates``, uint8 (N,), is the outcome of each event.
"""

from __future__ import annotations

import numpy as np

from eventseg.kernels import filters
from eventseg.kernels.cuda_device import cuda, inlined
from eventseg.kernels.filters import BACKGROUND, HOT, KEPT, REFRACTORY

too_soon = inlined(filters.too_soon)
unsupported = inlined(filters.unsupported)


@cuda.jit
def number_pixels(x, y, hot, pixel, fates, height, width):
    """Write the pixel of each event; drop those of hot pixels, bool (height x width,).

    Columns on a GPU are not looked at before: an event outside the sensor is left alone.
    """
    for i in range(cuda.grid(1), x.shape[0], cuda.gridsize(1)):
        row, column = np.int64(y[i]), np.int64(x[i])
        outside = height * width
        at = row * width + column if row < height and column < width else outside
        fate = HOT if at < outside and hot[min(at, outside - 1)] else KEPT
        pixel[i] = at if fate == KEPT else outside
        fates[i] = fate


@cuda.jit
def drop_refractory(t, pixel, order, fates, refractory_us, outside):
    """Drop events that come too soon after the one before of the same pixel."""
    for slot in range(cuda.grid(1) + 1, order.shape[0], cuda.gridsize(1)):
        i, before = order[slot], order[slot - 1]
        if (
            pixel[i] == pixel[before]
            and pixel[i] < outside
            and too_soon(t[i], t[before], refractory_us)
        ):
            fates[i] = REFRACTORY


@cuda.jit
def drop_background(t, pixel, order, starts, fates, support_us, height, width):
    """Drop events that no recent event of a neighbour supports.

    ``starts``, int64 (height x width + 1,), is the first slot of each pixel. Here ``pixel`` counts
    events dropped before as taking no part.
    """
    for i in range(cuda.grid(1), t.shape[0], cuda.gridsize(1)):
        at = np.int64(pixel[i])
        if at < height * width:
            row, column = at // width, at % width
            alone = True
            for neighbour in range(9):
                up, left = row + neighbour // 3 - 1, column + neighbour % 3 - 1
                if neighbour != 4 and 0 <= up < height and 0 <= left < width:
                    begin = starts[up * width + left]
                    low, high = begin, starts[up * width + left + 1]
                    while low < high:
                        middle = (low + high) // 2
                        if order[middle] < i:
                            low = middle + 1
                        else:
                            high = middle
                    if low > begin and not unsupported(t[i], t[order[low - 1]], support_us):
                        alone = False
            if alone:
                fates[i] = BACKGROUND
