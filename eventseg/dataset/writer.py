"""Encoding of recordings into data set folders, which can be resumed to the same bytes."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from eventseg import files
from eventseg.dataset.encode import EncodeJob, Survey, SurveyJob, encode_into, survey_recording
from eventseg.dataset.folder import DatasetFolder, claim, release
from eventseg.dataset.jobs import run_jobs
from eventseg.dataset.manifest import (
    Manifest,
    RecordingEntry,
    Settings,
    Store,
    canonical,
    relative_to,
)
from eventseg.dataset.plan import Crop, crop_rows, recording_names, window_groups
from eventseg.dataset.table import Row, SampleTable
from eventseg.dataset.truth import TRUTH
from eventseg.device import Device, choose_encoder, thread_count
from eventseg.encoding.element_type import ElementType
from eventseg.encoding.representation import MEAN_STD, Representation, to_representation
from eventseg.encoding.settings import Normalisation, encoding_of
from eventseg.errors import DatasetError, DeviceError, OutputError, RecordingError
from eventseg.events import SensorSize
from eventseg.files import locked
from eventseg.filters.rules import Filters, to_filters
from eventseg.labels.maps import ClassTable
from eventseg.labels.tables import described
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.windows import MAX_FRAME_AGE_US, Anchor, format_duration, to_anchor


@dataclass(frozen=True, eq=False, slots=True)
class DatasetSummary:
    """Summary of a complete data set; ``already`` is true where it was complete before."""

    path: Path
    manifest: Manifest
    samples: SampleTable
    already: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {
            "data": str(self.path),
            "already": self.already,
            "samples": len(self.samples),
            "splits": dict(sorted(Counter(self.samples.split).items())),
            "shape": list(self.manifest.settings.encoding.shape),
            "settings": self.manifest.settings.to_dict(),
            "labels": {name: len(table) for name, table in self.manifest.labels.items()},
            "recordings": {
                entry.name: {
                    "events": entry.events,
                    "frames": entry.frames,
                    "dropped": dict(entry.dropped),
                }
                for entry in self.manifest.recordings
            },
        }

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        settings = self.manifest.settings
        row0, row1 = settings.rows
        split = ", ".join(f"{n} {name}" for name, n in sorted(Counter(self.samples.split).items()))
        state = "already whole, left alone" if self.already else "done"
        return [
            f"{self.path}: {state}",
            f"  {len(self.samples):,} samples ({split or 'no split'}), "
            f"anchor {settings.anchor}, windows {', '.join(settings.windows)}",
            f"  tensors {' x '.join(map(str, settings.encoding.shape))} "
            f"{settings.encoding.normalise} {settings.encoding.array_dtype}, "
            f"rows {row0}-{row1 - 1} of {settings.sensor}, store {settings.store}",
            *(
                f"  labels {name}, {len(table)} classes"
                for name, table in self.manifest.labels.items()
            ),
            *(
                f"  {entry.name}: {entry.events:,} events in "
                f"{(entry.t_last_us - entry.t_first_us) / 1e6:.3f} s, {entry.frames:,} frames"
                f"{dropped_words(entry)}"
                for entry in self.manifest.recordings
            ),
        ]


def dropped_words(entry: RecordingEntry) -> str:
    """Return the number of events that each filter dropped, as text; empty without filters."""
    if not entry.dropped:
        return ""
    share = sum(entry.dropped.values()) / max(1, entry.events)
    pixels = f" of {len(entry.hot_pixels):,} pixels" if "hot" in entry.dropped else ""
    each = ", ".join(
        f"{count:,} {name}{pixels if name == 'hot' else ''}"
        for name, count in entry.dropped.items()
    )
    return f"; dropped {each} ({share:.1%} of all events)"


@dataclass(frozen=True, slots=True)
class Summary:
    """Summaries of the data sets of one run, and the notes of reading each recording."""

    datasets: tuple[DatasetSummary, ...]
    notes: dict[str, tuple[str, ...]]


def encode_dataset(
    recordings: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    windows_us: str | int | Sequence[str | int] | None = None,
    anchor: str | Anchor = "frame",
    normalise: Normalisation = "raw",
    representation: str | Representation = MEAN_STD,
    filters: Filters | str | Iterable[str] = (),
    max_frame_age_us: int | None = MAX_FRAME_AGE_US,
    crop: Crop = "auto",
    store: Store = "npy",
    workers: int = 1,
    threads: int | None = None,
    ddof: Literal[0, 1] = 1,
    dtype: ElementType = "float32",
    device: Device = "cpu",
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    held_out: Collection[str] = (),
    progress: Report = no_report,
    free_bytes: Callable[[Path], int] = files.free_bytes,
) -> Summary:
    """Encode recordings into a data set folder, or finish what a killed run began.

    Parameters
    ----------
    recordings : path or sequence of path
        One file, or files of one sensor size and of different names. Where ``NAME.truth.h5`` lies
        beside ``NAME.hdf5``, its labels of the frames become the label set ``truth``.
    out : path
        Folder to make. With the ``evsegnet`` anchor it gets one data set a window length,
        ``OUT/10ms``, ``OUT/50ms``, since their samples differ.
    windows_us : str, int or sequence of them, optional
        Window lengths in us, or as durations such as ``50ms``; 50 ms by default, none with a
        ``count`` anchor.
    anchor : str or Anchor
        Placing of the windows, see :func:`eventseg.windows.cut_windows`.
    normalise : {"raw", "sqrt", "evsegnet"}
        Values to store; raw tensors are normalised on load. Representations other than
        ``mean-std`` are raw.
    representation : str or Representation
        Meaning of the channels, see :func:`eventseg.encoding.representation.parse_representation`.
    filters : Filters, str or iterable of str
        Events to drop before the windows are filled; none by default. They are defined on each
        entire recording, which is read once more for them, twice to find hot pixels.
    max_frame_age_us : int or None
        Largest age of a frame at the end of a window that it does not anchor (``stride``,
        ``count``, ``evsegnet``); a window whose latest frame is older has none. None for any.
    crop : "auto", "none" or (row0, row1)
        Sensor rows that tensors keep; ``auto`` keeps rows 0-199 of a 346x260 sensor, as
        EV-SegNet did, and all rows of others. Frames keep all rows.
    store : {"npy", "npz", "none"}
        How to store tensors; with ``none`` only frames and the table are written.
    workers : int
        Number of processes; each gets recordings of its own. More than one are spawned: a script
        that asks for them needs ``if __name__ == "__main__":``.
    threads : int, optional
        Threads of each process; by default an equal part of the processors.
    ddof : {0, 1}
        The standard deviation divides by ``n - ddof``.
    dtype : {"float32", "float16", "uint8"}
        Element type that raw channels are rounded to and stored in, see
        :mod:`eventseg.encoding.element_type`.
    device : {"cpu", "cuda", "auto"}
        Where to encode; the bytes are the same. Windows of a fixed count only on the CPU.
    sensor : SensorSize, optional
        Size of the sensor where the file does not tell.
    rotate180 : bool
        Turn recordings by 180 degrees (DDD20 has such).
    held_out : collection of str
        Names of recordings to hold out for test.
    progress : callable
        Called many times a second, in bytes while recordings are read first, then in events.
    free_bytes : callable
        Returns the free space in bytes for a path.

    Returns
    -------
    Summary
        Summaries of the complete data sets.

    Raises
    ------
    RecordingError, WindowError
        A recording cannot be read, or the windows cannot be had from it.
    DeviceError
        ``cuda`` where no GPU can be used, or for windows of a fixed count.
    DatasetError
        The folder holds a data set of other settings or recordings.
    OutputError
        The folder cannot be written, or has too little space.

    Examples
    --------
    >>> summary = encode_dataset(["drive.hdf5"], "encoded", windows_us=[50_000])
    >>> len(open_dataset("encoded")) == len(recording.frames)
    True
    """
    root = Path(out)
    anchor, filters = to_anchor(anchor), to_filters(filters)
    representation = to_representation(representation)
    given = [recordings] if isinstance(recordings, str | Path) else recordings
    paths = sorted((canonical(Path(path)) for path in given), key=lambda path: path.stem)
    names = recording_names(paths, held_out=held_out)
    groups = window_groups(anchor, windows_us, store=store)
    if ddof not in (0, 1) or workers < 1:
        raise DatasetError(f"ddof must be 0 or 1 and workers at least 1, got {ddof} and {workers}")
    if threads is not None and threads < 1:
        raise DatasetError(f"threads must be at least 1, got {threads}")
    if normalise != "raw" and representation != MEAN_STD:
        raise DatasetError(f"representation {representation} must be stored raw, got {normalise}")
    if anchor.kind == "count" and device == "cuda":
        raise DeviceError(f"windows of anchor {anchor} are encoded on the CPU: use device cpu")
    encoder = choose_encoder(device).name
    folders = [
        root / format_duration(group[0]) if anchor.kind == "evsegnet" else root for group in groups
    ]
    workers = min(workers, len(paths))
    claim(root, folders)
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(locked(folder))
        stack.callback(release, root, folders)
        surveys = _survey(
            [
                SurveyJob(path, anchor, groups, sensor, rotate180, filters, max_frame_age_us)
                for path in paths
            ],
            workers=workers,
            progress=progress,
        )
        size = _one_sensor(surveys)
        rows = crop_rows(crop, sensor=size)
        labels = _one_class_table(surveys)
        datasets = []
        for folder, group in zip(folders, groups, strict=True):
            settings = Settings(
                anchor=anchor,
                windows_us=group,
                encoding=encoding_of(
                    size,
                    rows=rows,
                    representation=representation,
                    normalise=normalise,
                    ddof=ddof,
                    filters=tuple(filters.names.values()),
                    dtype=dtype,
                ),
                store=store,
                rotate180=rotate180,
                held_out=tuple(sorted(held_out)),
                max_frame_age_us=max_frame_age_us,
            )
            entries = tuple(
                replace(survey.entry, path=relative_to(path, folder))
                for path, survey in zip(paths, surveys, strict=True)
            )
            datasets.append(DatasetFolder(folder, Manifest(settings, entries, labels=labels)))
        needed = sum(
            dataset.bytes_needed([survey.samples[group] for survey in surveys])
            for group, dataset in enumerate(datasets)
        )
        if needed > (free := free_bytes(root)):
            raise OutputError(
                f"{root} needs about {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free; "
                "make room, or use --store npz or none, fewer windows or a longer stride"
            )
        already = [dataset.whole for dataset in datasets]
        for dataset in datasets:
            dataset.begin()
        _encode(
            datasets,
            dict(zip(names, paths, strict=True)),
            workers=workers,
            threads=max(1, thread_count() // workers) if threads is None else threads,
            device=encoder,
            progress=progress,
        )
        made = [dataset.finish() for dataset in datasets]
    return Summary(
        tuple(
            DatasetSummary(folder, manifest, samples, was)
            for folder, (manifest, samples), was in zip(folders, made, already, strict=True)
        ),
        {name: survey.notes for name, survey in zip(names, surveys, strict=True)},
    )


def _survey(jobs: Sequence[SurveyJob], *, workers: int, progress: Report) -> list[Survey]:
    """Return the survey of each recording, in the order of the jobs."""
    found: dict[int, Survey] = {}
    try:
        total = sum(job.path.stat().st_size for job in jobs)
    except OSError as error:
        raise RecordingError(f"cannot read {error.filename}: {error.strerror}") from error
    run_jobs(
        survey_recording,
        jobs,
        workers=workers,
        progress=lambda done: progress(Progress("read", done, total, "B")),
        finished=found.__setitem__,
    )
    surveys = [found[index] for index in range(len(jobs))]
    by_digest: dict[str, str] = {}
    for survey in surveys:
        same = by_digest.setdefault(survey.entry.sha256, survey.entry.name)
        if same != survey.entry.name:
            raise DatasetError(f"recordings {same} and {survey.entry.name} are the same file")
    return surveys


def _one_sensor(surveys: Sequence[Survey]) -> SensorSize:
    first = surveys[0]
    for survey in surveys:
        if survey.sensor != first.sensor:
            raise DatasetError(
                f"recordings of one data set need one sensor size: {first.entry.name} has "
                f"{first.sensor}, {survey.entry.name} has {survey.sensor}; "
                "encode them apart or give the size with --sensor"
            )
    return first.sensor


def _one_class_table(surveys: Sequence[Survey]) -> dict[str, ClassTable]:
    """Return the classes of the label set of the truths, empty where no recording has one."""
    tables = [(survey.entry.name, survey.classes) for survey in surveys if survey.classes]
    for name, table in tables:
        first, of_first = tables[0]
        if table != of_first:
            raise DatasetError(
                f"true labels of one data set need the same classes: those of {first} and {name} "
                f"differ; encode them apart. {first}: {described(of_first)}; {name}: "
                f"{described(table)}"
            )
    return {TRUTH: tables[0][1]} if tables else {}


def _encode(
    datasets: Sequence[DatasetFolder],
    paths: Mapping[str, Path],
    *,
    workers: int,
    threads: int,
    device: Device,
    progress: Report,
) -> None:
    """Encode the missing samples of every data set."""
    todo = [(dataset, name) for dataset in datasets for name in dataset.missing]
    entries = [dataset.manifest.recording(name) for dataset, name in todo]
    total = sum(entry.events for entry in entries)

    def finished(index: int, rows: list[Row]) -> None:
        dataset, name = todo[index]
        dataset.add(name, rows)

    run_jobs(
        encode_into,
        [
            EncodeJob(
                paths[name],
                dataset.root,
                dataset.manifest.settings,
                threads,
                device,
                truth=bool(entry.truth_sha256),
                hot_pixels=entry.hot_pixels,
            )
            for (dataset, name), entry in zip(todo, entries, strict=True)
        ],
        workers=workers,
        progress=lambda done: progress(Progress("encode", done, total, "event")),
        finished=finished,
    )
