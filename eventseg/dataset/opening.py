"""Data set folders as they are found: opened for reading, or refused with the cure."""

from __future__ import annotations

from pathlib import Path

from eventseg.dataset.layout import MANIFEST, PARTIAL, SAMPLES
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.mistaken import refusal
from eventseg.dataset.reader import EventDataset
from eventseg.dataset.table import read_table
from eventseg.errors import DatasetError


def open_dataset(path: str | Path) -> EventDataset:
    """Open a data set folder for reading.

    Raises
    ------
    DatasetError
        No data set there, one that a stopped run left incomplete, or a damaged table.

    Examples
    --------
    >>> open_dataset("drives").windows
    ('10ms', '50ms')
    """
    root = Path(path)
    if not (root / MANIFEST).is_file():
        if (root / PARTIAL).exists():
            raise DatasetError(f"{root} is incomplete: run encode again to resume")
        inside = dataset_folders(root)
        if inside:
            names = ", ".join(str(folder) for folder in inside)
            raise DatasetError(f"{root} holds a data set a window length: open one of {names}")
        raise DatasetError(refusal(root))
    manifest = Manifest.read(root / MANIFEST)
    windows = manifest.settings.windows
    return EventDataset(root, manifest, read_table(root / SAMPLES, windows=windows))


def dataset_folders(path: Path) -> list[Path]:
    """Return the data sets in a folder, complete or not: itself, or one for each window length."""
    if not path.is_dir():
        return []
    for folders in ([path], sorted(child for child in path.iterdir() if child.is_dir())):
        found = [f for f in folders if (f / MANIFEST).exists() or (f / PARTIAL).exists()]
        if found:
            return found
    return []
