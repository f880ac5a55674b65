"""Samples of a data set that have labels of a set, and sets that were imported."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.jobs.shard import SHARDS
from eventseg.dataset.layout import PARTIAL_LABELS
from eventseg.dataset.truth import TRUTH
from eventseg.errors import LabelError
from eventseg.files.paths import composed, folded
from eventseg.files.texts import read_toml
from eventseg.images import picture_names

if TYPE_CHECKING:
    from eventseg.dataset.reader import EventDataset

ORIGIN, IMPORTED = "origin", "import"
"""Setting of a label set whose labels were imported, and its value."""

SAMPLES_DIGEST = "samples_sha256"
"""Setting of an imported set: digest of the ids of its samples."""


SETTINGS = "settings.toml"
"""File of a stopped run's settings in its partial folder."""


def held_settings(partial: Path) -> Mapping[str, Any]:
    """Return the settings that a stopped run left in its partial folder; none where it cannot."""
    try:
        return read_toml(partial / SETTINGS)
    except (OSError, ValueError):
        return {}


def stopped_sets(root: Path) -> Iterator[str]:
    """Name the label sets in a folder whose run was stopped, each with its cure."""
    for folder in folders_in(root / PARTIAL_LABELS):
        place = folder.relative_to(root)
        if (folder / SHARDS).is_dir():
            yield f"{place} has labels of shards that were not merged: run merge, or label again"
            continue
        command = "labels import" if is_imported(held_settings(folder)) else "pseudolabel"
        yield f"{place} is left over from a stopped run: run {command} again"


def folders_in(root: Path) -> list[Path]:
    """Return the folders in a folder, by name; none where it is not there."""
    return sorted(child for child in root.iterdir() if child.is_dir()) if root.is_dir() else []


def labelled_samples(dataset: EventDataset, name: str) -> NDArray[np.bool_]:
    """Return whether each sample has labels of a set, (N,).

    An imported set has those of the samples whose files are there. Any other has those of each
    frame, the truth of simulated recordings only.
    """
    manifest, samples = dataset.manifest, dataset.samples
    if is_imported(manifest.label_settings.get(name, {})):
        there = imported_ids(dataset.path, name)
        return np.array([composed(sample) in there for sample in samples.ids], np.bool_)
    known = {entry.name for entry in manifest.recordings if entry.truth_sha256}
    exact = np.array([name != TRUTH or of in known for of in samples.recording], np.bool_)
    framed: NDArray[np.bool_] = (samples.frame >= 0) & exact
    return framed


def is_imported(settings: Mapping[str, Any]) -> bool:
    """Return whether a set of these settings was imported rather than made by a teacher."""
    return settings.get(ORIGIN) == IMPORTED


def imported_ids(root: Path, name: str) -> set[str]:
    """Return the ids of the samples whose files an imported set has, in composed form.

    `root` is the folder of the label sets: a data set, or ``label_sets`` of a folder of pictures.
    """
    folder = root / "labels" / name
    names, _ = picture_names(folder, endings=(".png",))
    return {composed(name[: -len(".png")]) for name in names}


def ids_digest(ids: Iterable[str]) -> str:
    """Return the digest of some sample ids, whatever their order."""
    text = "\n".join(sorted(map(composed, ids)))
    return hashlib.sha256(text.encode()).hexdigest()


def check_apart(name: str, others: Iterable[str]) -> None:
    """Raise a LabelError where a set has the name in other case: a system may take both for one.

    Parameters
    ----------
    name : str
    others : iterable of str
        Names of the sets that are there.
    """
    for other in (TRUTH, *others):
        if other != name and folded(other) == folded(name):
            raise LabelError(
                f"label set {name!r} and the set {other!r} are one folder where case does not "
                "count, as on Windows and macOS; give another name"
            )
