"""What every recording offers, whatever its format: events, frames, signals, one clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream, SensorSize
from eventseg.recordings.report import ReadingReport

GAP_US = 100_000
"""A stretch without events longer than this is reported as a gap."""


@dataclass(frozen=True)
class Epoch:
    """A stretch of the file in which the sensor's clock ran without a restart.

    Parameters
    ----------
    first_row : int
        First row of ``dvs/data`` that belongs to it.
    offset_us : int
        What was added to the sensor's own time to get continuous time.
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
        From a frame's number to its stored part, uint16 (height, width).
    """

    t_start_us: NDArray[np.int64]
    t_end_us: NDArray[np.int64]
    exposure_start_us: NDArray[np.int64]
    exposure_end_us: NDArray[np.int64]
    rois: NDArray[np.int64]
    sensor: SensorSize
    read: Callable[[int], NDArray[np.uint16]]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.exposure_end_us)

    @property
    def t_us(self) -> NDArray[np.int64]:
        """Return the time of each frame, the end of its exposure, int64 (F,)."""
        return self.exposure_end_us

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


class Recording(ABC):
    """A recording on disk: opened by :func:`eventseg.recordings.open_recording`.

    All times are int64 microseconds of the sensor's continuous clock: wraps of a short counter
    and restarts of the clock are undone, see :attr:`epochs`. A recording is a context manager,
    can be pickled (it is opened again on the other side) and used after a fork.

    Attributes
    ----------
    path : Path
    sensor : SensorSize
    n_events : int
        Number of events that :meth:`events` gives without limits.
    t_first_us, t_last_us : int
        Time of the first and of the last event; without events, the span of the frames.
    frames : Frames
    specials : structured array, fields ``t type data``
        Special events, sorted by time.
    signals : dict of Signal
        The vehicle signals that hold data, by name.
    epochs : tuple of Epoch
    gaps : list of (t0_us, t1_us)
        Stretches longer than 100 ms without events, between the first and the last one: the
        times of the event before and of the event after.
    report : ReadingReport
        What was skipped, repaired and inferred.
    """

    path: Path
    sensor: SensorSize
    n_events: int
    t_first_us: int
    t_last_us: int
    frames: Frames
    specials: NDArray[np.void]
    signals: dict[str, Signal]
    epochs: tuple[Epoch, ...]
    gaps: list[tuple[int, int]]
    report: ReadingReport

    @property
    def name(self) -> str:
        """Return the name of the recording, its file name without suffix."""
        return self.path.stem

    @abstractmethod
    def events(self, t0_us: int | None = None, t1_us: int | None = None) -> EventStream:
        """Return the events of ``[t0_us, t1_us)``, sorted by time, ties in file order.

        Parameters
        ----------
        t0_us, t1_us : int, optional
            By default the first event, and just after the last one.

        Raises
        ------
        EventsError
            The span ends before it begins.
        RecordingError
            The file cannot be read any more.
        """

    @abstractmethod
    def stream(
        self,
        *,
        max_events: int = 1_000_000,
        t0_us: int | None = None,
        t1_us: int | None = None,
    ) -> Iterator[EventStream]:
        """Yield the same events as :meth:`events` in consecutive spans, in constant memory.

        The spans tile ``[t0_us, t1_us)``. A span holds at most `max_events` events, or all
        events of one microsecond if those are more.
        """

    @abstractmethod
    def imu(self, t0_us: int | None = None, t1_us: int | None = None) -> NDArray[np.void]:
        """Return the inertial samples of ``[t0_us, t1_us)``, sorted; by default all.

        Returns
        -------
        structured array (S,)
            ``t`` int64 us; ``ax ay az`` float32 g; ``gx gy gz`` float32 deg/s;
            ``temperature`` float32 degrees C.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        seconds = (self.t_last_us - self.t_first_us) / 1e6
        return (
            f"{type(self).__name__}({self.path.name!r}, {self.sensor}, {self.n_events:,} events, "
            f"{len(self.frames):,} frames, {seconds:.3f} s)"
        )
