"""Folders of labelled pictures in the layouts of CamVid, Cityscapes and EV-SegNet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from eventseg.images import PICTURES, list_pictures
from eventseg.labels.maps import IGNORED, merge_of

SPLITS = ("train", "val", "test")
RELEASED_SPLITS = ("train", "test", "other")
PNG = (".png",)


@dataclass(frozen=True, slots=True)
class Item:
    """Files of one sample: labels, and picture, events and instance ids where it has them.

    ``table`` names the classes that the label file is in, and ``merge`` is the class of each of its
    values; without a merge they are classes.
    """

    id: str
    split: str
    sequence: str
    image: Path | None
    labels: Path
    table: str
    events: Path | None = None
    merge: tuple[int, ...] | None = None
    instances: Path | None = None


@dataclass(slots=True)
class Items:
    """Samples of a folder, and by reason the number of entries that are none."""

    samples: list[Item] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def _by_stem(folder: Path, listed: Items, *, endings: tuple[str, ...] = PNG) -> dict[str, Path]:
    """Return the files of a folder by name without ending, and count its other entries.

    Where a picture is there in two formats, the PNG is taken.
    """
    found = list_pictures(folder, endings=endings)
    listed.left_out["hidden files, folders and files of other kinds"] += len(found.left_out)
    by_stem: dict[str, Path] = {}
    for path in sorted(found.files, key=lambda path: path.suffix.lower() == ".png"):
        by_stem[path.stem] = path
    return dict(sorted(by_stem.items()))


def _camvid(path: Path) -> Items:
    void = (*range(11), IGNORED)
    listed = Items()
    for split in SPLITS:
        pictures = _by_stem(path / split, listed, endings=PICTURES)
        if not (path / f"{split}annot").is_dir():
            listed.left_out[f"pictures of {split}, which has no labels"] += len(pictures)
            continue
        labels = _by_stem(path / f"{split}annot", listed)
        listed.left_out["labels without a picture"] += len(labels.keys() - pictures.keys())
        listed.samples += [
            Item(
                stem,
                split,
                stem.rpartition("_")[0],
                image,
                labels.get(stem, path / f"{split}annot" / f"{stem}.png"),
                "camvid11",
                merge=void,
            )
            for stem, image in pictures.items()
        ]
    return listed


def _cityscapes(path: Path) -> Items:
    """Fine labels, coarse ones where a picture has no fine; the test part has none published."""
    ids = merge_of("cityscapes34", "cityscapes19")
    listed = Items()
    for city in _folders(path / "leftImg8bit"):
        split = city.parent.name
        pictures = {
            stem.removesuffix("_leftImg8bit"): image
            for stem, image in _by_stem(city, listed).items()
            if stem.endswith("_leftImg8bit")
        }
        kinds = [kind for kind in ("gtFine", "gtCoarse") if (path / kind / split).is_dir()]
        if split == "test" or not kinds:
            listed.left_out[f"pictures of {split}, which has no labels"] += len(pictures)
            continue
        labels = {
            stem: file
            for kind in kinds
            for stem, file in _by_stem(path / kind / split / city.name, listed).items()
        }
        for name, image in pictures.items():
            choices = [
                f"{name}_{kind}_{values}"
                for kind in ("gtFine", "gtCoarse")
                for values in ("labelTrainIds", "labelIds")
            ]
            missing = path / kinds[0] / split / city.name / f"{name}_{kinds[0]}_labelIds.png"
            chosen = next((labels[choice] for choice in choices if choice in labels), missing)
            trained = chosen.stem.endswith("_labelTrainIds")
            listed.samples.append(
                Item(
                    name,
                    split.removesuffix("_extra"),
                    city.name,
                    image,
                    chosen,
                    "cityscapes19" if trained else "cityscapes34",
                    merge=None if trained else ids,
                    instances=labels.get(f"{name}_gtFine_instanceIds"),
                )
            )
    return listed


def _folders(root: Path) -> Iterator[Path]:
    """Yield the folders in the folders of a folder, hidden ones left out."""
    for parent in sorted(root.iterdir()):
        if parent.is_dir() and not parent.name.startswith("."):
            for child in sorted(parent.iterdir()):
                if child.is_dir() and not child.name.startswith("."):
                    yield child


def _released(path: Path) -> Items:
    listed = Items()
    for split in RELEASED_SPLITS:
        labels = _by_stem(path / "labels" / split, listed)
        images = _by_stem(path / "images" / split, listed)
        events = _by_stem(path / "events" / split, listed, endings=(".npy",))
        for kind, files in (("pictures", images), ("tensors", events)):
            listed.left_out[f"{kind} without labels"] += len(files.keys() - labels.keys())
        for stem, file in labels.items():
            image = images.get(stem, path / "images" / split / file.name)
            tensor = events.get(stem, path / "events" / split / f"{stem}.npy")
            listed.samples.append(
                Item(
                    stem,
                    split,
                    stem.partition("_export_")[0],
                    image if (path / "images" / split).is_dir() else None,
                    file,
                    "evsegnet6",
                    tensor if (path / "events" / split).is_dir() else None,
                )
            )
    return listed


def _is_released(path: Path) -> bool:
    labels = any((path / "labels" / split).is_dir() for split in RELEASED_SPLITS)
    return labels and any((path / root).is_dir() for root in ("images", "events"))


LAYOUTS: tuple[tuple[Callable[[Path], bool], Callable[[Path], Items], str], ...] = (
    (lambda p: any((p / f"{s}annot").is_dir() for s in SPLITS), _camvid, "camvid11"),
    (lambda p: (p / "leftImg8bit").is_dir(), _cityscapes, "cityscapes19"),
    (_is_released, _released, "evsegnet6"),
)
"""How a layout is known, its samples, and its classes."""
