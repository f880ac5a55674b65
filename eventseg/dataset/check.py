"""Check of a data set: every file of every sample is there and sound, and nothing else."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.check_recordings import ANEW, missing_recordings, recording_problems
from eventseg.dataset.describe_labels import dataset_warnings
from eventseg.dataset.labelled import (
    SAMPLES_DIGEST,
    folders_in,
    ids_digest,
    imported_ids,
    is_imported,
    stopped_sets,
)
from eventseg.dataset.layout import (
    MANIFEST,
    PARTIAL,
    PARTIAL_SAMPLES,
    SAMPLES,
    Tensor,
    read_tensor,
    tensor_file,
)
from eventseg.dataset.mistaken import refusal
from eventseg.dataset.opening import dataset_folders, open_dataset
from eventseg.dataset.reader import EventDataset
from eventseg.dataset.settings import Settings
from eventseg.dataset.truth import TRUTH
from eventseg.device import thread_count
from eventseg.errors import DatasetError
from eventseg.events import SensorSize
from eventseg.files.paths import composed
from eventseg.files.whole import temporary_files
from eventseg.images import list_pictures, read_image
from eventseg.labels.maps import ClassTable, shown_ids, unknown_labels
from eventseg.labels.tables import described

EXACT_COUNTS = {"float16": 2048, "uint8": 255}
"""Count of a pixel up to which an element type tells all numbers apart."""

REMAKE = "check --repair makes it again"
"""What to do about files that can be made again."""

SPLITS = ("train", "val", "test", "other", "gap")


def check_dataset(
    path: str | Path, *, quick: bool = False, deep: bool = False, threads: int | None = None
) -> list[str]:
    """Return the problems of a data set, one line each; none if it is complete.

    Every file of every sample is read: tensors for type, shape, finite values in range and as
    many counts as ``samples.csv`` says; frames, labels and confidences for their size. The
    digests of recordings are compared where the recordings are there.

    Parameters
    ----------
    path : path
        A data set folder, or one that holds a data set a window length.
    quick : bool
        Check the tables and that every file is there, and read none: no contents, no digests.
    deep : bool
        Encode every sample again from the recordings and compare tensors and frames bit for bit.
    threads : int, optional
        Threads that encode; by default as many as processors.

    Examples
    --------
    >>> check_dataset("drives")
    []
    """
    root = Path(path)
    folders = dataset_folders(root)
    if not folders:
        return [refusal(root)]
    again = thread_count(threads) if deep else 0
    return [
        f"{folder}: {problem}"
        for folder in folders
        for problem in _problems(folder, again, quick=quick)
    ]


def warn_of_labels(path: str | Path, *, most_maps: int | None = None) -> list[str]:
    """Return the faults of a data set's label sets that make them teach little, one line each.

    A data set that cannot be opened has no warnings: :func:`check_dataset` names its problems.

    Parameters
    ----------
    path : path
        As for :func:`check_dataset`.
    most_maps : int, optional
        Label maps of a set that are read, spread evenly; by default all.
    """
    warnings = []
    for folder in dataset_folders(Path(path)):
        with contextlib.suppress(DatasetError), open_dataset(folder) as dataset:
            warnings += [
                f"{folder}: {warning}" for warning in dataset_warnings(dataset, most_maps=most_maps)
            ]
    return warnings


def _problems(root: Path, threads: int, *, quick: bool) -> Iterator[str]:
    """Check one data set; with threads its recordings are encoded again."""
    if not (root / MANIFEST).exists():
        yield "incomplete: run encode again to resume"
        return
    leftovers = [root / name for name in (PARTIAL, PARTIAL_SAMPLES) if (root / name).exists()]
    for left in (*leftovers, *temporary_files(root)):
        yield f"{left.relative_to(root)} is left over from a stopped run: --repair removes it"
    try:
        dataset = open_dataset(root)
    except DatasetError as error:
        yield f"{error}; {ANEW}"
        return
    with dataset:
        yield from _samples(dataset)
        yield from _listing(dataset)
        yield from missing_recordings(dataset)
        if quick:
            return
        yield from _tensors(dataset)
        yield from _images(dataset)
        yield from _labels(dataset)
        for entry in dataset.manifest.recordings:
            yield from recording_problems(dataset, entry, threads=threads)


def _samples(dataset: EventDataset) -> Iterator[str]:
    """Check the table: known recordings and splits, numbers in range."""
    samples, entries = dataset.samples, dataset.manifest.recordings
    frames = {entry.name: entry.frames for entry in entries}
    # All samples at once; only those with a fault are named one by one.
    of_samples = np.array([frames.get(name, -1) for name in samples.recording], np.int64)
    in_range = (samples.frame >= -1) & (samples.frame < of_samples)
    known_split = np.isin(np.array(samples.split, dtype=str), SPLITS)
    negative = np.any(samples.events < 0, axis=1)
    share_ok = np.all((samples.covered >= 0) & (samples.covered <= 1), axis=1)
    for i in np.flatnonzero(~in_range | ~known_split | negative | ~share_ok).tolist():
        where = f"{SAMPLES}: {samples.ids[i]}"
        if samples.recording[i] not in frames:
            yield f"{where}: recording {samples.recording[i]} is not in the manifest; {ANEW}"
        elif not in_range[i]:
            yield f"{where}: frame {samples.frame[i]} of {of_samples[i]}; {ANEW}"
        if not known_split[i]:
            yield f"{where}: split {samples.split[i]!r} is none of {', '.join(SPLITS)}; {ANEW}"
        if negative[i]:
            yield f"{where}: a negative number of events; {ANEW}"
        if not share_ok[i]:
            yield f"{where}: a covered share outside 0 to 1; {ANEW}"
    for name in sorted(set(frames) - set(samples.recording)):
        yield f"{SAMPLES}: no sample of recording {name}; {ANEW}"


def _listing(dataset: EventDataset) -> Iterator[str]:
    """Check that folders hold one file for each id that should have one, and no other."""
    settings, samples, root = dataset.manifest.settings, dataset.samples, dataset.path
    everyone = set(samples.ids)
    framed = {name for name, frame in zip(samples.ids, samples.frame, strict=True) if frame >= 0}
    stored = () if settings.store == "none" else settings.windows
    # The suffix of each folder's files and the ids that must be there; None: any of the samples.
    expected: dict[Path, tuple[str, set[str] | None]] = {
        root / "tensors" / window: (f".{settings.store}", everyone) for window in stored
    }
    expected[root / "frames"] = (".png", framed)
    for kind in ("labels", "confidence"):
        for folder in folders_in(root / kind):
            expected[folder] = (".png", None)
    simulated = {entry.name for entry in dataset.manifest.recordings if entry.truth_sha256}
    if simulated:
        true = {
            i for i, name in zip(samples.ids, samples.recording, strict=True) if name in simulated
        }
        expected[root / "labels" / TRUTH] = (".png", framed & true)
    for name, made in dataset.manifest.label_settings.items():
        if is_imported(made):
            yield from _imported(dataset, name, made)
            continue
        for kind in ("labels", "confidence"):  # a teacher has labelled every frame
            expected[root / kind / name] = (".png", framed)
    yield from stopped_sets(root)
    for folder in folders_in(root / "tensors"):
        if folder not in expected:
            yield f"{folder.relative_to(root)} is no window of the manifest; move it away"
    for folder, (suffix, wanted) in expected.items():
        place = folder.relative_to(root)
        present = set(os.listdir(folder)) if folder.is_dir() else set()  # noqa: PTH208 - names
        any_of = everyone if wanted is None else wanted
        names = {sample_id + suffix for sample_id in any_of}
        if present == names or (wanted is None and present <= names):
            continue  # as of nearly every folder; of a million files the rest takes seconds
        spelled = {composed(sample_id): sample_id for sample_id in everyone}
        files = {
            stem if stem in everyone else spelled.get(composed(stem), stem): stem + suffix
            for stem in (name[: -len(suffix)] for name in present if name.endswith(suffix))
        }
        ids = set(files)
        for sample_id in sorted((wanted or set()) - ids):
            yield f"{place / (sample_id + suffix)} is missing; {_cure(place, dataset)}"
        for sample_id in sorted(ids - any_of):
            yield f"{place / (sample_id + suffix)} belongs to no sample of {SAMPLES}; move it away"
        for name in sorted(present - set(files.values())):
            if not name.endswith(".tmp"):
                yield f"{place / name} is no {suffix} file; move it away"


def _cure(place: Path, dataset: EventDataset) -> str:
    """Return the command that makes a file of a folder again."""
    kind, name = place.parts[0], place.name
    simulated = any(entry.truth_sha256 for entry in dataset.manifest.recordings)
    if kind in ("tensors", "frames") or (name == TRUTH and simulated):
        return REMAKE
    if is_imported(dataset.manifest.label_settings.get(name, {})):
        return "run labels import again"
    return "restore it or delete it" if name == TRUTH else f"run pseudolabel again for {name}"


def _imported(dataset: EventDataset, name: str, made: Mapping[str, Any]) -> Iterator[str]:
    """Check that an imported set has the labels of the samples that it was imported with."""
    there = imported_ids(dataset.path, name)
    if ids_digest(there) != made.get(SAMPLES_DIGEST):
        yield (
            f"labels/{name} holds {len(there):,} label maps, not those of the "
            f"{made.get('samples', 0):,} samples that were imported: import them again"
        )


def _tensors(dataset: EventDataset) -> Iterator[str]:
    """Check the values of every stored tensor."""
    settings, samples = dataset.manifest.settings, dataset.samples
    if settings.store == "none":
        return
    for i, sample_id in enumerate(samples.ids):
        for w, window in enumerate(settings.windows):
            path = tensor_file(
                dataset.path, window=window, sample_id=sample_id, store=settings.store
            )
            if not path.exists():
                continue  # reported as missing
            try:
                tensor = read_tensor(path)
            except DatasetError as error:
                yield f"{error}; {REMAKE}"
                continue
            problem = tensor_problem(tensor, settings, events=int(samples.events[i, w]))
            if problem:
                yield f"{path.relative_to(dataset.path)}: {problem}; {REMAKE}"


def tensor_problem(tensor: Tensor, settings: Settings, *, events: int) -> str | None:
    """Return the problem of a tensor whose window has this many events, or None."""
    dtype, shape = settings.encoding.array_dtype, settings.encoding.shape
    if tensor.dtype != dtype or tensor.shape != shape:
        return f"{tensor.dtype} {tensor.shape}, must be {dtype} {shape}"
    if not np.isfinite(tensor).all():
        return "values that are not finite"
    for channel, values in zip(settings.encoding.channels, tensor, strict=True):
        per = float(events) if channel.per_event else 1.0
        low, high = channel.low * per, channel.high * per
        if values.min() < low or values.max() > high:
            return (
                f"{channel.name} runs from {values.min():g} to {values.max():g}, "
                f"allowed are {low:g} to {high:g}"
            )
    counting = sum(channel.counts for channel in settings.encoding.channels)
    if not counting:
        return None
    counts = tensor[:counting].astype(np.float64)
    if (counts != np.floor(counts)).any():
        return "counts that are not whole"
    if counts.max(initial=0) >= EXACT_COUNTS.get(settings.encoding.dtype, np.inf):
        return None  # counts were rounded, or stopped
    total, full = int(counts.sum()), settings.rows == (0, settings.sensor.height)
    if total > events or (full and total != events):
        return f"{total} events, {SAMPLES} has {events}"
    return None


def _images(dataset: EventDataset) -> Iterator[str]:
    """Check that frames, labels and confidences can be read and have the sensor's size."""
    sensor = dataset.manifest.settings.sensor
    known = {composed(sample_id) for sample_id in dataset.ids}
    sets = [
        folder for kind in ("labels", "confidence") for folder in folders_in(dataset.path / kind)
    ]
    for folder in (dataset.path / "frames", *sets):
        for path in list_pictures(folder, endings=(".png",)).files:
            if composed(path.stem) not in known:
                continue  # reported as of no sample
            place = path.relative_to(dataset.path)
            try:
                problem = size_problem(read_image(path), sensor)
            except DatasetError as error:
                yield f"{error}; {_cure(place.parent, dataset)}"
                continue
            if problem:
                yield f"{place}: {problem}; {_cure(place.parent, dataset)}"


def size_problem(image: NDArray[np.uint8], sensor: SensorSize) -> str | None:
    """Return the problem of a frame, label map or confidence of another size, or None."""
    if image.shape == tuple(sensor):
        return None
    return f"{image.shape[1]}x{image.shape[0]}, the sensor is {sensor}"


def _labels(dataset: EventDataset) -> Iterator[str]:
    """Check that the labels of every set are classes of its table."""
    for name, table in dataset.manifest.labels.items():
        for path in list_pictures(dataset.path / "labels" / name, endings=(".png",)).files:
            try:
                problem = class_problem(read_image(path), table)
            except DatasetError:
                continue  # reported with the images
            if problem:
                place = path.relative_to(dataset.path)
                yield f"{place}: {problem}; {_cure(place.parent, dataset)}"


def class_problem(labels: NDArray[np.uint8], table: ClassTable) -> str | None:
    """Return the problem of a label map with labels outside its classes, or None."""
    unknown = unknown_labels(labels, len(table))
    return f"labels {shown_ids(unknown)}; {described(table)}" if unknown else None
