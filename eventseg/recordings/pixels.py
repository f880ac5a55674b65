"""Gray values of stored pixels, and frames in order of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.recordings.contents import Frames
from eventseg.recordings.report import Tally

RGB_WEIGHTS = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the gray value, ITU-R BT.601."""

CONVERTER_VALUES = 1024
"""16-bit values below are the 10 bits of a camera's converter."""


def gray_values(
    pixels: NDArray[Any], *, order: Literal["rgb", "bgr"] = "rgb"
) -> NDArray[np.uint16]:
    """Return the gray values of pixels, uint16 (H, W), 8-bit values in the upper byte.

    16-bit values that hold the 10 bits of a camera's converter are shifted up by 6; colours become
    their luma.

    Parameters
    ----------
    pixels : uint8 or uint16 (H, W), or (H, W, C)
        With 1, 3 or 4 channels, of which a fourth one is opacity.
    order : {"rgb", "bgr"}
        Order of the colours.
    """
    values = pixels[..., None] if pixels.ndim == 2 else pixels
    weights = RGB_WEIGHTS if order == "rgb" else RGB_WEIGHTS[::-1]
    gray = values[..., 0] if values.shape[2] == 1 else np.rint(values[..., :3] @ weights)
    wide = gray.astype(np.uint16)
    if values.dtype.itemsize == 1:
        return np.left_shift(wide, np.uint16(8))
    ten_bits = values.max(initial=0) < CONVERTER_VALUES
    return np.left_shift(wide, np.uint16(6)) if ten_bits else wide


@dataclass(frozen=True, eq=False, slots=True)
class StoredFrames:
    """Frames as a file has them, in file order.

    Parameters
    ----------
    stamps : int64 (F, 4)
        Start and end of the frame, start and end of the exposure, in us.
    rois : int64 (F, 4)
        Row and column of the upper left corner, height and width.
    read : callable
        Function from a frame's number in the file to its gray values, uint16 (height, width).
    """

    stamps: NDArray[np.int64]
    rois: NDArray[np.int64]
    read: Callable[[int], NDArray[np.uint16]]

    def on(self, sensor: SensorSize, *, rotate180: bool, tally: Tally) -> Frames:
        """Return the frames that fit on a sensor, sorted by the end of their exposure.

        Parameters
        ----------
        sensor : SensorSize
        rotate180 : bool
            Turn them by 180 degrees.
        tally : Tally
            Receives the counts of those that are left out.
        """
        row, col, height, width = self.rois.reshape(-1, 4).T
        inside = (row + height <= sensor.height) & (col + width <= sensor.width)
        tally.skip("frames", f"outside the sensor {sensor}", int((~inside).sum()))
        chosen = np.flatnonzero(inside)
        chosen = chosen[np.argsort(self.stamps[chosen, 3], kind="stable")]
        # Two frames of one time would be two samples of one time.
        again = np.flatnonzero(np.diff(self.stamps[chosen, 3]) == 0) + 1
        tally.skip("frames", "same time as the frame before", len(again))
        chosen = np.delete(chosen, again)
        rois = self.rois.reshape(-1, 4)[chosen]
        if rotate180:
            rois[:, 0] = sensor.height - rois[:, 0] - rois[:, 2]
            rois[:, 1] = sensor.width - rois[:, 1] - rois[:, 3]

        def read(i: int) -> NDArray[np.uint16]:
            picture = self.read(int(chosen[i]))
            return picture[::-1, ::-1] if rotate180 else picture

        start, end, exposure_start, exposure_end = np.ascontiguousarray(self.stamps[chosen].T)
        return Frames(start, end, exposure_start, exposure_end, rois, sensor, read)
