"""Request of an encoding, checked before anything is read, and the survey of its recordings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from eventseg.dataset.encode import EncodeJob, Survey, SurveyJob, survey_recording
from eventseg.dataset.jobs.workers import Workers
from eventseg.dataset.plan import Crop, crop_rows, recording_names, window_groups
from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.dataset.settings import Settings, Store
from eventseg.dataset.truth import TRUTH
from eventseg.device import Device, choose_encoder
from eventseg.encoding.element_type import ElementType
from eventseg.encoding.representation import MEAN_STD, Representation, to_representation
from eventseg.encoding.settings import Normalisation, encoding_of
from eventseg.errors import DatasetError, DeviceError, JobsError, OutputError, RecordingError
from eventseg.events import SensorSize
from eventseg.files.paths import canonical, relative_to
from eventseg.filters.rules import Filters, to_filters
from eventseg.labels.maps import ClassTable
from eventseg.labels.tables import described
from eventseg.recordings.choices import FileChoices, TimeUnit
from eventseg.recordings.progress import Progress, Report
from eventseg.windows import MAX_FRAME_AGE_US, Anchor, format_duration, to_anchor


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeRequest:
    """Recordings and settings of a call of :func:`eventseg.dataset.writer.encode_dataset`.

    ``paths`` are canonical and sorted by name; ``groups`` are the window lengths of each data set.
    """

    root: Path
    paths: tuple[Path, ...]
    groups: tuple[tuple[int, ...], ...]
    anchor: Anchor
    normalise: Normalisation
    representation: Representation
    filters: Filters
    max_frame_age_us: int | None
    crop: Crop
    store: Store
    ddof: Literal[0, 1]
    dtype: ElementType
    device: Device
    sensor: SensorSize | None
    rotate180: bool
    choices: FileChoices
    held_out: tuple[str, ...]
    validation: tuple[str, ...]
    threads: int | None

    @property
    def folders(self) -> list[Path]:
        """Folder of each data set: the output itself, or one a window length."""
        if self.anchor.kind != "evsegnet":
            return [self.root]
        return [self.root / format_duration(group[0]) for group in self.groups]

    def settings(self, size: SensorSize, group: tuple[int, ...]) -> Settings:
        """Return the settings of the data set of some window lengths."""
        return Settings(
            anchor=self.anchor,
            windows_us=group,
            encoding=encoding_of(
                size,
                rows=crop_rows(self.crop, sensor=size),
                representation=self.representation,
                normalise=self.normalise,
                ddof=self.ddof,
                filters=tuple(self.filters.names.values()),
                dtype=self.dtype,
            ),
            store=self.store,
            rotate180=self.rotate180,
            held_out=self.held_out,
            validation=self.validation,
            max_frame_age_us=self.max_frame_age_us,
            choices=self.choices,
        )

    def entries(self, surveys: Sequence[Survey], folder: Path) -> tuple[RecordingEntry, ...]:
        """Return the entries of surveyed recordings, with paths as seen from a folder."""
        return tuple(
            replace(found.entry, path=relative_to(Path(found.entry.path), folder))
            for found in surveys
        )


def encode_request(
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
    threads: int | None = None,
    elsewhere: bool = False,
) -> EncodeRequest:
    """Return the request of an encoding; see :func:`eventseg.dataset.writer.encode_dataset`.

    With ``elsewhere`` other machines encode: each looks for its own device in its jobs.

    Raises
    ------
    DatasetError, WindowError, DeviceError
        Settings that cannot be, alone or together.
    RecordingError
        A folder in place of a recording.
    """
    anchor, filters = to_anchor(anchor), to_filters(filters)
    representation = to_representation(representation)
    given = [recordings] if isinstance(recordings, str | Path) else recordings
    paths = sorted((canonical(Path(path)) for path in given), key=lambda path: path.stem)
    for path in paths:
        if path.is_dir():
            raise RecordingError(f"{path} is a folder; give the recordings in it")
    recording_names(paths, held_out=held_out, validation=validation)
    groups = window_groups(anchor, windows_us, store=store)
    if ddof not in (0, 1):
        raise DatasetError(f"ddof must be 0 or 1, got {ddof}")
    if threads is not None and threads < 1:
        raise DatasetError(f"threads must be at least 1, got {threads}")
    if normalise != "raw" and representation != MEAN_STD:
        raise DatasetError(f"representation {representation} must be stored raw, got {normalise}")
    if anchor.kind == "count" and device == "cuda":
        raise DeviceError(f"windows of anchor {anchor} are encoded on the CPU: use device cpu")
    if anchor.kind == "count" and device == "auto":
        device = "cpu"
    if elsewhere and device not in ("cpu", "cuda", "auto"):
        raise DeviceError(
            f"device of the workers of a cluster must be cpu, cuda or auto, got {device!r}"
        )
    return EncodeRequest(
        root=Path(out),
        paths=tuple(paths),
        groups=groups,
        anchor=anchor,
        normalise=normalise,
        representation=representation,
        filters=filters,
        max_frame_age_us=max_frame_age_us,
        crop=crop,
        store=store,
        ddof=ddof,
        dtype=dtype,
        device=device if elsewhere else choose_encoder(device).name,
        sensor=sensor,
        rotate180=rotate180,
        choices=FileChoices.of(camera, time_unit, shift_frames),
        held_out=tuple(sorted(set(held_out))),
        validation=tuple(sorted(set(validation))),
        threads=threads,
    )


def survey(
    paths: Sequence[Path], request: EncodeRequest, *, pool: Workers, progress: Report
) -> list[Survey]:
    """Return the survey of each recording, in the order of the paths.

    Raises
    ------
    RecordingError, WindowError, JobsError
        Recordings that cannot be read, or that the anchor finds no window in.
    DatasetError
        Two names of one file.
    """
    found: dict[int, Survey] = {}
    try:
        total = sum(path.stat().st_size for path in paths)
    except OSError as error:
        raise RecordingError(f"cannot read {error.filename}: {error.strerror}") from error
    try:
        pool.run(
            survey_recording,
            [
                SurveyJob(
                    path,
                    request.anchor,
                    request.groups,
                    request.sensor,
                    request.rotate180,
                    request.filters,
                    request.max_frame_age_us,
                    request.choices,
                )
                for path in paths
            ],
            progress=lambda done: progress(Progress("read", done, total, "B")),
            finished=found.__setitem__,
            title=lambda index: paths[index].stem,
        )
    except JobsError as error:
        # Nothing can go on without a recording: where it is one, its own error says it best.
        if len(paths) - len(found) == 1 and isinstance(error.__cause__, Exception):
            raise error.__cause__ from None
        raise
    surveys = [found[index] for index in range(len(paths))]
    different_files([one.entry for one in surveys])
    return surveys


def encode_job(
    found: Survey,
    root: Path,
    settings: Settings,
    request: EncodeRequest,
    *,
    part: tuple[int, int],
    samples: int,
    threads: int,
) -> EncodeJob:
    """Return the job of encoding some samples of a surveyed recording."""
    return EncodeJob(
        Path(found.entry.path),
        root.absolute(),  # workers of a cluster have working folders of their own
        settings,
        threads,
        request.device,
        truth=bool(found.entry.truth_sha256),
        hot_pixels=found.entry.hot_pixels,
        part=part,
        samples=samples,
        state=found.state,
    )


def piece_title(name: str, start: int, stop: int) -> str:
    """Return the name of a piece of work in errors."""
    return f"{name}, samples {start} to {stop - 1}"


def different_files(entries: Sequence[RecordingEntry]) -> None:
    """Raise a DatasetError where two recordings are the same file."""
    by_digest: dict[str, str] = {}
    for entry in entries:
        same = by_digest.setdefault(entry.sha256, entry.name)
        if same != entry.name:
            raise DatasetError(f"recordings {same} and {entry.name} are the same file")


def one_sensor(sensors: Sequence[tuple[str, SensorSize]]) -> SensorSize:
    """Return the one sensor size of recordings, given with their names."""
    first, of_first = sensors[0]
    for name, sensor in sensors:
        if sensor != of_first:
            raise DatasetError(
                f"recordings of one data set need one sensor size: {first} has {of_first}, "
                f"{name} has {sensor}; encode them apart or give the size with --sensor"
            )
    return of_first


def truth_tables(found: Sequence[tuple[str, ClassTable | None]]) -> dict[str, ClassTable]:
    """Return the classes of the label set of the truths, empty where no recording has one."""
    tables = [(name, table) for name, table in found if table]
    for name, table in tables:
        first, of_first = tables[0]
        if table != of_first:
            raise DatasetError(
                f"true labels of one data set need the same classes: those of {first} and {name} "
                f"differ; encode them apart. {first}: {described(of_first)}; {name}: "
                f"{described(table)}"
            )
    return {TRUTH: tables[0][1]} if tables else {}


def check_space(root: Path, *, needed: int, free: int) -> None:
    """Raise an OutputError where fewer bytes are free than needed."""
    if needed > free:
        raise OutputError(
            f"{root} needs about {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} MB are free; "
            "make room, or use --store npz or none, fewer windows or a longer stride"
        )
