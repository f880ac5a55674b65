"""Conversion of several recordings into a folder, which can be resumed to the same bytes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.dataset.conversion.folder import ConversionFolder, made_folder
from eventseg.dataset.conversion.job import ConvertJob, ConvertResult, convert_recording
from eventseg.dataset.conversion.records import ConvertedRecording
from eventseg.dataset.conversion.request import ConvertSetting, Source, find_sources
from eventseg.dataset.jobs.job import TRIES
from eventseg.dataset.jobs.shard import Shard
from eventseg.dataset.jobs.workers import Workers, open_workers
from eventseg.events import SensorSize
from eventseg.files.locks import locked
from eventseg.files.paths import relative_to
from eventseg.files.texts import counted
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.recordings.writers.conversion import loss_line, truth_lines
from eventseg.recordings.writers.convert import WRITTEN

DOING = "converting"


@dataclass(frozen=True, slots=True)
class ConversionSummary:
    """Result of converting several recordings.

    Parameters
    ----------
    path : Path
        The folder.
    format : str
        Format of its files, as the suffix without the dot.
    recordings : tuple of ConvertedRecording
        Those that were asked for, by name.
    converted : int
        Recordings that this call converted; the others were there.
    shard : Shard, optional
        Shard of a job array; None for all recordings.
    """

    path: Path
    format: str
    recordings: tuple[ConvertedRecording, ...]
    converted: int
    shard: Shard | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {
            "folder": str(self.path),
            "format": self.format,
            "shard": None if self.shard is None else str(self.shard),
            "recordings": [one.name for one in self.recordings],
            "converted": self.converted,
            "events": sum(one.events for one in self.recordings),
            "bytes": sum(one.bytes for one in self.recordings),
            "lost": dict(self._lost()),
            "truths": [one.name for one in self.recordings if one.truth_sha256],
        }

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        done = "" if self.shard is None else f"shard {self.shard} done, "
        count, events = len(self.recordings), sum(one.events for one in self.recordings)
        size = sum(one.bytes for one in self.recordings)
        lines = [
            f"{self.path}: {done}{counted(count, 'recording')}, {counted(events, 'event')}, "
            f"{size / 1e6:,.1f} MB; {WRITTEN[f'.{self.format}']}"
        ]
        if self.converted < count:
            kept = count - self.converted
            lines.append(f"  {kept:,} of them were there before and are whole")
        truths = sum(bool(one.truth_sha256) for one in self.recordings)
        if truths:
            lines.append(f"  {truths:,} of them with their truth files")
        lines += loss_line(self._lost())
        lines += truth_lines(self._lost(), (one.truth_left for one in self.recordings))
        shifted = sum(one.shift_us != 0 for one in self.recordings)
        if shifted:
            lines.append(
                f"  times of {shifted:,} are less than in the source, by the shift_us of each in "
                "conversion.toml"
            )
        if self.shard is not None:
            lines.append(f"  when all {self.shard.of} are done: eventseg merge {self.path}")
        return lines

    def _lost(self) -> Counter[str]:
        lost: Counter[str] = Counter()
        for one in self.recordings:
            lost.update(one.lost)
        return lost


def convert_into(
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    format: str,
    begin_us: int = 0,
    end_us: int | None = None,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    choices: FileChoices = NO_CHOICES,
    overwrite: bool = False,
    jobs: int = 1,
    scheduler: str | None = None,
    tries: int = TRIES,
    progress: Report = no_report,
) -> ConversionSummary:
    """Convert recordings into a folder, each under its own name, or finish a stopped run.

    Each file has the bytes that :func:`eventseg.convert` gives it. ``conversion.toml`` comes last:
    settings, digests, counts and losses of each. A later call with the same settings keeps every
    file that is whole and whose recording is the same, by their digests, and adds others.

    Parameters
    ----------
    sources : path or sequence of path
        Recordings of different names, or folders of recordings.
    out : path
        Folder to make.
    format : {"hdf5", "aedat4", "raw", "h5", "npz", "csv"}
        Format of the files, by the suffix of :func:`eventseg.convert`.
    begin_us, end_us : int
        Part of each recording in us from its first event on; by default all of it.
    sensor : SensorSize, optional
        Size of the sensor of recordings that do not say it.
    rotate180 : bool
        Turn events and frames of all of them by 180 degrees, as :func:`eventseg.convert`.
    choices : FileChoices
        Camera, unit of times and shift of the frames of the recordings.
    overwrite : bool
        Convert all of them again, and remove what was converted into the folder with other
        settings.
    jobs : int
        Processes; a script that asks for more than one needs ``if __name__ == "__main__":``.
    scheduler : str, optional
        Dask cluster that converts in place of processes of this machine: address of its
        scheduler, path of its scheduler file, or ``local`` for one of so many ``jobs`` here.
    tries : int
        Times that a recording is tried whose process is lost or fails in an unknown way.
    progress : callable
        Called with the bytes of all recordings; the note is the rate of events of those that are
        done.

    Raises
    ------
    RecordingError, DatasetError, WindowError
        No such recordings, two of one name, or a part that cannot be.
    OutputError
        An unknown format, a folder that cannot be written, that holds recordings converted
        otherwise, or files of those names that something else made.
    JobsError, MissingExtraError, ClusterError
        Some recordings could not be converted, the others are; a package is not installed; the
        cluster cannot be used.

    Examples
    --------
    >>> made = convert_into(["drive.hdf5"], "as_raw", format="raw")
    >>> [path.name for path in sorted(made.path.iterdir())]
    ['conversion.toml', 'drive.raw']
    """
    setting = ConvertSetting(
        format=format,
        begin_us=begin_us,
        end_us=end_us,
        sensor=sensor,
        rotate180=rotate180,
        choices=choices,
    )
    found = find_sources(sources)
    setting.check(Path(out))
    root = made_folder(Path(out))
    with ExitStack() as stack:
        stack.enter_context(locked(root, doing=DOING))
        folder = ConversionFolder(root, setting, found, overwrite=overwrite)
        workers = min(jobs, len(found))
        pool = stack.enter_context(
            open_workers(workers=workers, scheduler=scheduler, tries=tries, folder=root.absolute())
        )
        folder.begin()
        results = convert_sources(folder, found, pool=pool, progress=progress)
        folder.finish(one.recording for one in results)
    return summary_of(folder, results)


def convert_sources(
    folder: ConversionFolder, sources: Sequence[Source], *, pool: Workers, progress: Report
) -> list[ConvertResult]:
    """Convert recordings of a folder, or keep what is whole, and return the results by name."""
    # A cluster has the folder under the same absolute path.
    root = folder.root.absolute()
    # The largest first, so that no worker is left with one at the end.
    ordered = sorted(sources, key=lambda source: (-source.size, source.name))
    jobs = [
        ConvertJob(
            source.path,
            root / folder.file(source.name).name,
            root / folder.record(source.name).relative_to(folder.root),
            relative_to(source.path, root),
            folder.setting,
            folder.before.get(source.name),
        )
        for source in ordered
    ]
    total = sum(source.size for source in sources)
    results: dict[int, ConvertResult] = {}
    begin_s = time.monotonic()

    def report(done: float) -> None:
        spent_s = time.monotonic() - begin_s
        events = sum(one.recording.events for one in results.values() if one.made)
        rate = f", {events / spent_s / 1e6:.2f} M events/s" if events and spent_s > 0.5 else ""
        note = f"{len(results)} of {len(jobs)} recordings{rate}"
        progress(Progress("convert", int(done), total, "B", note))

    pool.run(
        convert_recording,
        jobs,
        progress=report,
        finished=results.__setitem__,
        title=lambda index: ordered[index].name,
    )
    return sorted(results.values(), key=lambda one: one.recording.name)


def summary_of(
    folder: ConversionFolder, results: Sequence[ConvertResult], shard: Shard | None = None
) -> ConversionSummary:
    """Return the summary of converted recordings."""
    return ConversionSummary(
        folder.root,
        folder.setting.format,
        tuple(one.recording for one in results),
        sum(one.made for one in results),
        shard,
    )
