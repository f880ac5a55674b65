"""Folders of labelled pictures in the layouts of CamVid, Cityscapes and EV-SegNet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eventseg.labels.maps import (
    IGNORED,
    merge_of,
)

EVSEGNET_ROOTS = ("images", "events", "labels")


@dataclass(frozen=True, slots=True)
class Item:
    """Files of one sample: picture, labels, and events and instance ids where it has them.

    ``merge`` is the class of each value in the label file; without it they are classes.
    """

    id: str
    split: str
    sequence: str
    image: Path
    labels: Path
    events: Path | None = None
    merge: tuple[int, ...] | None = None
    instances: Path | None = None


def _camvid(path: Path) -> Sequence[Item]:
    void = (*range(11), IGNORED)
    return [
        Item(
            image.stem, split, image.stem.rpartition("_")[0], image,
            path / f"{split}annot" / f"{image.stem}.png", merge=void,
        )
        for split in ("train", "val", "test")
        for image in _pictures(path / split)
    ]  # fmt: skip


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder by name; where one is there as both, the PNG."""
    found = sorted(path for path in folder.glob("*") if path.suffix in (".jpg", ".png"))
    return list({path.stem: path for path in found}.values())


def _cityscapes(path: Path) -> Sequence[Item]:
    """Fine labels, coarse ones where a picture has no fine; the test part has none published."""
    ids = merge_of("cityscapes34", "cityscapes19")
    items = []
    for image in sorted(path.glob("leftImg8bit/*/*/*_leftImg8bit.png")):
        split, city = image.parts[-3], image.parts[-2]
        if split == "test":
            continue
        stem = image.name.removesuffix("_leftImg8bit.png")
        choices = [
            path / kind / split / city / f"{stem}_{kind}_{values}.png"
            for kind in ("gtFine", "gtCoarse")
            for values in ("labelTrainIds", "labelIds")
        ]
        labels = next((choice for choice in choices if choice.is_file()), choices[1])
        merge = ids if labels.stem.endswith("_labelIds") else None
        things = path / "gtFine" / split / city / f"{stem}_gtFine_instanceIds.png"
        items.append(
            Item(
                stem, split.removesuffix("_extra"), city, image, labels, merge=merge,
                instances=things if things.is_file() else None,
            )
        )  # fmt: skip
    return items


def _released(path: Path) -> Sequence[Item]:
    return [
        Item(
            labels.stem,
            split,
            labels.stem.partition("_export_")[0],
            path / "images" / split / labels.name,
            labels,
            path / "events" / split / f"{labels.stem}.npy",
        )
        for split in ("train", "test", "other")
        for labels in sorted((path / "labels" / split).glob("*.png"))
    ]


LAYOUTS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Sequence[Item]], str], ...] = (
    (lambda p: (p / "train").is_dir() and (p / "trainannot").is_dir(), _camvid, "camvid11"),
    (lambda p: (p / "leftImg8bit").is_dir(), _cityscapes, "cityscapes19"),
    (lambda p: all((p / root).is_dir() for root in EVSEGNET_ROOTS), _released, "evsegnet6"),
)
"""How a layout is known, its samples, and its classes."""
