"""What a folder of converted recordings says of itself: settings, and a record of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import tomli_w

from eventseg.dataset.layout import checked_name
from eventseg.errors import OutputError
from eventseg.files.texts import read_toml
from eventseg.files.whole import write_whole
from eventseg.recordings.truth import truth_path

MANIFEST = "conversion.toml"
"""Settings and recordings of a folder; written last."""

PARTIAL = "conversion.partial"
"""Folder of what is known while recordings are on their way."""

SETTINGS, RECORDS = "settings.toml", "records"
"""In it: settings and names that were asked for, and a file for each recording that is done."""

TRUTH_TEXTS = ("truth_sha256", "truth_left", "source_truth_sha256")
"""Texts of a record of a simulated recording."""

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
    truth_bytes, truth_sha256
        Size and digest of the truth file that was made beside it; 0 and empty without one.
    truth_left : str
        Reason for which the truth beside the recording stays behind.
    source_truth_sha256 : str
        Digest of that truth, empty without one.
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
    truth_bytes: int = 0
    truth_sha256: str = ""
    truth_left: str = ""
    source_truth_sha256: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the recording as a TOML table; one without truth has no word of it."""
        table = asdict(self)
        return {key: value for key, value in table.items() if "truth" not in key or value}

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
            "truth_bytes": int(table.get("truth_bytes", 0)),
            **{name: str(table.get(name, "")) for name in TRUTH_TEXTS},
        }
        return cls(
            **values,
            lost={str(kind): int(count) for kind, count in dict(table["lost"]).items()},
        )

    def write(self, path: Path) -> None:
        """Write the record of a recording that is done."""
        write_whole(path, lambda file: file.write(tomli_w.dumps(self.to_dict()).encode()))


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
            for name in (*names, settings["format"]):
                checked_name(str(name))
            found = settings, {*map(str, names), *(found[1] if found else ())}
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


def has_size(root: Path, suffix: str, one: ConvertedRecording) -> bool:
    """Return whether the file of a recording is there in its size."""
    path, size, _ = files_of(root, suffix, one)[0]
    return path.is_file() and path.stat().st_size == size


def has_sizes(root: Path, suffix: str, one: ConvertedRecording) -> bool:
    """Return whether all files of a recording are there in their sizes."""
    return all(
        path.is_file() and path.stat().st_size == size
        for path, size, _ in files_of(root, suffix, one)
    )


def files_of(root: Path, suffix: str, one: ConvertedRecording) -> list[tuple[Path, int, str]]:
    """Return path, size and digest of the files of a recording: itself and its truth."""
    file = root / f"{one.name}{suffix}"
    found = [(file, one.bytes, one.sha256)]
    if one.truth_sha256:
        found.append((truth_path(file), one.truth_bytes, one.truth_sha256))
    return found


def is_conversion(root: Path) -> bool:
    """Return whether a folder holds converted recordings, complete or on their way."""
    return (root / MANIFEST).is_file() or (root / PARTIAL).is_dir()
