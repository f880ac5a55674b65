"""Conversion by the shards of a job array: one shard, and the merge that completes the folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

from eventseg.dataset.conversion.convert_into import (
    DOING,
    ConversionSummary,
    convert_sources,
    summary_of,
)
from eventseg.dataset.conversion.folder import ConversionFolder, complete_folder, made_folder
from eventseg.dataset.conversion.records import (
    difference,
    has_size,
    has_sizes,
    read_recordings,
    read_settings,
)
from eventseg.dataset.conversion.request import ConvertSetting, find_sources
from eventseg.dataset.jobs.job import TRIES
from eventseg.dataset.jobs.shard import SHARDS, Shard, read_shards, remove_shards, was_merged
from eventseg.dataset.jobs.workers import open_workers
from eventseg.errors import DatasetError
from eventseg.events import SensorSize
from eventseg.files.locks import locked
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.recordings.progress import Report, no_report
from eventseg.recordings.writers.convert import WRITTEN

KIND = "conversion"
"""Word for converted recordings in the records of shards."""


def convert_shard(
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    shard: Shard | str,
    format: str,
    begin_us: int = 0,
    end_us: int | None = None,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    choices: FileChoices = NO_CHOICES,
    jobs: int = 1,
    tries: int = TRIES,
    progress: Report = no_report,
) -> ConversionSummary:
    """Convert one shard of a job array: entire recordings of about ``1/N`` of the bytes of all.

    Every shard gets the same recordings and settings. :func:`merge_conversion` completes the
    folder.

    Parameters
    ----------
    sources, out, format, begin_us, end_us, sensor, rotate180, choices, jobs, tries, progress
        As for :func:`eventseg.convert_into`.
    shard : Shard or str
        ``2/5`` for the second of five, or ``slurm`` for that of the environment.

    Raises
    ------
    EventsegError
        As :func:`eventseg.convert_into`.
    """
    if isinstance(shard, str):
        shard = Shard.parse(shard)
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
    # A recording belongs to the shard that has its first byte; one without bytes is an error.
    parts = shard.parts([max(1, source.size) for source in found])
    mine = [found[number] for number, begin, _ in parts if begin == 0]
    with ExitStack() as stack:
        stack.enter_context(locked(root, doing=DOING, shared=True))
        shard.check_array(root)
        folder = ConversionFolder(root, setting, found, shared=True)
        pool = stack.enter_context(open_workers(workers=min(jobs, max(1, len(mine))), tries=tries))
        folder.begin()
        results = convert_sources(folder, mine, pool=pool, progress=progress)
        shard.write(
            root,
            {
                "kind": KIND,
                "version": metadata.version("eventseg"),
                "recordings": [source.name for source in found],
                "done": [source.name for source in mine],
                "settings": setting.to_dict(),
            },
        )
    return summary_of(folder, results, shard)


def merge_conversion(root: Path) -> ConversionSummary:
    """Complete a folder of recordings that the shards of a job array have converted.

    Raises
    ------
    DatasetError
        Shards that are missing, contradict each other or lack files; the message names those to
        run again.
    OutputError
        The folder cannot be written, or a shard is still running.
    """
    with locked(root, doing=DOING):
        if was_merged(root):
            remove_shards(root)
            made, _ = read_settings(root) or ({}, ())
            converted = tuple(read_recordings(root).values())
            return ConversionSummary(root, str(made.get("format")), converted, len(converted))
        shards = read_shards(root, kind=KIND)
        (place, first), done = shards[0], set[str]()
        try:
            names, settings = _names(first["recordings"]), dict(first["settings"])
            suffix = f".{settings['format']}"
            if suffix not in WRITTEN or not names:
                raise ValueError(f"format {settings['format']!r}, {len(names)} recordings")
            for path, table in shards:
                differs = difference(settings, table["settings"])
                if _names(table["recordings"]) != names:
                    differs = "recordings"
                if table["version"] != first["version"]:
                    differs = f"version was {first['version']}, now {table['version']}"
                if differs is not None:
                    raise DatasetError(
                        f"shards {place.name} and {path.name} differ: {differs}; run one of them "
                        "again"
                    )
                done |= set(_names(table["done"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(
                f"{root / SHARDS} contradicts itself ({error}); remove it and run all shards again"
            ) from error
        records = read_recordings(root)
        lacking = [
            name
            for name in names
            if name not in done or name not in records or not has_sizes(root, suffix, records[name])
        ]
        if lacking:
            raise DatasetError(
                f"{root} lacks {len(lacking)} recordings of its shards, such as "
                f"{lacking[0]}{suffix}; run the shards again that converted them"
            )
        # Those of an earlier call that are there stay listed, as in a run without shards.
        there = (name for name in records if has_size(root, suffix, records[name]))
        entries = tuple(records[name] for name in sorted({*names, *there}))
        complete_folder(root, settings, entries)
        remove_shards(root)
    return ConversionSummary(root, settings["format"], entries, len(entries))


def _names(value: Any) -> list[str]:
    """Return the names of a list of a record; raise ValueError for something else."""
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("names of recordings that are no list of texts")
    return value
