"""Contents of a recording besides its events: epochs of its clock, signals and frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize

SPECIALS_DTYPE = np.dtype([("t", "<i8"), ("type", "u1"), ("data", "<u4")])
"""Special events: time in us of the continuous sensor clock, kind and content."""

IMU_DTYPE = np.dtype(
    [
        ("t", "<i8"),
        *((name, "<f4") for name in ("ax", "ay", "az", "gx", "gy", "gz", "temperature")),
    ]
)
"""Inertial samples: t in us, ax ay az in g, gx gy gz in deg/s, temperature in degrees C.

Axes in the camera's plane: x right, y up, z toward the scene.
"""


@dataclass(frozen=True)
class Epoch:
    """A stretch of the file in which the sensor's clock ran without a restart.

    Parameters
    ----------
    first_row : int
        First row of ``dvs/data`` that belongs to it.
    offset_us : int
        Offset added to the sensor's own time to get continuous time.
    reason : str
        Why it began: ``start``, ``reset`` or ``clock jumped back``.
    """

    first_row: int
    offset_us: int
    reason: str


@dataclass(frozen=True, eq=False)
class Signal:
    """One vehicle signal; many are stored on change only, so hold the last value.

    Parameters
    ----------
    name, unit : str
        As stored, and the physical unit (empty if unknown).
    t_us : int64 (M,)
        Time on the sensor's continuous clock, not decreasing.
    t_host_us : int64 (M,)
        Time on the host's clock, microseconds since 1970.
    value : float64 (M,)
    """

    name: str
    unit: str
    t_us: NDArray[np.int64]
    t_host_us: NDArray[np.int64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self.value)

    def __repr__(self) -> str:
        return f"Signal({self.name!r}, {len(self):,} values{f' in {self.unit}' * bool(self.unit)})"


@dataclass(frozen=True, eq=False)
class Frames:
    """Grey frames of a recording, sorted by the end of their exposure; pixels load on demand.

    Parameters
    ----------
    t_start_us, t_end_us : int64 (F,)
        Start and end of the frame (read-out included).
    exposure_start_us, exposure_end_us : int64 (F,)
        Start and end of the exposure.
    rois : int64 (F, 4)
        Row and column of the upper left corner, height and width of the stored part.
    sensor : SensorSize
        Size of a full frame in pixels.
    read : callable
        Function from a frame's number to its stored part, uint16 (height, width).
    packet_row : int64 (F,), optional
        Row in the file of the packet of each frame, for formats of packets.
    """

    t_start_us: NDArray[np.int64]
    t_end_us: NDArray[np.int64]
    exposure_start_us: NDArray[np.int64]
    exposure_end_us: NDArray[np.int64]
    rois: NDArray[np.int64]
    sensor: SensorSize
    read: Callable[[int], NDArray[np.uint16]]
    packet_row: NDArray[np.int64] | None = None

    @classmethod
    def none(cls, sensor: SensorSize) -> Self:
        """Return the frames of a recording that has none."""
        return cls(*(np.empty(0, np.int64),) * 4, np.empty((0, 4), np.int64), sensor, _no_frame)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.exposure_end_us)

    def __repr__(self) -> str:
        if not len(self):
            return f"Frames(none, {self.sensor})"
        span = f"{seconds(int(self.t_us[-1]) - int(self.t_us[0]))} s"
        return f"Frames({len(self):,} of {self.sensor} over {span})"

    @property
    def t_us(self) -> NDArray[np.int64]:
        """Return the time of each frame, the end of its exposure, int64 (F,)."""
        return self.exposure_end_us

    def shifted(self, shift_us: int) -> Self:
        """Return the same frames with a time added to all stamps."""
        names = ("t_start_us", "t_end_us", "exposure_start_us", "exposure_end_us")
        return replace(self, **{name: getattr(self, name) + shift_us for name in names})

    def roi(self, i: int) -> tuple[int, int, int, int]:
        """Return row, column, height and width of the part of frame `i` that was stored."""
        row, col, height, width = (int(value) for value in self.rois[self._checked(i)])
        return row, col, height, width

    def raw(self, i: int) -> NDArray[np.uint16]:
        """Return frame `i` as stored, uint16 (H, W), zero outside its region of interest.

        Raises
        ------
        IndexError
            `i` is not 0 to ``len(frames) - 1``.
        RecordingError
            The pixels cannot be read.
        """
        row, col, height, width = self.roi(i)
        canvas = np.zeros(self.sensor, np.uint16)
        canvas[row : row + height, col : col + width] = self.read(i)
        return canvas

    def image(self, i: int) -> NDArray[np.uint8]:
        """Return frame `i` as 8-bit grey values, uint8 (H, W): the stored ones shifted by 8."""
        return (self.raw(i) >> 8).astype(np.uint8)

    def _checked(self, i: int) -> int:
        if not 0 <= i < len(self):
            raise IndexError(f"frame {i} of {len(self)}: give 0 to {len(self) - 1}")
        return i


def _no_frame(i: int) -> NDArray[np.uint16]:
    raise IndexError(f"frame {i} of a recording without frames")


def seconds(duration_us: int) -> str:
    """Return a duration in seconds with three decimals."""
    return f"{duration_us / 1e6:.3f}"
