"""Check of labelled pictures, and of the label sets beside pictures or a league."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eventseg.dataset.labelled import (
    SAMPLES_DIGEST,
    folders_in,
    ids_digest,
    imported_ids,
    is_imported,
    stopped_sets,
)
from eventseg.dataset.layout import PARTIAL_LABELS, confidence_file, label_file
from eventseg.errors import EventsegError
from eventseg.files.paths import composed
from eventseg.files.whole import temporary_files
from eventseg.images import picture_size, read_image
from eventseg.labels.maps import ClassTable, shown_ids, unknown_labels
from eventseg.labels.sets import FILE
from eventseg.labels.tables import described
from eventseg.sources.own_labels.labelled_data import PictureLabels, SetsBeside
from eventseg.sources.own_labels.opening import open_labelled

IMPORT = "run labels import again"


def check_label_sets(path: str | Path) -> list[str]:
    """Return the problems of the label sets beside a league or labelled pictures, one a line.

    Every label map and confidence is read: it must have the size of its sample and ids of its
    classes. Maps that are missing, maps of no sample and remains of stopped runs are named. Of
    pictures their own labels are read too.

    Parameters
    ----------
    path : path
        A league, its folder or TOML file, or a folder of labelled pictures.

    Raises
    ------
    DatasetError, LabelError
        There is neither, or it is incomplete.
    """
    with open_labelled(path) as data:
        if not isinstance(data, SetsBeside):  # a data set has a check of its own
            return []
        problems = list(_pictures(data)) if isinstance(data, PictureLabels) else []
        return problems + [f"{data.root}: {problem}" for problem in _sets(data)]


def _pictures(data: PictureLabels) -> Iterator[str]:
    """Check that pictures and their own labels can be read and have one size."""
    for i, item in enumerate(data.items):
        try:
            labels = data.own_labels(i, "")
            size = labels.shape if item.image is None else picture_size(item.image)
        except EventsegError as error:
            yield str(error)
            continue
        if tuple(size) != labels.shape:
            yield (
                f"{item.labels} is {labels.shape[1]}x{labels.shape[0]}, its picture {item.image} "
                f"{size[1]}x{size[0]}; make them of one size"
            )


def _sets(data: SetsBeside) -> Iterator[str]:
    """Check all label sets in their folder."""
    root = data.root
    try:
        sets = data.read_sets()
    except EventsegError as error:
        yield f"{error}; restore it, or import or label again"
        return
    for left in temporary_files(root):
        yield f"{left.relative_to(root)} is left over from a stopped run: --repair removes it"
    yield from stopped_sets(root)
    for kind in ("labels", "confidence"):
        for folder in folders_in(root / kind):
            if (
                folder.name not in sets.tables
                and not (root / PARTIAL_LABELS / folder.name).exists()
            ):
                yield f"{folder.relative_to(root)} is no set of {FILE}; move it away"
    for name, table in sets.tables.items():
        yield from _set(data, name, table, sets.settings.get(name, {}))


def _set(data: SetsBeside, name: str, table: ClassTable, made: Mapping[str, Any]) -> Iterator[str]:
    """Check the files of a set: which are there, their sizes and their ids."""
    root, imported = data.root, is_imported(made)
    there = imported_ids(root, name)
    cure = IMPORT if imported else f"run pseudolabel again for {name}"
    if imported and ids_digest(there) != made.get(SAMPLES_DIGEST):
        yield (
            f"labels/{name} holds {len(there):,} label maps, not those of the "
            f"{made.get('samples', 0):,} samples that were imported: import them again"
        )
    # A league file may list a part of the download, whose sets lie in one folder with others.
    if isinstance(data, PictureLabels):
        for extra in sorted(there - set(map(composed, data.ids))):
            yield f"labels/{name}/{extra}.png belongs to no picture; move it away"
    for i, sample_id in enumerate(data.ids):
        labels = label_file(root, labels=name, sample_id=sample_id)
        files = [labels]
        if not imported:
            files.append(confidence_file(root, labels=name, sample_id=sample_id))
        elif composed(sample_id) not in there:
            continue
        for path in files:
            place = path.relative_to(root)
            if not path.is_file():
                yield f"{place} is missing; {cure}"
                continue
            try:
                found = read_image(path)
                size = _size(data, i)
            except EventsegError as error:
                yield f"{error}; {cure}"
                continue
            if found.shape != size:
                yield (
                    f"{place}: {found.shape[1]}x{found.shape[0]}, its sample is "
                    f"{size[1]}x{size[0]}; {cure}"
                )
            elif path == labels and (unknown := unknown_labels(found, len(table))):
                yield f"{place}: labels {shown_ids(unknown)}; {described(table)}; {cure}"


def _size(data: SetsBeside, i: int) -> tuple[int, int]:
    """Return height and width of a sample; pictures may be of several sizes."""
    if isinstance(data, PictureLabels):
        return picture_size(data.items[i].labels)
    return data.size.height, data.size.width
