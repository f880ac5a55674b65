"""One recording into a data set folder: a look at it first, then its tensors and frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from eventseg.dataset.jobs.job import Tick
from eventseg.dataset.layout import frame_file, label_file, tensor_file, write_tensor
from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.dataset.samples import encoded_samples, placing_notes, sample_count, with_splits
from eventseg.dataset.settings import Settings
from eventseg.dataset.table import Row
from eventseg.dataset.truth import TRUTH, find_truth, true_labels
from eventseg.device import Device
from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.files.digests import digest_of
from eventseg.filters.filtered import survey_filters
from eventseg.filters.rules import Filters
from eventseg.images import write_image
from eventseg.labels.maps import ClassTable
from eventseg.recordings import open_recording
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.windows import MAX_FRAME_AGE_US, Anchor

WRITING_THREADS = 4
WAITING_BYTES = 32 << 20
"""Copies of tensors that may wait for the disk; what bounds the memory of a fast encoder."""


@dataclass(frozen=True, slots=True)
class SurveyJob:
    """A recording to look at; ``groups`` are the window lengths of each data set to be made."""

    path: Path
    anchor: Anchor
    groups: tuple[tuple[int, ...], ...]
    sensor: SensorSize | None
    rotate180: bool
    filters: Filters
    max_frame_age_us: int | None = MAX_FRAME_AGE_US
    choices: FileChoices = NO_CHOICES


@dataclass(frozen=True, slots=True)
class Survey:
    """Survey of a recording: its entry, its sensor, and (samples, framed) for each data set.

    ``classes`` are those of the truth beside it, None without one; ``state`` is that of the file,
    see :func:`file_state`.
    """

    entry: RecordingEntry
    sensor: SensorSize
    samples: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]
    classes: ClassTable | None
    state: tuple[int, int]


def survey_recording(job: SurveyJob, tick: Tick) -> Survey:
    """Index a recording, take its digest and count the samples it will give; ticks in bytes.

    Filters are tried out on the entire recording, so that the manifest counts the events they drop.
    """
    state = file_state(job.path)
    size = state[0]
    with ThreadPoolExecutor(1) as pool:
        # Beside the index, which reads the same bytes.
        digest = pool.submit(digest_of, job.path)
        with open_recording(
            job.path,
            sensor=job.sensor,
            rotate180=job.rotate180,
            **job.choices.arguments,
            progress=lambda now: tick(now.share * size),
        ) as recording:
            report = recording.report.to_dict()
            # Notes tell of the index cache too, which says nothing about the recording.
            notes = tuple(str(note) for note in report.pop("notes", ()))
            truth = find_truth(recording)
            survey = survey_filters(recording, job.filters)
            if truth is not None:
                notes += (f"true labels of {len(truth.classes)} classes found beside it",)
            entry = RecordingEntry(
                name=recording.name,
                path=str(job.path),
                size_bytes=size,
                sha256=digest.result(),
                t_first_us=recording.t_first_us,
                t_last_us=recording.t_last_us,
                events=recording.n_events,
                frames=len(recording.frames.t_us),
                report=report,
                truth_sha256="" if truth is None else truth.sha256,
                dropped=survey.dropped,
                hot_pixels=survey.hot_pixels,
                gaps=tuple((int(before), int(after)) for before, after in recording.gaps),
            )
            samples = tuple(
                sample_count(
                    recording,
                    anchor=job.anchor,
                    windows_us=group,
                    events=entry.kept,
                    max_frame_age_us=job.max_frame_age_us,
                )
                for group in job.groups
            )
            for group in job.groups:
                notes += tuple(
                    placing_notes(
                        recording,
                        anchor=job.anchor,
                        windows_us=group,
                        max_frame_age_us=job.max_frame_age_us,
                    )
                )
            tick(size)
            classes = None if truth is None else truth.classes
            return Survey(entry, recording.sensor, samples, notes, classes, state)


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """Stretch of a recording to encode into the data set folder ``root``.

    Parameters
    ----------
    path : Path
        The recording.
    root : Path
        The data set folder.
    settings : Settings
    threads : int
    device : {"cpu", "cuda", "auto"}
    truth : bool
        Whether the truth beside the recording becomes a label set.
    hot_pixels : tuple of int
        Those that its survey found.
    part : (start, stop)
        Numbers of the samples to encode; all of them with windows of a fixed count.
    samples : int
        Number of samples of the entire recording.
    state : (int, int)
        State of the file as it was surveyed, see :func:`file_state`.
    """

    path: Path
    root: Path
    settings: Settings
    threads: int
    device: Device
    truth: bool
    hot_pixels: tuple[int, ...]
    part: tuple[int, int]
    samples: int
    state: tuple[int, int]


def file_state(path: Path) -> tuple[int, int]:
    """Return size and time of modification of a recording, which all machines see alike.

    Raises
    ------
    RecordingError
        The file is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    return status.st_size, status.st_mtime_ns


