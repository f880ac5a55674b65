"""Repair of a data set without loss: leftovers removed, missing files made from recordings."""

from __future__ import annotations

from pathlib import Path

from eventseg.dataset.check import tensor_problem
from eventseg.dataset.encode import EncodeJob, encode_into, file_state
from eventseg.dataset.folder import sample_files
from eventseg.dataset.layout import (
    MANIFEST,
    PARTIAL,
    PARTIAL_SAMPLES,
    frame_file,
    read_tensor,
    tensor_file,
)
from eventseg.dataset.manifest import RecordingEntry
from eventseg.dataset.reader import EventDataset, dataset_folders, open_dataset
from eventseg.dataset.table import Row
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
    or cannot be read are made again, where the recording is the one they were made from. Labels
    of teachers and files of no sample stay as they are.

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
    lost += [file for row in rows for file in _damaged(dataset, row)]
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


def _damaged(dataset: EventDataset, row: Row) -> list[Path]:
    """Return tensors and the frame of a sample that are there and cannot be right."""
    root, settings = dataset.path, dataset.manifest.settings
    damaged = []
    for window, events in zip(settings.windows, row.events, strict=True):
        if settings.store == "none":
            break
        path = tensor_file(root, window=window, sample_id=row.id, store=settings.store)
        try:
            sound = not path.is_file() or not tensor_problem(
                read_tensor(path), settings, events=events
            )
        except EventsegError:
            sound = False
        if not sound:
            damaged.append(path)
    frame = frame_file(root, sample_id=row.id)
    if row.frame >= 0 and frame.is_file():
        try:
            read_image(frame)
        except EventsegError:
            damaged.append(frame)
    return damaged


def _is_the_same(entry: RecordingEntry, path: Path) -> bool:
    """Return whether a recording and its truth are those that the data set was made from."""
    if not path.is_file() or digest_of(path) != entry.sha256:
        return False
    if not entry.truth_sha256:
        return True
    truth = truth_path(path)
    return truth.is_file() and digest_of(truth) == entry.truth_sha256
