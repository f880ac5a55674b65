"""Packets of events as a camera sends them, put in order of time: late ones, restarted clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings.event_columns import EventColumns, joined

RESTART_US = 1_000_000
"""A packet that lies further back than this is no late one: the sensor's clock has restarted."""

LATEST_US = 1 << 61
"""No clock of a sensor comes to such a time, 73,000 years: an event that has it is damaged."""

NO_POLARITY = 2
"""Polarity of an event that has none; such events are dropped and counted."""


@dataclass(frozen=True, eq=False, slots=True)
class Packet:
    """Events that a camera sends at once.

    Parameters
    ----------
    t : int64 (N,)
        Times in us of the sensor's clock, in any order.
    x, y : uint16 (N,)
        Column and row.
    p : int8 (N,)
        Polarity, 1 for ON and 0 for OFF.
    now_us : int, optional
        Time that the sensor's clock has come to, where the camera tells: it closes windows while
        there are no events.

    Raises
    ------
    EventsError
        Columns of several lengths, or of other numbers than integers.
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.int8]
    now_us: int | None = None

    def __post_init__(self) -> None:
        columns = {name: getattr(self, name) for name in "txyp"}
        shapes = {name: np.shape(column) for name, column in columns.items()}
        if len(set(shapes.values())) > 1 or np.ndim(self.t) != 1:
            raise EventsError(f"columns of a packet must have one length, got {shapes}")
        for name, column in columns.items():
            if np.asarray(column).dtype.kind not in ("iub" if name == "p" else "iu"):
                raise EventsError(f"column {name} of a packet must hold integers")

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.t)

    @classmethod
    def from_records(cls, records: NDArray[np.void], *, now_us: int | None = None) -> Self:
        """Return a packet of a structured array with fields ``t x y p``, such as `EVENT_DTYPE`.

        Raises
        ------
        EventsError
            A field is missing.
        """
        if missing := {"t", "x", "y", "p"} - set(records.dtype.names or ()):
            raise EventsError(f"records lack the fields {sorted(missing)}, got {records.dtype}")
        for name in "txyp":
            if records[name].dtype.kind not in ("iub" if name == "p" else "iu"):
                raise EventsError(f"field {name} must hold integers, got {records[name].dtype}")
        t, x, y = (
            _within(records[name], most)
            for name, most in (("t", LATEST_US), ("x", 65535), ("y", 65535))
        )
        p = records["p"].astype(np.int64)
        p = np.where(p == -1, 0, np.where(np.isin(p, (-1, 0, 1)), p, NO_POLARITY))
        return cls(
            t.astype(np.int64), x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8), now_us
        )


def _within(column: NDArray[Any], most: int) -> NDArray[Any]:
    """Return integers of which those that a narrower type would wrap are `most`, no valid value.

    Times may be negative, pixels may not.
    """
    is_time = most == LATEST_US
    if column.dtype == (np.int64 if is_time else np.uint16):
        return column
    wraps = column > most if is_time else (column > most) | (column < 0)
    return np.where(wraps, most, column)


class PacketSource(Protocol):
    """Source of live events, such as the driver of a camera: two methods.

    A source may also have an attribute ``sensor``, a :class:`eventseg.SensorSize`.
    """

    def read(self, timeout_s: float) -> Packet | None:
        """Return the next packet, an empty one where none has come in time, None at the end."""
        ...

    def close(self) -> None:
        """Release the camera; called once, perhaps while another thread is in :meth:`read`."""
        ...


@dataclass(slots=True)
class PacketCounts:
    """Counts of a source's packets and events.

    Parameters
    ----------
    packets, events : int
        Packets and events that came.
    late : int
        Events dropped because time had passed them.
    invalid : int
        Events dropped because of their pixel, polarity or time.
    restarts : int
        Restarts of the sensor's clock.
    """

    packets: int = 0
    events: int = 0
    late: int = 0
    invalid: int = 0
    restarts: int = 0


class PacketOrder:
    """Puts the events of packets in order of time and drops those that come too late.

    An event is passed on once another one has come that is `lateness_us` younger, and every event
    from before the time that is passed on, :attr:`complete_us`, is dropped and counted. A packet
    that is more than a second before that is not late: the sensor's clock has restarted, or its
    counter has wrapped. Time goes on 1 us after the latest event then.

    Parameters
    ----------
    sensor : SensorSize
    lateness_us : int
        How long to wait for late packets.
    """

    def __init__(self, sensor: SensorSize, *, lateness_us: int = 0) -> None:
        self.counts = PacketCounts()
        self.complete_us: int | None = None
        """Time before which all events have been passed on."""
        self._sensor = sensor
        self._lateness_us = lateness_us
        self._latest_us: int | None = None
        self._offset_us = 0
        self._waiting = joined([])

    @property
    def waiting(self) -> bool:
        """Whether events wait for those that may come late."""
        return len(self._waiting) > 0

    def push(self, packet: Packet) -> list[EventStream]:
        """Return the events that can be passed on after a packet, in order."""
        events = self._valid(packet)
        self.counts.packets += 1
        self.counts.events += len(packet)
        now_us = packet.now_us
        if now_us is not None and abs(now_us) >= LATEST_US:
            now_us = None
        if not len(events) and now_us is None:
            return []
        if not (events.t[1:] >= events.t[:-1]).all():
            events = events.in_order()
        passed = []
        newest_us = max([*events.t[-1:].tolist(), *([] if now_us is None else [now_us])])
        complete_us = self.complete_us
        if complete_us is not None and newest_us + self._offset_us < complete_us - RESTART_US:
            assert self._latest_us is not None  # known with `complete_us`
            passed.append(self.flush())
            oldest_us = min([*events.t[:1].tolist(), newest_us])
            self._offset_us = self._latest_us + 1 - oldest_us
            self.counts.restarts += 1
        if newest_us + self._offset_us > LATEST_US << 1:
            raise RecordingError(
                "the times of the source have run out of 64 bits after clocks that jumped; "
                "check what it sends"
            )
        if self._offset_us:
            events = EventColumns(events.t + self._offset_us, events.x, events.y, events.p)
        if self.complete_us is not None and len(events) and events.t[0] < self.complete_us:
            late = int(np.searchsorted(events.t, self.complete_us))
            self.counts.late += late
            events = events[late:]
        newest_us += self._offset_us
        self._latest_us = newest_us if self._latest_us is None else max(newest_us, self._latest_us)
        complete_us = self._latest_us - self._lateness_us
        if self.complete_us is None or complete_us > self.complete_us:
            self.complete_us = complete_us
        if len(self._waiting):
            events = joined([self._waiting, events]).in_order()
        ready = len(events)
        if self._lateness_us:
            ready = int(np.searchsorted(events.t, self.complete_us, side="right"))
        self._waiting = events[ready:]
        passed.append(self._stream(events[:ready]))
        return passed

    def flush(self) -> EventStream:
        """Return the events that wait, at the end of the source."""
        waiting, self._waiting = self._waiting, joined([])
        self.complete_us = self._latest_us
        return self._stream(waiting)

    def _stream(self, events: EventColumns) -> EventStream:
        begin, end = (int(events.t[0]), int(events.t[-1]) + 1) if len(events) else (0, 0)
        return events.stream(self._sensor, begin, end)

    def _valid(self, packet: Packet) -> EventColumns:
        """Return the events that the sensor can have sent."""
        height, width = self._sensor
        # Another type of integers would pass negative pixels on, and times that overflow.
        events = EventColumns(
            packet.t.astype(np.int64, copy=False),
            packet.x.astype(np.uint16, copy=False),
            packet.y.astype(np.uint16, copy=False),
            packet.p.astype(np.int8, copy=False),
        )
        good: NDArray[Any] = (packet.x < width) & (packet.y < height)
        good &= (packet.x >= 0) & (packet.y >= 0)
        good &= (packet.p == 0) | (packet.p == 1)
        good &= (packet.t < LATEST_US) & (packet.t > -LATEST_US)
        if good.all():
            return events
        self.counts.invalid += len(events) - int(good.sum())
        return events[good]
