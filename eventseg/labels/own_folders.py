"""Folders of a user's own labelled pictures: ``images``, ``labels`` and ``classes.toml``.

``images/[SPLIT/][DRIVE/]NAME.*`` and ``labels/[SPLIT/][DRIVE/]NAME.png`` with the class table
``classes.toml`` beside them. Folders ``train``, ``val`` and ``test`` are splits; without any of
them all pictures train. Deeper folders are drives.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from eventseg.errors import DatasetError
from eventseg.images import PICTURES
from eventseg.labels.folder_items import PNG, SPLITS, Item, Items, count_left_out, files_by_stem
from eventseg.labels.tables import PAGE, load_class_table

CLASSES = "classes.toml"
IMAGES, LABELS = "images", "labels"
SHOWN = 4
"""Names that an error shows."""


def has_own_layout(path: Path) -> bool:
    """Return whether a folder has a class table beside pictures or labels."""
    return (path / CLASSES).is_file() and any((path / name).is_dir() for name in (IMAGES, LABELS))


def lacks_classes(path: Path) -> bool:
    """Return whether a folder has the layout but for its class table."""
    return not (path / CLASSES).exists() and all((path / n).is_dir() for n in (IMAGES, LABELS))


def find_own(path: Path) -> Items:
    """List the samples of a folder of this layout.

    Raises
    ------
    DatasetError
        No pictures or no labels, or two samples of one id.
    LabelError
        The class table cannot be read.
    """
    listed = Items(load_class_table(path / CLASSES))
    for name in (IMAGES, LABELS):
        if not (path / name).is_dir():
            raise DatasetError(
                f"{path} has {CLASSES} and no folder {name}: the layout is "
                f"{IMAGES}/[train|val|test/]NAME.png with {LABELS}/... of the same names ({PAGE})"
            )
    splits = [s for s in SPLITS if any((path / name / s).is_dir() for name in (IMAGES, LABELS))]
    for split in splits or [""]:
        _add_split(path, split, listed)
    if splits:
        for name in (IMAGES, LABELS):
            beside = sum(entry.name not in splits for entry in (path / name).iterdir())
            listed.left_out[f"entries of {name} beside {', '.join(splits)}"] += beside
    by_id = defaultdict(list)
    for item in listed.samples:
        by_id[item.id].append(item.image or item.labels)
    twice = [paths for paths in by_id.values() if len(paths) > 1]
    if twice:
        shown = "; ".join(" and ".join(map(str, paths)) for paths in twice[:SHOWN])
        raise DatasetError(
            f"{path} has {len(twice)} ids of more than one sample: {shown}; a sample is named by "
            "its file and the folders below the split: rename one, and keep no picture in two "
            "splits"
        )
    return listed


def _add_split(path: Path, split: str, listed: Items) -> None:
    """Add the samples of a split, an empty one for a folder without splits."""
    pictures = _tree(path / IMAGES / split, listed, endings=PICTURES)
    labels = _tree(path / LABELS / split, listed, endings=PNG)
    if not labels:
        listed.left_out[f"pictures of {split or IMAGES}, which has no labels"] += len(pictures)
        return
    listed.left_out["labels without a picture"] += len(labels.keys() - pictures.keys())
    for name, image in pictures.items():
        folder, _, stem = name.rpartition("/")
        listed.samples.append(
            Item(
                name.replace("/", "_"),
                split or "train",
                folder or re.sub(r"[-_.]?\d+$", "", stem) or stem,
                image,
                labels.get(name, path / LABELS / split / f"{name}.png"),
                listed.classes,
            )
        )


def _tree(root: Path, listed: Items, *, endings: tuple[str, ...]) -> dict[str, Path]:
    """Return the files of a folder and of the folders in it, by path without ending."""
    found = files_by_stem(root, listed, endings=endings)
    inside = sorted(root.iterdir()) if root.is_dir() else []
    for folder in inside:
        if folder.is_dir() and not folder.name.startswith("."):
            count_left_out(listed, -1)
            part = _tree(folder, listed, endings=endings)
            found |= {f"{folder.name}/{name}": path for name, path in part.items()}
    return found
