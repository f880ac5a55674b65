"""Events in memory: four read-only columns, the sensor's size and the span they cover."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, Self, get_args

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


TimeUnit = Literal["ns", "us", "ms", "s"]

_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}

_FEW_EVENTS: Final = 100
"""Fewer events say nothing about the rate of a sensor."""

_SLOWEST_HZ, _FASTEST_HZ = 0.01, 1e6
"""Mean rates of a pixel that no sensor has: leak events alone come at 0.05 Hz and more."""

_LONGEST_US = 7 * 86_400 * 1_000_000

BORDER_US: Final = 1_000_000
"""A span outside the times of a recording but this near to them is one at their border."""


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Return a call of the constructor, so that the columns of a copy are read-only too."""
        columns = self.t, self.x, self.y, self.p
        return type(self), (*columns, self.sensor, self.t0_us, self.t1_us)

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
        t_unit: TimeUnit | None = None,
        t0_us: int | None = None,
        t1_us: int | None = None,
    ) -> Self:
        """Build a stream from any columns, copied, converted to the right types and checked.

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
        t_unit : {"ns", "us", "ms", "s"}, optional
            Unit of the times; the stream holds microseconds, nanoseconds are rounded down. By
            default microseconds, with a warning where span or rate speak for another unit.
        t0_us, t1_us : int, optional
            Span covered in us; by default from the first event to just after the last one.

        Raises
        ------
        EventsError
            Columns of different lengths, floating-point or NaN times, times that run backwards,
            coordinates outside the sensor, another polarity or unit, a span that is not whole
            microseconds, or events outside the span.

        Warns
        -----
        UserWarning
            No unit is given, and the events last over a week, or come at a mean rate of a pixel
            below 0.01 or above 1,000,000 a second.
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
        times = _in_us(given["t"], t_unit, sensor=size)
        t0_us = None if t0_us is None else whole_us(t0_us)
        t1_us = None if t1_us is None else whole_us(t1_us)
        if times.size and bool((times[1:] < times[:-1]).any()):
            where = int(np.argmax(times[1:] < times[:-1])) + 1
            raise EventsError(
                f"time runs backwards at event {where}: {times[where - 1]} us, then "
                f"{times[where]} us; sort the events (stable) before"
            )
        first, last = (
            (int(times[0]), int(times[-1]) + 1) if times.size else (t0_us or 0, t0_us or 0)
        )
        start = first if t0_us is None else t0_us
        end = last if t1_us is None else t1_us
        if start > first or end < last or end < start:
            raise EventsError(
                f"events in [{first}, {last}) us lie outside the span [{start}, {end})"
            )
        return cls(
            times,
            # Copies: a buffer that is filled anew would change what has been checked.
            np.array(given["x"], dtype=np.uint16, order="C"),
            np.array(given["y"], dtype=np.uint16, order="C"),
            np.array(on, dtype=np.int8, order="C"),
            size,
            start,
            end,
        )

    @classmethod
    def from_records(
        cls,
        records: NDArray[np.void],
        *,
        sensor: SensorSize | tuple[int, int],
        t_unit: TimeUnit | None = None,
    ) -> Self:
        """Build a stream from an array with fields ``t x y p`` such as :data:`EVENT_DTYPE`.

        `t_unit` is the unit of its times, as for :meth:`from_arrays`.
        """
        missing = {"t", "x", "y", "p"} - set(records.dtype.names or ())
        if missing:
            raise EventsError(f"records lack the fields {sorted(missing)}, got {records.dtype}")
        return cls.from_arrays(*(records[name] for name in "txyp"), sensor=sensor, t_unit=t_unit)

    def to_records(self) -> NDArray[np.void]:
        """Return a new array of :data:`EVENT_DTYPE`."""
        records = np.empty(len(self), EVENT_DTYPE)
        for name in "txyp":
            records[name] = getattr(self, name)
        return records

    def between(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events with ``t0_us <= t < t1_us`` as views, without a copy.

        Raises
        ------
        EventsError
            The span ends before it begins, or is not whole microseconds.

        Warns
        -----
        UserWarning
            The span is more than a second before or after that of the stream.
        """
        t0_us, t1_us = whole_us(t0_us), whole_us(t1_us)
        if t1_us < t0_us:
            raise EventsError(f"the span [{t0_us}, {t1_us}) us ends before it begins")
        last_us = max(self.t1_us - 1, self.t0_us)
        given = t0_us, t1_us
        warn_outside(given, first_us=self.t0_us, last_us=last_us, name="the stream", stacklevel=2)
        lo, hi = np.searchsorted(self.t, (t0_us, t1_us), side="left")
        part = slice(int(lo), int(hi))
        return EventStream(
            self.t[part], self.x[part], self.y[part], self.p[part], self.sensor, t0_us, t1_us
        )


