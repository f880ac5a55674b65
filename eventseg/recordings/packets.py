"""Recordings of indexed packets: time-ordered events, random access and streaming.

Packets may overlap in time where a file is out of order. The running maximum of their latest
times and the reverse running minimum of their earliest times bound, for any moment, the packets
that can hold events before or after it.
"""

# mypy: disable-error-code="untyped-decorator, return-value"

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels import reused
from eventseg.kernels.compiled import compiled
from eventseg.recordings.base import GAP_US, Recording
from eventseg.recordings.report import Tally

PACKET_DTYPE = np.dtype(
    [
        ("offset", "<i8"),  # position in the file
        ("size", "<i8"),  # bytes in the file
        ("kept", "<i8"),  # events that are handed out
        ("t_min", "<i8"),
        ("t_max", "<i8"),
        ("t_gap", "<i8"),  # longest step between two events of the packet
    ]
)
"""One packet of events in an index; only packets that keep an event are listed."""

EVENTS_AT_ONCE = 2**17
"""Events decoded between two yields of a stream."""

EVENT_BYTES = 13
"""Bytes of an event in columns."""

CHECKED_AT_ONCE = 2**14
"""Events whose order is checked together, while they are in a near cache."""

MOST_PIXELS = 2**15
"""Most rows or columns of a sensor: coordinates have 15 bits."""


def checked_sensor(sensor: SensorSize | tuple[int, int]) -> SensorSize:
    """Return a sensor size as given by a caller, or raise RecordingError."""
    size = SensorSize(int(sensor[0]), int(sensor[1]))
    if min(size) <= 0 or max(size) > MOST_PIXELS:
        raise RecordingError(f"sensor {size} must be 1 to {MOST_PIXELS} pixels high and wide")
    return size


@dataclass(frozen=True, eq=False, slots=True)
class EventColumns:
    """Event columns of one length.

    Parameters
    ----------
    t : int64 (N,)
        Time in us.
    x, y : uint16 (N,)
        Column and row.
    p : int8 (N,)
        Polarity, 1 for ON and 0 for OFF.
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.int8]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.t)

    def __getitem__(self, selected: slice | NDArray[np.generic]) -> Self:
        """Return the selected events."""
        return type(self)(self.t[selected], self.x[selected], self.y[selected], self.p[selected])

    def put(self, events: Self, at: int) -> None:
        """Write events into these columns from a place on."""
        stop = at + len(events)
        self.t[at:stop], self.x[at:stop] = events.t, events.x
        self.y[at:stop], self.p[at:stop] = events.y, events.p

    def on(self, sensor: SensorSize | None) -> Self:
        """Return the events on a sensor; all where its size is not known."""
        if sensor is None:
            return self
        inside = (self.x < sensor.width) & (self.y < sensor.height)
        return self if inside.all() else self[inside]

    def turned(self, sensor: SensorSize) -> Self:
        """Return the events turned by 180 degrees about the middle of the sensor they lie on."""
        x = (sensor.width - 1 - self.x).astype(np.uint16)
        y = (sensor.height - 1 - self.y).astype(np.uint16)
        return type(self)(self.t, x, y, self.p)

    def in_order(self) -> Self:
        """Return the events sorted by time; events of one time keep their order."""
        return self if is_ordered(self.t) else self.sorted()

    def sorted(self) -> Self:
        """Return a copy sorted by time; events of one time keep their order."""
        return self[np.argsort(self.t, kind="stable")]

    def copy(self) -> Self:
        """Return the events in memory of their own."""
        return type(self)(self.t.copy(), self.x.copy(), self.y.copy(), self.p.copy())

    def stream(self, sensor: SensorSize, t0_us: int, t1_us: int) -> EventStream:
        """Return the events, which are sorted, as the stream of a span."""
        return EventStream(self.t, self.x, self.y, self.p, sensor, t0_us, t1_us)


def empty_columns(n: int) -> EventColumns:
    """Return columns of a length, uninitialised, in one piece of memory.

    The memory of large ones is used again when all views of them are gone: fresh pages would take
    longer than to decode events into them.
    """
    room = -(-n // 8) * 8
    memory = reused.empty(EVENT_BYTES * room, np.uint8)
    t, x, y, p = (
        memory[first * room : last * room] for first, last in pairwise((0, 8, 10, 12, EVENT_BYTES))
    )
    return EventColumns(
        t.view(np.int64)[:n], x.view(np.uint16)[:n], y.view(np.uint16)[:n], p.view(np.int8)[:n]
    )


def joined(parts: Sequence[EventColumns]) -> EventColumns:
    """Return the events of several parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return empty_columns(0)
    return EventColumns(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("t", "x", "y", "p"))
    )


