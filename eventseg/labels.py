"""Class tables as data: names, colours, and how one table merges into another."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError

IGNORED = 255
"""The label of pixels that belong to no class: neither trained on nor scored."""

Rgb = tuple[int, int, int]
Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ClassTable:
    """Classes by id: the first has id 0.

    Parameters
    ----------
    names : tuple of str (K,)
    colours : tuple of (red, green, blue) (K,)
        Each 0 to 255.
    """

    names: tuple[str, ...]
    colours: tuple[Rgb, ...]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)


CITYSCAPES_19 = ClassTable(
    (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
        "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
        "motorcycle", "bicycle",
    ),
    (
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
        (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
        (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
        (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
)  # fmt: skip
"""The training classes of Cityscapes by training id, in the colours of its scripts."""

EVSEGNET_6 = ClassTable(
    ("flat", "background", "object", "vegetation", "human", "vehicle"),
    ((128, 64, 128), (70, 70, 70), (220, 220, 0), (107, 142, 35), (220, 20, 60), (0, 0, 142)),
)
"""The classes of EV-SegNet's labels of DDD17; its background is construction and sky."""

EVSEGNET_6_OF_CITYSCAPES_19 = (0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 1, 4, 4, 5, 5, 5, 5, 5, 5)
"""EV-SegNet's class of each training class of Cityscapes."""


def table_of(names: Sequence[str]) -> ClassTable:
    """Return the table that has these names; one that is unknown gets evenly spread hues."""
    for known in (CITYSCAPES_19, EVSEGNET_6):
        if known.names == tuple(names):
            return known
    hues = [colorsys.hsv_to_rgb(i / max(1, len(names)), 0.7, 0.85) for i in range(len(names))]
    return ClassTable(
        tuple(names), tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in hues)
    )


def merge_labels(labels: Labels, merge: Sequence[int]) -> Labels:
    """Return labels in the classes of another table; ignored pixels stay so.

    Parameters
    ----------
    labels : uint8 (H, W)
    merge : sequence of int
        New id of each old one.

    Raises
    ------
    DatasetError
        A label that `merge` does not name.
    """
    _check(labels, len(merge))
    lookup = np.full(256, IGNORED, np.uint8)
    lookup[: len(merge)] = merge
    return lookup[labels]


def paint_labels(labels: Labels, classes: ClassTable) -> NDArray[np.uint8]:
    """Return a picture of labels in the colours of their classes; ignored pixels are black.

    Returns
    -------
    uint8 (H, W, 3)

    Raises
    ------
    DatasetError
        A label outside the table.
    """
    _check(labels, len(classes))
    lookup = np.zeros((256, 3), np.uint8)
    lookup[: len(classes)] = classes.colours
    return lookup[labels]


def unknown_labels(labels: Labels, classes: int) -> list[int]:
    """Return the labels that are neither one of so many classes nor ignored, sorted."""
    found = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    return [int(value) for value in found if classes <= value != IGNORED]


def _check(labels: Labels, classes: int) -> None:
    unknown = unknown_labels(labels, classes)
    if unknown:
        raise DatasetError(
            f"labels hold {', '.join(map(str, unknown))}; allowed are 0 to {classes - 1} and "
            f"{IGNORED} for ignored"
        )
