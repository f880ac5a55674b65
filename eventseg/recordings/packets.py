"""Index of packets of events, and their events in order of time: any span, or a stream of all.

Packets may overlap in time where a file is out of order. The running maximum of their latest
times and the reverse running minimum of their earliest times bound, for any moment, the packets
that can hold events before or after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings.base import GAP_US
from eventseg.recordings.event_columns import EventColumns, empty_columns, is_ordered, span_of

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

CHECKED_AT_ONCE = 2**14
"""Events whose order is checked together, while they are in a near cache."""


def packet_row(offset: int, size: int, events: EventColumns) -> tuple[int, ...]:
    """Return the index entry of a packet, in the order of :data:`PACKET_DTYPE`."""
    first, last, gap, ordered = span_of(events.t)
    if not ordered:
        first, last, gap, _ = span_of(np.sort(events.t))
    return offset, size, len(events), first, last, gap


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
