"""Files of label maps joined to samples: by id, frame number or time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from eventseg.errors import LabelError
from eventseg.files.paths import composed
from eventseg.sources.own_labels.labelled_data import LabelledData
from eventseg.windows import format_duration

JoinKey = Literal["id", "frame", "time"]
TimeUnit = Literal["us", "ms", "s", "ns"]

UNIT_US = {
    "us": Fraction(1),
    "ms": Fraction(1_000),
    "s": Fraction(1_000_000),
    "ns": Fraction(1, 1_000),
}
"""Microseconds of a unit of time."""

NUMBER = r"(\d+(?:\.\d+)?)"
BETWEEN = r"[-_. ]*(?:frame|f|time|t)?[-_. ]*"
"""What may stand between the name of a recording and a number."""

SHOWN = 10
"""Problems that an error shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Rule by which files find their samples.

    Parameters
    ----------
    by : {"id", "frame", "time"}
        What the name of a file holds: the id of a sample; or, as the last number in it, a frame of
        the recording or a time on its clock.
    first_frame : int
        Number of the first frame of a recording.
    unit : {"us", "ms", "s", "ns"}
        Unit of times.
    tolerance_us : int
        Largest distance of a time from that of its sample.
    from_start : bool
        Whether times count from the first event of the recording.

    Raises
    ------
    LabelError
        An unknown key or unit, or a number below 0.
    """

    by: JoinKey = "id"
    first_frame: int = 0
    unit: TimeUnit = "us"
    tolerance_us: int = 1_000
    from_start: bool = False

    def __post_init__(self) -> None:
        for name, value, kind in (("by", self.by, JoinKey), ("unit", self.unit, TimeUnit)):
            if value not in get_args(kind):
                raise LabelError(f"{name} {value!r} is none of {', '.join(get_args(kind))}")
        if min(self.first_frame, self.tolerance_us) < 0:
            raise LabelError(
                f"first frame {self.first_frame} and tolerance {self.tolerance_us} us must be 0 or "
                "more"
            )

    def to_dict(self) -> dict[str, str | int | bool]:
        """Return the settings of the join, as TOML holds them."""
        if self.by == "frame":
            return {"by": self.by, "first_frame": self.first_frame}
        if self.by == "time":
            return {
                "by": self.by,
                "unit": self.unit,
                "tolerance": format_duration(self.tolerance_us) if self.tolerance_us else "0us",
                "from_start": self.from_start,
            }
        return {"by": self.by}


@dataclass(frozen=True, slots=True)
class Joined:
    """Files by sample.

    Parameters
    ----------
    files : dict of int to Path
        File of each labelled sample, by its index.
    left_out : tuple of Path
        Files of no sample, where these are left out.
    largest_us : int
        Largest distance in time between a file and its sample; 0 for other keys.
    """

    files: dict[int, Path]
    left_out: tuple[Path, ...]
    largest_us: int


def join_files(
    data: LabelledData,
    folder: Path,
    paths: Sequence[Path],
    rule: Join,
    *,
    skip_orphans: bool = False,
) -> Joined:
    """Return the file of each sample that has one.

    Parameters
    ----------
    data : LabelledData
    folder : Path
        Folder of the files; folders within it may name recordings.
    paths : sequence of Path
    rule : Join
    skip_orphans : bool
        Leave out files that belong to no sample in place of an error.

    Raises
    ------
    LabelError
        Files that belong to no sample, several files of one sample, or no file that belongs to any;
        frame numbers or times of pictures, which have none.
    """
    if data.timeline is None and rule.by != "id":
        raise LabelError(
            f"{data.path} is a folder of pictures, which have no {rule.by}: join by id, which is "
            f"the name of a picture, such as {data.ids[0]}.png"
        )
    orphans: list[tuple[Path, str]] = []
    by_sample: dict[int, list[Path]] = defaultdict(list)
    largest_us = 0
    for path, samples, distance_us in _found(data, folder, paths, rule, orphans):
        largest_us = max(largest_us, distance_us)
        for i in samples:
            by_sample[i].append(path)
    several = [
        f"{' and '.join(str(p.relative_to(folder)) for p in found)} are both of {data.ids[i]}"
        for i, found in sorted(by_sample.items())
        if len(found) > 1
    ]
    problems = several
    if not skip_orphans or not by_sample:
        problems = [f"{path.relative_to(folder)} {why}" for path, why in orphans] + several
    if problems:
        raise LabelError(
            f"label maps of {folder} do not fit {data.path} by {rule.by}: {listed(problems)}"
            f"{_hint(data, rule) if orphans and not skip_orphans else ''}"
        )
    files = {i: found[0] for i, found in sorted(by_sample.items())}
    return Joined(files, tuple(path for path, _ in orphans), largest_us)


def list_pngs(folder: Path) -> list[Path]:
    """Return the PNGs of a folder and of the folders in it, hidden ones left out."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() == ".png"
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def listed(problems: Sequence[str]) -> str:
    """Return the first problems of several as one line, with the number of the others."""
    more = f"; and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""
    return "; ".join(problems[:SHOWN]) + more


