"""Check of a league's download, file by file, which takes longer than opening it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, EventsegError
from eventseg.recordings.ess.events import NS_PER_US, SENSOR, EssEvents
from eventseg.recordings.ess.index import WINDOWS_US, EssIndex, index_file, read_index
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.sources.leagues.drives import DsecDrive, EssDrive
from eventseg.sources.leagues.league import League
from eventseg.sources.leagues.opening import league_settings, list_league, open_league

BLOCK = 2**20
"""Events read at once."""


def check_league(path: str | Path, *, progress: Report = no_report) -> list[str]:
    """Check a league completely: all that opening checks, every mask, all events and every index.

    Parameters
    ----------
    path : path
        A folder or TOML file, as for :func:`eventseg.sources.leagues.open_league`.
    progress : callable
        Called after every mask.

    Returns
    -------
    list of str
        Problems, one a line; empty for a sound download.

    Raises
    ------
    DatasetError
        There is no league.
    """
    settings = league_settings(Path(path))
    if settings is None:
        raise DatasetError(f"{path} holds no league")
    listed = list_league(settings)
    if listed.problems:
        return listed.problems
    league = open_league(path)
    assert league is not None
    problems: list[str] = []
    for drive in league.drives.values():
        if isinstance(drive, EssDrive):
            problems += _ess_problems(drive)
        elif isinstance(drive, DsecDrive):
            problems += _dsec_problems(drive)
    for i in range(len(league.ids)):
        problems += _mask_problems(league, i)
        progress(Progress("masks", i + 1, len(league.ids), "mask"))
    league.close()
    return problems


def _mask_problems(league: League, i: int) -> list[str]:
    problems = []
    for name in league.tables:
        try:
            league.with_labels(name).labels(i)
        except EventsegError as error:
            problems.append(str(error))
    return problems


def _ess_problems(drive: EssDrive) -> list[str]:
    problems, folder = [], drive.folder
    try:
        events = EssEvents(folder)
        times_ns, damaged = _scan(events)
        events.close()
    except EventsegError as error:
        return [str(error)]
    if damaged:
        problems.append(
            f"{folder}: {damaged:,} events lie outside {SENSOR} or have a polarity but 0 and 1"
        )
    back = int((np.diff(times_ns) < 0).sum())
    if back:
        problems.append(
            f"{folder}: times run backwards at {back:,} events; windows found by time may be wrong"
        )
    for window_us in WINDOWS_US:
        path = index_file(folder, window_us)
        if path.is_file():
            try:
                index = read_index(path, events=len(times_ns))
            except EventsegError as error:
                problems.append(str(error))
                continue
            if not np.array_equal(index.frame_ns, drive.index.frame_ns):
                problems.append(f"{path} and {drive.index.path} have different frame times")
            problems += _index_problems(index, times_ns, window_us * NS_PER_US)
    return problems


def _scan(events: EssEvents) -> tuple[NDArray[np.int64], int]:
    """Return all times in ns and the number of events that are damaged."""
    times, damaged = [], 0
    for start in range(0, len(events), BLOCK):
        stop = min(start + BLOCK, len(events))
        times.append(events.times_ns(start, stop))
        damaged += events.columns(start, stop)[1]
    return np.concatenate(times or [np.empty(0, np.int64)]), damaged


def _index_problems(index: EssIndex, times_ns: NDArray[np.int64], window_ns: int) -> list[str]:
    """Return where an index differs from the times by more than one event."""
    end = np.searchsorted(times_ns, index.frame_ns)
    start = np.searchsorted(times_ns, index.frame_ns - window_ns)
    problems = []
    for name, found, expected in (("end", index.end, end), ("start", index.start, start)):
        off = np.abs(found - expected) > 1
        if off.any():
            row = int(np.argmax(off))
            problems.append(
                f"{index.path}: {int(off.sum()):,} rows have another {name} than the times by more "
                f"than one event, first row {row}: {found[row]:,} for {expected[row]:,}"
            )
    return problems


def _dsec_problems(drive: DsecDrive) -> list[str]:
    """Return the faults of a sequence's events, read in spans of a second."""
    try:
        first_us, last_us = drive.limits_us()
        for t_us in range(first_us, last_us + 1, 1_000_000):
            drive.between(t_us, t_us + 1_000_000)
    except EventsegError as error:
        return [str(error)]
    return []
