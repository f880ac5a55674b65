"""Check of a prediction folder: every map of every sample is there and sound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eventseg.dataset.jobs.shard import SHARDS
from eventseg.errors import EventsegError
from eventseg.files.digests import digest_of
from eventseg.files.paths import composed
from eventseg.files.whole import temporary_files
from eventseg.prediction.folder import PredictionFolder, open_predictions
from eventseg.prediction.layout import (
    LABELS,
    MANIFEST,
    PROBABILITIES,
    SAMPLES,
    UNFINISHED,
    label_file,
)

CURE = "delete it and run the same predict again"


def check_predictions(path: str | Path) -> list[str]:
    """Return the problems of a prediction folder, one line each; none if it is complete.

    Every label map is read for its classes, and all of them for the pixels of each class that the
    manifest has; probabilities for shape, range and their sum; inputs for their digests.

    Examples
    --------
    >>> check_predictions("maps")
    []
    """
    root = Path(path)
    if (root / SHARDS).is_dir():
        return [f"{root}: shards of a job array: run eventseg merge {root}"]
    try:
        folder = open_predictions(root)
    except EventsegError as error:
        return [str(error)]
    return [f"{root}: {problem}" for problem in _problems(folder)]


def _problems(folder: PredictionFolder) -> Iterator[str]:
    root = folder.path
    leftovers = [root / UNFINISHED] if (root / UNFINISHED).exists() else []
    for left in (*leftovers, *temporary_files(root)):
        yield f"{left.relative_to(root)} is left over from a stopped run: --repair removes it"
    twice = [name for name, count in Counter(folder.ids).items() if count > 1]
    if twice:
        yield f"{SAMPLES}: {len(twice)} ids occur twice, such as {twice[0]}; predict again"
    yield from _times(folder)
    yield from _files(folder)
    yield from _labels(folder)
    if folder.manifest.settings.get("probabilities"):
        yield from _probabilities(folder)
    for entry in folder.manifest.inputs:
        yield from _input(folder, str(entry["name"]), str(entry.get("sha256", "")))


def _times(folder: PredictionFolder) -> Iterator[str]:
    last: dict[str, int] = {}
    for sample in folder.samples:
        if sample.t_us is None:
            continue
        if sample.t_us < last.get(sample.input, sample.t_us):
            yield f"{SAMPLES}: {sample.id} is older than the sample before it; predict again"
        last[sample.input] = sample.t_us


def _files(folder: PredictionFolder) -> Iterator[str]:
    places = {LABELS: ".png"}
    if folder.manifest.settings.get("probabilities"):
        places[PROBABILITIES] = ".npz"
    expected = {composed(name) for name in folder.ids}
    for place, suffix in places.items():
        where = folder.path / place
        there = {composed(path.name) for path in where.iterdir()} if where.is_dir() else set()
        wanted = {name + suffix for name in expected}
        for name in sorted(wanted - there):
            yield f"{place}/{name} is missing: run the same predict again"
        for name in sorted(there - wanted):
            if not name.endswith(".tmp"):
                yield f"{place}/{name} belongs to no sample of {SAMPLES}: move it away"


def _labels(folder: PredictionFolder) -> Iterator[str]:
    pixels = np.zeros(256, np.int64)
    sound = True
    for name in folder.ids:
        if not label_file(folder.path, name).is_file():
            sound = False
            continue
        try:
            pixels += np.bincount(folder.labels(name).ravel(), minlength=256)
        except EventsegError as error:
            sound = False
            yield f"{error}; {CURE}"
    counted = dict(zip(folder.classes.names, pixels.tolist(), strict=False))
    if sound and folder.manifest.pixels and counted != dict(folder.manifest.pixels):
        differs = next(n for n in counted if counted[n] != folder.manifest.pixels.get(n))
        yield (
            f"{MANIFEST} has {folder.manifest.pixels.get(differs)} pixels of {differs}, the labels "
            f"{counted[differs]}: a label map has changed; predict again with --overwrite"
        )


def _probabilities(folder: PredictionFolder) -> Iterator[str]:
    for name in folder.ids:
        place = f"{PROBABILITIES}/{name}.npz"
        if not (folder.path / place).is_file():
            continue  # reported as missing
        try:
            values = folder.probabilities(name).astype(np.float32)
        except EventsegError as error:
            yield f"{error}; {CURE}"
            continue
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
            yield f"{place} has values outside 0 to 1; {CURE}"
        elif np.abs(values.sum(axis=0) - 1).max() > 0.01:
            yield f"{place} does not add up to 1 at each pixel; {CURE}"


def _input(folder: PredictionFolder, name: str, sha256: str) -> Iterator[str]:
    path = folder.manifest.input_file(name, folder.path)
    if sha256 and path.is_file() and digest_of(path) != sha256:
        yield f"input {path} has changed since it was predicted: predict again with --overwrite"
