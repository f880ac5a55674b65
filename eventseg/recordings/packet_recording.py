"""Base class of recordings whose events lie in indexed packets of one file."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings.base import Recording
from eventseg.recordings.report import Tally

MOST_PIXELS = 2**15
"""Most rows or columns of a sensor: coordinates have 15 bits."""


def checked_sensor(sensor: SensorSize | tuple[int, int]) -> SensorSize:
    """Return a sensor size as given by a caller, or raise RecordingError."""
    size = SensorSize(int(sensor[0]), int(sensor[1]))
    if min(size) <= 0 or max(size) > MOST_PIXELS:
        raise RecordingError(f"sensor {size} must be 1 to {MOST_PIXELS} pixels high and wide")
    return size


class Closable(Protocol):
    """An open file."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""


class EventReader(Protocol):
    """Reader of the events of spans, whose ends are checked; threads may share it."""

    @property
    def packet_events(self) -> int:
        """Return the largest number of events that are decoded at once."""
        ...

    def events(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of ``[t0_us, t1_us)``, sorted by time, ties in file order."""
        ...

    def stream(self, t0_us: int, t1_us: int, *, max_events: int) -> Iterator[EventStream]:
        """Yield the same events in consecutive spans of at most `max_events`."""
        ...


class PacketRecording(Recording):
    """A recording of indexed packets; parameters as for `open_recording`.

    What a caller chooses besides, such as the camera, is in ``_choices``.

    A subclass has :meth:`_container`, which opens the file, and :meth:`_contents`, which sets the
    attributes of a recording besides `path` and the first and last time, and `_reader`.
    """

    _file: Closable
    _reader: EventReader

    def __init__(
        self,
        path: Path,
        *,
        sensor: SensorSize | None = None,
        rotate180: bool = False,
        progress: Callable[[float], None] | None = None,
        **choices: str,
    ) -> None:
        self.path = path
        self._choices = choices
        self._given_sensor = None if sensor is None else checked_sensor(sensor)
        self._rotate = rotate180
        self._file = self._container(path)
        try:
            self._contents(progress or (lambda _share: None))
            self.packet_events = self._reader.packet_events
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _container(self, path: Path) -> Closable:
        """Open the file."""

    @abstractmethod
    def _contents(self, progress: Callable[[float], None]) -> None:
        """Index the open file."""

    def events(self, t0_us: int | None = None, t1_us: int | None = None) -> EventStream:
        """Return the events of ``[t0_us, t1_us)``; see :meth:`Recording.events`."""
        return self._reader.events(*self.span(t0_us, t1_us))

    def stream(
        self, *, max_events: int = 1_000_000, t0_us: int | None = None, t1_us: int | None = None
    ) -> Iterator[EventStream]:
        """Yield the events in spans of constant memory; see :meth:`Recording.stream`."""
        if max_events < 1:
            raise EventsError(f"max_events must be 1 or more, got {max_events}")
        return self._reader.stream(*self.span(t0_us, t1_us), max_events=max_events)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        opener: Callable[..., Any] = type(self)
        again = partial(
            opener,
            self.path,
            sensor=self._given_sensor,
            rotate180=self._rotate,
            **self._choices,
        )
        return again, ()

    def _set_times(self, packets: NDArray[np.void], tally: Tally) -> None:
        """Set the first and last time, those of `packets` with events or else of the frames."""
        if self.n_events:
            self.t_first_us = int(packets["t_min"].min())
            self.t_last_us = int(packets["t_max"].max())
        elif len(self.frames):
            self.t_first_us = int(self.frames.t_start_us.min())
            self.t_last_us = int(self.frames.t_end_us.max())
        else:
            reasons = "; ".join(line for line in self.report.lines() if "skipped" in line)
            raise RecordingError(
                f"{self.path}: no event and no frame among {tally.found['packets']:,} packets"
                + (f" ({reasons.strip()})" if reasons else "")
            )
