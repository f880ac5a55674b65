"""Results of the import and of the export of label maps, as JSON and as lines for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.files.texts import counted
from eventseg.labels.maps import ClassTable
from eventseg.labels.own_folders import CLASSES


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """Result of an import.

    Parameters
    ----------
    path : Path
        Data set, folder of pictures or league.
    name : str
        Name of the label set.
    classes : ClassTable
    files : int
        Files that were joined.
    samples, of_samples : int
        Samples with labels, and all samples.
    pixels : tuple of int (K + 1,)
        Pixels of each class, and ignored ones last; empty where the set was there already.
    left_out : int
        Files that belong to no sample.
    largest_us : int
        Largest distance in time between a file and its sample.
    unnamed : str
        Text before the numbers of files that name no recording and were taken for the only one.
    merges : bool
        Whether the merges of the class table of a set that was there already were replaced.
    """

    path: Path
    name: str
    classes: ClassTable
    files: int
    samples: int
    of_samples: int
    pixels: tuple[int, ...] = ()
    left_out: int = 0
    largest_us: int = 0
    unnamed: str = ""
    merges: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the summary, ready for JSON."""
        names = (*self.classes.names, "ignored")
        return {
            "data": str(self.path),
            "set": self.name,
            "classes": list(self.classes.names),
            "files": self.files,
            "samples": self.samples,
            "of_samples": self.of_samples,
            "left_out": self.left_out,
            "largest_distance_us": self.largest_us,
            "unnamed_prefix": self.unnamed,
            "already": not self.pixels,
            "merges_replaced": self.merges,
            "pixels": dict(zip(names, self.pixels, strict=True)) if self.pixels else {},
        }

    def lines(self) -> list[str]:
        """Return the summary as lines for people."""
        state = "done" if self.pixels else "already whole"
        lines = [
            f"{self.path}: labels {self.name} {state}",
            f"  {counted(self.files, 'file')} for {self.samples:,} of "
            f"{counted(self.of_samples, 'sample')}, {counted(len(self.classes), 'class')}"
            f"{f' of {self.classes.name}' if self.classes.name else ''}",
        ]
        if self.merges:
            lines.append("  merges of the class table replaced")
        if self.left_out:
            lines.append(f"  {counted(self.left_out, 'file')} left out: they belong to no sample")
        if self.unnamed:
            lines.append(f"  {self.unnamed}NUMBER names no recording: taken for the only one")
        if self.largest_us:
            lines.append(f"  at most {self.largest_us:,} us between a file and its sample")
        total = max(1, sum(self.pixels))
        names = (*self.classes.names, "ignored")
        shares = zip(names, self.pixels, strict=False)
        return [*lines, *(f"  {name:<15} {count / total:8.3%}" for name, count in shares)]


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """Result of an export: the folder, the label set, its classes and the number of files."""

    path: Path
    name: str
    classes: ClassTable
    files: int

    def to_dict(self) -> dict[str, Any]:
        """Return the summary, ready for JSON."""
        return {
            "folder": str(self.path),
            "set": self.name,
            "classes": list(self.classes.names),
            "files": self.files,
        }

    def lines(self) -> list[str]:
        """Return the summary as lines for people."""
        return [
            f"{self.path}: {counted(self.files, 'label map')} of {self.name} in "
            f"{counted(len(self.classes), 'class')}",
            f"  classes: {self.path / CLASSES}",
        ]
