"""Folders of labelled pictures: a user's own, and those of CamVid, Cityscapes and EV-SegNet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eventseg.errors import DatasetError
from eventseg.images import PICTURES
from eventseg.labels.files import read_labels
from eventseg.labels.folder_items import SPLITS as SPLITS
from eventseg.labels.folder_items import Item as Item
from eventseg.labels.folder_items import Items, files_by_stem
from eventseg.labels.maps import IGNORED, Labels, load_class_table, merge_labels, merge_of
from eventseg.labels.own_folders import find_own, has_own_layout

RELEASED_SPLITS = ("train", "test", "other")


def _camvid(path: Path) -> Items:
    void, table = (*range(11), IGNORED), load_class_table("camvid11")
    listed = Items(table)
    for split in SPLITS:
        pictures = files_by_stem(path / split, listed, endings=PICTURES)
        if not (path / f"{split}annot").is_dir():
            listed.left_out[f"pictures of {split}, which has no labels"] += len(pictures)
            continue
        labels = files_by_stem(path / f"{split}annot", listed)
        listed.left_out["labels without a picture"] += len(labels.keys() - pictures.keys())
        listed.samples += [
            Item(
                stem,
                split,
                stem.rpartition("_")[0],
                image,
                labels.get(stem, path / f"{split}annot" / f"{stem}.png"),
                table,
                merge=void,
            )
            for stem, image in pictures.items()
        ]
    return listed


def _cityscapes(path: Path) -> Items:
    """Fine labels, coarse ones where a picture has no fine; the test part has none published."""
    every, scored = load_class_table("cityscapes34"), load_class_table("cityscapes19")
    ids = merge_of(every, scored)
    listed = Items(scored)
    for city in _folders(path / "leftImg8bit"):
        split = city.parent.name
        pictures = {
            stem.removesuffix("_leftImg8bit"): image
            for stem, image in files_by_stem(city, listed).items()
            if stem.endswith("_leftImg8bit")
        }
        kinds = [kind for kind in ("gtFine", "gtCoarse") if (path / kind / split).is_dir()]
        if split == "test" or not kinds:
            listed.left_out[f"pictures of {split}, which has no labels"] += len(pictures)
            continue
        labels = {
            stem: file
            for kind in kinds
            for stem, file in files_by_stem(path / kind / split / city.name, listed).items()
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
                    scored if trained else every,
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
    listed = Items(load_class_table("evsegnet6"))
    for split in RELEASED_SPLITS:
        labels = files_by_stem(path / "labels" / split, listed)
        images = files_by_stem(path / "images" / split, listed)
        events = files_by_stem(path / "events" / split, listed, endings=(".npy",))
        for kind, files in (("pictures", images), ("tensors", events)):
            listed.left_out[f"{kind} without labels"] += len(files.keys() - labels.keys())
        for stem, file in labels.items():
            image = images.get(stem, path / "images" / split / file.name)
            tensor = events.get(stem, path / "events" / split / f"{stem}.npy")
            listed.samples.append(
                Item(
                    stem,
                    split,
                    _recording_of(stem),
                    image if (path / "images" / split).is_dir() else None,
                    file,
                    listed.classes,
                    tensor if (path / "events" / split).is_dir() else None,
                )
            )
    return listed


def _recording_of(name: str) -> str:
    """Return the recording of a sample, ``REC_export_ROW`` or, of other data, ``REC_NUMBER``."""
    recording, export, _ = name.partition("_export_")
    return recording if export else name.rpartition("_")[0] or name


def _is_released(path: Path) -> bool:
    labels = any((path / "labels" / split).is_dir() for split in RELEASED_SPLITS)
    of_others = any((path / root / "val").is_dir() for root in ("labels", "images"))
    return labels and not of_others and any((path / r).is_dir() for r in ("images", "events"))


def _pairs(path: Path) -> Items:
    listed = Items(None)
    pictures = files_by_stem(path / "images", listed, endings=PICTURES)
    labels = files_by_stem(path / "labels", listed)
    listed.left_out["labels without a picture"] += len(labels.keys() - pictures.keys())
    listed.samples = [
        Item(stem, "pairs", "pairs", image, labels.get(stem, path / f"labels/{stem}.png"), None)
        for stem, image in pictures.items()
    ]
    return listed


@dataclass(frozen=True, slots=True)
class FolderLayout:
    """Layout of an image folder.

    Parameters
    ----------
    matches : callable
        Whether a folder has the layout.
    find : callable
        Lists the samples of a folder that has it, with their class table.
    """

    matches: Callable[[Path], bool]
    find: Callable[[Path], Items]


LAYOUTS: dict[str, FolderLayout] = {
    "own": FolderLayout(has_own_layout, find_own),
    "camvid": FolderLayout(
        lambda p: any((p / f"{split}annot").is_dir() for split in SPLITS), _camvid
    ),
    "cityscapes": FolderLayout(lambda p: (p / "leftImg8bit").is_dir(), _cityscapes),
    "evsegnet": FolderLayout(_is_released, _released),
}
"""Layouts with named classes, in the order in which they are recognised."""

PAIRS = FolderLayout(lambda p: (p / "images").is_dir(), _pairs)
"""``images/NAME.*`` and ``labels/NAME.png``, whose values are numbers of unnamed classes."""


def list_samples(path: Path, layout: FolderLayout) -> Items:
    """List the samples of an image folder.

    Raises
    ------
    DatasetError
        It has none, or labels are missing.
    """
    found = layout.find(path) if layout.matches(path) else Items(None)
    if not found.samples:
        raise DatasetError(f"{path} holds no pair of picture and labels")
    missing = [str(item.labels) for item in found.samples if not item.labels.is_file()]
    if missing:
        raise DatasetError(
            f"{len(missing)} labels are missing, first {missing[0]}; take away the pictures "
            "without labels, or label them"
        )
    found.left_out = +found.left_out
    return found


def labels_of(item: Item) -> Labels:
    """Return the labels of a sample in the classes of its layout, uint8 (H, W), 255 ignored.

    Raises
    ------
    LabelError
        The file is missing, damaged, no label map, or has values outside the classes.
    """
    if item.merge is None:
        return read_labels(item.labels, table=item.table)
    return merge_labels(read_labels(item.labels, colours=item.table), item.merge)


def left_out_note(left_out: Mapping[str, int]) -> list[str]:
    """Return the line that counts the entries left out of a folder; none where there are none."""
    counts = [f"{number:,} {reason}" for reason, number in left_out.items()]
    return [f"left out: {'; '.join(counts)}"] if counts else []
