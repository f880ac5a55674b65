"""Splits of recordings: published rows as data, validation held back, and rules of a user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError, WindowError

Names = NDArray[np.str_]

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

EVSEGNET_VALIDATION: dict[str, tuple[tuple[int, int], ...]] = {
    "rec1487339175": ((6200, 6600),),
    "rec1487593224": ((1990, 2190),),
    "rec1487779465": ((9920, 10175), (21900, 22300)),
    "rec1487842276": ((1310, 1400), (1900, 2000)),
    "rec1487846842": ((2575, 2730),),
}
"""Rows of the 50 ms export that the clean protocol validates on, ranges ``[start, stop)``.

EV-SegNet publishes no validation part. These are 1,600 of its 15,950 training rows, of all five
training recordings: published ranges that lie apart, and the ends of three long ones.
"""

EVSEGNET_GAP_ROWS = 200
"""Rows before and after a validation range that do not train: 10 s.

Neighbouring frames have nearly the same labels, so that a validation frame beside a training frame
measures memory. They are rows, not times: the row counts the file, whose clock may be reset.
"""


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


def export_row(sample_id: str) -> int | None:
    """Return the row of a sample of EV-SegNet's export, None for an id of another form.

    Examples
    --------
    >>> export_row("rec1487339175_export_6200")
    6200
    """
    found = re.search(r"_export_(\d{1,9})$", sample_id)
    return int(found[1]) if found else None


def evsegnet_splits(
    recording_name: str, rows: NDArray[np.int64], *, window_us: int
) -> Names | None:
    """Return ``train``, ``gap`` or ``val`` for rows of one of EV-SegNet's training recordings.

    A bin longer than 50 ms validates if all of its 50 ms do, and is left out as ``gap`` if any of
    them does or is in a gap.

    Parameters
    ----------
    recording_name : str
        Stem of the file, such as ``rec1487339175``.
    rows : int64 (N,)
        Row numbers of the export with bins of ``window_us``.
    window_us : int
        Length of a bin in us.

    Returns
    -------
    str (N,) or None
        None for a recording that is not one of the five.
    """
    if recording_name not in EVSEGNET_VALIDATION:
        return None
    first = rows * window_us // EVSEGNET_BIN_US
    last = ((rows + 1) * window_us - 1) // EVSEGNET_BIN_US
    split = np.full(len(rows), "train", "<U5")
    for start, stop in EVSEGNET_VALIDATION[recording_name]:
        near = (last >= start - EVSEGNET_GAP_ROWS) & (first < stop + EVSEGNET_GAP_ROWS)
        split[near & (split == "train")] = "gap"
        split[(first >= start) & (last < stop)] = "val"
    return split


def split_of(recording_name: str, *, held_out: frozenset[str] = frozenset()) -> Split:
    """Return a recording's split: held out for test, as EV-SegNet published, or training."""
    if recording_name in held_out:
        return "test"
    published = EVSEGNET_ROWS.get(recording_name)
    return published.split if published else "train"


def hold_back_validation(
    t_us: NDArray[np.int64], *, longest_window_us: int, share: float = 0.1
) -> Names:
    """Return ``train``, ``gap`` or ``val`` for each sample of one training recording.

    The last ``share`` of the recording's time validates; a pause counts as ten usual steps.
    The samples less than one longest window before it share events with it and are left out
    as ``gap``. A recording so short that no sample would be left to train trains completely.

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
    if not (split == "train").any():
        # Of many short clips none would train, and one alone would validate a network of others.
        split[:] = "train"
    return split


def members_of(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return the places of each name, int64, by name in sorted order.

    Examples
    --------
    >>> members_of(["b", "a", "b"])
    {'a': array([1]), 'b': array([0, 2])}
    """
    numbers: dict[str, int] = {}
    group = np.fromiter((numbers.setdefault(n, len(numbers)) for n in names), np.int64, len(names))
    order = np.argsort(group, kind="stable")
    places = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return {name: places[numbers[name]] for name in sorted(numbers)}


def hold_back_stretches(
    sequences: Sequence[str], ranks: NDArray[np.int64], *, share: float = 0.1
) -> Names:
    """Return ``train``, ``gap`` or ``val`` for training samples whose times are unknown.

    The last samples of each sequence validate. Shares are rounded over all sequences together,
    so that of many short ones some validate completely. The samples before, half as many, are
    left out as ``gap``, since they resemble those that follow. Of three and more samples at least
    one validates and one trains.

    Parameters
    ----------
    sequences : sequence of str (N,)
        Sequence of each sample.
    ranks : int64 (N,)
        Place of each sample in its sequence.
    share : float
        Part of the samples to hold back.
    """
    split = np.full(len(sequences), "train", "<U5")
    members = list(members_of(sequences).values())
    if len(sequences) < 3:
        return split
    before = held = 0
    for k, part in enumerate(members):
        before += len(part)
        quota = int(share * before + 0.5)
        if k == len(members) - 1:
            quota = max(1, quota)
        count, held = quota - held, quota
        ordered = part[np.argsort(ranks[part])]
        end = len(part) - count
        split[ordered[end:]] = "val"
        split[ordered[max(0, end - (count + 1) // 2) : end]] = "gap"
    return split


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """Split of the samples, in place of that of the data.

    Parameters
    ----------
    file : str
        Split file: CSV with the columns id or recording, and split, which is train, val, test, gap
        or other. It names every sample or recording of the data.
    val : tuple of str
        Recordings that validate; all others but those of test train completely.
    test : tuple of str
        Recordings that test, besides the test part of the data.
    fold : str
        Fold I/K such as 1/5: the recordings are dealt into K groups of about as many samples, the
        same for every network and seed, and group I tests.
    hold_back : {"stretches", "recordings"}
        Origin of the validation part where no recordings are named: the ends of the training
        recordings, as the data has them (``stretches``), or whole ``recordings``: the shortest
        ones, until a tenth of the training samples validates.

    Raises
    ------
    TrainingError
        A file beside another rule, test recordings beside a fold, or a fold that is none.
    """

    file: str = ""
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    fold: str = ""
    hold_back: Literal["stretches", "recordings"] = "stretches"

    def __post_init__(self) -> None:
        whole = self.hold_back == "recordings"
        others = {"val": self.val, "test": self.test, "fold": self.fold, "hold_back": whole}
        beside = [name for name, value in others.items() if value]
        if self.file and beside:
            raise TrainingError(
                f"a split file says all of the split: leave {', '.join(beside)} out, or the file"
            )
        if self.val and whole:
            raise TrainingError("named recordings validate: leave hold_back out, or val")
        if self.fold and self.test:
            raise TrainingError("a fold names the recordings that test: leave test out, or fold")
        if both := sorted(set(self.val) & set(self.test)):
            raise TrainingError(f"{', '.join(both)} cannot both validate and test")
        if self.fold:
            self.place()

    @property
    def is_of_data(self) -> bool:
        """Whether the split is that of the data."""
        return self == SplitRule()

    def place(self) -> tuple[int, int]:
        """Return the group that tests, from 0, and the number of groups.

        Raises
        ------
        TrainingError
            The fold is not I/K with 1 <= I <= K and K of 2 or more.
        """
        group, slash, groups = self.fold.partition("/")
        if slash and group.isdecimal() and groups.isdecimal():
            number, count = int(group), int(groups)
            if count >= 2 and 1 <= number <= count:
                return number - 1, count
        raise TrainingError(
            f"fold {self.fold!r} must be I/K with I from 1 to K and K of 2 or more, such as 1/5"
        )
