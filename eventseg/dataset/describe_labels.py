"""Description of the label sets of a data set: shares of the classes by split, and warnings."""

from __future__ import annotations

from typing import Any

import numpy as np

from eventseg.dataset.reader import EventDataset
from eventseg.errors import DatasetError
from eventseg.files.paths import composed
from eventseg.images import picture_names, read_image
from eventseg.labels.maps import IGNORED
from eventseg.labels.shares import LabelCounts, label_warnings, total_counts

MOST_MAPS = 1_000
"""Label maps of a set that are counted where all would take long."""

OF_NO_SAMPLE = "-"
"""Split of label maps that belong to no sample."""


def label_counts(
    dataset: EventDataset, name: str, *, damaged: bool = True, most_maps: int | None = None
) -> tuple[dict[str, LabelCounts], int]:
    """Return the pixels of each value in the label maps of a set, by split.

    Parameters
    ----------
    dataset : EventDataset
    name : str
        Folder of the label set.
    damaged : bool
        Raise on a file that cannot be read; otherwise leave it out.
    most_maps : int, optional
        Label maps to count at most, spread evenly over the names; by default all.

    Returns
    -------
    counts : dict of str to LabelCounts
    maps : int
        Label maps that there are.

    Raises
    ------
    DatasetError
        A label map that cannot be read.
    """
    samples, folder = dataset.samples, dataset.path / "labels" / name
    names, _ = picture_names(folder, endings=(".png",))
    chosen = names
    if most_maps is not None and len(names) > most_maps:
        spread = np.linspace(0, len(names) - 1, most_maps).round().astype(int)
        chosen = [names[i] for i in spread.tolist()]
    stems = {composed(file[: -len(".png")]) for file in chosen}
    of_samples = zip(map(composed, samples.ids), samples.split, strict=True)
    split_of = {sample_id: split for sample_id, split in of_samples if sample_id in stems}
    counts: dict[str, LabelCounts] = {}
    for file in chosen:
        split = split_of.get(composed(file[: -len(".png")]), OF_NO_SAMPLE)
        try:
            counts.setdefault(split, LabelCounts()).add(read_image(folder / file))
        except DatasetError:
            if damaged:
                raise
    return dict(sorted(counts.items())), len(names)


def describe_labels(dataset: EventDataset, *, most_maps: int | None = MOST_MAPS) -> dict[str, Any]:
    """Return the pixels of each label set by split, and the faults that make it teach little.

    Parameters
    ----------
    dataset : EventDataset
    most_maps : int, optional
        Label maps of a set to count at most, spread evenly; None for all.

    Returns
    -------
    dict
        Ready for JSON, by label set: ``images``, those that were ``counted``, ``pixels`` of each
        value, the same in ``splits``, ``warnings``, and the names of the ``classes`` where the
        manifest has them.
    """
    tables = dataset.manifest.labels
    found: dict[str, Any] = {}
    for folder in sorted(dataset.path.glob("labels/*")):
        if not folder.is_dir():
            continue
        table = tables.get(folder.name)
        counts, maps = label_counts(dataset, folder.name, most_maps=most_maps)
        total = total_counts(counts)
        found[folder.name] = {
            **({"classes": list(table.names)} if table is not None else {}),
            "images": maps,
            "counted": total.maps,
            "pixels": _pixels(total),
            "splits": {split: _pixels(each) for split, each in counts.items()},
            "warnings": label_warnings(counts, table),
        }
    return found


def _pixels(counts: LabelCounts) -> dict[str, int]:
    return {str(value): int(counts.pixels[value]) for value in np.flatnonzero(counts.pixels)}


def label_lines(name: str, labels: dict[str, Any]) -> list[str]:
    """Return the description of a label set as lines for people: shares in percent by split."""
    splits = labels["splits"]
    lines = [
        f"labels    {name}, {labels['images']:,} images"
        + f", {labels['counted']:,} of them counted" * (labels["counted"] < labels["images"]),
        f"  {'class':<15} {'pixels':>15} {'%':>8}" + "".join(f" {split:>8}" for split in splits),
    ]
    names = dict(enumerate(labels.get("classes", ()))) | {IGNORED: "ignored"}
    # Classes that never occur are shown too.
    values = sorted({*map(int, labels["pixels"]), *range(len(labels.get("classes", ())))})
    for value in values:
        count = labels["pixels"].get(str(value), 0)
        shares = [_share(of.get(str(value), 0), of) for of in splits.values()]
        lines.append(
            f"  {names.get(value, f'class {value}'):<15} {count:>15,} "
            f"{_share(count, labels['pixels'])}" + "".join(f" {share}" for share in shares)
        )
    return lines + [f"  warning: {text}" for text in labels["warnings"]]


def _share(count: int, pixels: dict[str, int]) -> str:
    return f"{100 * count / max(1, sum(pixels.values())):8.3f}"


def dataset_warnings(dataset: EventDataset, *, most_maps: int | None = None) -> list[str]:
    """Return the warnings about every label set of a data set, one line each.

    Parameters
    ----------
    dataset : EventDataset
    most_maps : int, optional
        Label maps of a set to read at most, spread evenly; by default all.
    """
    warnings = []
    for name, table in dataset.manifest.labels.items():
        counts, _ = label_counts(dataset, name, damaged=False, most_maps=most_maps)
        warnings += [f"labels {name}: {text}" for text in label_warnings(counts, table)]
    return warnings
