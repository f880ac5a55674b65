"""Columns of events as files store them, and the meaning of their numbers.

A file says more or less about its columns: names, a unit of time, the size of the sensor. What it
does not say is inferred from names and numbers, in modules beside this one, and a note tells so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.recordings.beside import Beside
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.packet_recording import MOST_PIXELS
from eventseg.recordings.table.units import PER_US, Unit

LATEST_US = 2**61
"""Times beyond are damage."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Meaning of the columns of a file.

    Parameters
    ----------
    unit : {"s", "ms", "us", "ns"}
        Unit of the times.
    offset_us : int
        Time that those of the file are counted from.
    sensor : SensorSize, optional
        Size of the sensor, where the file says it.
    notes : tuple of str
        Inferences from the numbers.
    """

    unit: Unit
    offset_us: int = 0
    sensor: SensorSize | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class RawColumns:
    """Columns of some rows as they are stored.

    Parameters
    ----------
    t, x, y, p : (N,)
        Numbers of any type.
    unread : int
        Rows in the file that are none: damaged lines.
    """

    t: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    p: NDArray[Any]
    unread: int = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.t)


class ColumnFile(Protocol):
    """An open file of columns.

    Attributes
    ----------
    meaning : Meaning
    unread : str
        Reason for which rows cannot be read.
    """

    meaning: Meaning
    unread: str

    def contents(self) -> Beside:
        """Return the data beside the events."""
        ...

    def verify(self) -> None:
        """Check what is not checked when it is read; an index is built behind it."""
        ...

    def places(self) -> Sequence[tuple[int, int]]:
        """Return where blocks of rows begin and how long they are, in file order."""
        ...

    def read(self, offset: int, size: int) -> RawColumns:
        """Return the rows of a block."""
        ...

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        ...


def events_of(raw: RawColumns, meaning: Meaning) -> tuple[EventColumns, int]:
    """Return the events of some rows in file order, and the number of rows that are none.

    A polarity above 0 is ON: files have 0 and 1, -1 and 1, or truth values. Rows without a finite
    time or a whole, non-negative place are left out.
    """
    room = empty_columns(len(raw))
    written = put_events(raw, meaning, room)
    return room[: written.kept], written.senseless


class Written(NamedTuple):
    """Numbers of rows by what became of them, and the largest column and row of the events."""

    kept: int
    senseless: int
    outside: int
    x_max: int
    y_max: int


def put_events(
    raw: RawColumns, meaning: Meaning, room: EventColumns, sensor: SensorSize | None = None
) -> Written:
    """Write the events of some rows that lie on a sensor, in file order, into columns.

    Parameters
    ----------
    raw : RawColumns
    meaning : Meaning
    room : EventColumns
        At least as long as `raw`.
    sensor : SensorSize, optional
        By default the largest that can be.
    """
    n = len(raw)
    events = room[:n]
    timed = _put_times(raw.t, meaning, events.t)
    x_placed, x_max = _put_places(raw.x, events.x)
    y_placed, y_max = _put_places(raw.y, events.y)
    np.greater(raw.p, 0, out=events.p.view(np.bool_))
    unsound = [mask for mask in (timed, x_placed, y_placed) if mask is not None]
    if unsound:
        events = _kept(events, np.logical_and.reduce(unsound))
        x_max, y_max = int(events.x.max(initial=0)), int(events.y.max(initial=0))
    sound = len(events)
    if sensor is not None and (x_max >= sensor.width or y_max >= sensor.height):
        events = _kept(events, (events.x < sensor.width) & (events.y < sensor.height))
        x_max, y_max = int(events.x.max(initial=0)), int(events.y.max(initial=0))
    return Written(len(events), n - sound, sound - len(events), x_max, y_max)


def _kept(events: EventColumns, mask: NDArray[np.bool_]) -> EventColumns:
    """Move the chosen events together, to the begin of their columns."""
    chosen = events[mask]
    events.put(chosen, 0)
    return events[: len(chosen)]


def _put_places(
    values: NDArray[Any], places: NDArray[np.uint16]
) -> tuple[NDArray[np.bool_] | None, int]:
    """Write rows or columns; return which of them can be, None where all can, and the largest.

    A number that cannot be a place does not come back from 15 bits as it was.
    """
    sound: NDArray[np.bool_] | None = None
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):  # what does not fit is told by the comparison
            places[:] = values.astype(np.int64).astype(np.uint16)
    else:
        np.copyto(places, values, casting="unsafe")
        largest = int(values.max(initial=0))
        least = int(values.min(initial=0)) if values.dtype.kind == "i" else 0
        if least >= 0 and largest < MOST_PIXELS:
            return None, largest
    if values.dtype != places.dtype:
        equal = places == values
        sound = None if equal.all() else equal
    largest = int(places.max(initial=0))
    if largest < MOST_PIXELS:
        return sound, largest
    possible = places < MOST_PIXELS
    return (possible if sound is None else sound & possible), largest


def times_in_us(
    t: NDArray[Any], meaning: Meaning
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Return times in microseconds, int64 (N,), and which of them can be; None where all can."""
    us = np.empty(len(t), np.int64)
    return us, _put_times(t, meaning, us)


def _put_times(
    t: NDArray[Any], meaning: Meaning, us: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    """Write times in microseconds, and return which of them can be; None where all can.

    Integers of nanoseconds are rounded down, floating-point times to the nearest microsecond.
    """
    factor, divisor = PER_US[meaning.unit]
    timed: NDArray[np.bool_] | None = None
    if t.dtype.kind == "f":
        scaled = t.astype(np.float64) * (factor / divisor)
        sound = np.abs(scaled) < LATEST_US  # which no NaN is
        if not sound.all():
            timed, scaled = sound, np.where(sound, scaled, 0)
        np.copyto(us, np.rint(scaled, out=scaled), casting="unsafe")
    else:
        limit = LATEST_US // factor
        signed = t.dtype.kind == "i"
        if int(t.max(initial=0)) >= limit or (signed and int(t.min(initial=0)) <= -limit):
            timed = (t < limit) & (t > -limit) if signed else t < limit
            t = np.where(timed, t, 0)
        np.copyto(us, t, casting="unsafe")
        if factor != 1:
            us *= factor
        if divisor != 1:
            us //= divisor
    if meaning.offset_us:
        us += meaning.offset_us
    return timed
