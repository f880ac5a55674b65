"""DSEC-Semantic as it is downloaded: sequences, masks, time stamps, events and frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eventseg.events import SensorSize
from eventseg.files.texts import read_text
from eventseg.recordings.table.dsec import SENSOR
from eventseg.sources.leagues.drives import DsecDrive
from eventseg.sources.leagues.listing import LeagueSample, Listing, numbered, shown_numbers
from eventseg.sources.leagues.settings import LeagueSettings

ROWS = 440
"""Rows that masks have; the 40 below show the bonnet."""

MASK_SIZE = SensorSize(ROWS, SENSOR.width)

SEQUENCES: Mapping[str, str] = {
    **{f"zurich_city_{name}": "train" for name in ("00_a", "01_a", "02_a", "04_a", "05_a")},
    **{f"zurich_city_{name}": "train" for name in ("06_a", "07_a", "08_a")},
    **{f"zurich_city_{name}": "test" for name in ("13_a", "14_c", "15_a")},
}
"""Part of each sequence; published work validates on the test part too."""

PUBLISHED = {"train": 8_082, "test": 2_809}
"""Labels of all sequences."""

FIRST_LABELS = 6
"""Labels at the start of a sequence that ESS leaves out, since 250 ms before them lack events."""

MASK_NAME = r".*?(\d{1,9})\.png"
EVENTS, RECTIFY_MAP = "events/left/events.h5", "events/left/rectify_map.h5"
WARPED, RECTIFIED = "images/left/ev_inf", "images/left/rectified"
CALIBRATION = "calibration/cam_to_cam.yaml"


def is_dsec(root: Path) -> bool:
    """Return whether a folder holds sequences of DSEC-Semantic."""
    return any(
        base.is_dir()
        for name, split in SEQUENCES.items()
        for kind in ("semantic_segmentation", "events")
        for base in _places(root, name, split, kind)
    )


def list_dsec(settings: LeagueSettings) -> Listing:
    """List a download of DSEC-Semantic; its faults are in the listing."""
    kinds = ("11classes", "19classes")
    if settings.classes == 19:
        kinds = kinds[::-1]
    listed = Listing()
    names = settings.sequences or tuple(SEQUENCES)
    if unknown := [name for name in names if name not in SEQUENCES]:
        listed.problems.append(
            f"{settings.path}: {', '.join(unknown)} has no labels; sequences of DSEC-Semantic are "
            f"{', '.join(SEQUENCES)}"
        )
    sequences = [
        _find(settings.root, name, SEQUENCES[name], kinds) for name in SEQUENCES if name in names
    ]
    # A second set counts only where every sequence has it.
    complete = [kind for kind in kinds if all(each.masks[kind] for each in sequences)]
    listed.sets = tuple(dict.fromkeys([kinds[0], *complete]))
    for sequence in sequences:
        _list_sequence(sequence, settings, listed)
    if not settings.sequences and settings.samples == "all":
        listed.note_counts(PUBLISHED)
    return listed


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Places of the files of one sequence; empty where there are none."""

    name: str
    split: str
    masks: Mapping[str, Path | None]
    stamps: Path | None
    events: Path | None
    rectify_map: Path | None
    frames: Path | None
    calibration: Path | None


def _places(root: Path, name: str, split: str, kind: str) -> Iterator[Path]:
    """Yield the folders that files of a kind may lie in: sorted by part, plain, or by archive."""
    yield root / split / name
    yield root / name
    yield root / f"{split}_{kind}" / name
    yield root / f"{split}_{kind}" / split / name


def _find(root: Path, name: str, split: str, kinds: tuple[str, ...]) -> _Sequence:
    def first(kind: str, *choices: str) -> Path | None:
        bases = list(_places(root, name, split, kind))
        paths = (base / choice for choice in choices for base in bases)
        return next((path for path in paths if path.exists()), None)

    def masks(classes: str) -> Path | None:
        # The layouts of the archive, of the code of ESS, of its text, and of OpenESS.
        choices = [
            f"{place}{classes}{inner}"
            for inner in ("/data", "")
            for place in ("", "semantic/", "semantic/left/")
        ]
        return first("semantic_segmentation", *choices)

    stamps = first(
        "semantic_segmentation",
        f"{name}_semantic_timestamps.txt",
        "semantic/timestamps.txt",
        "semantic/semantic_timestamps.txt",
        "semantic/left/timestamps.txt",
    )
    return _Sequence(
        name,
        split,
        {kind: masks(kind) for kind in kinds},
        stamps,
        first("events", EVENTS),
        first("events", RECTIFY_MAP),
        first("images", WARPED, RECTIFIED),
        first("calibration", CALIBRATION),
    )


