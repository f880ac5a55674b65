"""Job of converting one of several recordings with the same settings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from eventseg.dataset.conversion.records import ConvertedRecording, files_of, has_sizes
from eventseg.dataset.conversion.request import ConvertSetting
from eventseg.dataset.encode import file_state
from eventseg.dataset.jobs.job import Tick
from eventseg.errors import DatasetError, OutputError, RecordingError
from eventseg.files.digests import digest_of
from eventseg.recordings.formats import open_recording
from eventseg.recordings.progress import Progress
from eventseg.recordings.truth import truth_path
from eventseg.recordings.truth_pair import is_anothers
from eventseg.recordings.writers.convert import check_sensor, convert

READING = 0.25
"""Share of a job's progress that its first reading takes, of index and digest."""


@dataclass(frozen=True, slots=True)
class ConvertJob:
    """A recording to convert.

    Parameters
    ----------
    source, target, record : Path
        The recording, the file to make and the file that says that it is done.
    seen : str
        Path of the recording as seen from the folder.
    setting : ConvertSetting
    before : ConvertedRecording, optional
        Result of an earlier run.
    """

    source: Path
    target: Path
    record: Path
    seen: str
    setting: ConvertSetting
    before: ConvertedRecording | None


@dataclass(frozen=True, slots=True)
class ConvertResult:
    """A converted recording, and whether this job has converted it."""

    recording: ConvertedRecording
    made: bool


def convert_recording(job: ConvertJob, tick: Tick) -> ConvertResult:
    """Convert a recording in whichever process, or keep the whole file that is there.

    Ticks in bytes of the recording.

    Raises
    ------
    RecordingError
        The recording cannot be read, has no event in the part, does not fit into the format, or
        has changed meanwhile.
    DatasetError
        The file that is there was made of another recording.
    OutputError
        The file cannot be written.
    """
    state = file_state(job.source)
    before = None if job.before is None or not _is_whole(job, job.before) else job.before
    made = before is None
    try:
        entry = _converted(job, tick, state[0]) if before is None else before
    except RecordingError:
        _check_unchanged(job, state, made=made, made_truth=False)
        raise
    _check_unchanged(job, state, made=made, made_truth=bool(entry.truth_sha256))
    entry = replace(entry, source=job.seen)  # the recording may have moved
    entry.write(job.record)
    tick(state[0])
    return ConvertResult(entry, made)


def _check_unchanged(
    job: ConvertJob, state: tuple[int, int], *, made: bool, made_truth: bool
) -> None:
    """Raise an error where the recording has changed meanwhile; what came of it is removed."""
    try:
        if file_state(job.source) == state:
            return
        reason = "has changed"
    except RecordingError:
        reason = "has gone"
    if made:
        job.target.unlink(missing_ok=True)
        if made_truth:
            truth_path(job.target).unlink(missing_ok=True)
    raise RecordingError(f"{job.source} {reason} while it was converted; restore it and run again")


def _is_whole(job: ConvertJob, before: ConvertedRecording) -> bool:
    """Return whether the file is as it was made; raise where it was made of something else."""
    if digest_of(job.source) != before.source_sha256:
        raise DatasetError(
            f"{job.source} is not the recording that {job.target} was made of; give another "
            "--out, or --overwrite"
        )
    truth = _truth_digest(job.source)
    if truth and truth != before.source_truth_sha256:
        return False  # it came later, or was made again
    root, suffix = job.target.parent, job.setting.suffix
    return has_sizes(root, suffix, before) and all(
        digest_of(path) == digest for path, _, digest in files_of(root, suffix, before)
    )


def _truth_digest(recording: Path) -> str:
    """Return the digest of the truth beside a recording; empty without one of its own."""
    truth = truth_path(recording)
    return digest_of(truth) if truth.is_file() and not is_anothers(truth, recording) else ""


def _converted(job: ConvertJob, tick: Tick, size: int) -> ConvertedRecording:
    """Convert the recording; its digest is taken beside the index, which reads the same bytes."""
    setting = job.setting

    def report(now: Progress) -> None:
        reading = now.stage != "convert"
        tick(size * (READING * now.share if reading else READING + (1 - READING) * now.share))

    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(digest_of, job.source)
        with open_recording(
            job.source,
            sensor=setting.sensor,
            rotate180=setting.rotate180,
            **setting.choices.arguments,
            progress=report,
        ) as recording:
            try:
                check_sensor(setting.suffix, recording.sensor)
            except OutputError as error:  # of this recording, not of the folder
                raise RecordingError(f"{job.source}: {error}") from error
            done = convert(
                recording,
                job.target,
                begin_us=setting.begin_us,
                end_us=setting.end_us,
                overwrite=True,
                progress=report,
            )
        return ConvertedRecording(
            name=job.target.name.removesuffix(setting.suffix),
            source=job.seen,
            source_bytes=size,
            source_sha256=digest.result(),
            bytes=job.target.stat().st_size,
            sha256=digest_of(job.target),
            events=done.events,
            frames=done.frames,
            imu=done.imu,
            specials=done.specials,
            shift_us=done.shift_us,
            lost=done.lost,
            version=metadata.version("eventseg"),
            truth_bytes=0 if done.truth is None else done.truth.stat().st_size,
            truth_sha256="" if done.truth is None else digest_of(done.truth),
            truth_left=done.truth_left,
            source_truth_sha256=_truth_digest(job.source),
        )