def whole_us(time_us: float) -> int:
    """Return a time in us as an integer; ``1e6`` is one, ``0.5`` is not.

    Raises
    ------
    EventsError
        No whole number.
    """
    try:
        whole = int(time_us)
        if whole == time_us:
            return whole
    except (TypeError, ValueError, OverflowError):
        pass
    raise EventsError(f"a time must be whole microseconds, got {time_us!r}")


def _in_us(
    t: NDArray[np.generic], unit: TimeUnit | None, *, sensor: SensorSize
) -> NDArray[np.int64]:
    """Return times in microseconds, int64; warn where a unit not given seems another one."""
    if unit is not None and unit not in get_args(TimeUnit):
        raise EventsError(f"t_unit must be one of {', '.join(get_args(TimeUnit))}, got {unit!r}")
    times: NDArray[np.int64]
    if t.dtype.kind == "u" and t.size and int(t.max()) > np.iinfo(np.int64).max:
        raise EventsError(f"column t holds {t.max()}, beyond 64-bit integers with a sign")
    times = t.astype(np.int64)
    scale = _NS[unit or "us"]
    if scale < _NS["us"]:
        return times // (_NS["us"] // scale)
    factor = scale // _NS["us"]
    limit = np.iinfo(np.int64).max // factor
    if times.size and (int(times.max()) > limit or int(times.min()) < -limit):
        raise EventsError(f"times in {unit} must be at most {limit} to fit microseconds")
    times = times * factor
    if unit is None and times.size >= _FEW_EVENTS:
        _warn_of_unit(int(times[-1]) - int(times[0]), times.size, sensor)
    return times


def _warn_of_unit(span_us: int, events: int, sensor: SensorSize) -> None:
    rate_hz = events * 1e6 / max(1, span_us) / (sensor.height * sensor.width)
    if span_us > _LONGEST_US or (rate_hz < _SLOWEST_HZ and span_us > 1_000_000):
        likely = "nanoseconds (t_unit='ns')"
    elif rate_hz > _FASTEST_HZ and span_us > 10:
        likely = "milliseconds or seconds (t_unit='ms', 's')"
    else:
        return
    warnings.warn(
        f"{events:,} events in {span_us / 1e6:,.6f} s on {sensor} are {rate_hz:.2g} a second and "
        f"pixel: are the times {likely}? Give t_unit='us' if they are microseconds",
        stacklevel=4,
    )


def warn_outside(
    span_us: tuple[int, int], *, first_us: int, last_us: int, name: str, stacklevel: int
) -> None:
    """Warn of a span ``[t0, t1)`` far from all times ``[first_us, last_us]`` of `name`.

    Times that count from the start of a recording are a common mistake where clocks begin later:
    every span would be empty, without a word. An empty span is no mistake, nor is one within
    :data:`BORDER_US`. `stacklevel` is that of :func:`warnings.warn`, 2 for the caller's line.
    """
    t0_us, t1_us = span_us
    if t0_us == t1_us or (t0_us <= last_us + BORDER_US and t1_us >= first_us - BORDER_US):
        return
    warnings.warn(
        f"nothing is in [{t0_us}, {t1_us}) us: the times of {name} run from {first_us} to "
        f"{last_us} us; add {first_us} (t_first_us of a recording, t0_us of a stream) to times "
        "that count from its start",
        stacklevel=stacklevel + 1,
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
