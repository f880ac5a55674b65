"""Columns of events as files store them, and the meaning of their numbers.

A file says more or less about its columns: names, a unit of time, the size of the sensor. What it
does not say is inferred from the numbers, and a note tells so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.beside import Beside
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.packet_recording import MOST_PIXELS

Unit = Literal["s", "ms", "us", "ns"]

PER_US: dict[str, tuple[int, int]] = {
    "s": (1_000_000, 1),
    "ms": (1_000, 1),
    "us": (1, 1),
    "ns": (1, 1_000),
}
"""Microseconds in a unit, as a factor and a divisor."""

NAMES: dict[str, tuple[str, ...]] = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x", "xs", "x_pos", "col", "column"),
    "y": ("y", "ys", "y_pos", "row"),
    "p": ("p", "ps", "pol", "pols", "polarity", "polarities", "on"),
}
"""Names that columns go by, in small letters; that of the time may end in a unit, as ``t_us``."""

FEW, SLOWEST, FASTEST = 1_000, 1e3, 1e9
"""Events a second of a sensor, for files of more than a few events."""

LONGEST_S = 86_400.0
"""Seconds that a file with fractions of seconds may last."""

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


def column_of(name: str) -> tuple[str, Unit | None] | None:
    """Return the column that a name stands for, and the unit of time in it; None for others."""
    word = name.strip().strip("\"'").lower().replace(" ", "_")
    stem, _, unit = word.rpartition("_")
    for column, known in NAMES.items():
        if word in known:
            return column, None
    if stem in NAMES["t"] and unit in PER_US:
        return "t", unit  # type: ignore[return-value]
    return None


def columns_of(names: Sequence[str]) -> tuple[dict[str, int], Unit | None] | None:
    """Return the places of the four columns among names, and the unit in that of the time."""
    places: dict[str, int] = {}
    unit: Unit | None = None
    for place, name in enumerate(names):
        found = column_of(name)
        if found is not None and found[0] not in places:
            places[found[0]] = place
            unit = found[1] or unit
    return (places, unit) if len(places) == 4 else None


def order_of(table: NDArray[Any], *, path: object) -> dict[str, int]:
    """Return the places of the four columns of a sample of rows, (N, 4), by their numbers.

    The polarity has the values 0 and 1, or -1 and 1; the time never falls and has most values; of
    the other two, x comes first.

    Raises
    ------
    RecordingError
        The numbers do not tell.
    """
    two = [
        k
        for k in range(4)
        if set(np.unique(table[:, k])) <= {0, 1} or set(np.unique(table[:, k])) <= {-1, 1}
    ]
    rising = [k for k in range(4) if (np.diff(table[:, k]) >= 0).all() and k not in two[-1:]]
    if not two or not rising:
        raise RecordingError(
            f"{path}: the columns cannot be told apart: one must have two values and one never "
            "fall; name them in a first line, such as t,x,y,p"
        )
    p = two[-1]
    t = max((k for k in rising if k != p), key=lambda k: len(np.unique(table[:, k])))
    x, y = (k for k in range(4) if k not in (t, p))
    return {"t": t, "x": x, "y": y, "p": p}


def unit_of(
    t: NDArray[Any], *, events: int, span: float, asked: Unit | None = None
) -> tuple[Unit, str]:
    """Return the unit of times that nothing names, or that of a caller, and a note.

    Parameters
    ----------
    t : (N,)
        A sample of the times.
    events : int
        Events in the file.
    span : float
        Last time less the first one.
    asked : {"s", "ms", "us", "ns"}, optional
        Unit that a caller gives, which is taken; the note tells where it makes no sense.

    Fractions are of seconds. Of integers, microseconds are believed unless that makes less than a
    thousand or more than a billion events a second.
    """
    if asked is not None:
        return asked, f"times in {asked}, as asked" + _doubt(t, events, span, asked)
    if _has_fractions(t):
        return "s", "times have fractions: seconds"
    units: tuple[Unit, ...] = ("us", "ns", "ms", "s")
    for unit in units:
        rate = _rate(events, span, unit)
        if events >= FEW and SLOWEST <= rate <= FASTEST:
            return unit, f"times are taken for {unit}, which makes {rate:.2g} events a second"
    return "us", "times are taken for us: too few events to tell"


def unit_of_layout(
    t: NDArray[Any], *, events: int, span: float, usual: Unit
) -> tuple[Unit, str | None]:
    """Return the unit of times in a layout that has a usual one, and a note where that is in doubt.

    Parameters as for :func:`unit_of`. Fractions are of seconds in any layout, unless a file would
    last longer than a day then; of integers the usual unit is taken, even if it makes no sense.
    """
    makes_sense = SLOWEST <= _rate(events, span, usual) <= FASTEST
    if usual != "s" and _has_fractions(t) and not (span > LONGEST_S and makes_sense):
        return "s", f"times have fractions: seconds, not {usual} as usual in this layout"
    doubt = _doubt(t, events, span, usual)
    return usual, f"times in {usual}, as usual in this layout{doubt}" if doubt else None


def _has_fractions(t: NDArray[Any]) -> bool:
    if t.dtype.kind != "f":
        return False
    finite = t[np.isfinite(t)]
    return bool((np.floor(finite) != finite).any())


def _doubt(t: NDArray[Any], events: int, span: float, unit: Unit) -> str:
    """Return what speaks against a unit, for the end of a note; empty for nothing."""
    rate = _rate(events, span, unit)
    if events < FEW or SLOWEST <= rate <= FASTEST:
        return ""
    likely, _ = unit_of(t, events=events, span=span)
    question = f"; is it {likely}?" if likely != unit else ""
    return f": {rate:.2g} events a second, which is hardly possible{question}"


def checked_unit(name: str, *, path: object) -> Unit:
    """Return the unit that a caller names.

    Raises
    ------
    RecordingError
        There is no such unit.
    """
    units: tuple[Unit, ...] = ("s", "ms", "us", "ns")
    for unit in units:
        if name == unit:
            return unit
    raise RecordingError(f"{path}: the unit of time {name!r} is none of {', '.join(PER_US)}")


def _rate(events: int, span: float, unit: Unit) -> float:
    """Return events a second if times are in a unit."""
    factor, divisor = PER_US[unit]
    return events / max(1e-9, span * factor / divisor / 1e6)
