"""Comparison of a data set with its recordings: digests, and samples encoded again from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eventseg.dataset.layout import (
    MANIFEST,
    SAMPLES,
    Tensor,
    frame_file,
    label_file,
    read_tensor,
    tensor_file,
)
from eventseg.dataset.reader import EventDataset
from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.dataset.samples import encoded_samples
from eventseg.dataset.truth import TRUTH, true_labels
from eventseg.errors import DatasetError, EventsegError
from eventseg.files.digests import digest_of
from eventseg.files.paths import composed
from eventseg.filters.filtered import survey_filters
from eventseg.images import read_image
from eventseg.recordings import open_recording
from eventseg.recordings.truth import Truth, truth_path
from eventseg.recordings.truth_pair import is_anothers

ANEW = "restore the file, or encode into another folder"
"""What to do about a table that contradicts the rest."""


def missing_recordings(dataset: EventDataset) -> Iterator[str]:
    """Yield the recordings that a data set without stored tensors lacks, one line each."""
    if dataset.manifest.settings.store != "none":
        return
    for entry in dataset.manifest.recordings:
        path = entry.file_from(dataset.path)
        if not path.is_file():
            yield (
                f"recording {entry.name} is not at {path}: tensors are encoded from it (store "
                "none); put it there"
            )


def recording_problems(
    dataset: EventDataset, entry: RecordingEntry, *, threads: int
) -> Iterator[str]:
    """Yield the problems of a data set beside one of its recordings, one line each.

    Parameters
    ----------
    dataset : EventDataset
    entry : RecordingEntry
        Recording, whose digest is compared where it is there.
    threads : int
        Threads that encode it again; 0 compares no tensors and frames.
    """
    path = entry.file_from(dataset.path)
    if not path.is_file():
        if threads and dataset.manifest.settings.store != "none":
            yield f"recording {entry.name} is not at {path}: cannot compare with it; put it there"
    elif digest_of(path) != entry.sha256:
        yield (
            f"recording {path} is not the file that the data set was made from; restore that one, "
            "or encode into another folder"
        )
    elif _other_truth(entry, path):
        yield (
            f"{truth_path(path)} is not the truth that the data set was made from; restore that "
            "one, or encode into another folder"
        )
    elif foreign := _foreign_truth(entry, path):
        yield foreign
    elif threads:
        try:
            yield from _encoded_again(dataset, entry, path, threads=threads)
        except EventsegError as error:
            yield f"recording {path}: {error}"


def _foreign_truth(entry: RecordingEntry, path: Path) -> str | None:
    """Return the fault of a truth of another recording, or None."""
    if not entry.truth_sha256 or not truth_path(path).is_file():
        return None
    try:
        with Truth(truth_path(path)) as truth:
            if not truth.belongs_to(path):
                return f"{truth_path(path)} is the truth of another recording than {path.name}"
    except EventsegError as error:
        return str(error)
    return None


def _other_truth(entry: RecordingEntry, path: Path) -> bool:
    truth = truth_path(path)
    if not truth.is_file() or (not entry.truth_sha256 and is_anothers(truth, path)):
        return False
    return digest_of(truth) != entry.truth_sha256


def _encoded_again(
    dataset: EventDataset, entry: RecordingEntry, path: Path, *, threads: int
) -> Iterator[str]:
    settings, samples, root = dataset.manifest.settings, dataset.samples, dataset.path
    index_of = {composed(sample_id): i for i, sample_id in enumerate(samples.ids)}
    unseen = {i for i, name in enumerate(samples.recording) if name == entry.name}
    with (
        open_recording(
            path,
            sensor=settings.sensor,
            rotate180=settings.rotate180,
            **settings.choices.arguments,
        ) as recording,
        contextlib.ExitStack() as stack,
    ):
        labels = (
            stack.enter_context(true_labels(path, rotate180=settings.rotate180))
            if entry.truth_sha256
            else None
        )
        survey = survey_filters(recording, settings.filters)
        if (survey.hot_pixels, survey.dropped) != (entry.hot_pixels, entry.dropped):
            yield (
                f"{MANIFEST}: what the filters drop of {entry.name} differs from the recording; "
                f"{ANEW}"
            )
        if entry.gaps is not None and list(entry.gaps) != [tuple(gap) for gap in recording.gaps]:
            yield f"{MANIFEST}: the gaps of {entry.name} differ from the recording; {ANEW}"
        for row, _, tensors in encoded_samples(
            recording, settings, hot_pixels=entry.hot_pixels, threads=threads
        ):
            i = index_of.get(composed(row.id))
            if i is None:
                yield f"{SAMPLES}: {row.id} is missing; {ANEW}"
                continue
            unseen.discard(i)
            if row.events != tuple(samples.events[i]) or row.covered != tuple(samples.covered[i]):
                yield (
                    f"{SAMPLES}: {row.id}: events or covered shares differ from the recording; "
                    f"{ANEW}"
                )
            if (row.frame, row.t_us) != (samples.frame[i], samples.t_us[i]):
                yield f"{SAMPLES}: {row.id}: frame or time differ from the recording; {ANEW}"
            for window, tensor in zip(settings.windows, tensors, strict=True):
                file = tensor_file(root, window=window, sample_id=row.id, store=settings.store)
                if settings.store != "none" and not _same_tensor(file, tensor):
                    place = file.relative_to(root)
                    yield f"{place} differs from the recording; delete it, then --repair"
            if row.frame >= 0:
                file = frame_file(root, sample_id=row.id)
                if not _same_image(file, recording.frames.image(row.frame)):
                    place = file.relative_to(root)
                    yield f"{place} differs from the recording; delete it, then --repair"
            if row.frame >= 0 and labels is not None:
                file = label_file(root, labels=TRUTH, sample_id=row.id)
                if not _same_image(file, labels.of_frame(row.frame)):
                    place = file.relative_to(root)
                    yield f"{place} differs from the truth; delete it, then --repair"
    for i in sorted(unseen):
        yield f"{SAMPLES}: {samples.ids[i]} is not in the recording; {ANEW}"


def _same_tensor(path: Path, tensor: Tensor) -> bool:
    """Return whether a file holds these bits; one that cannot be read is reported elsewhere."""
    try:
        return np.array_equal(read_tensor(path), tensor)
    except DatasetError:
        return True


def _same_image(path: Path, image: object) -> bool:
    try:
        return np.array_equal(read_image(path), np.asarray(image))
    except DatasetError:
        return True
