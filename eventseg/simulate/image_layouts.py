"""Folders of labelled images: pairs of pictures and label maps, and their classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, LabelError
from eventseg.images import PICTURES, read_picture
from eventseg.labels.files import read_labels
from eventseg.simulate.scene.classes import CLASS_NAMES, IGNORED
from eventseg.simulate.scene.scenarios import SimulationError

CAMVID_NAMES = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)

# Cityscapes' label ids of the 19 training classes, in the order of the training ids.
_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

LAYOUTS = ("camvid", "cityscapes", "pairs")
"""Known layouts: ``camvid`` has PART and PARTannot with files of one name; ``cityscapes`` has
leftImg8bit/PART/CITY/NAME_leftImg8bit.png and gtFine/PART/CITY/NAME_gtFine_labelIds.png; ``pairs``
has images/NAME.* and labels/NAME.png, whose values are class numbers, 255 ignored."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images by part, e.g. ``train``, and their classes.

    ``pairs`` holds (picture, labels) by part; ``lookup`` turns a stored label into a class.
    """

    pairs: dict[str, list[tuple[Path, Path]]]
    classes: tuple[str, ...]
    lookup: NDArray[np.uint8]


def find_images(folder: Path, layout: str) -> ImageSet:
    """List the labelled images of a folder.

    Raises
    ------
    SimulationError
        Unknown layout, no folder, no images, or images without labels (and the reverse).
    """
    if layout not in LAYOUTS:
        raise SimulationError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}")
    if not folder.is_dir():
        raise SimulationError(f"{folder} is no folder: give the one that holds the images")
    lookup = np.arange(256, dtype=np.uint8)
    classes: tuple[str, ...] = CLASS_NAMES
    if layout == "camvid":
        parts = sorted(p for p in folder.iterdir() if (folder / f"{p.name}annot").is_dir())
        found = {p.name: (_by_stem(p, ""), _by_stem(folder / f"{p.name}annot", "")) for p in parts}
        classes = CAMVID_NAMES
        lookup[len(classes) :] = IGNORED
    elif layout == "cityscapes":
        pictures, labels = folder / "leftImg8bit", folder / "gtFine"
        # A part without labels, as the test part, is left out.
        parts = (
            sorted(p for p in pictures.iterdir() if (labels / p.name).is_dir())
            if pictures.is_dir()
            else []
        )
        found = {
            p.name: (
                _by_stem(p, "_leftImg8bit"),
                _by_stem(labels / p.name, "_gtFine_labelIds"),
            )
            for p in parts
        }
        lookup[:] = IGNORED
        lookup[list(_CITYSCAPES_IDS)] = np.arange(19)
    else:
        found = {"pairs": (_by_stem(folder / "images", ""), _by_stem(folder / "labels", ""))}
        classes = tuple(f"class {i}" for i in range(255))
    pairs: dict[str, list[tuple[Path, Path]]] = {}
    for part, (pictures_of, labels_of) in found.items():
        alone = sorted(pictures_of.keys() ^ labels_of.keys())
        if alone:
            names = ", ".join(alone[:5]) + (" ..." if len(alone) > 5 else "")
            raise SimulationError(
                f"{folder}, {part}: {len(alone)} images or label maps have no partner: {names}"
            )
        if pictures_of:
            pairs[part] = [(pictures_of[k], labels_of[k]) for k in sorted(pictures_of)]
    if not pairs:
        raise SimulationError(f"{folder} holds no labelled images in the layout {layout!r}")
    return ImageSet(pairs, classes, lookup)


def load_pair(
    picture: Path, labels: Path, lookup: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Read one image as gray luminance, float32 (h, w) in 0 to 255, and its classes, uint8 (h, w).

    Raises
    ------
    SimulationError
        A file that is no image, label maps in colour, or sizes that differ.
    """
    try:
        gray = read_picture(picture, colour=False).astype(np.float32)
        stored = read_labels(labels)
    except DatasetError as error:
        raise SimulationError(str(error)) from error
    except LabelError as error:
        raise SimulationError(
            f"{error} ({labels.name} must hold one 8-bit class number per pixel)"
        ) from error
    if gray.shape != stored.shape:
        raise SimulationError(
            f"{picture.name} is {gray.shape[1]}x{gray.shape[0]} but its labels are "
            f"{stored.shape[1]}x{stored.shape[0]}: both must have one size"
        )
    return gray, lookup[stored]


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    """Return the images below a folder by their name without suffix and ending."""
    if not folder.is_dir():
        return {}
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in PICTURES and path.stem.endswith(ending) and not hidden:
            name = (path.relative_to(folder).parent / path.stem).as_posix()
            found[name[: len(name) - len(ending)]] = path
    return found
