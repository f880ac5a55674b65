"""One shard of a data set, by which the tasks of a job array encode it side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
from eventseg.dataset.manifest import Manifest, RecordingEntry, difference
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
from eventseg.dataset.table import Row, write_rows
from eventseg.device import thread_count
from eventseg.errors import DatasetError, OutputError, RecordingError
from eventseg.files import whole
from eventseg.files.locks import locked
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.words import counted

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
    claim(root, folders)
    with contextlib.ExitStack() as stack:
        for folder in {root, *folders}:
            stack.enter_context(locked(folder, shared=True))
        # Marks the folder as what it is, should this shard be killed before its record.
        (root / SHARDS).mkdir(exist_ok=True)
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
        check_space(
            root,
            needed=sum(
                _bytes_of(of_shard[group], found, group, part) for group, found, part in work
            ),
            free=free_bytes(root),
        )
        _record(shard, root, {folders[group]: manifest for group, manifest in of_shard.items()})
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
                "folder": _name(root, folders[group]),
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
                "folders": [_name(root, folder) for folder in folders],
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


def _record(shard: Shard, root: Path, manifests: Mapping[Path, Manifest]) -> None:
    """Record the settings and recordings of a shard before its first file, as all others have them.

    Files of a stopped run are kept, so that those of other settings must not become its own. Each
    shard writes its record before it reads the others': of two that begin together one at least
    sees the other.

    Raises
    ------
    DatasetError
        A shard was encoded otherwise, or files are there that no shard has recorded.
    """
    cure = f"remove {root} and run all shards again"
    written: list[Path] = []
    try:
        for folder, manifest in manifests.items():
            name = _name(root, folder)
            # Before the records are looked for: a shard that is running writes its record first.
            unknown = any((folder / kind).exists() for kind in ("tensors", "frames", "labels"))
            mine = shard.folder(root) / name / MANIFEST
            kept: tuple[RecordingEntry, ...] = ()
            if mine.exists():
                before = Manifest.read(mine)
                _compare(before, manifest, shard=mine.parent.name, root=root, cure=cure)
                names = {entry.name for entry in manifest.recordings}
                kept = tuple(one for one in before.recordings if one.name not in names)
            else:
                written.append(mine)
            replace(manifest, recordings=(*manifest.recordings, *kept)).write(mine)
            others = sorted({*(root / SHARDS).glob(str(Path("*", name, MANIFEST)))} - {mine})
            if unknown and not others and mine in written:
                raise DatasetError(
                    f"{folder} holds files of shards whose records are gone: nothing says how they "
                    f"were encoded; {cure}"
                )
            for other in others:
                place = other.relative_to(root / SHARDS).parts[0]
                _compare(Manifest.read(other), manifest, shard=place, root=root, cure=cure)
    except DatasetError:
        for path in written:
            path.unlink(missing_ok=True)
            release(shard.folder(root), [path.parent])
        raise


def _compare(made: Manifest, asked: Manifest, *, shard: str, root: Path, cure: str) -> None:
    """Raise a DatasetError where a shard had other settings, or other files of its recordings."""
    names = {entry.name for entry in made.recordings} & {entry.name for entry in asked.recordings}
    before, now = (
        replace(one, recordings=tuple(entry for entry in one.recordings if entry.name in names))
        for one in (made, asked)
    )
    differs = difference(before, now)
    if before.version != now.version:
        differs = f"version was {before.version}, now {now.version}"
    if differs:
        raise DatasetError(
            f"{root} holds shards encoded otherwise: {differs} (shard {shard}); encode with the "
            f"same settings and recordings, or {cure}"
        )


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


def _bytes_of(manifest: Manifest, found: Survey, group: int, part: tuple[int, int]) -> int:
    samples, framed = found.samples[group]
    share = (part[1] - part[0]) / max(1, samples)
    return estimated_bytes(manifest.settings, [(part[1] - part[0], int(framed * share))])


def _events_of(found: Survey, group: int, part: tuple[int, int]) -> float:
    return found.entry.events * (part[1] - part[0]) / max(1, found.samples[group][0])


def _name(root: Path, folder: Path) -> str:
    """Return the name of a data set's folder in the output, empty for the output itself."""
    return "" if folder == root else folder.name


def _write_part(
    shard: Shard, root: Path, folder: Path, manifest: Manifest | None, rows: Sequence[Row]
) -> None:
    """Write manifest and table of a shard's part of one data set."""
    if manifest is None:
        return
    place = shard.folder(root) / _name(root, folder)
    manifest.write(place / MANIFEST)
    write_rows(place / SAMPLES, rows, windows=manifest.settings.windows)
