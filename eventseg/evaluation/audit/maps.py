"""Two sets of label maps of the same frames: of a data set, or in plain folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.reader import EventDataset, dataset_folders, open_dataset
from eventseg.errors import DatasetError, LabelError
from eventseg.images import list_pictures, read_image
from eventseg.labels.files import read_labels
from eventseg.labels.maps import ClassTable, Labels, merge_labels, merge_of, table_of
from eventseg.pseudolabel.label_set_folder import frames_of

Read = Callable[[str], NDArray[np.uint8]]

SHOWN = 4
"""Names that an error shows."""


@dataclass(frozen=True, eq=False, slots=True)
class LabelMaps:
    """Label maps by the id of their frame.

    Parameters
    ----------
    name : str
        Name of the label set, or of the folder.
    classes : ClassTable
        Class table of the ids in the maps.
    read : callable
        Gives the labels of a frame, uint8 (H, W).
    confidence : callable, optional
        Gives how sure they are, uint8 (H, W), 255 times a probability.
    """

    name: str
    classes: ClassTable
    read: Read
    confidence: Read | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Pair:
    """Labels and the reference they are compared with.

    Parameters
    ----------
    labels, other : LabelMaps
    classes : ClassTable
        Classes that both are merged into.
    ids, sequences : tuple of str (N,)
        Frames that both have, and the recording of each.
    left_out : int
        Frames of the part that one of the two does not have.
    frame : callable, optional
        Gives the picture of a frame, uint8 (H, W).
    """

    labels: LabelMaps
    other: LabelMaps
    classes: ClassTable
    ids: tuple[str, ...]
    sequences: tuple[str, ...]
    left_out: int = 0
    frame: Read | None = None

    def maps(self, name: str) -> tuple[Labels, Labels]:
        """Return the labels of a frame and the other's, merged, uint8 (H, W) each.

        Raises
        ------
        LabelError
            Two sizes, or ids outside the class table.
        """
        matches = []
        for side in (self.labels, self.other):
            try:
                matches.append(merge_labels(side.read(name), merge_of(side.classes, self.classes)))
            except LabelError as error:
                raise LabelError(f"{side.name}, {name}: {error}") from error
        labels, other = matches
        if labels.shape != other.shape:
            raise LabelError(
                f"{name} is {_size(labels)} in {self.labels.name} and {_size(other)} in "
                f"{self.other.name}; bring them to one size"
            )
        return labels, other


def open_pair(
    path: str | Path,
    *,
    other: str,
    labels: str | None = None,
    classes: ClassTable | None = None,
    labels_classes: ClassTable | None = None,
    other_classes: ClassTable | None = None,
    confidence: Path | None = None,
    split: str = "all",
) -> Pair:
    """Open the labels of a data set or of a folder, and the reference they are compared with.

    Parameters
    ----------
    path : path
        A data set, or a folder of label PNGs.
    other : str
        A label set of the data set, or a folder of label PNGs: named by the ids of samples, of
        which it need not have all, or for a plain folder named as its files.
    labels : str, optional
        Label set of the data set.
    classes : ClassTable, optional
        Classes that both are merged into; by default those of the one that the other merges into.
    labels_classes, other_classes : ClassTable, optional
        Classes of files in plain folders; by default `classes`, or for files named by samples
        those of the label set.
    confidence : Path, optional
        Folder of confidence PNGs named as the labels of a plain folder.
    split : {"all", "train", "val", "test", "other"}
        Part of a data set.

    Raises
    ------
    DatasetError
        No such label set or folder, or no frame that both have.
    LabelError
        Classes that are unknown or do not merge, or files without a partner.
    """
    root = Path(path)
    if dataset_folders(root):
        if confidence is not None or labels_classes is not None:
            raise LabelError(
                f"{root} is a data set, whose label sets have confidences and classes of their "
                "own; leave out those given"
            )
        dataset = open_dataset(root)
        return _of_dataset(
            dataset, labels, other, classes=classes, other_classes=other_classes, split=split
        )
    if labels is not None or split != "all":
        raise LabelError(
            f"{root} is no data set: a plain folder of label PNGs has neither sets nor splits"
        )
    return _of_folders(
        root,
        Path(other),
        classes=classes,
        labels_classes=labels_classes,
        other_classes=other_classes,
        confidence=confidence,
    )


def common_classes(labels: ClassTable, other: ClassTable) -> ClassTable:
    """Return the one of two class tables that the other merges into.

    Raises
    ------
    LabelError
        Neither merges into the other.
    """
    for source, target in ((other, labels), (labels, other)):
        # A manifest keeps names and colours; what merges into known classes is in their file.
        known = target if target.merges else table_of(target.names)
        try:
            merge_of(source, known)
        except LabelError:
            continue
        return known
    raise LabelError(
        f"classes {labels.name or ', '.join(labels.names)} and "
        f"{other.name or ', '.join(other.names)} do not merge into each other; name a class table "
        "that both merge into with --classes"
    )


def _of_dataset(
    dataset: EventDataset,
    labels: str | None,
    other: str,
    *,
    classes: ClassTable | None,
    other_classes: ClassTable | None,
    split: str,
) -> Pair:
    known = ", ".join(dataset.manifest.labels) or "none: run eventseg pseudolabel"
    if labels is None or labels not in dataset.manifest.labels:
        asked = "name the label set to audit" if labels is None else f"no label set {labels!r}"
        raise DatasetError(f"{dataset.path}: {asked}; it has {known}")
    ours = _set(dataset, labels)
    if other in dataset.manifest.labels:
        if other_classes is not None:
            raise LabelError(f"label set {other} has classes of its own; leave out those given")
        theirs = _set(dataset, other)
        has = _names(dataset.path / "labels" / other)
    elif Path(other).is_dir():
        theirs = _folder(Path(other), other_classes or ours.classes, crop=dataset)
        has = _names(Path(other))
        strange = sorted(has - set(dataset.ids))
        if strange:
            raise LabelError(f"{other} has files of no sample of {dataset.path}: {_some(strange)}")
    else:
        raise DatasetError(
            f"{dataset.path} has no label set {other!r}, nor is there such a folder; it has {known}"
        )
    rows = dataset.samples
    part = {name for name, of in zip(rows.ids, rows.split, strict=True) if split in ("all", of)}
    both = part & has & _names(dataset.path / "labels" / labels)
    chosen: list[tuple[str, str]] = []
    frames = 0
    # A frame that several samples share counts once.
    for frame in frames_of(dataset):
        names = [dataset.ids[i] for i in frame.samples]
        frames += any(name in part for name in names)
        chosen += [(name, frame.recording) for name in names if name in both][:1]
    if not chosen:
        raise DatasetError(
            f"{labels} and {other} have no frame in common in split {split} of {dataset.path}; "
            f"samples are of {', '.join(sorted(set(dataset.samples.split)))}"
        )
    place = {name: i for i, name in enumerate(dataset.ids)}
    return Pair(
        ours,
        theirs,
        classes or common_classes(ours.classes, theirs.classes),
        tuple(name for name, _ in chosen),
        tuple(recording for _, recording in chosen),
        frames - len(chosen),
        lambda name: _cropped(dataset, dataset.frame(place[name])),
    )


def _of_folders(
    root: Path,
    other: Path,
    *,
    classes: ClassTable | None,
    labels_classes: ClassTable | None,
    other_classes: ClassTable | None,
    confidence: Path | None,
) -> Pair:
    first, second = labels_classes or classes, other_classes or classes
    if first is None or second is None:
        raise LabelError(f"files in {root} do not tell their classes; name the table (--classes)")
    names = _names(root)
    if not names:
        raise DatasetError(f"{root} is neither a data set nor a folder of label PNGs")
    for folder in (other, *([] if confidence is None else [confidence])):
        if not folder.is_dir():
            raise DatasetError(f"there is no folder {folder}")
        orphans = [f"{root / name}.png" for name in sorted(names - _names(folder))]
        orphans += [f"{folder / name}.png" for name in sorted(_names(folder) - names)]
        if orphans:
            raise LabelError(
                f"{root} and {folder} need files of the same names; only one has {_some(orphans)}"
            )
    ours = _folder(root, first)
    sure = None if confidence is None else lambda name: read_image(confidence / f"{name}.png")
    return Pair(
        LabelMaps(ours.name, first, ours.read, sure),
        _folder(other, second),
        classes or common_classes(first, second),
        tuple(sorted(names)),
        (ours.name,) * len(names),
    )


def _set(dataset: EventDataset, name: str) -> LabelMaps:
    """Return a label set of a data set within its crop, as training and evaluation see it."""
    place = {sample: i for i, sample in enumerate(dataset.ids)}
    return LabelMaps(
        name,
        dataset.manifest.labels[name],
        lambda sample: _cropped(dataset, dataset.labels(place[sample], name)),
        (lambda sample: _cropped(dataset, dataset.confidence(place[sample], name)))
        if (dataset.path / "confidence" / name).is_dir()
        else None,
    )


def _folder(folder: Path, table: ClassTable, *, crop: EventDataset | None = None) -> LabelMaps:
    def read(name: str) -> Labels:
        labels = read_labels(folder / f"{name}.png", table=table)
        return labels if crop is None else _cropped(crop, labels)

    return LabelMaps(folder.resolve().name, table, read)


def _cropped(dataset: EventDataset, whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
    settings = dataset.manifest.settings
    if whole.shape != tuple(settings.sensor):
        raise LabelError(f"a picture of {_size(whole)} in a data set of {settings.sensor}")
    return whole[slice(*settings.rows)]


def _names(folder: Path) -> set[str]:
    return {path.stem for path in list_pictures(folder, endings=(".png",)).files}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
