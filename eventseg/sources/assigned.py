"""Splits that a rule assigns to the samples of a source, in place of those of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.sources.order import recording_ranks
from eventseg.sources.recorded import EventSource
from eventseg.sources.selection import times_of
from eventseg.sources.source import Source
from eventseg.sources.split_file import read_split_file, some, splits_by_file
from eventseg.splits import SplitRule, hold_back_stretches, hold_back_validation, members_of

SHARE = 0.1
"""Part of the training samples that validates, at least."""

Splits = NDArray[np.str_]


def assigned_splits(source: Source, rule: SplitRule) -> tuple[str, ...] | None:
    """Return the split of each sample by a rule, (N,), or None where it is that of the data.

    Raises
    ------
    TrainingError
        A split file that does not fit, recordings that are not there, more folds than recordings,
        or too few recordings to hold whole ones back.
    """
    if rule.is_of_data:
        return None
    if rule.file:
        return splits_by_file(source, read_split_file(Path(rule.file)))
    names = np.array(source.sequences, dtype=object)
    splits = np.array(source.splits, dtype="<U5")
    usable = splits != "other"
    sizes = Counter(names[usable].tolist())
    for setting, given in (("val", rule.val), ("test", rule.test)):
        unknown = sorted(set(given) - set(sizes))
        if unknown:
            raise TrainingError(
                f"{source.path} has no recordings {some(unknown)} for {setting}; it has "
                f"{some(sorted(sizes))}"
            )
    if rule.fold:
        group, groups = rule.place()
        pool = {name: count for name, count in sizes.items() if name not in rule.val}
        if groups > len(pool):
            raise TrainingError(
                f"fold {rule.fold} needs {groups} recordings to test, {source.path} has "
                f"{len(pool)}{' besides those of val' * bool(rule.val)}: {some(sorted(pool))}"
            )
        tested = {name for name, place in deal(pool, groups).items() if place == group}
        splits[usable & (splits == "test")] = "train"
    else:
        tested = set(rule.test)
    splits[usable & np.isin(names, sorted(tested))] = "test"
    training = usable & (splits != "test")
    if rule.val:
        splits[training] = "train"
        splits[usable & np.isin(names, rule.val)] = "val"
    elif rule.hold_back == "recordings":
        counts = Counter(names[training].tolist())
        splits[training] = "train"
        splits[training & np.isin(names, whole_recordings(counts, where=str(source.path)))] = "val"
    elif not (splits == "val").any():
        splits[training] = _ends_held_back(source, np.flatnonzero(training))
    return tuple(splits.tolist())


def deal(sizes: Mapping[str, int], groups: int) -> dict[str, int]:
    """Return the group of each recording: groups of about as many samples.

    The longest recording comes first, each into the group that has the fewest samples, so that
    the groups depend on names and sizes only.

    Examples
    --------
    >>> deal({"a": 5, "b": 3, "c": 3}, 2)
    {'a': 0, 'b': 1, 'c': 1}
    """
    totals = [0] * groups
    found = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        group = totals.index(min(totals))
        totals[group] += sizes[name]
        found[name] = group
    return found


def whole_recordings(sizes: Mapping[str, int], *, where: str) -> list[str]:
    """Return recordings that validate: the shortest, until a tenth of the samples does.

    Of recordings of one length the last by name; one at least is left to train.

    Raises
    ------
    TrainingError
        Fewer than two recordings.
    """
    if len(sizes) < 2:
        raise TrainingError(
            f"{where} has {len(sizes)} recordings to train on: hold back stretches, or encode "
            "another recording, to validate on a whole one"
        )
    ordered = sorted(sorted(sizes, reverse=True), key=sizes.__getitem__)
    total, held = sum(sizes.values()), 0
    chosen: list[str] = []
    for name in ordered[:-1]:
        if held >= SHARE * total:
            break
        chosen.append(name)
        held += sizes[name]
    return chosen


def _ends_held_back(source: Source, part: NDArray[np.int64]) -> Splits:
    """Return the splits of samples whose recordings have no validation part, (N,)."""
    names = [source.sequences[i] for i in part]
    t_us = times_of(source)
    if t_us is None or not isinstance(source, EventSource):
        ranks = recording_ranks([source.ids[i] for i in part], names)
        return hold_back_stretches(names, ranks)
    splits = np.full(len(part), "train", "<U5")
    for mine in members_of(names).values():
        times = t_us[part[mine]]
        splits[mine] = hold_back_validation(
            times, longest_window_us=longest_window_us(source, times)
        )
    return splits


def longest_window_us(source: EventSource, t_us: Sequence[int] | NDArray[np.int64]) -> int:
    """Return the longest window of a data set in us; of a fixed count the longest step."""
    windows_us = source.dataset.manifest.settings.windows_us
    steps = np.diff(np.sort(np.asarray(t_us, np.int64)))
    return max(windows_us) if windows_us else int(steps.max(initial=0))