def encode_into(job: EncodeJob, tick: Tick) -> list[Row]:
    """Write the missing tensors, frames and true labels of a stretch; progress is in events.

    Returns
    -------
    list of Row
        Every sample of the stretch, whether written now or before.

    Raises
    ------
    RecordingError
        The recording is not as it was surveyed; nothing that came of it stays.
    """
    written: list[Path] = []
    try:
        rows = _encode_into(job, tick, written)
    except RecordingError:
        _check_unchanged(job, written)
        raise
    _check_unchanged(job, written)
    return rows


def _check_unchanged(job: EncodeJob, written: Sequence[Path]) -> None:
    """Raise an error and remove what was written where a recording has changed meanwhile."""
    try:
        if file_state(job.path) == job.state:
            return
        reason = "has changed"
    except RecordingError:
        reason = "has gone"
    for path in written:
        path.unlink(missing_ok=True)
    raise RecordingError(
        f"{job.path} {reason} while it was encoded; restore it and run again, or give another "
        "output for a new version of it"
    )


def _encode_into(job: EncodeJob, tick: Tick, written: list[Path]) -> list[Row]:
    """Encode a stretch, adding the files that are written to a list."""
    settings, root = job.settings, job.root
    rows: list[Row] = []
    longest_us = max(settings.windows_us, default=0)

    def targets(sample_id: str) -> list[Path]:
        if settings.store == "none":
            return []
        return [
            tensor_file(root, window=window, sample_id=sample_id, store=settings.store)
            for window in settings.windows
        ]

    with (
        open_recording(
            job.path,
            sensor=settings.sensor,
            rotate180=settings.rotate180,
            **settings.choices.arguments,
        ) as recording,
        ExitStack() as stack,
        _WriteQueue(max(4, WAITING_BYTES // _tensor_bytes(settings)), written) as writes,
    ):
        labels = (
            stack.enter_context(true_labels(job.path, rotate180=settings.rotate180))
            if job.truth
            else None
        )
        events_a_sample = recording.n_events / max(1, job.samples)
        for row, t0_us, tensors in encoded_samples(
            recording,
            settings,
            hot_pixels=job.hot_pixels,
            threads=job.threads,
            device=job.device,
            have=lambda sample_id: all(path.exists() for path in targets(sample_id)),
            part=job.part,
        ):
            if tensors:
                for path, tensor in zip(targets(row.id), tensors, strict=True):
                    writes.submit(write_tensor, path, tensor.copy())
            picture = frame_file(root, sample_id=row.id)
            if row.frame >= 0 and not picture.exists():
                writes.submit(write_image, picture, recording.frames.image(row.frame))
            labelled = label_file(root, labels=TRUTH, sample_id=row.id)
            if labels is not None and row.frame >= 0 and not labelled.exists():
                writes.submit(write_image, labelled, labels.of_frame(row.frame))
            rows.append(row)
            if settings.anchor.kind == "count":
                longest_us = max(longest_us, row.t_us - t0_us)
            tick(events_a_sample * len(rows))
    if settings.anchor.kind != "count":
        return rows
    # The splits of windows of a fixed count depend on the longest of them.
    return with_splits(rows, settings, longest_us=longest_us)


def _tensor_bytes(settings: Settings) -> int:
    channels, height, width = settings.encoding.shape
    return channels * height * width * settings.encoding.array_dtype.itemsize


class _WriteQueue:
    """Writes files in a few threads, and holds its caller back when too many wait."""

    def __init__(self, limit: int, written: list[Path]) -> None:
        self._limit = limit
        self._written = written
        self._pool = ThreadPoolExecutor(WRITING_THREADS)
        self._waiting: deque[Future[None]] = deque()

    def submit(self, write: Callable[..., None], path: Path, *arguments: object) -> None:
        """Write a file later; an earlier write that failed raises here."""
        while len(self._waiting) >= self._limit:
            self._waiting.popleft().result()
        self._written.append(path)
        self._waiting.append(self._pool.submit(write, path, *arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for write in self._waiting:
                write.result()
