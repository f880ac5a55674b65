"""Listing of a league's download: its samples, drives, notes and faults."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eventseg.sources.leagues.drives import Drive


@dataclass(frozen=True, slots=True)
class LeagueSample:
    """One mask of a league.

    Parameters
    ----------
    id : str
        Sequence and number of the frame, ``dir1_00000042``.
    sequence : str
    split : str
        Published part.
    place : int
        Place in the sequence: the row of the index, or the line of the time stamps.
    t_us : int
        Time of the label on the clock of the events.
    masks : tuple of Path
        Its masks, in the order of the league's sets.
    frame : Path, optional
        Picture of the camera, where there is one.
    calibration : Path, optional
        Geometry that brings the picture into the view of the events.
    """

    id: str
    sequence: str
    split: str
    place: int
    t_us: int
    masks: tuple[Path, ...]
    frame: Path | None
    calibration: Path | None = None


@dataclass(slots=True)
class Listing:
    """Content of a download.

    Parameters
    ----------
    samples : list of LeagueSample
    drives : dict of str to Drive
    sets : tuple of str
        Names of the sets of masks, that of ``truth`` first.
    events : dict of str to tuple of Path
        Files of events, times and geometry of each sequence, for digests.
    left_out : Counter
        Entries that are no samples, by reason.
    notes : list of str
        Differences from the publication.
    problems : list of str
        Faults, one a line.
    """

    samples: list[LeagueSample] = field(default_factory=list)
    drives: dict[str, Drive] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    events: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def note_counts(self, published: Mapping[str, int]) -> None:
        """Note each part whose samples are not as many as published."""
        counts = Counter(sample.split for sample in self.samples)
        self.notes += [
            f"{split} has {counts[split]:,} samples, {number:,} are published"
            for split, number in published.items()
            if counts[split] != number
        ]


def numbered(folder: Path, pattern: str) -> tuple[dict[int, Path], list[Path]]:
    """Return the files of a folder by the number in their name, and the others.

    `pattern` is a regular expression of the complete name with one group, the number. Hidden files
    are neither.
    """
    found: dict[int, Path] = {}
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        matched = re.fullmatch(pattern, path.name)
        if matched is None or int(matched[1]) in found or not path.is_file():
            others.append(path)
        else:
            found[int(matched[1])] = path
    return dict(sorted(found.items())), others


def shown_numbers(numbers: list[int], *, shown: int = 5) -> str:
    """Return some numbers as text, the first few by themselves."""
    more = f" and {len(numbers) - shown:,} more" if len(numbers) > shown else ""
    return f"{', '.join(map(str, numbers[:shown]))}{more}"