def packet_row(offset: int, size: int, events: EventColumns) -> tuple[int, ...]:
    """Return the index entry of a packet, in the order of :data:`PACKET_DTYPE`."""
    first, last, gap, ordered = span_of(events.t)
    if not ordered:
        first, last, gap, _ = span_of(np.sort(events.t))
    return offset, size, len(events), first, last, gap


@compiled
def span_of(t: NDArray[np.int64]) -> tuple[int, int, int, bool]:
    """Return the first and last of some times, their longest step, and whether none is negative."""
    gap, back = np.int64(0), False
    for i in range(1, len(t)):
        step = t[i] - t[i - 1]
        gap = max(gap, step)
        back |= step < 0
    return t[0], t[-1], gap, not back


@compiled
def is_ordered(t: NDArray[np.int64]) -> bool:
    """Return whether no time is earlier than the one before it."""
    back = False
    for i in range(1, len(t)):
        back |= t[i] < t[i - 1]
    return not back


def running_bounds(packets: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the latest time up to each packet and the earliest time from each packet on."""
    latest = np.maximum.accumulate(packets["t_max"])
    earliest = np.minimum.accumulate(packets["t_min"][::-1])[::-1]
    return latest, earliest


def overlapping(
    packets: NDArray[np.void],
    latest: NDArray[np.int64],
    earliest: NDArray[np.int64],
    t0_us: int,
    t1_us: int,
) -> NDArray[np.int64]:
    """Return the numbers of the packets that can hold events of [t0_us, t1_us).

    `latest` and `earliest` are the :func:`running_bounds` of `packets`.
    """
    first = int(np.searchsorted(latest, t0_us))
    stop = int(np.searchsorted(earliest, t1_us))
    part = packets[first:stop]
    return first + np.flatnonzero((part["t_max"] >= t0_us) & (part["t_min"] < t1_us))


class PacketReader:
    """Reader of the events of indexed packets.

    Parameters
    ----------
    packets : structured array (P,)
        :data:`PACKET_DTYPE`, in file order.
    decode : callable
        Takes an entry of `packets` and returns its events that lie on the sensor, in file order.
    sensor : SensorSize
    decode_into : callable, optional
        Takes an entry and columns with room for its events and `spare` more, writes the events
        and returns their number; by default those of `decode` are copied.
    spare : int
    """

    def __init__(
        self,
        packets: NDArray[np.void],
        decode: Callable[[np.void], EventColumns],
        *,
        sensor: SensorSize,
        decode_into: Callable[[np.void, EventColumns], int] | None = None,
        spare: int = 0,
    ) -> None:
        self._packets = packets
        self._decode = decode
        self._decode_into, self._spare = decode_into or self._put, spare
        self._sensor = sensor
        self._latest, self._earliest = running_bounds(packets)

    @property
    def packet_events(self) -> int:
        """Return the largest number of events of a packet."""
        return int(self._packets["kept"].max(initial=0))

    def events(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of ``[t0_us, t1_us)``, sorted by time, ties in file order."""
        chosen = self._overlapping(t0_us, t1_us)
        room = empty_columns(self._room_for(chosen))
        found = self._ordered([], chosen, t0_us, t1_us, room=room)
        if 2 * len(found) < len(room):
            found = found.copy()  # else a short span would hold the memory of whole packets
        return found.stream(self._sensor, t0_us, t1_us)

    def stream(self, t0_us: int, t1_us: int, *, max_events: int) -> Iterator[EventStream]:
        """Yield the same events in consecutive spans of at most `max_events`."""
        chosen = self._overlapping(t0_us, t1_us)
        parts: list[EventColumns] = []
        waiting: list[NDArray[np.int64]] = []  # decoded together, when a span is full
        count = 0
        start = t0_us
        # Rooms of one length, so that the memory of a span that is gone serves a later one.
        usual = max_events + EVENTS_AT_ONCE if max_events >= EVENTS_AT_ONCE else 0
        for batch in self._batches(chosen):
            waiting.append(batch)
            count += int(self._packets["kept"][batch].sum())
            if count <= max_events:
                continue
            room = empty_columns(max(count, usual) + self._spare)
            held = self._ordered(parts, np.concatenate(waiting), t0_us, t1_us, room=room)
            waiting = []
            after = int(batch[-1]) + 1
            complete = int(self._earliest[after]) if after < len(self._packets) else t1_us
            ready = int(np.searchsorted(held.t, min(complete, t1_us)))
            first = 0
            while ready - first > max_events:
                end = int(held.t[first + max_events])
                if end == held.t[first]:
                    end += 1  # more events in one microsecond than a span should hold
                stop = int(np.searchsorted(held.t, end))
                yield held[first:stop].stream(self._sensor, start, end)
                first, start = stop, end
            parts = [held[first:]]
            count = len(parts[0])
        rest = np.concatenate([np.empty(0, np.int64), *waiting])
        room = empty_columns(sum(map(len, parts)) + self._room_for(rest))
        held = self._ordered(parts, rest, t0_us, t1_us, room=room)
        yield held.stream(self._sensor, start, t1_us)

    def _ordered(
        self,
        parts: list[EventColumns],
        chosen: NDArray[np.int64],
        t0_us: int,
        t1_us: int,
        *,
        room: EventColumns,
    ) -> EventColumns:
        """Return the events of some parts and of packets within a span, written into a room.

        They are sorted by time; events of one time keep their order.
        """
        n = checked = 0
        in_order = True
        for part in parts:
            room.put(part, n)
            n += len(part)
        for packet in self._packets[chosen]:
            found = self._decode_into(packet, room[n:])
            if packet["t_min"] < t0_us or packet["t_max"] >= t1_us:
                events = room[n : n + found]
                events = events[(events.t >= t0_us) & (events.t < t1_us)]
                room.put(events, n)
                found = len(events)
            n += found
            if n - checked >= CHECKED_AT_ONCE:
                in_order = in_order and is_ordered(room.t[max(0, checked - 1) : n])
                checked = n
        in_order = in_order and is_ordered(room.t[max(0, checked - 1) : n])
        held = room[:n]
        return held if in_order else held.sorted()

    def _room_for(self, chosen: NDArray[np.int64]) -> int:
        """Return how many events some packets may write."""
        return int(self._packets["kept"][chosen].sum()) + self._spare

    def _put(self, packet: np.void, room: EventColumns) -> int:
        """Copy the events of a packet into columns."""
        events = self._decode(packet)
        if len(events) > len(room):
            raise RecordingError("the file cannot be read any more: its content changed")
        room.put(events, 0)
        return len(events)

    def gaps(self) -> list[tuple[int, int]]:
        """Return the stretches between events longer than ``GAP_US``, as (before, after) in us."""
        wide = self._packets["t_gap"] > GAP_US
        low, high = [self._packets["t_min"][~wide]], [self._packets["t_max"][~wide]]
        for packet in self._packets[wide]:
            t = np.sort(self._decode(packet).t)
            cuts = np.flatnonzero(np.diff(t) > GAP_US)
            low.append(t[np.concatenate([[0], cuts + 1])])
            high.append(t[np.concatenate([cuts, [len(t) - 1]])])
        begins, ends = np.concatenate(low), np.concatenate(high)
        order = np.argsort(begins, kind="stable")
        before, after = np.maximum.accumulate(ends[order])[:-1], begins[order][1:]
        far = after - before > GAP_US
        return list(zip(before[far].tolist(), after[far].tolist(), strict=True))

    def _overlapping(self, t0_us: int, t1_us: int) -> NDArray[np.int64]:
        return overlapping(self._packets, self._latest, self._earliest, t0_us, t1_us)

    def _batches(self, chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        weight = np.cumsum(self._packets["kept"][chosen]) // EVENTS_AT_ONCE
        cuts = np.flatnonzero(np.diff(weight)) + 1
        return [batch for batch in np.split(chosen, cuts) if len(batch)]


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
