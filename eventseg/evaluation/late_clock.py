"""Late clock: the network scored with events that it gets 50 ms late."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, RecordingError
from eventseg.evaluation.rows import Row
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource

CLOCK_SHIFT_US = 50_000
"""Delay of the events in the baseline of a late clock."""


def late_clock_rows(
    score: Callable[..., list[Row]],
    source: EventSource | League,
    *,
    name: str,
    parts: Mapping[str, NDArray[np.int64]],
) -> tuple[list[Row], list[str]]:
    """Return a row for each window of the network with late events, and notes on missing rows.

    Late events are encoded live. Where the recordings of the scored samples cannot be read, as
    after they were moved, there is no row, and a note that says why.

    Parameters
    ----------
    score : callable
        Called with the name of the rows, the windows and the keyword ``shift_us``.
    source : EventSource or League
    name : str
        Name of the network.
    parts : mapping of str to int64 (N,)
        Scored samples of each window.
    """
    label = f"{name}, clock {CLOCK_SHIFT_US // 1000} ms late"
    reason = unreadable(source, np.concatenate(list(parts.values())))
    if reason:
        return [], [f"{label}, is not scored, since it needs events of the recordings: {reason}"]
    return score(label, tuple(parts), shift_us=CLOCK_SHIFT_US), []


def unreadable(source: EventSource | League, indices: NDArray[np.int64]) -> str:
    """Return why the first recording of some samples cannot be read, empty where all can."""
    for i in {source.sequences[i]: int(i) for i in indices}.values():
        try:
            if isinstance(source, League):
                source.drives[source.sequences[i]].limits_us()
            else:
                source.dataset.recording_of(i)
        except (DatasetError, RecordingError) as error:
            return str(error)
    return ""
