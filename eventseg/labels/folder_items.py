"""Samples of folders of labelled pictures: files by sample, and the listing of a folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from eventseg.images import list_pictures
from eventseg.labels.tables import ClassTable

SPLITS = ("train", "val", "test")
PNG = (".png",)


@dataclass(frozen=True, slots=True)
class Item:
    """Files of one sample: labels, and picture, events and instance ids where it has them.

    ``table`` holds the classes that the label file is in, and ``merge`` the class of each of its
    values; without a merge they are classes. Without a table they are numbers of unnamed classes.
    """

    id: str
    split: str
    sequence: str
    image: Path | None
    labels: Path
    table: ClassTable | None
    events: Path | None = None
    merge: tuple[int, ...] | None = None
    instances: Path | None = None


@dataclass(slots=True)
class Items:
    """Samples of a folder, their classes, and by reason the number of entries that are none."""

    classes: ClassTable | None
    samples: list[Item] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def files_by_stem(
    folder: Path, listed: Items, *, endings: tuple[str, ...] = PNG
) -> dict[str, Path]:
    """Return the files of a folder by name without ending, and count its other entries.

    Where a picture is there in two formats, the PNG is taken.
    """
    found = list_pictures(folder, endings=endings)
    count_left_out(listed, len(found.left_out))
    by_stem: dict[str, Path] = {}
    for path in sorted(found.files, key=lambda path: path.suffix.lower() == ".png"):
        by_stem[path.stem] = path
    return dict(sorted(by_stem.items()))


def count_left_out(listed: Items, entries: int) -> None:
    """Count entries of a folder that belong to no sample."""
    listed.left_out["hidden files, folders and files of other kinds"] += entries
