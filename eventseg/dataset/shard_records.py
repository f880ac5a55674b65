"""Settings and recordings of shards, recorded before their first file and compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from eventseg.dataset.folder import release
from eventseg.dataset.jobs.shard import SHARDS, Shard
from eventseg.dataset.layout import MANIFEST
from eventseg.dataset.manifest import Manifest, difference
from eventseg.dataset.recording_entry import RecordingEntry
from eventseg.errors import DatasetError


def name_in(root: Path, folder: Path) -> str:
    """Return the name of a data set's folder in the output, empty for the output itself."""
    return "" if folder == root else folder.name


def record_shard(shard: Shard, root: Path, manifests: Mapping[Path, Manifest]) -> None:
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
            name = name_in(root, folder)
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
    differs = differing(before, now)
    if differs:
        raise DatasetError(
            f"{root} holds shards encoded otherwise: {differs} (shard {shard}); encode with the "
            f"same settings and recordings, or {cure}"
        )


def differing(before: Manifest, now: Manifest) -> str | None:
    """Return how two shards differ, in words, or None where they may be merged."""
    if before.version != now.version:
        return f"version was {before.version}, now {now.version}"
    return difference(before, now)
