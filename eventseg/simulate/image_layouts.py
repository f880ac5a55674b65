"""Image folders as the simulator takes them: samples by part, gray pictures and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, LabelError
from eventseg.images import read_picture
from eventseg.labels import image_folders
from eventseg.labels.image_folders import PAIRS, FolderLayout, Item, labels_of, list_samples
from eventseg.labels.maps import Labels, load_class_table
from eventseg.simulate.scene.scenarios import SimulationError

LAYOUTS: dict[str, FolderLayout] = {
    **{name: image_folders.LAYOUTS[name] for name in ("camvid", "cityscapes")},
    "pairs": PAIRS,
}
"""Known layouts: ``camvid`` has PART and PARTannot with files of one name; ``cityscapes`` has
leftImg8bit/PART/CITY/NAME_leftImg8bit.png and gtFine/PART/CITY/NAME_gtFine_labelIds.png; ``pairs``
has images/NAME.* and labels/NAME.png, whose values are class numbers, 255 ignored."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images by part such as ``train``, classes, and counts of entries left out."""

    parts: dict[str, list[Item]]
    classes: tuple[str, ...]
    left_out: Mapping[str, int]


def find_images(folder: Path, layout: str) -> ImageSet:
    """List the labelled images of a folder, as training on the folder does.

    Raises
    ------
    SimulationError
        Unknown layout, no folder, no images, or images without labels.
    """
    if layout not in LAYOUTS:
        raise SimulationError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}")
    if not folder.is_dir():
        raise SimulationError(f"{folder} is no folder: give the one that holds the images")
    chosen = LAYOUTS[layout]
    try:
        found = list_samples(folder, chosen)
    except DatasetError as error:
        raise SimulationError(f"{error} (layout {layout!r})") from error
    parts: dict[str, list[Item]] = {}
    for item in sorted(found.samples, key=lambda item: item.split):
        parts.setdefault(item.split, []).append(item)
    unnamed = tuple(f"class {i}" for i in range(255))
    classes = load_class_table(chosen.table).names if chosen.table else unnamed
    return ImageSet(parts, tuple(classes), found.left_out)


def load_pair(item: Item) -> tuple[NDArray[np.float32], Labels]:
    """Read one image as gray luminance, float32 (h, w) in 0 to 255, and its classes, uint8 (h, w).

    Raises
    ------
    SimulationError
        A file that is no image, label maps that are none, or sizes that differ.
    """
    if item.image is None:
        raise SimulationError(f"{item.labels} has no picture: give a folder with pictures")
    try:
        gray = read_picture(item.image, colour=False).astype(np.float32)
        labels = labels_of(item)
    except (DatasetError, LabelError) as error:
        raise SimulationError(str(error)) from error
    if gray.shape != labels.shape:
        raise SimulationError(
            f"{item.image.name} is {gray.shape[1]}x{gray.shape[0]} but its labels are "
            f"{labels.shape[1]}x{labels.shape[0]}: both must have one size"
        )
    return gray, labels
