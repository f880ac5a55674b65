"""Pixel maps: the source pixel of each pixel of an augmented picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.augmentation.settings import Draw
from eventseg.events import SensorSize


@dataclass(frozen=True, slots=True, eq=False)
class PixelMap:
    """The source of each pixel of a picture of h x w.

    Parameters
    ----------
    x, y : float32 (h, w)
        Column and row in the source, integers at the centres of pixels.
    source : int32 (h, w)
        The nearest pixel, row by row; 0 where the source pixel is outside.
    outside : bool (h, w) or None
        Where the nearest pixel would lie outside; None where none does.
    whole : bool
        Whether all sources are centres of pixels, so that nothing is interpolated.
    shrunk : SensorSize or None
        Size at which the source has as many pixels as the result, on the axes where it has more.
    """

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    source: NDArray[np.int32]
    outside: NDArray[np.bool_] | None
    whole: bool
    shrunk: SensorSize | None


def pixel_map(
    size: SensorSize,
    happens: Draw,
    *,
    resize: SensorSize | None = None,
    crop: SensorSize | None = None,
) -> PixelMap | None:
    """Return where the pixels of the result come from, or None where each stays in its place.

    In order, seen from the source: mirror, resize to `resize`, enlarge, cut out
    `crop`, rotate about its centre and shift. All of it is one affine map.

    Parameters
    ----------
    size : SensorSize
        Size of the source picture.
    happens : Draw
    resize, crop : SensorSize, optional
        As for :func:`eventseg.augmentation.sample.augment`.
    """
    base = resize or size
    target = crop or base
    stays = not (happens.flip or happens.rotation_deg or any(happens.shift)) and happens.scale == 1
    if stays and size == base == target:
        return None
    sides, places, shifts = (target.height, target.width), happens.place, happens.shift
    factors = [base[k] / size[k] * happens.scale for k in (0, 1)]
    # The centre of the result, in pixels of the source; whole steps keep whole moves whole.
    centre = [
        (_begin(size[k] * factors[k] - sides[k], places[k]) + sides[k] / 2) / factors[k] - 0.5
        for k in (0, 1)
    ]
    dy, dx = (
        np.arange(side) - (side - 1) / 2 - round(shift * side)
        for side, shift in zip(sides, shifts, strict=True)
    )
    # Turned back about the result's centre; rows grow downwards, so this undoes a clockwise turn.
    angle = math.radians(happens.rotation_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    x = _plane(sin / factors[1] * dy, cos / factors[1] * dx + centre[1])
    y = _plane(cos / factors[0] * dy + centre[0], -sin / factors[0] * dx)
    if happens.flip:
        np.subtract(size.width - 1, x, out=x)
    source, outside = _nearest(x, y, size)
    whole = factors == [1, 1] and not happens.rotation_deg
    shrunk = SensorSize(
        *(max(1, round(side * min(1, factor))) for side, factor in zip(size, factors, strict=True))
    )
    return PixelMap(
        x, y, source, outside if outside.any() else None, whole, None if shrunk == size else shrunk
    )


def _begin(room: float, place: float) -> float:
    """Return the first row or column of the crop: an integer where the margin is one."""
    if room != int(room):
        return place * room
    steps = int(place * (abs(room) + 1))
    return math.copysign(steps, room)


def _plane(of_rows: NDArray[Any], of_columns: NDArray[Any]) -> NDArray[np.float32]:
    return np.add.outer(of_rows.astype(np.float32), of_columns.astype(np.float32))


def _nearest(
    x: NDArray[np.float32], y: NDArray[np.float32], size: SensorSize
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the pixel nearest to each place, 0 outside, and where that is."""
    column = np.floor(x + np.float32(0.5)).astype(np.int32)
    row = np.floor(y + np.float32(0.5)).astype(np.int32)
    # As unsigned, what is negative is large: one comparison an axis.
    outside = column.view(np.uint32) >= size.width
    outside |= row.view(np.uint32) >= size.height
    row *= size.width
    row += column
    row[outside] = 0
    return row, outside
