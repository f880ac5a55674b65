"""Request of converting recordings into a folder, checked before any of them is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from eventseg.dataset.layout import checked_name
from eventseg.dataset.mistaken import recordings_in
from eventseg.errors import DatasetError, OutputError, RecordingError, WindowError
from eventseg.events import SensorSize
from eventseg.files.paths import canonical, folded
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.recordings.contents import seconds
from eventseg.recordings.writers.aedat4 import compressor
from eventseg.recordings.writers.convert import WRITTEN

REPACKED = ".t"
"""Suffix of recordings that are named by their directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertSetting:
    """Settings that determine a converted file besides its recording.

    Parameters
    ----------
    format : str
        A suffix of :data:`eventseg.recordings.writers.convert.WRITTEN` without its dot.
    begin_us, end_us : int
        Part of each recording in us from its first event on.
    sensor : SensorSize, optional
        Size of the sensor of recordings that do not say it.
    rotate180 : bool
        Whether events and frames are turned by 180 degrees.
    choices : FileChoices
        Camera, unit of times and shift of the frames.
    """

    format: str
    begin_us: int = 0
    end_us: int | None = None
    sensor: SensorSize | None = None
    rotate180: bool = False
    choices: FileChoices = NO_CHOICES

    @property
    def suffix(self) -> str:
        """Suffix of the files that are written."""
        return f".{self.format}"

    def check(self, root: Path) -> None:
        """Raise an error for settings with which nothing can be converted into a folder.

        Raises
        ------
        OutputError
            A format that is not written.
        WindowError
            A part that ends before it begins.
        MissingExtraError
            The format needs a package that is not installed.
        """
        if self.suffix not in WRITTEN:
            known = ", ".join(suffix.removeprefix(".") for suffix in WRITTEN)
            raise OutputError(f"format {self.format!r} is none that is written: {known}")
        if self.begin_us < 0 or (self.end_us is not None and self.end_us <= self.begin_us):
            end = "the end" if self.end_us is None else f"{seconds(self.end_us)} s"
            raise WindowError(
                f"the part from {seconds(self.begin_us)} s to {end} must begin at 0 or later and "
                "end after that"
            )
        if self.suffix == ".aedat4":
            compressor(root)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a TOML table; those that were not made are left out."""
        table: dict[str, Any] = {"format": self.format, "begin_us": self.begin_us}
        if self.end_us is not None:
            table["end_us"] = self.end_us
        if self.sensor is not None:
            table["sensor"] = str(self.sensor)
        if self.rotate180:
            table["rotate180"] = True
        return table | self.choices.to_dict()


@dataclass(frozen=True, slots=True)
class Source:
    """A recording to convert: its name, its canonical path and its size in bytes."""

    name: str
    path: Path
    size: int


def find_sources(given: str | Path | Sequence[str | Path]) -> tuple[Source, ...]:
    """Return the recordings of files and folders, by name.

    Parameters
    ----------
    given : path or sequence of path
        Recordings, or folders of recordings; a folder stands for the files in it whose suffixes
        are those of recordings alone, without its own folders. A file may be given twice.

    Raises
    ------
    RecordingError
        No such file, or a folder without recordings.
    DatasetError
        Two recordings of one name, which no system may take for the same.
    """
    paths: set[Path] = set()
    for path in map(Path, [given] if isinstance(given, str | Path) else given):
        inside = recordings_in(path) if path.is_dir() else [path]
        if not inside:
            raise RecordingError(f"{path} is a folder without recordings; give their files")
        paths.update(map(canonical, inside))
    if not paths:
        raise RecordingError("no recording to convert; give at least one")
    found = []
    for path in paths:
        name = path.parent.name if path.suffix.lower() == REPACKED else path.stem
        # With the longest suffix of a format and of a file that is being written.
        checked_name(f"{name}.aedat4")
        try:
            found.append(Source(name, path, path.stat().st_size))
        except OSError as error:
            raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    found.sort(key=lambda source: (folded(source.name), source.path))
    for before, after in pairwise(found):
        if folded(before.name) == folded(after.name):
            raise DatasetError(
                f"two recordings have the name {before.name}: {before.path} and {after.path}; "
                "each file that is made has the name of its recording, so rename one or convert "
                "it into another folder"
            )
    return tuple(sorted(found, key=lambda source: source.name))
