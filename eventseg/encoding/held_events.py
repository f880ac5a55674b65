"""Events that a sliding window holds: appended at the end, dropped at the begin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.cpu import Columns
from eventseg.events import EventStream

LEAST_CAPACITY = 1 << 12
"""Events that there is room for at first."""


class HeldEvents:
    """Events in order, appended at the end and dropped at the begin; numbered from the first."""

    def __init__(self) -> None:
        self._columns: tuple[NDArray[Any], ...] = _room(LEAST_CAPACITY)
        self._first = 0  # number of the event at the place `_begin`
        self._begin = self._end = 0
        self.last_us: int | None = None

    def __len__(self) -> int:
        """Return the number of events."""
        return self._end - self._begin

    def append(self, events: EventStream) -> None:
        """Append events that lie after those before."""
        n = len(events)
        if self._end + n > len(self._columns[0]):
            # Twice the room that is needed, so that an event is copied about once; a new array
            # gives back what a burst took.
            room: tuple[NDArray[Any], ...] = _room(max(LEAST_CAPACITY, 2 * (len(self) + n)))
            for target, old in zip(room, self._columns, strict=True):
                target[: len(self)] = old[self._begin : self._end]
            self._columns, self._begin, self._end = room, 0, len(self)
        given = (events.t, events.x, events.y, events.p)
        for column, values in zip(self._columns, given, strict=True):
            column[self._end : self._end + n] = values
        self._end += n
        self.last_us = int(events.t[-1])

    def bounds(self, t0_us: int, t1_us: int) -> tuple[int, int]:
        """Return the number of the first event of a window and that after its last one."""
        t = self._columns[0][self._begin : self._end]
        lo, hi = np.searchsorted(t, (t0_us, t1_us))
        return self._first + int(lo), self._first + int(hi)

    def columns(self, lo: int, hi: int) -> Columns:
        """Return the events from number `lo` to before `hi`, as views."""
        part = slice(*(number - self._first + self._begin for number in (lo, hi)))
        t, x, y, p = (column[part] for column in self._columns)
        return t, x, y, p

    def drop_before(self, lo: int) -> None:
        """Drop the events before a number."""
        self._begin += lo - self._first
        self._first = lo


def _room(events: int) -> Columns:
    x, y = (np.empty(events, np.uint16) for _ in range(2))
    return np.empty(events, np.int64), x, y, np.empty(events, np.int8)
