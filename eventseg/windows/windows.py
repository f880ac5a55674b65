"""Half-open windows, the share of them that a recording covers, and the ids of their samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.splits import EVSEGNET_BIN_US
from eventseg.windows.anchors import Anchor

Times = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Windows:
    """N windows ``[t0_us, t1_us)`` of one length, ordered by their end.

    Parameters
    ----------
    name : str
        The length as it names a folder, ``50ms``.
    t0_us, t1_us : int64 (N,)
        Begin (included) and end (excluded) in us of the sensor's clock.
    frame : int64 (N,)
        Index of the frame each window goes with, -1 for none.
    row : int64 (N,)
        Row of the export in the ``evsegnet`` protocol, else -1.
    left_out : int
        Number of windows that are not here because they lie in a gap between events.
    stale : int
        Number of windows without a frame because the latest one is too old.
    """

    name: str
    t0_us: Times
    t1_us: Times
    frame: Times
    row: Times
    left_out: int = 0
    stale: int = 0

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.t0_us)


def covered_share(
    windows: Windows,
    *,
    t_first_us: int,
    t_last_us: int,
    gaps: Sequence[tuple[int, int]] = (),
) -> NDArray[np.float64]:
    """Return the share of each window that is within the recording's events, float64 (N,).

    1 for a window inside ``[t_first_us, t_last_us]`` that meets no gap. The time strictly between
    the two events around a gap, and that before the first and after the last event, do not count.

    Examples
    --------
    >>> windows = cut_windows(recording, anchor=parse_anchor("stride:50ms"), window_us=50_000)
    >>> t0_us, t1_us = recording.t_first_us, recording.t_last_us
    >>> float(covered_share(windows, t_first_us=t0_us, t_last_us=t1_us)[0])
    1.0
    """
    inside = np.minimum(windows.t1_us, t_last_us + 1) - np.maximum(windows.t0_us, t_first_us)
    before, after = np.array(gaps, np.int64).reshape(-1, 2).T
    lengths = after - before - 1
    total = np.r_[0, np.cumsum(lengths)]

    def gap_time(t: Times) -> Times:
        """Return the time in gaps up to t."""
        begun = np.searchsorted(before, t)
        last = np.maximum(begun - 1, 0)
        if not len(before):
            return np.zeros_like(t)
        rest = np.maximum(after[last] - t, 0)
        return np.where(begun > 0, total[begun] - np.minimum(rest, lengths[last]), 0)

    inside = np.maximum(inside - (gap_time(windows.t1_us) - gap_time(windows.t0_us)), 0)
    share: NDArray[np.float64] = inside / (windows.t1_us - windows.t0_us)
    return share


def sample_ids(recording_name: str, *, anchor: Anchor, windows: Windows) -> list[str]:
    """Return the id of every sample: by frame, by export row, or by the window's end.

    The same for every window length of one data set, so that they join by id.
    """
    if anchor.kind == "evsegnet":
        # The authors name bins shorter than 50 ms after the 50 ms row that they begin.
        lengths = np.minimum(windows.t1_us - windows.t0_us, EVSEGNET_BIN_US)
        rows = windows.row * lengths // EVSEGNET_BIN_US
        return [f"{recording_name}_export_{row}" for row in rows]
    if anchor.kind in ("frame", "centre"):
        return [f"{recording_name}_f{frame:06d}" for frame in windows.frame]
    return [f"{recording_name}_t{t1_us}" for t1_us in windows.t1_us]
