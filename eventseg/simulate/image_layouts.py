"""Image folders as the simulator takes them: samples by part, gray pictures and classes.

A part is a split of the folder, such as ``train``; each becomes a recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, LabelError
from eventseg.images import read_picture
from eventseg.labels import image_folders
from eventseg.labels.image_folders import PAIRS, FolderLayout, Item, labels_of, list_samples
from eventseg.labels.maps import IGNORED, ClassTable, Labels, table_of
from eventseg.labels.tables import PAGE
from eventseg.simulate.scene.scenarios import SimulationError

LAYOUTS: dict[str, FolderLayout] = {
    **{name: image_folders.LAYOUTS[name] for name in ("own", "camvid", "cityscapes")},
    "pairs": PAIRS,
}
"""Known layouts: ``own`` has images/[PART/]NAME.*, labels/[PART/]NAME.png and classes.toml;
``camvid`` has PART and PARTannot with files of one name; ``cityscapes`` has
leftImg8bit/PART/CITY/NAME_leftImg8bit.png and gtFine/PART/CITY/NAME_gtFine_labelIds.png; ``pairs``
has images/NAME.* and labels/NAME.png, whose values are class numbers, 255 ignored."""

AUTO = "auto"
"""In place of a layout: the first that a folder has."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images by part such as ``train``.

    Parameters
    ----------
    layout : str
        Key of :data:`LAYOUTS`.
    parts : dict of list of Item
        Pictures with their labels, by part.
    classes : ClassTable
    left_out : mapping
        Counts of entries that are no samples, by reason.
    named : bool
        Whether the classes have names; otherwise they are numbered.
    """

    layout: str
    parts: dict[str, list[Item]]
    classes: ClassTable
    left_out: Mapping[str, int]
    named: bool = True


def find_images(folder: Path, layout: str = AUTO, *, classes: ClassTable | None = None) -> ImageSet:
    """List the labelled images of a folder, as training on the folder does.

    Parameters
    ----------
    folder : Path
    layout : str
        One of :data:`LAYOUTS`, or ``auto``.
    classes : ClassTable, optional
        Classes of the labels of the layouts ``own`` and ``pairs``, in place of those of
        ``classes.toml``. Without either, ``pairs`` has as many numbered classes as its labels use.

    Raises
    ------
    SimulationError
        Unknown layout, no folder, no images, images without labels, or classes for a layout that
        has its own.
    """
    if layout not in (AUTO, *LAYOUTS):
        raise SimulationError(
            f"unknown layout {layout!r}: choose one of {', '.join((AUTO, *LAYOUTS))}"
        )
    if not folder.is_dir():
        raise SimulationError(f"{folder} is no folder: give the one that holds the images")
    if layout == AUTO:
        # A folder of no known layout gets the error of one: camvid, the first that was read.
        layout = next((name for name, one in LAYOUTS.items() if one.matches(folder)), "camvid")
    if classes is not None and layout not in ("own", "pairs"):
        raise SimulationError(
            f"folders of layout {layout} have classes of their own: leave the classes out, or "
            f"choose own or pairs ({PAGE})"
        )
    try:
        found = list_samples(folder, LAYOUTS[layout])
    except (DatasetError, LabelError) as error:
        raise SimulationError(f"{error} (layout {layout!r})") from error
    if classes is not None:
        found.samples = [replace(item, table=classes) for item in found.samples]
    parts: dict[str, list[Item]] = {}
    for item in sorted(found.samples, key=lambda item: item.split):
        parts.setdefault(item.split, []).append(item)
    table = classes or found.classes
    named = table is not None
    return ImageSet(layout, parts, table or _numbered(found.samples), found.left_out, named)


def _numbered(items: Sequence[Item]) -> ClassTable:
    """Return a table of as many classes as the label maps of some images use."""
    most = 0
    try:
        for item in items:
            labels = labels_of(item)
            most = max(most, int(labels[labels != IGNORED].max(initial=0)))
    except LabelError as error:
        raise SimulationError(str(error)) from error
    return table_of([f"class {i}" for i in range(most + 1)])


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
