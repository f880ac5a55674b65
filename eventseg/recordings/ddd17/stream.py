"""Events in time order from packets that are not: random access and streaming.

Packets overlap in time where a file is out of order. The running maximum of their latest times
and the reverse running minimum of their earliest times say, for any moment, which packets can hold
events before or after it; so little is decoded twice or buffered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream, SensorSize
from eventseg.kernels import reused
from eventseg.recordings.ddd17 import decode
from eventseg.recordings.ddd17.layout import EVENT_BYTES, POLARITY
from eventseg.recordings.ddd17.sensor import packet_batches
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.packets import overlapping, running_bounds


@dataclass(frozen=True, eq=False, slots=True)
class Columns:
    """Event columns of one length: times, columns, rows, polarities."""

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.int8]

    @classmethod
    def empty(cls, n: int) -> Self:
        """Return uninitialised columns of length `n`, in one piece of memory."""
        room = -(-n // 8) * 8
        memory = reused.empty(13 * room, np.uint8)
        t, x, y, p = (
            memory[first * room : last * room] for first, last in pairwise((0, 8, 10, 12, 13))
        )
        return cls(
            t.view(np.int64)[:n],
            x.view(np.uint16)[:n],
            y.view(np.uint16)[:n],
            p.view(np.int8)[:n],
        )

    def part(self, first: int, stop: int) -> Columns:
        """Return views of the events [first, stop)."""
        cut = slice(first, stop)
        return Columns(self.t[cut], self.x[cut], self.y[cut], self.p[cut])

    def sort(self) -> None:
        """Sort by time, in place; events of one time keep their order."""
        order = np.argsort(self.t, kind="stable")
        for column in (self.t, self.x, self.y, self.p):
            column[:] = column[order]


class PacketReader:
    """Decodes the polarity packets of a recording.

    Parameters
    ----------
    file : PacketSource
    packets : structured array (P,)
        PACKET_DTYPE, polarity only, in file order.
    sensor : SensorSize
    rotate180 : bool
        Turn all coordinates by 180 degrees.
    """

    def __init__(
        self, file: PacketSource, packets: NDArray[np.void], *, sensor: SensorSize, rotate180: bool
    ) -> None:
        self._file = file
        self._packets = packets
        self._sensor = sensor
        self._rotate = rotate180
        self._latest, self._earliest = running_bounds(packets)

    @property
    def packet_events(self) -> int:
        """Return the largest number of events of a packet."""
        return int(self._packets["number"].max(initial=0))

    def events(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of [t0_us, t1_us), sorted by time, ties in file order."""
        chosen = self._overlapping(t0_us, t1_us)
        columns = Columns.empty(int(self._packets["number"][chosen].sum()))
        n = 0
        in_order = True
        for batch in packet_batches(self._packets, chosen):
            n, sorted_now = self._decode(batch, t0_us, t1_us, columns, n)
            in_order &= sorted_now
        columns = columns.part(0, n)
        if not in_order:
            columns.sort()
        return self._span(columns, t0_us, t1_us)

    def stream(self, t0_us: int, t1_us: int, *, max_events: int) -> Iterator[EventStream]:
        """Yield the same events in consecutive spans of at most `max_events`."""
        chosen = self._overlapping(t0_us, t1_us)
        _, earliest = running_bounds(self._packets[chosen])
        held = Columns.empty(0)
        first = n = done = 0  # events first..n of the buffer are held; `done` packets are decoded
        start = t0_us
        for batch in packet_batches(self._packets, chosen):
            incoming = int(self._packets["number"][batch].sum())
            if n + incoming > len(held.t):
                # What was handed out are views of the old buffer, so it is never reused.
                fresh = Columns.empty(n - first + incoming + max_events)
                for name in ("t", "x", "y", "p"):
                    getattr(fresh, name)[: n - first] = getattr(held, name)[first:n]
                held, first, n = fresh, 0, n - first
            before, (n, in_order) = n, self._decode(batch, t0_us, t1_us, held, n)
            if not in_order:
                late = int(held.t[before:n].min())
                held.part(
                    first + int(np.searchsorted(held.t[first:before], late, "right")), n
                ).sort()
            done += len(batch)
            complete = int(earliest[done]) if done < len(chosen) else t1_us
            ready = first + int(np.searchsorted(held.t[first:n], complete))
            while ready - first > max_events:
                end = int(held.t[first + max_events])
                if end == held.t[first]:
                    end += 1  # more events in one microsecond than a span should hold
                stop = first + int(np.searchsorted(held.t[first:n], end))
                yield self._span(held.part(first, stop), start, end)
                first, start = stop, end
        yield self._span(held.part(first, n), start, t1_us)

    def _overlapping(self, t0_us: int, t1_us: int) -> NDArray[np.int64]:
        return overlapping(self._packets, self._latest, self._earliest, t0_us, t1_us)

    def _decode(
        self,
        batch: NDArray[np.int64],
        t0_us: int,
        t1_us: int,
        into: Columns,
        n: int,
    ) -> tuple[int, bool]:
        """Append the events of a batch to the `n` there are; return their number and order."""
        packets = self._packets[batch]
        stored, starts = self._file.events_of(packets, EVENT_BYTES[POLARITY])
        limits = (t0_us, t1_us, self._sensor.height, self._sensor.width)
        room = into.part(n, len(into.t))
        added, in_order = decode.decode(
            stored.view("<u8"),
            starts,
            np.ascontiguousarray(packets["base"]),
            np.stack([packets["t_min"], packets["t_max"]], axis=1),
            limits,
            self._rotate,
            room.t,
            room.x,
            room.y,
            room.p,
        )
        follows = n == 0 or added == 0 or into.t[n] >= into.t[n - 1]
        return n + added, bool(in_order and follows)

    def _span(self, columns: Columns, t0_us: int, t1_us: int) -> EventStream:
        return EventStream(columns.t, columns.x, columns.y, columns.p, self._sensor, t0_us, t1_us)
