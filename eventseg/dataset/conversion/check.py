"""Check of a folder of converted recordings: every file is there as it was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventseg.dataset.conversion.folder import remains
from eventseg.dataset.conversion.records import (
    MANIFEST,
    PARTIAL,
    ConvertedRecording,
    files_of,
    read_recordings,
    read_settings,
)
from eventseg.dataset.jobs.shard import SHARDS
from eventseg.errors import EventsegError
from eventseg.files.digests import digest_of
from eventseg.files.locks import locked

CURE = "run the same convert again, which makes it again"


def check_conversion(path: str | Path) -> tuple[list[str], list[str]]:
    """Return the problems of a folder of converted recordings, and remarks that are none.

    Every file is compared with its digest. A recording that is no longer where it was is no
    problem; one of another size is a remark.

    Examples
    --------
    >>> check_conversion("as_raw")
    ([], [])
    """
    root = Path(path)
    if (root / SHARDS).is_dir():
        return [f"{root}: shards of a job array: run eventseg merge {root}"], []
    try:
        found, recordings = read_settings(root), read_recordings(root)
    except EventsegError as error:
        return [str(error)], []
    if found is None:
        return [f"{root}: {PARTIAL} has no settings; remove it and convert again"], []
    settings, names = found
    suffix = f".{settings['format']}"
    problems = []
    if (root / PARTIAL).is_dir():
        missing = len(names - recordings.keys())
        problems.append(
            f"{root}: {missing} of {len(names)} recordings are not converted yet: run the same "
            "convert again to go on"
            if missing or not (root / MANIFEST).is_file()
            else f"{root}: {PARTIAL} is left over from a stopped run; run the same convert again"
        )
    problems += [f"{root}: {line}" for line in _files(root, suffix, recordings)]
    problems += [
        f"{root}: {left.name} is left over from a stopped run: --repair removes it"
        for left in remains(root, settings, names)
    ]
    remarks = [
        f"{one.source} has {source.stat().st_size:,} bytes, and {one.name}{suffix} was made of "
        f"{one.source_bytes:,}"
        for one in recordings.values()
        if (source := root / one.source).is_file() and source.stat().st_size != one.source_bytes
    ]
    return problems, remarks


def repair_conversion(path: str | Path) -> list[str]:
    """Remove files that killed processes have left in a folder, and return the names of the files.

    Raises
    ------
    OutputError
        Another process writes into the folder, or its lists cannot be read.
    """
    root = Path(path)
    with locked(root, doing="converting"):
        found = read_settings(root)
        left = [] if found is None else remains(root, *found)
        for file in left:
            file.unlink(missing_ok=True)
    return [f"{file.name} removed" for file in left]


def _files(root: Path, suffix: str, recordings: dict[str, ConvertedRecording]) -> Iterator[str]:
    for _, one in sorted(recordings.items()):
        for file, size, digest in files_of(root, suffix, one):
            if not file.is_file():
                yield f"{file.name} is missing; {CURE}"
            elif file.stat().st_size != size:
                yield f"{file.name} has {file.stat().st_size:,} bytes of {size:,}; {CURE}"
            elif digest_of(file) != digest:
                yield f"{file.name} is not as it was made, by its digest; {CURE}"