def _list_sequence(sequence: _Sequence, settings: LeagueSettings, listed: Listing) -> None:
    name, problems = sequence.name, len(listed.problems)
    there = [sequence.masks[listed.sets[0]], sequence.stamps, sequence.events]
    if not any(there):
        listed.problems.append(
            f"{name} is missing: name the sequences to use in a league file, sequences = [...]"
        )
        return
    for path, what in zip(
        there,
        (f"masks {listed.sets[0]}/NNNNNN.png", f"{name}_semantic_timestamps.txt", EVENTS),
        strict=True,
    ):
        if path is None:
            listed.problems.append(f"{settings.root}: {name} has no {what}")
    if sequence.rectify_map is None and settings.rectify != "none":
        listed.problems.append(f"{settings.root}: {name} has no {RECTIFY_MAP}")
    times = _times(sequence.stamps, listed)
    folders = [path for kind in listed.sets if (path := sequence.masks[kind]) is not None]
    masks = [_masks(folder, times, listed) for folder in folders]
    if len(listed.problems) > problems:
        return
    if len({tuple(found) for found in masks}) > 1:
        listed.problems.append(f"{folders[0]} and {folders[1]} hold masks of different numbers")
        return
    numbers = list(masks[0])
    if numbers != list(range(len(numbers))):
        listed.notes.append(
            f"{name}: masks are numbered {numbers[0]} to {numbers[-1]}; they are taken in order, "
            "the first for the first time stamp and frame"
        )
    frames = _frames(sequence, len(numbers), listed)
    kept = [place for place in range(len(numbers)) if _is_sample(place, settings)]
    listed.samples += [
        LeagueSample(
            f"{name}_{numbers[place]:06d}",
            name,
            sequence.split,
            place,
            times[place],
            tuple(found[numbers[place]] for found in masks),
            frames[place] if frames else None,
            sequence.calibration,
        )
        for place in kept
    ]
    assert sequence.events is not None
    rectify_map = sequence.rectify_map or sequence.events.with_name("rectify_map.h5")
    listed.drives[name] = DsecDrive(sequence.events, rectify_map, settings.rectify)
    geometry = [sequence.rectify_map] if settings.rectify != "none" else []
    files = [sequence.stamps, sequence.events, *geometry]
    listed.events[name] = tuple(path for path in files if path is not None)


def _is_sample(place: int, settings: LeagueSettings) -> bool:
    """Return whether the label at a place is a sample in the reading that was chosen."""
    if settings.samples == "ess":
        return place >= FIRST_LABELS and (place - FIRST_LABELS) % 2 == 0
    return settings.samples == "all" or place >= 2 * FIRST_LABELS


def _times(path: Path | None, listed: Listing) -> list[int]:
    if path is None:
        return []
    try:
        times = [int(line) for line in read_text(path).split()]
    except (OSError, ValueError) as error:
        listed.problems.append(f"cannot read {path}: {error}")
        return []
    back = [k for k in range(1, len(times)) if times[k] <= times[k - 1]]
    if back:
        listed.problems.append(f"{path}: times do not rise at lines {shown_numbers(back)}")
    return times


def _masks(folder: Path, times: list[int], listed: Listing) -> dict[int, Path]:
    found, others = numbered(folder, MASK_NAME)
    listed.left_out["files among masks of other names"] += len(others)
    if len(found) != len(times):
        listed.problems.append(
            f"{folder} holds {len(found):,} masks, and there are {len(times):,} time stamps; there "
            "must be as many"
        )
    return found


def _frames(sequence: _Sequence, count: int, listed: Listing) -> list[Path]:
    """Return the frames of a sequence by the place of their labels, none where there are none."""
    folder = sequence.frames
    if folder is None:
        return []
    if folder.name == "rectified" and sequence.calibration is None:
        listed.notes.append(
            f"{sequence.name} has frames and no {CALIBRATION}, which brings them into the view of "
            "the events: they are not used"
        )
        return []
    paths = [folder / f"{place:06d}.png" for place in range(count)]
    missing = [place for place, path in enumerate(paths) if not path.is_file()]
    if missing:
        listed.problems.append(
            f"{folder}: {len(missing):,} labels have no frame: {shown_numbers(missing)}"
        )
    return paths
