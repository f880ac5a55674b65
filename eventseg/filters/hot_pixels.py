"""Hot pixels: those with far more events over a recording than the pixels around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels.filters import count_pixels

SURROUNDINGS = 5
"""Pixels are compared with the others of a square of this many pixels a side."""


def count_events(pieces: Iterable[EventStream], *, sensor: SensorSize) -> NDArray[np.int64]:
    """Return how many events each pixel has, both polarities together, int64 (H, W)."""
    counts = np.zeros(sensor, np.int64)
    for piece in pieces:
        count_pixels(piece.x, piece.y, counts)
    return counts


def find_hot_pixels(counts: NDArray[np.int64], *, factor: float) -> NDArray[np.bool_]:
    """Return which pixels are hot, bool (H, W).

    With c the events of a pixel, l the median of the 24 others of the 5 x 5 pixels around it
    (mirrored at the border, the upper of the two in the middle) and m the median of all pixels that
    have events, a pixel is hot where ::

        c > factor * (1 + max(l, m))

    A bright edge that many pixels see is not hot, since its surroundings are as busy; ``m`` and 1
    keep quiet parts and short recordings from having hot pixels by chance. Known tools take the
    mean and some standard deviations of the entire sensor instead, both of which scenes and hot
    pixels themselves move.

    Parameters
    ----------
    counts : int64 (H, W)
        Events of each pixel over the complete recording.
    factor : float
        How many times as many, above 1.

    Raises
    ------
    EventsError
        A factor of 1 or less.
    """
    if not factor > 1:
        raise EventsError(f"the factor of hot pixels must be above 1, got {factor:g}")
    from scipy import ndimage  # loaded here: every command would wait for it

    around = np.ones((SURROUNDINGS, SURROUNDINGS), np.bool_)
    around[SURROUNDINGS // 2, SURROUNDINGS // 2] = False
    local = ndimage.median_filter(counts, footprint=around, mode="mirror")
    active = counts[counts > 0]
    usual = float(np.median(active)) if len(active) else 0.0
    hot: NDArray[np.bool_] = counts > factor * (1.0 + np.maximum(local, usual))
    return hot


def hot_map(numbers: Sequence[int], sensor: SensorSize) -> NDArray[np.bool_]:
    """Return the map of pixels given by their numbers, row x width + column, bool (H, W).

    Raises
    ------
    EventsError
        A number that no pixel of the sensor has.
    """
    hot = np.zeros(sensor, np.bool_)
    if numbers and not 0 <= min(numbers) <= max(numbers) < hot.size:
        raise EventsError(
            f"hot pixels run from {min(numbers)} to {max(numbers)}, the sensor {sensor} has "
            f"0 to {hot.size - 1}"
        )
    hot.ravel()[list(numbers)] = True
    return hot


def hot_numbers(hot: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the numbers of the pixels of a map, row x width + column, rising."""
    return tuple(np.flatnonzero(hot).tolist())
