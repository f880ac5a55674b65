"""DDD17 in the ESS repack, as it is downloaded: directories, index files, masks and frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.ess.events import SENSOR, TIME_BYTES, TIMES, file_problems
from eventseg.recordings.ess.frames import UNPACK, VIDEO, frame_file, has_frames
from eventseg.recordings.ess.index import WINDOWS_US, EssIndex, index_file, read_index
from eventseg.sources.leagues.drives import EssDrive
from eventseg.sources.leagues.listing import LeagueSample, Listing, numbered, shown_numbers
from eventseg.sources.leagues.raw import RawDrive, join_directories, raw_recordings, rows_note
from eventseg.sources.leagues.settings import LeagueSettings, Split

MASKS = "segmentation_masks"
MASK_NAME = r"segmentation_(\d{8})\.png"

ROWS = 200
"""Rows that masks have; the 60 below show the bonnet."""

MASK_SIZE = SensorSize(ROWS, SENSOR.width)

SPLITS: Mapping[Split, Mapping[str, str]] = {
    "names": {
        "dir0": "train",
        "dir1": "test",
        "dir3": "train",
        "dir4": "train",
        "dir5": "other",
        "dir6": "train",
        "dir7": "train",
    },
    "ess": {
        "dir0": "train",
        "dir1": "val",
        "dir3": "train",
        "dir4": "train",
        "dir5": "test",
        "dir6": "train",
        "dir7": "train",
    },
}
"""Parts of the directories by name.

The code of ESS sorts ``dir*`` and takes positions: it calls dir1 validation and dir5, which has a
single mask, test. EISNet, MambaSeg, OpenESS and BRENet report on dir1.
"""

ONE_MASK = "dir5"
"""Directory of one mask; OpenESS deletes it."""

PUBLISHED: Mapping[Split, Mapping[str, int]] = {
    "names": {"train": 15_950, "test": 3_890},
    "ess": {"train": 15_950, "val": 3_890, "test": 1},
}


def is_ddd17(root: Path) -> bool:
    """Return whether a folder holds directories of the repack."""
    return any(
        (root / name / TIMES).exists() or (root / name / MASKS).is_dir() for name in SPLITS["names"]
    )


def list_ddd17(settings: LeagueSettings) -> Listing:
    """List a download of the repack; its faults are in the listing."""
    root, parts = settings.root, SPLITS[settings.split]
    listed = Listing(sets=("truth",))
    names = settings.sequences or tuple(parts)
    if unknown := [name for name in names if name not in parts]:
        listed.problems.append(
            f"{settings.path}: {', '.join(unknown)} is no directory of the repack: "
            f"{', '.join(parts)}"
        )
    for name in parts:
        if name not in names:
            continue
        if (root / name).is_dir():
            _list_directory(root / name, parts[name], listed)
        elif name == ONE_MASK and not settings.sequences:
            listed.notes.append(f"{ONE_MASK}, which has a single mask, is not there")
        else:
            listed.problems.append(
                f"{root / name} is missing; the repack has {', '.join(parts)}: name those to use "
                "in a league file, sequences = [...]"
            )
    strange = sorted(path.name for path in root.glob("dir*") if path.name not in parts)
    if strange:
        listed.left_out["entries dir* that are no directory of the repack"] = len(strange)
        listed.notes.append(
            f"{', '.join(strange)} is left out here, and moves the positions that the published "
            "loaders choose directories by"
        )
    if not settings.sequences:
        listed.note_counts(PUBLISHED[settings.split])
    if settings.raw is not None and not listed.problems:
        _join_raw(settings.raw, listed)
    return listed


def _join_raw(folder: Path, listed: Listing) -> None:
    """Put raw recordings in the place of the events of the directories, with notes."""
    if not folder.is_dir():
        listed.problems.append(f"there is no folder {folder} of raw recordings")
        return
    drives = {name: drive for name, drive in listed.drives.items() if isinstance(drive, EssDrive)}
    joins, problems = join_directories(drives, raw_recordings(folder))
    listed.problems += problems
    for name, join in joins.items():
        drives[name].close()
        raw = RawDrive(join.path, join.offset_us)
        listed.notes.append(join.line(name))
        times_us = [sample.t_us for sample in listed.samples if sample.sequence == name]
        t_first_us = raw.limits_us()[0] + join.offset_us
        listed.notes.append(rows_note(name, join, times_us, t_first_us=t_first_us))
        listed.drives[name] = raw
        listed.events[name] = (*listed.events[name], join.path)


def _list_directory(folder: Path, split: str, listed: Listing) -> None:
    index = _index_of(folder, listed)
    masks = folder / MASKS
    if not masks.is_dir():
        zipped = (folder / f"{MASKS}.zip").is_file()
        cure = f": unpack {MASKS}.zip into {MASKS}/ there" if zipped else ""
        listed.problems.append(f"{masks} is missing{cure}")
        return
    found, others = numbered(masks, MASK_NAME)
    listed.left_out["files in segmentation_masks of other names"] += len(others)
    if not found:
        listed.problems.append(f"{masks} holds no mask segmentation_NNNNNNNN.png")
    if index is None:
        return
    outside = [number for number in found if not 1 <= number <= len(index)]
    if outside:
        listed.problems.append(
            f"{masks}: {len(outside):,} masks have no row in {index.path.name}, which has "
            f"{len(index):,}: frames {shown_numbers(outside)}"
        )
        found = {number: path for number, path in found.items() if number not in set(outside)}
    pictures = has_frames(folder)
    if not pictures and (folder / VIDEO).is_file():
        listed.notes.append(
            f"{folder.name} has no frames, only {VIDEO}: to use them run there "
            f"mkdir imgs && {UNPACK}"
        )
    frames = {number: frame_file(folder, number) if pictures else None for number in found}
    orphans = [number for number, path in frames.items() if path is None]
    if pictures and orphans:
        listed.problems.append(
            f"{folder}: {len(orphans):,} masks have no frame: {shown_numbers(orphans)}"
        )
    times = index.frame_us.tolist()
    listed.samples += [
        LeagueSample(
            f"{folder.name}_{number:08d}",
            folder.name,
            split,
            number - 1,
            times[number - 1],
            (path,),
            frames[number],
        )
        for number, path in found.items()
    ]
    listed.drives[folder.name] = EssDrive(folder, index)


def _index_of(folder: Path, listed: Listing) -> EssIndex | None:
    """Return the index that gives the times of frames; faults of events and index are listed."""
    if faults := file_problems(folder):
        listed.problems += faults
        return None
    count = (folder / TIMES).stat().st_size // TIME_BYTES
    files = [path for us in WINDOWS_US if (path := index_file(folder, us)).is_file()]
    if not files:
        names = ", ".join(index_file(Path(), us).name for us in WINDOWS_US)
        listed.problems.append(f"{folder / 'index'} holds none of {names}")
        return None
    indices = []
    for path in files:
        try:
            indices.append(read_index(path, events=count))
        except RecordingError as error:
            listed.problems.append(str(error))
    listed.events[folder.name] = (folder / TIMES, *files)
    lengths = {str(len(index)) for index in indices}
    if len(lengths) > 1:
        listed.problems.append(
            f"{folder / 'index'}: the files have {', '.join(sorted(lengths))} rows; they must have "
            "as many"
        )
        return None
    return indices[0] if indices else None
