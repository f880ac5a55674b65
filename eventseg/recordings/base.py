"""Base class of recordings of any format: events, frames and signals on one clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsError
from eventseg.events import EventStream, SensorSize
from eventseg.html import table
from eventseg.recordings.report import ReadingReport
from eventseg.windows import FileOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        span = f"{_seconds(int(self.t_us[-1]) - int(self.t_us[0]))} s"
        return f"Frames({len(self):,} of {self.sensor} over {span})"

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

    A reader of a format sets the attributes without a default and has :meth:`events`,
    :meth:`close` and ``__reduce__``; one of long files streams in constant memory too.

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
    signals : mapping of Signal
        The vehicle signals that hold data, by name.
    epochs : tuple of Epoch
    gaps : sequence of (t0_us, t1_us)
        Stretches longer than 100 ms without events, between the first and the last one: the
        times of the event before and of the event after.
    file_order : FileOrder or None
        Order of event packets and frames in the file, for formats of packets.
    report : ReadingReport
        Counts of all that was skipped and repaired, and notes of what was inferred.
    """

    path: Path
    sensor: SensorSize
    n_events: int
    t_first_us: int
    t_last_us: int
    frames: Frames
    specials: NDArray[np.void] = np.empty(0, SPECIALS_DTYPE)
    signals: Mapping[str, Signal] = MappingProxyType({})
    epochs: tuple[Epoch, ...] = (Epoch(0, 0, "start"),)
    gaps: Sequence[tuple[int, int]] = ()
    file_order: FileOrder | None = None
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
            Half-open span; by default from the first event to just after the last one.

        Raises
        ------
        EventsError
            The span ends before it begins.
        RecordingError
            The file cannot be read any more.
        """

    def stream(
        self,
        *,
        max_events: int = 1_000_000,
        t0_us: int | None = None,
        t1_us: int | None = None,
    ) -> Iterator[EventStream]:
        """Yield the same events as :meth:`events` in consecutive spans.

        The spans tile ``[t0_us, t1_us)``. A span holds at most `max_events` events, or all
        events of one microsecond if those are more. This method of the base class reads all
        events at once; readers of long files replace it by one of constant memory.

        Raises
        ------
        EventsError
            `max_events` is below 1, or the span ends before it begins.
        """
        if max_events < 1:
            raise EventsError(f"max_events must be 1 or more, got {max_events}")
        return _tiles(self.events(t0_us, t1_us), max_events)

    def imu(self, t0_us: int | None = None, t1_us: int | None = None) -> NDArray[np.void]:
        """Return the inertial samples of ``[t0_us, t1_us)``, sorted; by default all.

        Returns
        -------
        structured array (S,)
            ``t`` int64 us; ``ax ay az`` float32 g; ``gx gy gz`` float32 deg/s;
            ``temperature`` float32 degrees C. Empty for a camera without inertial sensor.
        """
        del t0_us, t1_us  # there is nothing to select from
        return np.empty(0, IMU_DTYPE)

    @abstractmethod
    def close(self) -> None:
        """Close the file; a second call does nothing."""

    def plot(self, *, at: str | int | None = None, window: str | int = "50ms") -> Figure:
        """Return a figure of a window: its events over the latest frame, and its six channels.

        Parameters
        ----------
        at : str or int, optional
            End of the window after the first event: a duration such as ``"1.5s"``, or
            microseconds. By default the window is in the middle of the recording.
        window : str or int
            Length of the window, a duration or microseconds.

        Raises
        ------
        WindowError
            An invalid duration, or a window outside the recording.

        Examples
        --------
        >>> figure = recording.plot(at="100ms", window="50ms")
        """
        import eventseg  # a figure needs rooms above this one: their public face is asked for it

        return eventseg.figure_moment(self, at=at, window=window)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.path.name!r}, {self.sensor}, {self.n_events:,} events, "
            f"{len(self.frames):,} frames, {_seconds(self.t_last_us - self.t_first_us)} s)"
        )

    def _repr_html_(self) -> str:
        signals = ", ".join(self.signals) or "none"
        rows = [
            ("sensor", str(self.sensor)),
            ("duration", f"{_seconds(self.t_last_us - self.t_first_us)} s"),
            ("events", f"{self.n_events:,}"),
            ("frames", f"{len(self.frames):,}"),
            ("signals", signals),
            ("gaps above 100 ms", f"{len(self.gaps):,}"),
            ("report", "; ".join(self.report.lines())),
        ]
        return table((type(self).__name__, self.path.name), rows, words=True)


def _tiles(events: EventStream, max_events: int) -> Iterator[EventStream]:
    """Yield events in consecutive spans that never divide a microsecond."""
    t, first, start_us = events.t, 0, events.t0_us
    while len(t) - first > max_events:
        end_us = int(t[first + max_events])
        if end_us == t[first]:
            end_us += 1  # more events in one microsecond than a span should hold
        yield events.between(start_us, end_us)
        first, start_us = int(np.searchsorted(t, end_us)), end_us
    yield events.between(start_us, events.t1_us)


def _no_frame(i: int) -> NDArray[np.uint16]:
    raise IndexError(f"frame {i} of a recording without frames")


def _seconds(duration_us: int) -> str:
    return f"{duration_us / 1e6:.3f}"
