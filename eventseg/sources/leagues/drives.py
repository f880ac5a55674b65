"""Drives of a league: the events of one sequence, by its samples and by spans of time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import EventStream
from eventseg.recordings.ess.events import NS_PER_US, SENSOR, EssEvents
from eventseg.recordings.ess.index import EssIndex, index_file, read_index
from eventseg.recordings.event_columns import EventColumns
from eventseg.recordings.table.dsec import DsecEvents, Rectification


class Drive(Protocol):
    """Events of one sequence; files are opened when they are first needed."""

    def window(self, place: int, t_us: int, window_us: int) -> EventStream:
        """Return the events of the window of a sample, by its place in the sequence."""

    def between(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of ``[t0_us, t1_us)``."""

    def limits_us(self) -> tuple[int, int]:
        """Return the times of the first and of the last event."""

    def close(self) -> None:
        """Close the files; they are opened again when they are needed."""


class EssDrive:
    """Directory of DDD17 in the ESS repack.

    A window that has an index file holds exactly the events that the file names; others hold those
    of ``[frame - window, frame)`` by their times.

    Parameters
    ----------
    folder : Path
    index : EssIndex
        Any of the index files, for the times of frames.
    """

    def __init__(self, folder: Path, index: EssIndex) -> None:
        self.folder = folder
        self.index = index
        self._events: EssEvents | None = None
        self._indices: dict[int, EssIndex | None] = {}

    def window(self, place: int, t_us: int, window_us: int) -> EventStream:
        """Return the events of the window that ends at a frame, by its row in the index.

        Raises
        ------
        RecordingError
            Damaged events, or an index that does not fit the times by more than the one event
            that the two readings of its columns differ by.
        """
        events, index = self._opened(), self._index(window_us)
        if index is not None:
            start, end = int(index.start[place]), int(index.end[place])
        else:
            frame_ns = int(self.index.frame_ns[place])
            start = events.first_not_before(frame_ns - window_us * NS_PER_US)
            end = events.first_not_before(frame_ns)
        columns = self._sound(start, end)
        t0_us = t_us - window_us
        early = int((columns.t < t0_us - 1).sum())
        late = int((columns.t > t_us).sum())
        if max(early, late) > 1:
            where = "the times" if index is None else f"row {place} of {index.path}"
            raise RecordingError(
                f"{self.folder}: {where} gives {early} events before and {late} after the window "
                f"[{t0_us}, {t_us}) us; eventseg check lists all such rows"
            )
        within = np.clip(columns.t, t0_us, t_us - 1)
        return EventColumns(within, columns.x, columns.y, columns.p).stream(SENSOR, t0_us, t_us)

    def between(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of ``[t0_us, t1_us)`` by their times."""
        events = self._opened()
        start = events.first_not_before(t0_us * NS_PER_US)
        end = events.first_not_before(t1_us * NS_PER_US)
        return self._sound(start, end).stream(SENSOR, t0_us, t1_us)

    def limits_us(self) -> tuple[int, int]:
        """Return the times of the first and of the last event."""
        events = self._opened()
        if not len(events):
            raise RecordingError(f"{self.folder} holds no events")
        last = len(events) - 1
        first_ns, last_ns = events.times_ns(0, 1)[0], events.times_ns(last, last + 1)[0]
        return int(first_ns) // NS_PER_US, int(last_ns) // NS_PER_US

    def close(self) -> None:
        """Close the files; they are opened again when they are needed."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def __reduce__(self) -> tuple[Callable[..., EssDrive], tuple[Path, EssIndex]]:
        return type(self), (self.folder, self.index)

    def _opened(self) -> EssEvents:
        if self._events is None:
            self._events = EssEvents(self.folder)
        return self._events

    def _index(self, window_us: int) -> EssIndex | None:
        if window_us not in self._indices:
            path = index_file(self.folder, window_us)
            there = window_us % 1000 == 0 and path.is_file()
            found = read_index(path, events=len(self._opened())) if there else None
            if found is not None and not np.array_equal(found.frame_ns, self.index.frame_ns):
                raise RecordingError(
                    f"{path} and {self.index.path} have different frame times; they must be of one "
                    "video"
                )
            self._indices[window_us] = found
        return self._indices[window_us]

    def _sound(self, start: int, end: int) -> EventColumns:
        columns, damaged = self._opened().columns(start, end)
        if damaged:
            raise RecordingError(
                f"{self.folder}: {damaged:,} of the events {start:,} to {end - 1:,} lie outside "
                f"{SENSOR} or have a polarity but 0 and 1"
            )
        return columns.in_order()


class DsecDrive:
    """Left event camera of a sequence of DSEC.

    Parameters
    ----------
    events, rectify_map : Path
    rectification : {"nearest", "truncate", "none"}
    """

    def __init__(self, events: Path, rectify_map: Path, rectification: Rectification) -> None:
        self.path = events
        self.rectify_map = rectify_map
        self.rectification = rectification
        self._events: DsecEvents | None = None

    def window(self, place: int, t_us: int, window_us: int) -> EventStream:  # noqa: ARG002
        """Return the events of ``[t_us - window_us, t_us)``, rectified."""
        return self.between(t_us - window_us, t_us)

    def between(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of ``[t0_us, t1_us)``, rectified."""
        return self._opened().events(t0_us, t1_us)

    def limits_us(self) -> tuple[int, int]:
        """Return the times of the first and of the last event."""
        events = self._opened()
        return events.t_first_us, events.t_last_us

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def __reduce__(self) -> tuple[Callable[..., DsecDrive], tuple[Path, Path, Rectification]]:
        return type(self), (self.path, self.rectify_map, self.rectification)

    def _opened(self) -> DsecEvents:
        if self._events is None:
            self._events = DsecEvents(
                self.path, rectify_map=self.rectify_map, rectification=self.rectification
            )
        return self._events


def covered_by(drive: Drive, t_us: NDArray[np.int64], window_us: int) -> NDArray[np.float64]:
    """Return the share of the window before each time that a drive's events cover, (N,)."""
    first_us, last_us = drive.limits_us()
    inside = np.minimum(t_us, last_us + 1) - np.maximum(t_us - window_us, first_us)
    share: NDArray[np.float64] = np.clip(inside / window_us, 0.0, 1.0)
    return share
