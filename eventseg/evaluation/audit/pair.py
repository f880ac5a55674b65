"""The labels of a data set, of pictures or of plain folders, and what they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.opening import dataset_folders, open_dataset
from eventseg.dataset.reader import EventDataset
from eventseg.errors import DatasetError, LabelError
from eventseg.evaluation.audit.maps import LabelMaps, Pair, common_classes, size_text
from eventseg.images import list_pictures, read_image
from eventseg.labels.files import read_labels
from eventseg.labels.maps import ClassTable, Labels
from eventseg.labels.tables import PAGE
from eventseg.pseudolabel.target import frames_of
from eventseg.sources.image_folders import Folder
from eventseg.sources.layouts import open_layout
from eventseg.sources.leagues.league import League
from eventseg.sources.selection import times_of

SHOWN = 4
"""Names that an error shows."""


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
        A data set, a folder of labelled pictures, a league, or a folder of label PNGs.
    other : str
        A label set of the data set or of the labelled pictures, or a folder of label PNGs: named
        by the ids of samples, of which it need not have all, or for a plain folder named as its
        files.
    labels : str, optional
        Label set of the data set or of the labelled pictures.
    classes : ClassTable, optional
        Classes that both are merged into; by default those of the one that the other merges into.
    labels_classes, other_classes : ClassTable, optional
        Classes of files in plain folders; by default `classes`, or for files named by samples
        those of the label set.
    confidence : Path, optional
        Folder of confidence PNGs named as the labels of a plain folder.
    split : {"all", "train", "val", "test", "other"}
        Part of a data set or of labelled pictures.

    Raises
    ------
    DatasetError
        No such label set or folder, or no frame that both have.
    LabelError
        Classes that are unknown or do not merge, or files without a partner.
    """
    root = Path(path)
    pictures = open_layout(root)
    if (pictures or dataset_folders(root)) and (confidence or labels_classes):
        raise LabelError(
            f"the label sets of {root} have confidences and classes of their own; leave out those "
            "given"
        )
    if pictures is not None:
        return _of_pictures(
            pictures, labels, other, classes=classes, other_classes=other_classes, split=split
        )
    if dataset_folders(root):
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
        dataset.samples.t_us[[place[name] for name, _ in chosen]],
    )


def _of_pictures(
    folder: Folder | League,
    labels: str | None,
    other: str,
    *,
    classes: ClassTable | None,
    other_classes: ClassTable | None,
    split: str,
) -> Pair:
    if labels is None:
        known = ", ".join(folder.label_sets)
        raise DatasetError(f"{folder.path}: name the label set to audit; it has {known}")
    place = {name: i for i, name in enumerate(folder.ids)}

    def labelled(name: str) -> set[str]:
        mask = folder.with_labels(name).labelled
        return {sample for sample, there in zip(folder.ids, mask, strict=True) if there}

    def of_set(name: str) -> LabelMaps:
        source = folder.with_labels(name)
        sure = source.confidence(0) is not None
        return LabelMaps(
            name,
            source.classes,
            lambda sample: source.labels(place[sample]),
            (lambda sample: _known(source.confidence(place[sample]))) if sure else None,
        )

    ours, mine = of_set(labels), labelled(labels)
    if other in folder.label_sets:
        if other_classes is not None:
            raise LabelError(f"label set {other} has classes of its own; leave out those given")
        theirs, has = of_set(other), labelled(other)
    elif Path(other).is_dir():
        theirs, has = _folder(Path(other), other_classes or ours.classes), _names(Path(other))
        if strange := sorted(has - set(folder.ids)):
            raise LabelError(f"{other} has files of no sample of {folder.path}: {_some(strange)}")
    else:
        raise DatasetError(
            f"{folder.path} has no label set {other!r}, nor is there such a folder; it has "
            f"{', '.join(folder.label_sets)}"
        )
    part = [i for i, of in enumerate(folder.splits) if split in ("all", of)]
    both = [i for i in part if folder.ids[i] in has & mine]
    if not both:
        raise DatasetError(
            f"{labels} and {other} have no picture in common in split {split} of {folder.path}; "
            f"samples are of {', '.join(sorted(set(folder.splits)))}"
        )

    def frame(name: str) -> NDArray[np.uint8]:
        gray = folder.image(place[name], colour=False)[0]
        levels: NDArray[np.uint8] = np.rint(gray * 255).astype(np.uint8)
        return levels

    times_us = times_of(folder)
    return Pair(
        ours,
        theirs,
        classes or common_classes(ours.classes, theirs.classes),
        tuple(folder.ids[i] for i in both),
        tuple(folder.sequences[i] for i in both),
        len(part) - len(both),
        frame if folder.has_frames else None,
        None if times_us is None else times_us[both],
    )


def _known(confidence: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    assert confidence is not None
    return confidence


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
        raise LabelError(
            f"files in {root} do not tell their classes; name the table with --classes ({PAGE})"
        )
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
        raise LabelError(f"a picture of {size_text(whole)} in a data set of {settings.sensor}")
    return whole[slice(*settings.rows)]


def _names(folder: Path) -> set[str]:
    return {path.stem for path in list_pictures(folder, endings=(".png",)).files}


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
