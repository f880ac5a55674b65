"""Splits of recordings: EV-SegNet's published rows, as data."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import WindowError

Split = Literal["train", "val", "test", "other", "gap"]

EVSEGNET_BIN_US = 50_000
"""Bin of the export that the published row ranges count in."""


PAUSE_STEPS = 10
"""A longer step between samples, in usual ones, is a pause of the recording."""


class RowRanges(NamedTuple):
    """Rows of one recording's 50 ms export: the split, and ranges ``[start, stop)``."""

    split: Split
    ranges: tuple[tuple[int, int], ...]


EVSEGNET_ROWS: dict[str, RowRanges] = {
    "rec1487339175": RowRanges("train", ((0, 4150), (5200, 6600))),
    "rec1487593224": RowRanges("train", ((870, 2190),)),
    "rec1487779465": RowRanges(
        "train",
        ((1800, 3400), (4000, 4700), (8400, 8630), (8800, 9160), (9920, 10175), (18500, 22300)),
    ),
    "rec1487842276": RowRanges("train", ((1310, 1400), (1900, 2000), (2600, 3550))),
    "rec1487846842": RowRanges("train", ((380, 500), (1800, 2150), (2575, 2730), (3530, 3900))),
    "rec1487417411": RowRanges("test", ((100, 1500), (2150, 3100), (3200, 4430), (4840, 5150))),
    "rec1487356509": RowRanges("other", ((2900, 3100),)),
}
"""The seven recordings of EV-SegNet: 15,950 training, 3,890 test and 200 other samples."""


def evsegnet_rows(recording_name: str, *, window_us: int) -> NDArray[np.int64] | None:
    """Return the published rows of a recording in the export with bins of ``window_us``.

    The authors cut 10 ms and 250 ms from exports with those bins: row ranges times 5, every
    fifth row, and row ranges times 0.2. They did so for the test recording; here the other
    recordings are cut alike.

    Parameters
    ----------
    recording_name : str
        Stem of the file, such as ``rec1487417411``.
    window_us : int
        Length of a bin in us: it divides 50 ms or is a multiple of it.

    Returns
    -------
    int64 (N,) or None
        Row numbers, or None for a recording that is not one of the seven.

    Raises
    ------
    WindowError
        Bins that neither divide 50 ms nor are a multiple of it.
    """
    if EVSEGNET_BIN_US % window_us and window_us % EVSEGNET_BIN_US:
        raise WindowError(
            f"the evsegnet protocol has bins that divide 50 ms or are a multiple of it "
            f"(10ms, 50ms, 250ms), not {window_us} us"
        )
    if recording_name not in EVSEGNET_ROWS:
        return None
    step = max(1, EVSEGNET_BIN_US // window_us)
    scaled = [
        (start * EVSEGNET_BIN_US // window_us, stop * EVSEGNET_BIN_US // window_us)
        for start, stop in EVSEGNET_ROWS[recording_name].ranges
    ]
    return np.concatenate([np.arange(start, stop, step) for start, stop in scaled])


def split_of(recording_name: str, *, held_out: frozenset[str] = frozenset()) -> Split:
    """Return a recording's split: held out for test, as EV-SegNet published, or training."""
    if recording_name in held_out:
        return "test"
    published = EVSEGNET_ROWS.get(recording_name)
    return published.split if published else "train"


def hold_back_validation(
    t_us: NDArray[np.int64], *, longest_window_us: int, share: float = 0.1
) -> NDArray[np.str_]:
    """Return ``train``, ``gap`` or ``val`` for each sample of one training recording.

    The last ``share`` of the recording's time validates; a pause counts as ten usual steps.
    The samples less than one longest window before it share events with it and are left out
    as ``gap``.

    Parameters
    ----------
    t_us : int64 (N,)
        Times of the samples.
    longest_window_us : int
        Length in us of the longest window of the data set.
    share : float
        Part of the recording's time to hold back.
    """
    if len(t_us) == 0:
        return np.empty(0, "<U5")
    ordered = np.sort(t_us)
    steps = np.diff(ordered)
    longest_step_us = max(
        PAUSE_STEPS * int(np.median(steps)) if len(steps) else 0, longest_window_us
    )
    active = np.r_[0, np.cumsum(np.minimum(steps, longest_step_us))]
    threshold = int(active[-1]) - int(int(active[-1]) * share)
    first = int(np.searchsorted(active, threshold))
    begin = int(ordered[first]) - (int(active[first]) - threshold)
    split = np.full(len(t_us), "train", "<U5")
    split[t_us >= begin - longest_window_us] = "gap"
    split[t_us >= begin] = "val"
    return split
