"""Folder of converted recordings: new, on its way, or complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w

from eventseg.dataset.conversion.request import ConvertSetting, Source
from eventseg.dataset.jobs.shard import SHARDS
from eventseg.dataset.layout import checked_name
from eventseg.errors import OutputError
from eventseg.files import check_folder, read_toml, write_whole
from eventseg.recordings.writers.convert import leftovers

MANIFEST = "conversion.toml"
"""Settings and recordings of a folder; written last."""

PARTIAL = "conversion.partial"
"""Folder of what is known while recordings are on their way."""

SETTINGS, RECORDS = "settings.toml", "records"
"""In it: settings and names that were asked for, and a file for each recording that is done."""

CURE = "give another --out, or --overwrite"

UNREADABLE = (OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
"""Errors of a file that is no TOML, or not of this content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedRecording:
    """A converted recording, as the manifest has it.

    Parameters
    ----------
    name : str
    source : str
        Path of the recording as seen from the folder.
    source_bytes, source_sha256
        Size and digest of the recording.
    bytes, sha256
        Size and digest of the file that was made.
    events, frames, imu, specials : int
        Numbers written.
    shift_us : int
        Time of the source that is 0 in the file.
    lost : mapping of int
        Numbers that the format has no place for, by kind.
    version : str
        Version of eventseg that made it.
    """

    name: str
    source: str
    source_bytes: int
    source_sha256: str
    bytes: int
    sha256: str
    events: int
    frames: int
    imu: int
    specials: int
    shift_us: int
    lost: Mapping[str, int]
    version: str

    def to_dict(self) -> dict[str, Any]:
        """Return the recording as a TOML table."""
        return asdict(self)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Self:
        """Return the recording that a TOML table holds.

        Raises
        ------
        KeyError, TypeError, ValueError
            It holds another.
        """
        checked_name(str(table["name"]))
        texts = ("name", "source", "source_sha256", "sha256", "version")
        numbers = ("source_bytes", "bytes", "events", "frames", "imu", "specials", "shift_us")
        values: dict[str, Any] = {
            **{name: str(table[name]) for name in texts},
            **{name: int(table[name]) for name in numbers},
        }
        return cls(
            **values,
            lost={str(kind): int(count) for kind, count in dict(table["lost"]).items()},
        )

    def write(self, path: Path) -> None:
        """Write the record of a recording that is done."""
        write_whole(path, lambda file: file.write(tomli_w.dumps(self.to_dict()).encode()))


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
        return [self.root / f"{name}.{self._settings['format']}" for name in self._replaced]

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


def read_settings(root: Path) -> tuple[dict[str, Any], set[str]] | None:
    """Return settings and names of a folder, complete or on its way; None for another folder.

    Raises
    ------
    OutputError
        A list that cannot be read.
    """
    found: tuple[dict[str, Any], set[str]] | None = None
    for path in (root / PARTIAL / SETTINGS, root / MANIFEST):
        if not path.is_file():
            continue
        try:
            table = read_toml(path)
            names = table.get("names") or [one["name"] for one in table["recordings"]]
            settings = dict(table["settings"])
            checked_name(str(settings["format"]))
            found = settings, {str(name) for name in names} | (found[1] if found else set())
        except UNREADABLE as error:
            raise OutputError(
                f"{path} is no list of converted recordings ({error}); remove it, or give another "
                "folder"
            ) from error
    return found


def read_recordings(root: Path) -> dict[str, ConvertedRecording]:
    """Return the recordings that a folder holds by name, by its manifest and by their records.

    A record that cannot be read is none: its recording is converted again.

    Raises
    ------
    OutputError
        The manifest cannot be read.
    """
    found: dict[str, ConvertedRecording] = {}
    manifest = root / MANIFEST
    if manifest.is_file():
        try:
            rows = [ConvertedRecording.from_dict(row) for row in read_toml(manifest)["recordings"]]
        except UNREADABLE as error:
            raise OutputError(
                f"{manifest} is no list of converted recordings ({error}); remove it, or give "
                "another folder"
            ) from error
        found = {row.name: row for row in rows}
    for path in sorted((root / PARTIAL / RECORDS).glob("*.toml")):
        try:
            one = ConvertedRecording.from_dict(read_toml(path))
        except UNREADABLE:
            continue
        if one.name == path.stem:
            found[one.name] = one
    return found


def difference(made: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Return the first setting in which two conversions differ, as text, or None."""
    for key in dict.fromkeys([*made, *asked]):
        before, now = made.get(key, "none"), asked.get(key, "none")
        if before != now:
            return f"{key} was {before}, now {now}"
    return None


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


def has_size(root: Path, suffix: str, one: ConvertedRecording) -> bool:
    """Return whether the file of a recording is there in its size."""
    path = root / f"{one.name}{suffix}"
    return path.is_file() and path.stat().st_size == one.bytes


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
    for name in {*names, *(one.name for one in recordings)}:
        for path in leftovers(root / f"{name}.{settings['format']}"):
            path.unlink(missing_ok=True)
    table = {
        "settings": dict(settings),
        "recordings": [one.to_dict() for one in recordings],
    }
    content = tomli_w.dumps(table).encode()
    write_whole(root / MANIFEST, lambda file: file.write(content))
    shutil.rmtree(root / PARTIAL, ignore_errors=True)
