"""Folder of streets of one setting, a recording a seed: new, on its way, or complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from eventseg.dataset.jobs.shard import SHARDS
from eventseg.errors import OutputError
from eventseg.files.texts import read_toml
from eventseg.files.whole import write_whole
from eventseg.recordings.truth import truth_path

STREETS, UNFINISHED = "streets.toml", "streets.partial.toml"
"""Manifest, which comes last, and its place while streets are on their way."""

LEFTOVERS = ".*street-*.part"
"""Files of recordings that are being written, and of their writers."""


def street_file(root: Path, seed: int) -> Path:
    """Return the recording of a seed; six digits keep the order of the seeds."""
    return root / f"street-{seed:06d}.hdf5"


class StreetsFolder:
    """Recordings of streets in a folder that is locked.

    Parameters
    ----------
    root : Path
        An existing folder.
    settings : mapping
        Everything that determines the streets apart from their seeds, as TOML holds it.
    seeds : sequence of int
    overwrite : bool
        Simulate all seeds again, and remove streets of other settings.
    shared : bool
        Other processes write other seeds: nothing is removed.

    Raises
    ------
    OutputError
        The folder holds streets of other settings, recordings of those names that something else
        made, or shards that were not merged.
    """

    def __init__(
        self,
        root: Path,
        settings: Mapping[str, Any],
        seeds: Sequence[int],
        *,
        overwrite: bool = False,
        shared: bool = False,
    ) -> None:
        self.root = root
        self.settings = settings
        self.seeds = tuple(seeds)
        found = read_streets(root)
        self.before: tuple[int, ...] = () if found is None else found[1]
        if (root / SHARDS).is_dir() and not shared:
            raise OutputError(
                f"{root} holds shards of a job array: 'eventseg merge {root}' completes it; to "
                f"simulate without them remove {root / SHARDS}"
            )
        differs = None if found is None else difference(found[0], settings)
        if overwrite and differs is not None:
            remove_streets(root, (STREETS, UNFINISHED), {*self.before, *seeds})
            self.before = ()
            return
        if overwrite:
            # The streets of other seeds stay listed if this is stopped before all are removed.
            self.begin()
            remove_streets(root, (STREETS,), seeds)
            return
        if differs is not None:
            raise OutputError(
                f"{root} holds streets of other settings: {differs}; give another folder, or "
                "--overwrite"
            )
        foreign = [street_file(root, seed) for seed in seeds if self.is_done(seed)]
        if found is None and foreign:
            raise OutputError(
                f"{foreign[0]} is there already, and no {STREETS} says how it was made; give "
                "another folder, or --overwrite"
            )

    def is_done(self, seed: int) -> bool:
        """Return whether a street is there; a recording comes after its truth."""
        path = street_file(self.root, seed)
        return path.is_file() and truth_path(path).is_file()

    def begin(self) -> None:
        """List the streets as on their way, beside those of earlier runs.

        A later run for other seeds finds those that this one has completed by this list.
        """
        self._write(UNFINISHED, {*self.before, *self.seeds})

    def finish(self) -> None:
        """Remove files that killed processes left, and complete the folder by listing all streets.

        Streets of earlier runs that are not there, as of one that was stopped, are not listed.
        """
        for path in self.root.glob(LEFTOVERS):
            path.unlink(missing_ok=True)
        self._write(STREETS, filter(self.is_done, {*self.before, *self.seeds}))
        (self.root / UNFINISHED).unlink(missing_ok=True)

    def _write(self, name: str, seeds: Iterable[int]) -> None:
        text = tomli_w.dumps({"seeds": sorted(seeds), "settings": dict(self.settings)})
        write_whole(self.root / name, lambda file: file.write(text.encode()))


def read_streets(root: Path) -> tuple[dict[str, Any], tuple[int, ...]] | None:
    """Return settings and seeds of a folder of streets, complete or not; None for another folder.

    The seeds are those of all runs; the streets of one that was stopped may not be there.

    Raises
    ------
    OutputError
        A manifest that cannot be read.
    """
    settings: dict[str, Any] | None = None
    seeds: set[int] = set()
    for name in (UNFINISHED, STREETS):
        if not (root / name).is_file():
            continue
        try:
            table = read_toml(root / name)
            settings = dict(table["settings"])
            seeds.update(map(int, table["seeds"]))
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise OutputError(
                f"{root / name} is no list of streets ({error}); remove it, or give another folder"
            ) from error
    return None if settings is None else (settings, tuple(sorted(seeds)))


def difference(made: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Return the first setting in which two folders of streets differ, as text, or None."""
    for key in dict.fromkeys([*made, *asked]):
        before, now = made.get(key, "none"), asked.get(key, "none")
        if before != now:
            return f"{key} was {before}, now {now}"
    return None


def remove_streets(root: Path, manifests: Iterable[str], seeds: Iterable[int]) -> None:
    """Remove manifests of a folder of streets, then the recordings of some seeds."""
    try:
        for name in manifests:
            (root / name).unlink(missing_ok=True)
        for seed in seeds:
            path = street_file(root, seed)
            for file in (path, truth_path(path)):
                file.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot remove streets in {root}: {error.strerror or error}") from error
