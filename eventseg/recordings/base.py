"""Base class of recordings of any format: events, frames and signals on one clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsError
from eventseg.events import EventStream, SensorSize, warn_outside, whole_us
from eventseg.files.texts import counted
from eventseg.html import table
from eventseg.recordings.contents import IMU_DTYPE, SPECIALS_DTYPE, Epoch, Frames, Signal, seconds
from eventseg.recordings.report import ReadingReport
from eventseg.windows import FileOrder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP_US = 100_000
"""A stretch without events longer than this is reported as a gap."""


class Recording(ABC):
    """A recording on disk: opened by :func:`eventseg.recordings.open_recording`.

    All times are int64 microseconds of the sensor's continuous clock: wraps of a short counter
    and restarts of the clock are undone, see :attr:`epochs`. A recording is a context manager,
    can be pickled (it is opened again on the other side) and used after a fork.

    A reader of a format sets the attributes without a default and has :meth:`events`,
    :meth:`close` and ``__reduce__``; one of long files streams in constant memory too. Spans
    that a caller gives pass :meth:`span` first.

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
        Counts of all that was skipped and repaired, and notes of inferred facts.
    frames_shift_us : int
        Time that was added to the stamps of the frames, see :meth:`shift_frames`.
    rotated180 : bool
        Whether events and frames are turned against the file, as `open_recording` was asked to.
    packet_events : int
        Largest number of events that are decoded at once, where threads may read spans side by
        side; 0 for a reader that all events should be asked of in order.
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
    frames_shift_us: int = 0
    rotated180: bool = False
    packet_events: int = 0

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
            The span ends before it begins, or is not whole microseconds.
        RecordingError
            The file cannot be read any more.

        Warns
        -----
        UserWarning
            The span is more than a second before or after the recording. A span in a gap
            is empty without it.
        """

    def span(
        self,
        t0_us: int | None = None,
        t1_us: int | None = None,
        *,
        held: tuple[int, int] | None = None,
    ) -> tuple[int, int]:
        """Return the half-open span ``[t0_us, t1_us)``, by default that of all events.

        Parameters
        ----------
        t0_us, t1_us : int, optional
            Begin and end, as a caller of :meth:`events` gives them.
        held : (int, int), optional
            First and last time of other data than events, such as inertial samples; then by
            default the span of those.

        Raises
        ------
        EventsError
            The span ends before it begins, or is not whole microseconds.

        Warns
        -----
        UserWarning
            The span is more than a second before or after all events, frames and `held`.
        """
        first_us, last_us = held or (self.t_first_us, self.t_last_us)
        t0 = whole_us(first_us if t0_us is None else t0_us)
        t1 = whole_us(last_us + 1 if t1_us is None else t1_us)
        if t1 < t0:
            raise EventsError(f"the span [{t0}, {t1}) us ends before it begins")
        first_us = min(first_us, self.t_first_us, *self.frames.t_start_us[:1].tolist())
        last_us = max(last_us, self.t_last_us, *self.frames.t_end_us[-1:].tolist())
        warn_outside(
            (t0, t1), first_us=int(first_us), last_us=int(last_us), name=self.name, stacklevel=3
        )
        return t0, t1

    def stream(
        self, *, max_events: int = 1_000_000, t0_us: int | None = None, t1_us: int | None = None
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
        self.span(t0_us, t1_us)
        return np.empty(0, IMU_DTYPE)

    def shift_frames(self, shift_us: int) -> None:
        """Add a time to all stamps of the frames, such as the offset that `align` finds.

        Labels of the frames move with them; events, inertial samples and signals stay.
        """
        if not shift_us:
            return
        self.frames = self.frames.shifted(shift_us)
        self.frames_shift_us += shift_us
        note = f"frames are shifted by {shift_us / 1e3:+g} ms, as asked"
        self.report = replace(self.report, notes=(*self.report.notes, note))
        if not self.n_events:
            self.t_first_us += shift_us
            self.t_last_us += shift_us

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Return a function that opens the recording again, shifted and turned as here."""
        if type(self).__reduce__ is object.__reduce__:
            return super().__reduce_ex__(protocol)
        again = self.__reduce__()
        if isinstance(again, str) or not (self.frames_shift_us or self.rotated180):
            return again
        state = {"frames_shift_us": self.frames_shift_us, "rotated180": int(self.rotated180)}
        return again[0], again[1], state

    def __setstate__(self, state: Mapping[str, int]) -> None:
        self.shift_frames(state["frames_shift_us"])
        self.rotated180 = bool(state["rotated180"])

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
            f"{type(self).__name__}({self.path.name!r}, {self.sensor}, "
            f"{counted(self.n_events, 'event')}, {counted(len(self.frames), 'frame')}, "
            f"{seconds(self.t_last_us - self.t_first_us)} s)"
        )

    def _repr_html_(self) -> str:
        signals = ", ".join(self.signals) or "none"
        rows = [
            ("sensor", str(self.sensor)),
            ("duration", f"{seconds(self.t_last_us - self.t_first_us)} s"),
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
