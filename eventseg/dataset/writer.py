"""Encoding of recordings into data set folders, which can be resumed to the same bytes."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal

from eventseg.dataset.encode import Survey, encode_into
from eventseg.dataset.folder import DatasetFolder, claim, release
from eventseg.dataset.jobs.cluster import LOCAL
from eventseg.dataset.jobs.job import TRIES, cut_work
from eventseg.dataset.jobs.shard import SHARDS
from eventseg.dataset.jobs.workers import Workers, open_workers, pieces_for
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.plan import Crop
from eventseg.dataset.request import (
    EncodeRequest,
    check_space,
    encode_job,
    encode_request,
    one_sensor,
    piece_title,
    survey,
    truth_tables,
)
from eventseg.dataset.settings import Store
from eventseg.dataset.summary import DatasetSummary, Summary
from eventseg.dataset.table import Row
from eventseg.device import Device, thread_count
from eventseg.encoding.element_type import ElementType
from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.encoding.settings import Normalisation
from eventseg.errors import OutputError
from eventseg.events import SensorSize
from eventseg.files import whole
from eventseg.files.locks import locked
from eventseg.filters.rules import Filters
from eventseg.recordings.choices import TimeUnit
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.windows import MAX_FRAME_AGE_US, Anchor


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
    scheduler: str | None = None,
    tries: int = TRIES,
    threads: int | None = None,
    ddof: Literal[0, 1] = 1,
    dtype: ElementType = "float32",
    device: Device = "cpu",
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    camera: str | int | None = None,
    time_unit: TimeUnit | None = None,
    shift_frames: str | int = 0,
    held_out: Collection[str] = (),
    validation: Collection[str] = (),
    progress: Report = no_report,
    free_bytes: Callable[[Path], int] = whole.free_bytes,
) -> Summary:
    """Encode recordings into a data set folder, or finish an interrupted run.

    Parameters
    ----------
    recordings : path or sequence of path
        One file, or files of one sensor size and of different names. Where ``NAME.truth.h5`` is
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
        Number of processes, which share stretches of recordings. More than one are spawned: a
        script that asks for them needs ``if __name__ == "__main__":``.
    scheduler : str, optional
        Dask cluster that does the work in place of processes of this machine: address of its
        scheduler, path of its scheduler file, or ``local`` for one of so many ``workers`` here.
    tries : int
        Times that a stretch is tried whose worker is lost or fails in an unknown way.
    threads : int, optional
        Threads of each process; by default an equal part of the processors.
    ddof : {0, 1}
        The standard deviation divides by ``n - ddof``.
    dtype : {"float32", "float16", "uint8"}
        Element type that raw channels are rounded to and stored in, see
        :mod:`eventseg.encoding.element_type`.
    device : {"cpu", "cuda", "auto"}
        Where to encode; the bytes are the same. Windows of a fixed count only on the CPU. Each
        worker of a cluster looks for a GPU of its own.
    sensor : SensorSize, optional
        Size of the sensor where the file does not tell.
    rotate180 : bool
        Turn recordings by 180 degrees (DDD20 has such).
    camera : str or int, optional
        Camera of files of several, by its name or number.
    time_unit : {"s", "ms", "us", "ns"}, optional
        Unit of the times of tables.
    shift_frames : str or int
        Time to add to the stamps of the frames, such as ``12ms`` or ``-12ms``, or microseconds:
        the offset that ``align`` finds.
    held_out : collection of str
        Names of recordings to hold out for test.
    validation : collection of str
        Names of recordings that validate; the others train completely. By default the end of each
        training recording validates.
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
    JobsError
        Some stretches could not be encoded; the others are done.
    MissingExtraError, ClusterError
        Dask is not installed, or its cluster cannot be used.
    OutputError
        The folder cannot be written, or has too little space.

    Examples
    --------
    >>> summary = encode_dataset(["drive.hdf5"], "encoded", windows_us=[50_000])
    >>> len(open_dataset("encoded")) == len(recording.frames)
    True
    """
    request = encode_request(
        recordings,
        out,
        windows_us=windows_us,
        anchor=anchor,
        normalise=normalise,
        representation=representation,
        filters=filters,
        max_frame_age_us=max_frame_age_us,
        crop=crop,
        store=store,
        ddof=ddof,
        dtype=dtype,
        device=device,
        sensor=sensor,
        rotate180=rotate180,
        camera=camera,
        time_unit=time_unit,
        shift_frames=shift_frames,
        held_out=held_out,
        validation=validation,
        threads=threads,
        elsewhere=scheduler not in (None, LOCAL),
    )
    root, folders = request.root, request.folders
    if (root / SHARDS).is_dir():
        raise OutputError(
            f"{root} holds shards of a job array: 'eventseg merge {root}' completes it; to encode "
            f"without them remove {root}, or give another output"
        )
    claim(root, folders)
    with contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(locked(folder))
        stack.callback(release, root, folders)
        pool = stack.enter_context(
            open_workers(
                workers=workers, scheduler=scheduler, tries=tries, folder=folders[0].absolute()
            )
        )
        surveys = survey(request.paths, request, pool=pool, progress=progress)
        size = one_sensor([(found.entry.name, found.sensor) for found in surveys])
        labels = truth_tables([(found.entry.name, found.classes) for found in surveys])
        datasets = [
            DatasetFolder(
                folder,
                Manifest(
                    request.settings(size, group),
                    request.entries(surveys, folder),
                    labels=labels,
                ),
            )
            for folder, group in zip(folders, request.groups, strict=True)
        ]
        needed = sum(
            dataset.bytes_needed([found.samples[group] for found in surveys])
            for group, dataset in enumerate(datasets)
        )
        check_space(root, needed=needed, free=free_bytes(root))
        already = [dataset.whole for dataset in datasets]
        for dataset in datasets:
            dataset.begin()
        _encode(datasets, surveys, request, pool=pool, progress=progress)
        made = [dataset.finish() for dataset in datasets]
    return Summary(
        tuple(
            DatasetSummary(folder, manifest, samples, was)
            for folder, (manifest, samples), was in zip(folders, made, already, strict=True)
        ),
        {found.entry.name: found.notes for found in surveys},
    )


def _encode(
    datasets: Sequence[DatasetFolder],
    surveys: Sequence[Survey],
    request: EncodeRequest,
    *,
    pool: Workers,
    progress: Report,
) -> None:
    """Encode the missing samples of every data set, in pieces that several workers share."""
    of_name = {found.entry.name: found for found in surveys}
    todo = [
        (dataset, name, of_name[name].samples[group][0])
        for group, dataset in enumerate(datasets)
        for name in dataset.missing
    ]
    counts = [samples for _, _, samples in todo]
    pieces = cut_work(counts, pieces=pieces_for(pool, samples=sum(counts)))
    if request.anchor.kind == "count":
        pieces = [(number, 0, samples) for number, samples in enumerate(counts)]
    threads = request.threads or max(1, thread_count() // pool.slots)
    jobs = []
    for number, start, stop in pieces:
        dataset, name, samples = todo[number]
        jobs.append(
            encode_job(
                of_name[name],
                dataset.root,
                dataset.manifest.settings,
                request,
                part=(start, stop),
                samples=samples,
                threads=threads,
            )
        )
    left = Counter(number for number, _, _ in pieces)
    parts: dict[int, dict[int, list[Row]]] = {number: {} for number in left}

    def finished(index: int, rows: list[Row]) -> None:
        number, start, _ = pieces[index]
        parts[number][start] = rows
        left[number] -= 1
        if not left[number]:
            dataset, name, _ = todo[number]
            dataset.add(
                name, [row for _, part in sorted(parts.pop(number).items()) for row in part]
            )

    total = sum(of_name[name].entry.events for _, name, _ in todo)
    pool.run(
        encode_into,
        jobs,
        progress=lambda done: progress(Progress("encode", done, total, "event")),
        finished=finished,
        title=lambda index: piece_title(todo[pieces[index][0]][1], *pieces[index][1:]),
    )
