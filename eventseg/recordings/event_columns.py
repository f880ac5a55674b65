"""Columns of events in memory that is used again, and their order in time."""

# mypy: disable-error-code="untyped-decorator, return-value"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream, SensorSize
from eventseg.kernels import reused
from eventseg.kernels.compiled import compiled

EVENT_BYTES = 13
"""Bytes of an event in columns."""


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
