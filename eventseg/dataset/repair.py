"""Repair of a data set without loss: leftovers removed, missing files made from recordings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from eventseg.dataset.check import class_problem, size_problem, tensor_problem
from eventseg.dataset.encode import EncodeJob, encode_into, file_state
from eventseg.dataset.folder import sample_files
from eventseg.dataset.layout import (
    MANIFEST,
    PARTIAL,
    PARTIAL_SAMPLES,
    frame_file,
    label_file,
    read_tensor,
    tensor_file,
)
from eventseg.dataset.opening import dataset_folders, open_dataset
from eventseg.dataset.reader import EventDataset
from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.dataset.table import Row
from eventseg.dataset.truth import TRUTH
from eventseg.device import thread_count
from eventseg.errors import DatasetError, EventsegError
from eventseg.files.digests import digest_of
from eventseg.files.locks import locked
from eventseg.files.whole import temporary_files
from eventseg.images import read_image
from eventseg.recordings.truth import truth_path


def repair_dataset(path: str | Path, *, threads: int | None = None) -> list[str]:
    """Repair a complete data set without loss, and return the repairs.

    Temporary files of stopped runs are removed. Tensors, frames and true labels that are missing
    or in which :func:`eventseg.dataset.check.check_dataset` finds a problem are made again, where
    the recording is the one they were made from. Labels of teachers and files of no sample stay
    as they are.

    Parameters
    ----------
    path : path
        A data set folder, or one that holds a data set a window length.
    threads : int, optional
        Threads that encode; by default as many as processors.

    Raises
    ------
    DatasetError, RecordingError
        The manifest or the table cannot be read, or a recording gives other samples.
    OutputError
        The folder cannot be written, or another process writes into it.
    """
    done = []
    for root in dataset_folders(Path(path)):
        if not (root / MANIFEST).exists():
            continue  # encode completes it
        with locked(root), open_dataset(root) as dataset:
            leftovers = [root / name for name in (PARTIAL, PARTIAL_SAMPLES)]
            for left in (*leftovers, *temporary_files(root)):
                if left.exists():
                    left.unlink()
                    done.append(f"{left.relative_to(root)} removed")
            for entry in dataset.manifest.recordings:
                done += _repair_recording(dataset, entry, threads=thread_count(threads))
    return done


def _repair_recording(dataset: EventDataset, entry: RecordingEntry, *, threads: int) -> list[str]:
    root, settings = dataset.path, dataset.manifest.settings
    rows = [row for row in _rows(dataset) if row.recording == entry.name]
    truth = bool(entry.truth_sha256)
    lost = [
        file
        for row in rows
        for file in sample_files(root, settings, row, truth=truth)
        if not file.is_file()
    ]
    lost += [file for row in rows for file in _damaged(dataset, row, truth=truth)]
    path = entry.file_from(root)
    if not lost or not _is_the_same(entry, path):
        return []
    for file in lost:
        file.unlink(missing_ok=True)
    job = EncodeJob(
        path,
        root,
        settings,
        threads,
        "cpu",
        truth=truth,
        hot_pixels=entry.hot_pixels,
        part=(0, len(rows)),
        samples=len(rows),
        state=file_state(path),
    )
    if encode_into(job, lambda _: None) != rows:
        raise DatasetError(
            f"{path} gives other samples than {root} has; run check --deep, or encode it anew"
        )
    return [f"{file.relative_to(root)} made again from {path.name}" for file in lost]


def _rows(dataset: EventDataset) -> list[Row]:
    samples = dataset.samples
    return [
        Row(
            samples.ids[i],
            samples.recording[i],
            int(samples.frame[i]),
            int(samples.t_us[i]),
            samples.split[i],
            tuple(map(int, samples.events[i])),
            tuple(map(float, samples.covered[i])),
        )
        for i in range(len(samples))
    ]


def _damaged(dataset: EventDataset, row: Row, *, truth: bool) -> list[Path]:
    """Return the files of a sample that are there and in which the check finds a problem."""
    root, settings = dataset.path, dataset.manifest.settings
    stored = () if settings.store == "none" else settings.windows
    damaged = []
    for window, events in zip(stored, row.events[: len(stored)], strict=True):
        path = tensor_file(root, window=window, sample_id=row.id, store=settings.store)
        problem_of = partial(tensor_problem, settings=settings, events=events)
        if _has_problem(path, read_tensor, problem_of):
            damaged.append(path)
    if row.frame < 0:
        return damaged
    of_size = partial(size_problem, sensor=settings.sensor)
    frame = frame_file(root, sample_id=row.id)
    if _has_problem(frame, read_image, of_size):
        damaged.append(frame)
    if truth:
        labels = label_file(root, labels=TRUTH, sample_id=row.id)
        of_classes = partial(class_problem, table=dataset.manifest.labels[TRUTH])
        if _has_problem(labels, read_image, of_size, of_classes):
            damaged.append(labels)
    return damaged


def _has_problem(
    path: Path,
    read: Callable[[Path], NDArray[Any]],
    *problems_of: Callable[[NDArray[Any]], str | None],
) -> bool:
    """Return whether a file is there and cannot be read, or has one of some problems."""
    if not path.is_file():
        return False
    try:
        content = read(path)
    except EventsegError:
        return True
    return any(problem_of(content) is not None for problem_of in problems_of)


def _is_the_same(entry: RecordingEntry, path: Path) -> bool:
    """Return whether a recording and its truth are those that the data set was made from."""
    if not path.is_file() or digest_of(path) != entry.sha256:
        return False
    if not entry.truth_sha256:
        return True
    truth = truth_path(path)
    return truth.is_file() and digest_of(truth) == entry.truth_sha256
