"""Events in memory: four read-only columns, the sensor's size and the span they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventseg.errors import EventsError

EVENT_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "i1")])
"""One event as a record: time in us of the sensor's clock, column, row, polarity (1 = ON)."""


class SensorSize(NamedTuple):
    """Height and width of a sensor in pixels, always by name."""

    height: int
    width: int

    def __str__(self) -> str:
        """Return the size as it is usually written, ``WIDTHxHEIGHT``."""
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, eq=False, slots=True)
class EventStream:
    """Events sorted by time, as four read-only columns of one length.

    Use :meth:`from_arrays` for columns from elsewhere: it converts and checks. The constructor
    itself trusts its caller and only makes the columns read-only.

    Parameters
    ----------
    t : int64 (N,)
        Time in microseconds of the sensor's clock, not decreasing.
    x, y : uint16 (N,)
        Column and row; (0, 0) is the upper left corner.
    p : int8 (N,)
        Polarity, 1 for ON and 0 for OFF.
    sensor : SensorSize
        Height and width in pixels.
    t0_us, t1_us : int
        Half-open span ``[t0_us, t1_us)`` the stream covers: the requested span, which may reach
        past the first and the last event.
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.int8]
    sensor: SensorSize
    t0_us: int
    t1_us: int

    def __post_init__(self) -> None:
        for name in ("t", "x", "y", "p"):
            # A view, so that the caller's own array stays writeable.
            column = getattr(self, name)[:]
            column.flags.writeable = False
            object.__setattr__(self, name, column)

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.t)

    def __repr__(self) -> str:
        """Return the count, the span and the sensor on one line."""
        span = f"[{self.t0_us}, {self.t1_us}) us"
        return f"EventStream({len(self)} events, {span}, {self.sensor})"

    @classmethod
    def from_arrays(
        cls,
        t: ArrayLike,
        x: ArrayLike,
        y: ArrayLike,
        p: ArrayLike,
        *,
        sensor: SensorSize | tuple[int, int],
        t0_us: int | None = None,
        t1_us: int | None = None,
    ) -> Self:
        """Build a stream from any columns, converted to the right types and checked.

        Parameters
        ----------
        t : integers (N,)
            Time in microseconds, not decreasing.
        x, y : integers (N,)
            Column and row inside the sensor.
        p : integers or booleans (N,)
            Polarity: 1 or True for ON; 0, False or -1 for OFF.
        sensor : SensorSize or (height, width)
            Size of the sensor in pixels.
        t0_us, t1_us : int, optional
            Span covered; by default from the first event to just after the last one.

        Raises
        ------
        EventsError
            Columns of different lengths, floating-point or NaN times, times that run backwards,
            coordinates outside the sensor, another polarity, or events outside the span.
        """
        size = SensorSize(int(sensor[0]), int(sensor[1]))
        if size.height <= 0 or size.width <= 0 or max(size) > 65536:
            raise EventsError(f"sensor {size} must be 1 to 65536 pixels high and wide")
        given = {"t": np.asarray(t), "x": np.asarray(x), "y": np.asarray(y), "p": np.asarray(p)}
        lengths = {name: column.shape for name, column in given.items()}
        if any(column.ndim != 1 for column in given.values()) or len(set(lengths.values())) != 1:
            raise EventsError(f"columns must be one-dimensional and of one length, got {lengths}")
        for name, column in given.items():
            if column.size and column.dtype.kind not in ("iub" if name == "p" else "iu"):
                raise EventsError(
                    f"column {name} must hold integers, got {column.dtype}; "
                    "round times to microseconds before"
                )
        on = given["p"]
        if on.dtype.kind == "i" and on.size:
            on = np.where(on == -1, 0, on)
        if on.size and not bool(np.isin(on, (0, 1)).all()):
            raise EventsError("polarity must be 1 for ON and 0 or -1 for OFF")
        for name, limit in (("x", size.width), ("y", size.height)):
            column = given[name]
            if column.size and (int(column.min()) < 0 or int(column.max()) >= limit):
                raise EventsError(
                    f"{name} runs from {column.min()} to {column.max()}, outside the sensor {size}"
                )
        times = given["t"].astype(np.int64)
        if times.size and bool((times[1:] < times[:-1]).any()):
            where = int(np.argmax(times[1:] < times[:-1])) + 1
            raise EventsError(
                f"time runs backwards at event {where}: {times[where - 1]} us, then "
                f"{times[where]} us; sort the events (stable) before"
            )
        first, last = (
            (int(times[0]), int(times[-1]) + 1) if times.size else (t0_us or 0, t0_us or 0)
        )
        start, end = first if t0_us is None else t0_us, last if t1_us is None else t1_us
        if start > first or end < last or end < start:
            raise EventsError(
                f"events in [{first}, {last}) us lie outside the span [{start}, {end})"
            )
        return cls(
            times,
            np.ascontiguousarray(given["x"], dtype=np.uint16),
            np.ascontiguousarray(given["y"], dtype=np.uint16),
            np.ascontiguousarray(on, dtype=np.int8),
            size,
            start,
            end,
        )

    @classmethod
    def from_records(
        cls, records: NDArray[np.void], *, sensor: SensorSize | tuple[int, int]
    ) -> Self:
        """Build a stream from an array with fields ``t x y p`` such as :data:`EVENT_DTYPE`."""
        missing = {"t", "x", "y", "p"} - set(records.dtype.names or ())
        if missing:
            raise EventsError(f"records lack the fields {sorted(missing)}, got {records.dtype}")
        return cls.from_arrays(*(records[name] for name in "txyp"), sensor=sensor)

    def to_records(self) -> NDArray[np.void]:
        """Return a new array of :data:`EVENT_DTYPE`."""
        records = np.empty(len(self), EVENT_DTYPE)
        for name in "txyp":
            records[name] = getattr(self, name)
        return records

    def between(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events with ``t0_us <= t < t1_us`` as views, without a copy."""
        if t1_us < t0_us:
            raise EventsError(f"the span [{t0_us}, {t1_us}) us ends before it begins")
        lo, hi = np.searchsorted(self.t, (t0_us, t1_us), side="left")
        part = slice(int(lo), int(hi))
        return EventStream(
            self.t[part], self.x[part], self.y[part], self.p[part], self.sensor, t0_us, t1_us
        )


def concatenate(parts: Sequence[EventStream]) -> EventStream:
    """Join streams of one sensor that follow each other in time.

    Raises
    ------
    EventsError
        No part, different sensors, or a part that begins before the one ahead of it ends.
    """
    if not parts:
        raise EventsError("nothing to concatenate")
    for before, after in pairwise(parts):
        if before.sensor != after.sensor:
            raise EventsError(f"sensors differ: {before.sensor} and {after.sensor}")
        if after.t0_us < before.t1_us:
            raise EventsError(f"a part begins at {after.t0_us} us, before {before.t1_us} us")
    if len(parts) == 1:
        return parts[0]
    t, x, y, p = (np.concatenate([getattr(part, name) for part in parts]) for name in "txyp")
    return EventStream(t, x, y, p, parts[0].sensor, parts[0].t0_us, parts[-1].t1_us)
