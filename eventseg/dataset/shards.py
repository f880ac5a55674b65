"""One shard of a data set, by which the tasks of a job array encode it side by side."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.dataset.encode import Survey, encode_into
from eventseg.dataset.folder import (
    claim,
    estimated_bytes,
    release,
)
from eventseg.dataset.jobs.job import TRIES
from eventseg.dataset.jobs.shard import SHARDS, Shard
from eventseg.dataset.jobs.workers import open_workers
from eventseg.dataset.layout import MANIFEST, SAMPLES
from eventseg.dataset.manifest import Manifest
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
from eventseg.dataset.samples import ids_of_samples
from eventseg.dataset.settings import Settings
from eventseg.dataset.shard_records import name_in, record_shard
from eventseg.dataset.table import Row, write_rows
from eventseg.device import thread_count
from eventseg.errors import OutputError, RecordingError
from eventseg.files import whole
from eventseg.files.locks import locked
from eventseg.files.texts import counted
from eventseg.recordings import open_recording
from eventseg.recordings.progress import Progress, Report, no_report

KIND = "dataset"
"""Word for a data set in the records of shards."""


@dataclass(frozen=True, slots=True)
class ShardSummary:
    """Result of one shard: its folder, its recordings and how many samples it has."""

    path: Path
    shard: Shard
    recordings: tuple[str, ...]
    samples: int
    notes: dict[str, tuple[str, ...]]

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {
            "data": str(self.path),
            "shard": str(self.shard),
            "samples": self.samples,
            "recordings": list(self.recordings),
        }

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        return [
            f"{self.path}: shard {self.shard} done, {counted(self.samples, 'sample')} of "
            f"{counted(len(self.recordings), 'recording')}",
            f"  when all {self.shard.of} are done: eventseg merge {self.path}",
        ]


def encode_shard(
    recordings: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    shard: Shard | str,
    workers: int = 1,
    tries: int = TRIES,
    progress: Report = no_report,
    free_bytes: Callable[[Path], int] = whole.free_bytes,
    **settings: Any,
) -> ShardSummary:
    """Encode one shard of a job array: stretches of about ``1/N`` of the bytes of all recordings.

    Every shard gets the same recordings, settings and folder and reads only the recordings that
    it has a stretch of. :func:`merge_dataset` completes the folder.

    Parameters
    ----------
    recordings, out, workers, tries, progress, free_bytes
        As for :func:`eventseg.dataset.writer.encode_dataset`.
    shard : Shard or str
        ``2/5`` for the second of five, or ``slurm`` for that of the environment.
    **settings
        All other parameters of :func:`eventseg.dataset.writer.encode_dataset` that determine the
        data set.

    Raises
    ------
    EventsegError
        As :func:`eventseg.dataset.writer.encode_dataset`.
    JobsError
        A shard that cannot be, or stretches that could not be encoded.
    DatasetError
        Other shards there, or an earlier run of this one, had other settings or recordings.
    OutputError
        A data set is there already, or another process writes all of it.
    """
    if isinstance(shard, str):
        shard = Shard.parse(shard)
    request = encode_request(recordings, out, **settings)
    root, folders = request.root, request.folders
    if any((folder / MANIFEST).exists() for folder in folders):
        cure = "to encode it by shards give another output"
        if (root / SHARDS).is_dir():
            cure = f"'eventseg merge {root}' ends its merge, which was stopped"
        raise OutputError(f"{root} holds a complete data set; {cure}")
    shard.check_array(root, again=root)
    claim(root, folders)
    with contextlib.ExitStack() as stack:
        for folder in {root, *folders}:
            stack.enter_context(locked(folder, shared=True))
        # Marks the folder as what it is, should this shard be killed before its record.
        try:
            (root / SHARDS).mkdir(exist_ok=True)
        except OSError as error:  # a shard that failed beside this one has removed the folder
            raise OutputError(
                f"cannot make {root / SHARDS}: {error.strerror or error}; run again"
            ) from error
        stack.callback(_release_unused, root, folders)
        try:
            weights = [path.stat().st_size for path in request.paths]
        except OSError as error:
            raise RecordingError(f"cannot read {error.filename}: {error.strerror}") from error
        shares = shard.parts(weights)
        pool = stack.enter_context(open_workers(workers=workers, tries=tries))
        surveys = survey(
            [request.paths[number] for number, _, _ in shares],
            request,
            pool=pool,
            progress=progress,
        )
        work = []
        for group in range(len(folders)):
            for found, (number, lo, hi) in zip(surveys, shares, strict=True):
                part = _samples_of(found, group, request, lo=lo, hi=hi, size=weights[number])
                if part[0] < part[1]:
                    work.append((group, found, part))
        of_shard = _manifests(request, surveys)
        parts_of = [
            (folders[group], of_shard[group].settings, found, group, part)
            for group, found, part in work
        ]
        needed, free = sum(_bytes_of(*one) for one in parts_of), free_bytes(root)
        if needed > free:
            needed = sum(max(0, _bytes_of(*one) - _bytes_there(*one)) for one in parts_of)
        check_space(root, needed=needed, free=free)
        record_shard(
            shard, root, {folders[group]: manifest for group, manifest in of_shard.items()}
        )
        rows: dict[int, list[Row]] = {}
        total = sum(_events_of(found, group, part) for group, found, part in work)
        pool.run(
            encode_into,
            [
                encode_job(
                    found,
                    folders[group],
                    of_shard[group].settings,
                    request,
                    part=part,
                    samples=found.samples[group][0],
                    threads=request.threads or max(1, thread_count() // pool.slots),
                )
                for group, found, part in work
            ],
            progress=lambda done: progress(Progress("encode", done, total, "event")),
            finished=rows.__setitem__,
            title=lambda index: piece_title(work[index][1].entry.name, *work[index][2]),
        )
        for group, folder in enumerate(folders):
            mine = [rows[i] for i, (of_group, _, _) in enumerate(work) if of_group == group]
            _write_part(
                shard, root, folder, of_shard.get(group), [r for some in mine for r in some]
            )
        parts = [
            {
                "folder": name_in(root, folders[group]),
                "recording": found.entry.name,
                "start": part[0],
                "stop": part[1],
                "samples": found.samples[group][0],
            }
            for group, found, part in work
        ]
        names = [path.stem for path in request.paths]
        shard.write(
            root,
            {
                "kind": KIND,
                "folders": [name_in(root, folder) for folder in folders],
                "recordings": names,
                "parts": parts,
            },
        )
    return ShardSummary(
        root,
        shard,
        tuple(found.entry.name for found in surveys),
        sum(map(len, rows.values())),
        {found.entry.name: found.notes for found in surveys},
    )


def _release_unused(root: Path, folders: Sequence[Path]) -> None:
    """Remove the folders of a shard that has written nothing, where no other shard has either."""
    if not any(path.is_file() for path in root.rglob("*")):
        release(root, [root / SHARDS, *folders])


def _samples_of(
    found: Survey, group: int, request: EncodeRequest, *, lo: int, hi: int, size: int
) -> tuple[int, int]:
    """Return the samples of a stretch of a recording, which is given in bytes.

    Windows of a fixed count depend on all events before them: the shard with the first byte has
    all of them.
    """
    samples = found.samples[group][0]
    if request.anchor.kind == "count":
        return (0, samples) if lo == 0 else (0, 0)
    return samples * lo // size, samples * hi // size


def _manifests(request: EncodeRequest, surveys: Sequence[Survey]) -> dict[int, Manifest]:
    """Return the manifest of each data set with the recordings of a shard; none without any."""
    if not surveys:
        return {}
    size = one_sensor([(found.entry.name, found.sensor) for found in surveys])
    labels = truth_tables([(found.entry.name, found.classes) for found in surveys])
    return {
        group: Manifest(
            request.settings(size, lengths), request.entries(surveys, folder), labels=labels
        )
        for group, (folder, lengths) in enumerate(zip(request.folders, request.groups, strict=True))
    }


def _bytes_of(
    _folder: Path, settings: Settings, found: Survey, group: int, part: tuple[int, int]
) -> int:
    """Return about how many bytes the files of a stretch take."""
    samples, framed = found.samples[group]
    share = (part[1] - part[0]) / max(1, samples)
    return estimated_bytes(settings, [(part[1] - part[0], int(framed * share))])


def _bytes_there(
    folder: Path, settings: Settings, found: Survey, _group: int, part: tuple[int, int]
) -> int:
    """Return the bytes of the tensors and frames of a stretch that an earlier run has written."""
    with open_recording(
        Path(found.entry.path),
        sensor=settings.sensor,
        rotate180=settings.rotate180,
        **settings.choices.arguments,
    ) as recording:
        ids = ids_of_samples(recording, settings, part)
    places = [(folder / "tensors" / name, f".{settings.store}") for name in settings.windows]
    return sum(
        path.stat().st_size
        for place, ending in (*places, (folder / "frames", ".png"))
        for path in (
            place.glob(f"{glob.escape(found.entry.name)}_t*{ending}")
            if ids is None
            else (place / f"{name}{ending}" for name in ids)
        )
        if path.is_file()
    )


def _events_of(found: Survey, group: int, part: tuple[int, int]) -> float:
    return found.entry.events * (part[1] - part[0]) / max(1, found.samples[group][0])


def _write_part(
    shard: Shard, root: Path, folder: Path, manifest: Manifest | None, rows: Sequence[Row]
) -> None:
    """Write manifest and table of a shard's part of one data set."""
    if manifest is None:
        return
    place = shard.folder(root) / name_in(root, folder)
    manifest.write(place / MANIFEST)
    write_rows(place / SAMPLES, rows, windows=manifest.settings.windows)