def _hint(data: LabelledData, rule: Join) -> str:
    """Return the cure for files that belong to no sample."""
    example = data.ids[0]
    if data.timeline is None:
        return f". Name them by pictures, such as {example}.png, or --skip-orphans"
    if rule.by == "id":
        return (
            f". Name them by sample ids, such as {example}.png, or join them --by frame or time, "
            "or --skip-orphans"
        )
    return ". Rename or remove them, or --skip-orphans"


def _found(
    data: LabelledData,
    folder: Path,
    paths: Sequence[Path],
    rule: Join,
    orphans: list[tuple[Path, str]],
) -> Iterator[tuple[Path, list[int], int]]:
    """Yield each file with its samples and its distance in us; others become orphans."""
    timeline = data.timeline
    if rule.by == "id" or timeline is None:
        for path in paths:
            i = data.sample_of(path.relative_to(folder))
            if i is None:
                what = "name of a picture" if timeline is None else "sample id"
                orphans.append((path, f"is no {what}"))
            else:
                yield path, [i], 0
        return
    members: dict[str, list[int]] = defaultdict(list)
    framed: dict[tuple[str, int], list[int]] = defaultdict(list)
    for i, (name, frame) in enumerate(
        zip(timeline.recordings, timeline.frames.tolist(), strict=True)
    ):
        members[name].append(i)
        if frame >= 0:
            framed[name, frame].append(i)
    ordered = {
        name: np.array(sorted(part, key=lambda i: int(timeline.t_us[i])))
        for name, part in members.items()
    }
    places, _ = _places(folder, paths, sorted(members, key=len, reverse=True))
    for path in paths:
        place = places[path]
        if place is None:
            names = ", ".join(sorted(members)[:4])
            orphans.append((path, f"names no recording and number; recordings are {names}"))
            continue
        name, number = place
        if rule.by == "frame":
            frame = int(number) - rule.first_frame if number.denominator == 1 else -1
            if (name, frame) in framed:
                yield path, framed[name, frame], 0
            else:
                orphans.append((path, f"is no frame that a sample of {name} has"))
            continue
        t_us = round(number * UNIT_US[rule.unit])
        if rule.from_start:
            t_us += timeline.first_us(name)
        part = ordered[name]
        times = timeline.t_us[part]
        after = int(np.searchsorted(times, t_us))
        near = [k for k in (after - 1, after) if 0 <= k < len(part)]
        nearest = min(near, key=lambda k: abs(int(times[k]) - t_us))
        distance_us = abs(int(times[nearest]) - t_us)
        if distance_us <= rule.tolerance_us:
            yield path, [int(part[nearest])], distance_us
        else:
            orphans.append((path, f"is {distance_us:,} us from the nearest sample of {name}"))


def unnamed_prefix(data: LabelledData, folder: Path, paths: Sequence[Path], rule: Join) -> str:
    """Return folder and text before the numbers of files that name no recording, of the only one.

    Empty where files name the recording, or hold nothing but numbers.
    """
    if rule.by == "id" or data.timeline is None:
        return ""
    return _places(folder, paths, sorted(set(data.timeline.recordings)))[1]


def _places(
    folder: Path, paths: Sequence[Path], recordings: Sequence[str]
) -> tuple[dict[Path, tuple[str, Fraction] | None], str]:
    """Return recording and number of each file, and what stands before numbers without recording.

    A data set of one recording needs no name of it, where no file has one and all have the same
    folder and text before the number: others may be of other recordings.
    """
    named = {path: _place(path.relative_to(folder), recordings) for path in paths}
    folders = {composed(part) for path in paths for part in path.relative_to(folder).parts[:-1]}
    if len(recordings) > 1 or any(named.values()) or composed(recordings[0]) in folders:
        return named, ""
    numbers: dict[Path, tuple[str, Fraction]] = {}
    prefixes: set[str] = set()
    for path in paths:
        found = re.search(NUMBER + "$", composed(path.stem))
        if found is not None:
            numbers[path] = (recordings[0], Fraction(found[1]))
            before = composed(path.stem)[: found.start()]
            prefixes.add((path.relative_to(folder).parent / "_").as_posix()[:-1] + before)
    if len(prefixes) != 1:
        return named, ""
    return {path: numbers.get(path) for path in paths}, prefixes.pop()


def _place(path: Path, recordings: Sequence[str]) -> tuple[str, Fraction] | None:
    """Return recording and number that a path names, recordings of longer names first.

    A folder may name the recording, or the file begins with it.
    """
    folders = {composed(part) for part in path.parts[:-1]}
    stem = composed(path.stem)
    for name in recordings:
        if composed(name) in folders:
            found = re.search(NUMBER + "$", stem)
            return None if found is None else (name, Fraction(found[1]))
    for name in recordings:
        found = re.fullmatch(re.escape(composed(name)) + BETWEEN + NUMBER, stem)
        if found is not None:
            return name, Fraction(found[1])
    return None
