"""Instants of a live stream: which windows are complete, and which lie in a gap without events.

The rule is that of ``stride`` in :func:`eventseg.cut_windows`, found while time goes by: windows
end at ``first + k every``; one that is in a gap of more than 100 ms is left out and counted; the
last one ends at or after the last event. So a live stream and a recording have the same instants.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.base import GAP_US
from eventseg.windows import Windows, covered_share


class Instant(NamedTuple):
    """End of a window, and the share of it that is after the first event and in no gap."""

    t1_us: int
    covered: float


class Instants:
    """Ends of the windows of a live stream, one after the other.

    Parameters
    ----------
    every_us, window_us : int
        Distance of the instants, and length of the windows.

    Attributes
    ----------
    blank : int
        Number of instants left out because their window is in a gap.
    """

    def __init__(self, *, every_us: int, window_us: int) -> None:
        self.blank = 0
        self._every_us, self._window_us = every_us, window_us
        self._next_us: int | None = None
        self._first_us: int | None = None
        self._last_us: int | None = None
        self._gaps: deque[tuple[int, int]] = deque()

    def see(self, t: NDArray[np.int64]) -> None:
        """Take in the times of events, before any filter, in order."""
        if not len(t):
            return
        if self._last_us is None:
            self._next_us = int(t[0]) + self._every_us
            self._first_us = self._last_us = int(t[0])
        if int(t[-1]) - self._last_us > GAP_US:
            times = np.concatenate([[self._last_us], t])
            for i in np.flatnonzero(np.diff(times) > GAP_US):
                self._gaps.append((int(times[i]), int(times[i + 1])))
        self._last_us = int(t[-1])

    @property
    def next_us(self) -> int | None:
        """End of the next window; None before the first event."""
        return self._next_us

    def due(self, complete_us: int | None, *, waiting: bool) -> Iterator[Instant]:
        """Yield the instants whose windows are complete.

        Parameters
        ----------
        complete_us : int or None
            Time before which all events have been seen.
        waiting : bool
            Whether events from then on are waiting to be seen: a window whose events have ended
            then waits too, as they tell whether it is in a gap. Else the time alone went on: a
            quiet scene is a gap once it has been quiet for 100 ms.
        """
        if self._next_us is None or self._last_us is None or complete_us is None:
            return
        last_us = self._last_us
        silent = (last_us, complete_us) if complete_us - last_us > GAP_US else None
        while self._next_us <= complete_us:
            t1_us = self._next_us
            t0_us = t1_us - self._window_us
            if waiting and silent is None and last_us < t0_us:
                return
            while self._gaps and self._gaps[0][1] < t0_us:
                self._gaps.popleft()
            gaps = (*self._gaps, *([] if silent is None else [silent]))
            end_us = next((end for begin, end in gaps if begin < t0_us and t1_us <= end), None)
            if end_us is None:
                self._next_us = t1_us + self._every_us
                yield self._instant(t1_us)
                continue
            skipped = (end_us - t1_us) // self._every_us + 1
            self.blank += skipped
            self._next_us = t1_us + skipped * self._every_us

    def rest(self) -> Iterator[Instant]:
        """Yield the instants up to the first one past the last event, at the end of the source."""
        if self._next_us is None or self._last_us is None:
            return
        end_us = self._last_us + self._every_us
        if self._next_us <= end_us:
            yield from self.due(self._last_us, waiting=False)
            if self._next_us <= end_us:
                t1_us, self._next_us = self._next_us, self._next_us + self._every_us
                yield self._instant(t1_us, ended=True)

    def _instant(self, t1_us: int, *, ended: bool = False) -> Instant:
        """Return an instant; after the end of the source no time past the last event counts."""
        first_us, last_us = self._first_us, self._last_us
        assert first_us is not None  # there is no instant before an event
        assert last_us is not None
        one = np.array([t1_us])
        window = Windows("", one - self._window_us, one, one * 0, one * 0)
        end_us = last_us if ended else max(last_us, t1_us)
        (covered,) = covered_share(
            window, t_first_us=first_us, t_last_us=end_us, gaps=list(self._gaps)
        )
        return Instant(t1_us, float(covered))
