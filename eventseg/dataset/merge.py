"""The merge of a data set's shards, which completes its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eventseg.dataset.folder import DatasetFolder, sample_files
from eventseg.dataset.jobs.shard import read_shards, remove_shards, was_merged
from eventseg.dataset.layout import MANIFEST, SAMPLES
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.dataset.request import different_files, one_sensor, truth_tables
from eventseg.dataset.shard_records import differing
from eventseg.dataset.shards import KIND
from eventseg.dataset.summary import DatasetSummary
from eventseg.dataset.table import Row, SampleTable, read_rows
from eventseg.dataset.truth import TRUTH
from eventseg.errors import DatasetError
from eventseg.files.locks import locked
from eventseg.files.whole import temporary_files


def merge_dataset(root: Path) -> tuple[DatasetSummary, ...]:
    """Complete a data set that the shards of a job array have encoded.

    Checks that every shard has ended, that they agree, that their stretches leave nothing out and
    that every file is there. The folder then holds the bytes of a run without shards.

    Parameters
    ----------
    root : Path
        Output of the shards.

    Raises
    ------
    DatasetError
        Shards that are missing, contradict each other or lack files; the message names those to
        run again.
    OutputError
        The folder cannot be written, or a shard is still running.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(root, doing="writing shards"))
        if was_merged(root):
            remove_shards(root)
            manifests = (root / MANIFEST, *sorted(root.glob(f"*/{MANIFEST}")))
            return tuple(_summary(path.parent) for path in manifests if path.is_file())
        shards = read_shards(root, kind=KIND)
        recordings = _agreed(shards, "recordings")
        summaries = []
        for name in _agreed(shards, "folders"):
            if name and Path(name).name != name:
                raise DatasetError(f"{root}: {name!r} is no name of a window length")
            folder = root / name
            stack.enter_context(locked(folder)) if name else None
            manifest, rows = _merged(root, name, shards, recordings)
            dataset = DatasetFolder(folder, manifest)
            already = dataset.whole
            if not already:
                _check_files(folder, manifest, rows)
                dataset.begin()
                dataset.add_all(rows)
            made, table = dataset.finish()
            summaries.append(DatasetSummary(folder, made, table, already))
        for path in temporary_files(root):
            path.unlink()
        remove_shards(root)
    return tuple(summaries)


def _summary(folder: Path) -> DatasetSummary:
    """Return the summary of a data set that a stopped merge has completed."""
    manifest = Manifest.read(folder / MANIFEST)
    table = SampleTable.from_rows(
        read_rows(folder / SAMPLES, windows=manifest.settings.windows),
        windows=manifest.settings.windows,
    )
    return DatasetSummary(folder, manifest, table, already=True)


def _agreed(shards: Sequence[tuple[Path, dict[str, Any]]], key: str) -> list[str]:
    """Return the entries that the records of all shards must share."""
    values = []
    for path, table in shards:
        names = table.get(key, [])
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise DatasetError(f"{path} names no {key}; run that shard again")
        values.append(names)
    for value, (path, _) in zip(values, shards, strict=True):
        if value != values[0]:
            raise DatasetError(
                f"{path.name} was run with other {key} than {shards[0][0].name}: "
                f"{', '.join(value[:5])} and {', '.join(values[0][:5])}; run it again with the same"
            )
    return values[0]


def _merged(
    root: Path,
    name: str,
    shards: Sequence[tuple[Path, dict[str, Any]]],
    recordings: Sequence[str],
) -> tuple[Manifest, dict[str, list[Row]]]:
    """Return manifest and rows of one data set from all shards that have a part of it."""
    manifests: dict[str, Manifest] = {}
    parts: dict[str, list[tuple[int, int, int, str, list[Row]]]] = {}
    for path, table in shards:
        if not (path / name / MANIFEST).exists():
            continue
        manifest = manifests[path.name] = Manifest.read(path / name / MANIFEST)
        rows = read_rows(path / name / SAMPLES, windows=manifest.settings.windows)
        try:
            mine = [part for part in table["parts"] if part["folder"] == name]
            for part in mine:
                start, stop, samples = (int(part[key]) for key in ("start", "stop", "samples"))
                of_part, rows = rows[: stop - start], rows[stop - start :]
                recording = str(part["recording"])
                if len(of_part) != stop - start or any(r.recording != recording for r in of_part):
                    raise ValueError(f"{len(of_part)} samples of {recording}, not {stop - start}")
                parts.setdefault(recording, []).append((start, stop, samples, path.name, of_part))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(
                f"{path} contradicts itself ({error}); run that shard again"
            ) from error
    entries = _entries(root, manifests)
    if sorted(entries) != sorted(recordings):
        raise DatasetError(f"{root}: no shard has {', '.join(set(recordings) - set(entries))}")
    (first, *_) = manifests.values()
    different_files(list(entries.values()))
    one_sensor([(shard, manifest.settings.sensor) for shard, manifest in manifests.items()])
    labels = truth_tables(
        [(shard, manifest.labels.get(TRUTH)) for shard, manifest in manifests.items()]
    )
    whole = replace(
        first, recordings=tuple(entries[recording] for recording in recordings), labels=labels
    )
    return whole, {recording: _joined(recording, parts) for recording in recordings}


def _entries(root: Path, manifests: Mapping[str, Manifest]) -> dict[str, RecordingEntry]:
    """Return the entry of each recording, which all shards with a part of it must have alike."""
    if not manifests:
        return {}
    (name, first), *_ = manifests.items()
    entries: dict[str, RecordingEntry] = {}
    for shard, manifest in manifests.items():
        same = replace(manifest, recordings=first.recordings)
        differs = differing(first, same)
        if differs:
            raise DatasetError(
                f"shards {name} and {shard} differ: {differs}; remove {root} and run all shards "
                "again"
            )
        for entry in manifest.recordings:
            before = entries.setdefault(entry.name, entry)
            if before.sha256 != entry.sha256 or before.truth_sha256 != entry.truth_sha256:
                raise DatasetError(
                    f"recording {entry.name} or its truth has changed between shards (seen by "
                    f"{shard}): remove {root} and run all shards again"
                )
    return entries


def _joined(
    recording: str, parts: Mapping[str, list[tuple[int, int, int, str, list[Row]]]]
) -> list[Row]:
    """Return the rows of a recording from its parts, which must leave nothing out."""
    joined: list[Row] = []
    of_recording = sorted(parts.get(recording, []), key=lambda part: part[:2])
    for start, _stop, samples, shard, rows in of_recording:
        if start != len(joined) or samples != of_recording[0][2]:
            raise DatasetError(
                f"samples {len(joined)} to {start - 1} of {recording} are in no shard, or twice "
                f"(shard {shard}); run all shards again"
            )
        joined += rows
    if not of_recording or len(joined) != of_recording[0][2]:
        raise DatasetError(f"samples of {recording} from {len(joined)} on are in no shard")
    return joined


def _check_files(folder: Path, manifest: Manifest, rows: Mapping[str, list[Row]]) -> None:
    """Raise an error that names files of the shards that are not there."""
    missing = [
        path
        for entry in manifest.recordings
        for row in rows[entry.name]
        for path in sample_files(folder, manifest.settings, row, truth=bool(entry.truth_sha256))
        if not path.is_file()
    ]
    if missing:
        shown = ", ".join(str(path.relative_to(folder)) for path in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DatasetError(
            f"{folder} lacks {len(missing)} files of its shards: {shown}{more}; run the shards "
            "again that wrote them"
        )
