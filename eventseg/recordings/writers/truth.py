"""Truth of a converted recording: whether it goes into the new file's truth, and the copy of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import OutputError, RecordingError
from eventseg.recordings.base import Recording
from eventseg.recordings.truth import Truth, TruthWriter, truth_path
from eventseg.recordings.truth_pair import is_anothers, owner_of

EVENTS_AT_ONCE = 2**20

CLOCK = ("t0_us", "t1_us")
"""Times of the recording's clock in a recipe."""


@dataclass(frozen=True, slots=True)
class TruthPlan:
    """Fate of the truth beside a recording that is converted.

    Parameters
    ----------
    source : Path, optional
        Truth file to carry over; None where none is.
    left : str
        Reason for which the truth stays behind, empty where it does not or where there is none.
    outdated : Path, optional
        Truth file of the recording that the new file replaces, to be removed.
    """

    source: Path | None = None
    left: str = ""
    outdated: Path | None = None


@dataclass(frozen=True, eq=False, slots=True)
class EventTruth:
    """Class and cause of events, uint8 (N,) and bool (N,)."""

    label: NDArray[np.uint8]
    signal: NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class FrameTruth:
    """Label map uint8 (H, W), depth float32 (H, W) and flow float32 (2, H, W) of a frame."""

    label: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    flow: NDArray[np.float32]


def plan_truth(recording: Recording, target: Path, *, framed: bool, overwrite: bool) -> TruthPlan:
    """Return whether the truth beside a recording goes with it into a file.

    Parameters
    ----------
    recording : Recording
    target : Path
        The file that is made.
    framed : bool
        Whether its format has a place for frames, whose label maps a truth holds.
    overwrite : bool
        Whether a truth file under the new one's name is replaced.

    Raises
    ------
    OutputError
        A truth file of that name is there already.
    """
    source, place = truth_path(recording.path), truth_path(target)
    outdated = None
    taken = ""
    if place.is_file():
        owner = _owner(place)
        if owner is not None and not (target.is_file() and owner.samefile(target)):
            taken = (
                f"{place} is that of {owner.name}; give another name, or a file in another folder"
            )
        elif not overwrite:
            raise OutputError(f"{place} is there already; give another name, or --overwrite")
        else:
            outdated = place
    if not source.is_file() or is_anothers(source, recording.path):
        return TruthPlan(outdated=outdated)
    left = "a file without frames has no place for them" if not framed else taken
    left = left or _mismatch(recording, source)
    return TruthPlan(source=None if left else source, left=left, outdated=outdated)


def copy_truth(
    source: Path,
    out: Path,
    *,
    events: tuple[int, int],
    frames: NDArray[np.int64],
    shift_us: int,
) -> None:
    """Write the truth of a part of a recording; the file is sealed by who writes the recording.

    Parameters
    ----------
    source, out : Path
        The truth file, and the one to write.
    events : (int, int)
        First event of the part and the one after its last.
    frames : int64 (F,)
        Numbers of the frames in the part.
    shift_us : int
        Time of the source that is 0 in the part.

    Raises
    ------
    RecordingError
        The truth file cannot be read.
    """
    with Truth(source) as truth:
        recipe = truth.recipe
        if events != (0, truth.n_events) or shift_us:
            clock = {key: recipe[key] - shift_us for key in CLOCK if key in recipe}
            recipe = {**recipe, **clock, "part": {"events": list(events), "shift_us": shift_us}}
        writer = TruthWriter(out, sensor=truth.sensor, classes=truth.classes, recipe=recipe)
        try:
            _copy(truth, writer, events=events, frames=frames, shift_us=shift_us)
        finally:
            writer.close()


def _copy(
    truth: Truth,
    writer: TruthWriter,
    *,
    events: tuple[int, int],
    frames: NDArray[np.int64],
    shift_us: int,
) -> None:
    for first in range(*events, EVENTS_AT_ONCE):
        label, signal = truth.events(first, min(first + EVENTS_AT_ONCE, events[1]))
        writer.add_events(EventTruth(label, signal))
    deep = "depth" in truth.maps
    for i in frames.tolist():
        depth = truth.depth(i) if deep else None
        view = FrameTruth(truth.label(i), depth, truth.flow(i))
        writer.add_frame(int(truth.t_us[i]) - shift_us, view)
    # Pictures that the recording was made of: labels at other times are rendered from them.
    names = truth.sources - {"offset", "size"}
    if not names:
        return
    for start, (height, width) in zip(truth.source("offset"), truth.source("size"), strict=True):
        part = slice(int(start), int(start + height * width))
        maps = {name: truth.source(name, part).reshape(height, width) for name in sorted(names)}
        writer.add_source(maps.pop("label"), **maps)


def _owner(place: Path) -> Path | None:
    """Return the recording that a truth file belongs to; None for a damaged one too."""
    try:
        return owner_of(place)
    except RecordingError:
        return None


def _mismatch(recording: Recording, source: Path) -> str:
    """Return why events and frames that are read are not those of the truth, or an empty text."""
    if recording.rotated180:
        return "the recording is turned by 180 degrees"
    try:
        with Truth(source) as truth:
            if not truth.belongs_to(recording.path):
                return f"{source} is the truth of another recording"
            has = (truth.n_events, len(truth.t_us), truth.sensor)
    except RecordingError as error:
        return str(error)
    if has == (recording.n_events, len(recording.frames), recording.sensor):
        return ""
    return (
        f"{source} has {has[0]:,} events and {has[1]:,} frames of {has[2]}, and of "
        f"{recording.path.name} {recording.n_events:,} and {len(recording.frames):,} of "
        f"{recording.sensor} are read"
    )
