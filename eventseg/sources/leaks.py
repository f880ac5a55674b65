"""Leaks between the samples that train and those that choose or score a network."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.sources.assigned import longest_window_us
from eventseg.sources.image_folders import Folder
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source
from eventseg.sources.split_file import some
from eventseg.splits import members_of
from eventseg.windows import parse_duration

HELD = ("val", "test")
NEAR_US = 10_000_000
"""Distance in time below which neighbouring samples look alike: that of EV-SegNet's rows."""


def check_leaks(source: Source, splits: Sequence[str], *, windows: Sequence[str] = ()) -> list[str]:
    """Refuse samples of two parts that share events or frames, and return others that are near.

    Parameters
    ----------
    source : Source
    splits : sequence of str (N,)
    windows : sequence of str
        Windows that are trained on, besides those of the data.

    Returns
    -------
    list of str
        Notes: the smallest distance in time between training and held-out samples of one
        recording; drives of pictures, or equal pictures, in two parts.

    Raises
    ------
    TrainingError
        Training samples that share events or a frame with validation or test.
    """
    if isinstance(source, EventSource):
        return _of_recordings(source, np.array(splits), windows)
    if isinstance(source, Folder):
        return _of_pictures(source, splits)
    return []


def _of_recordings(
    source: EventSource, splits: NDArray[np.str_], windows: Sequence[str]
) -> list[str]:
    trains, is_held = splits == "train", np.isin(splits, HELD)
    samples = source.dataset.samples
    overlapping: list[str] = []
    nearest: tuple[int, str, str] | None = None
    for name, mine in members_of(source.sequences).items():
        trained, others = mine[trains[mine]], mine[is_held[mine]]
        if not len(trained) or not len(others):
            continue
        longest = max(
            [longest_window_us(source, samples.t_us[mine]), *map(parse_duration, windows)]
        )
        frames = set(samples.frame[others].tolist()) - {-1}
        for part in HELD:
            held = np.sort(samples.t_us[others[splits[others] == part]])
            if not len(held):
                continue
            distance = _distances(samples.t_us[trained], held)
            shares = (distance < longest) | np.isin(samples.frame[trained], sorted(frames))
            overlapping += [source.ids[i] for i in trained[shares].tolist()]
            nearest = min(filter(None, (nearest, (int(distance.min()), name, part))))
    if overlapping:
        unique = sorted(set(overlapping))
        raise TrainingError(
            f"{len(unique):,} samples of train share events or a frame with val or test: "
            f"{some(unique)}; split by recordings, or give samples less than a window apart the "
            "split gap"
        )
    if nearest is None or nearest[0] >= NEAR_US:
        return []
    distance_us, name, part = nearest
    return [
        f"train and {part} are {distance_us / 1e6:g} s apart in recording {name}: neighbouring "
        "frames look alike, so that scores are optimistic; hold back whole recordings"
    ]


def _distances(t_us: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the distance of each time to the nearest of others, which are sorted, int64 (N,)."""
    after = np.searchsorted(others, t_us)
    before = np.abs(t_us - others[np.maximum(after - 1, 0)])
    behind = np.abs(others[np.minimum(after, len(others) - 1)] - t_us)
    distance: NDArray[np.int64] = np.minimum(before, behind)
    return distance


def _of_pictures(source: Folder, splits: Sequence[str]) -> list[str]:
    notes = []
    drives: dict[str, set[str]] = defaultdict(set)
    for name, split in zip(source.sequences, splits, strict=True):
        drives[name].add(split)
    shared = sorted(
        name for name, parts in drives.items() if "train" in parts and parts & set(HELD)
    )
    if shared:
        notes.append(
            f"{len(shared)} drives are in train and in val or test: {some(shared)}; neighbouring "
            "pictures look alike, so that scores are optimistic"
        )
    equal = _equal_pictures(source, splits)
    if equal:
        notes.append(f"{len(equal)} pictures of val or test are in train too: {some(equal)}")
    return notes


def _equal_pictures(source: Folder, splits: Sequence[str]) -> list[str]:
    """Return the held-out pictures that are equal to one of train, byte by byte."""
    by_size: dict[int, list[tuple[str, str, Path]]] = defaultdict(list)
    for item, split in zip(source.items, splits, strict=True):
        if item.image is not None and split in ("train", *HELD):
            by_size[item.image.stat().st_size].append((split, item.id, item.image))
    equal = []
    for group in by_size.values():
        kinds = {split for split, _, _ in group}
        if "train" not in kinds or len(kinds) == 1:
            continue
        digests = [(split, name, _digest(path)) for split, name, path in group]
        trained = {digest for split, _, digest in digests if split == "train"}
        equal += [name for split, name, d in digests if split != "train" and d in trained]
    return sorted(equal)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
