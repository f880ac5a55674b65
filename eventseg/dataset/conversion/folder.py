"""Folder of converted recordings: new, on its way, or complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from eventseg.dataset.conversion.records import (
    MANIFEST,
    PARTIAL,
    RECORDS,
    SETTINGS,
    ConvertedRecording,
    difference,
    files_of,
    has_size,
    read_recordings,
    read_settings,
)
from eventseg.dataset.conversion.request import ConvertSetting, Source
from eventseg.dataset.jobs.shard import SHARDS
from eventseg.errors import OutputError
from eventseg.files.whole import check_folder, write_whole
from eventseg.recordings.truth import truth_path
from eventseg.recordings.truth_pair import is_anothers
from eventseg.recordings.writers.leftovers import leftovers

CURE = "give another --out, or --overwrite"


class ConversionFolder:
    """Converted recordings in a folder that is locked.

    Parameters
    ----------
    root : Path
        An existing folder.
    setting : ConvertSetting
    sources : sequence of Source
        All recordings that are asked for.
    overwrite : bool
        Convert all of them again, and remove what was converted with other settings.
    shared : bool
        Other processes write other recordings: nothing is removed.

    Attributes
    ----------
    before : dict of ConvertedRecording
        Recordings that were converted with these settings, by name.

    Raises
    ------
    OutputError
        The folder holds recordings of other settings, files of those names that something else
        made, or shards that were not merged.
    """

    def __init__(
        self,
        root: Path,
        setting: ConvertSetting,
        sources: Sequence[Source],
        *,
        overwrite: bool = False,
        shared: bool = False,
    ) -> None:
        self.root, self.setting, self.sources = root, setting, tuple(sources)
        if (root / SHARDS).is_dir() and not shared:
            raise OutputError(
                f"{root} holds shards of a job array: 'eventseg merge {root}' completes it; to "
                f"convert without them remove {root / SHARDS}"
            )
        if (root / MANIFEST).is_file() and shared:
            raise OutputError(
                f"{root} holds complete conversions; to convert by shards give another --out"
            )
        self._settings, self._names = read_settings(root) or ({}, set[str]())
        differs = difference(self._settings, setting.to_dict()) if self._settings else None
        if differs is not None and not overwrite:
            raise OutputError(f"{root} holds recordings converted otherwise: {differs}; {CURE}")
        self.before = read_recordings(root) if self._settings else {}
        self._replaced: set[str] = set()
        if overwrite:
            asked = {source.name for source in sources}
            self._replaced = self.before.keys() & asked if differs is None else {*self.before}
        else:
            self._refuse_foreign()
        self._refuse_sources()

    def file(self, name: str) -> Path:
        """Return the file of a recording."""
        return self.root / f"{name}{self.setting.suffix}"

    def record(self, name: str) -> Path:
        """Return the file that says that a recording is done."""
        return self.root / PARTIAL / RECORDS / f"{name}.toml"

    def begin(self) -> None:
        """Mark the recordings as on their way; those that are complete stay listed.

        What is to be replaced is removed: first its records, so that a run that is killed here
        leaves none of other settings, and then its files.
        """
        replaced = self._replaced_files()
        for name in self._replaced:
            self._unlink(self.record(name))
            del self.before[name]
        self._names = self._names - self._replaced | {source.name for source in self.sources}
        table = {"names": sorted(self._names), "settings": self.setting.to_dict()}
        content = tomli_w.dumps(table).encode()
        write_whole(self.root / PARTIAL / SETTINGS, lambda file: file.write(content))
        if self._replaced:
            for one in self.before.values():
                one.write(self.record(one.name))
            self._unlink(self.root / MANIFEST)
        for path in replaced:
            self._unlink(path)

    def finish(self, made: Iterable[ConvertedRecording]) -> None:
        """Complete the folder with the recordings of this run.

        Others that were converted before stay listed where their files are there.
        """
        suffix = self.setting.suffix
        kept = (one for one in self.before.values() if has_size(self.root, suffix, one))
        entries = {one.name: one for one in (*kept, *made)}
        complete_folder(
            self.root,
            self.setting.to_dict(),
            [entries[name] for name in sorted(entries)],
            names=self._names,
        )

    def _replaced_files(self) -> list[Path]:
        if not self._replaced:
            return []
        suffix = f".{self._settings['format']}"
        paths = [self.root / f"{name}{suffix}" for name in self._replaced]
        truths = [
            path
            for name in self._replaced
            for path, *_ in files_of(self.root, suffix, self.before[name])[1:]
        ]
        return paths + truths

    def _refuse_sources(self) -> None:
        """Raise an error where a file that is made or removed is one of the recordings."""
        made = [self.file(source.name) for source in self.sources]
        lost = {path.resolve() for path in (*made, *self._replaced_files())}
        for source in self.sources:
            if source.path.resolve() in lost:
                raise OutputError(f"{source.path} would be replaced; give another --out")

    def _refuse_foreign(self) -> None:
        """Raise an error for a file in the way that no conversion into the folder has made."""
        for source in self.sources:
            path = self.file(source.name)
            if source.name not in self._names and path.exists():
                raise OutputError(
                    f"{path} is there already, and no {MANIFEST} says how it was made; {CURE}"
                )
            truth = truth_path(path)
            if source.name not in self._names and truth.exists() and not is_anothers(truth, path):
                raise OutputError(
                    f"{truth} is there already, and no {MANIFEST} says how it was made; {CURE}"
                )
            known = self.before.get(source.name)
            if known is not None and known.source_bytes != source.size:
                raise OutputError(
                    f"{path} was made of another recording than {source.path}: of "
                    f"{known.source_bytes:,} bytes, now {source.size:,}; {CURE}"
                )

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error


def made_folder(root: Path) -> Path:
    """Return a folder that is there and can be written.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    check_folder(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {root}: {error.strerror or error}") from error
    return root


def remains(root: Path, settings: Mapping[str, Any], names: Iterable[str]) -> list[Path]:
    """Return the files that killed processes have left under temporary names."""
    files = [f"{name}.{settings['format']}" for name in sorted(names)]
    return [left for file in (*files, MANIFEST) for left in leftovers(root / file)]


def complete_folder(
    root: Path,
    settings: Mapping[str, Any],
    recordings: Sequence[ConvertedRecording],
    *,
    names: Iterable[str] = (),
) -> None:
    """Write the manifest, which completes a folder, and remove what killed processes have left.

    Parameters
    ----------
    root : Path
    settings : mapping
        As :meth:`ConvertSetting.to_dict` gives them.
    recordings : sequence of ConvertedRecording
        All that the folder holds, by name.
    names : iterable of str
        Names of others that have been asked for.
    """
    for path in remains(root, settings, {*names, *(one.name for one in recordings)}):
        path.unlink(missing_ok=True)
    table = {
        "settings": dict(settings),
        "recordings": [one.to_dict() for one in recordings],
    }
    content = tomli_w.dumps(table).encode()
    write_whole(root / MANIFEST, lambda file: file.write(content))
    shutil.rmtree(root / PARTIAL, ignore_errors=True)
