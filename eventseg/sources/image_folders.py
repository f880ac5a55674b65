"""Image folders as samples: the layouts of Cityscapes, CamVid and EV-SegNet's released files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.settings import Encoding, Normalisation, Tensor, encoding_of
from eventseg.errors import DatasetError, LabelError, TrainingError
from eventseg.events import SensorSize
from eventseg.images import picture_size, read_picture, read_wide_image
from eventseg.labels.files import read_labels
from eventseg.labels.image_folders import LAYOUTS, Item
from eventseg.labels.maps import (
    ClassTable,
    Labels,
    load_class_table,
    merge_labels,
)
from eventseg.sources.picture_source import PictureSource

FIRST_INSTANCE = 1000
"""In instance files of Cityscapes a thing is 1000 times the id of its class and its number."""


@dataclass(frozen=True, eq=False, slots=True)
class Folder(PictureSource):
    """Samples of an image folder.

    Parameters
    ----------
    path : Path
    items : tuple of Item
    size : SensorSize
        Size of the pictures, of which all are.
    classes : ClassTable
        Classes of the labels.
    left_out : mapping of str to int
        Number of entries that are no samples, by reason.
    """

    path: Path
    items: tuple[Item, ...]
    size: SensorSize
    classes: ClassTable
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        size = f"{len(self.items):,} samples of {self.size}, {len(self.classes)} classes"
        return f"Folder({str(self.path)!r}, {'; '.join([size, *self.notes()])})"

    def notes(self) -> list[str]:
        """Return the line that counts what was left out of the folder; none where nothing was."""
        counts = [f"{number:,} {reason}" for reason, number in self.left_out.items()]
        return [f"left out: {'; '.join(counts)}"] if counts else []

    @property
    def ids(self) -> tuple[str, ...]:
        """Name of each sample."""
        return tuple(item.id for item in self.items)

    @property
    def splits(self) -> tuple[str, ...]:
        """Split of each sample."""
        return tuple(item.split for item in self.items)

    @property
    def sequences(self) -> tuple[str, ...]:
        """Drive of each sample."""
        return tuple(item.sequence for item in self.items)

    @property
    def digests(self) -> dict[str, str]:
        """Digest of the list of files and their sizes; their bytes are not read.

        Without instance ids, of which no training knows.
        """
        listed = hashlib.sha256()
        for item in self.items:
            for path in (item.image, item.labels, item.events):
                if path is not None:
                    name = path.relative_to(self.path).as_posix()
                    listed.update(f"{name} {path.stat().st_size}\n".encode())
        return {"files": listed.hexdigest()}

    @property
    def encoding(self) -> Encoding | None:
        """Encoding of EV-SegNet's released tensors; None for pictures without events."""
        if any(item.events is None for item in self.items):
            return None
        return encoding_of(self.size, normalise="evsegnet")

    def labels(self, i: int) -> Labels:
        """Return labels, uint8 (H, W)."""
        item = self.items[i]
        try:
            values = read_labels(item.labels, colours=load_class_table(item.table))
        except LabelError as error:
            raise DatasetError(str(error)) from error
        values = self._checked(values, item.labels)
        return values if item.merge is None else merge_labels(values, item.merge)

    def instances(self, i: int) -> NDArray[np.int32] | None:
        """Return which thing each pixel is of, int32 (H, W), 0 for none; None without the file."""
        path = self.items[i].instances
        if path is None:
            return None
        values: NDArray[np.int32] = self._checked(read_wide_image(path), path)
        # A number below is a class: what cannot be counted, or a crowd that is drawn as one.
        values[values < FIRST_INSTANCE] = 0
        return values

    def image(self, i: int, *, colour: bool) -> Tensor:
        """Return the picture, float32 (1 or 3, H, W), from 0 to 1."""
        path = self.items[i].image
        if path is None:
            raise TrainingError(f"{self.path} holds events and no pictures; use events")
        values = self._checked(read_picture(path, colour=colour), path)
        scaled: Tensor = values.astype(np.float32) / np.float32(255)
        return np.ascontiguousarray(scaled.transpose(2, 0, 1)) if colour else scaled[None]

    def events(
        self, i: int, window: str, *, normalise: Normalisation, live: bool = False, **changes: Any
    ) -> Tensor:
        """Return the released tensor of a sample: 50 ms in EV-SegNet's normalisation."""
        path = self.items[i].events
        if path is None:
            raise TrainingError(f"{self.path} holds pictures and no events; use gray or rgb")
        if window != "50ms" or normalise != "evsegnet" or live or any(changes.values()):
            raise TrainingError(
                f"{self.path} holds tensors of 50ms in the evsegnet normalisation: no other "
                "window, normalisation, live encoding or change of events can be had of it"
            )
        try:
            tensor: Tensor = np.load(path, allow_pickle=False).astype(np.float32)
        except (OSError, EOFError, ValueError) as error:
            raise DatasetError(f"cannot read tensor {path}: {error}") from error
        if tensor.shape != (*self.size, 6):
            raise DatasetError(f"{path} has the shape {tensor.shape}, not {(*self.size, 6)}")
        return np.ascontiguousarray(tensor.transpose(2, 0, 1))

    def _checked(self, values: NDArray[Any], path: Path) -> NDArray[Any]:
        if values.shape[:2] != tuple(self.size):
            raise DatasetError(
                f"{path} is {values.shape[1]}x{values.shape[0]}, the others of {self.path} are "
                f"{self.size}"
            )
        return values


def open_folder(path: Path) -> Folder | None:
    """Return the samples of an image folder, or None where it has none of the layouts.

    Raises
    ------
    DatasetError
        A layout that is known but lacks files.
    """
    for is_layout, listed, table in LAYOUTS:
        if is_layout(path):
            found = listed(path)
            items = tuple(found.samples)
            if not items:
                raise DatasetError(f"{path} holds no pair of picture and labels")
            missing = [str(item.labels) for item in items if not item.labels.is_file()]
            if missing:
                raise DatasetError(f"{len(missing)} labels are missing, first {missing[0]}")
            size = SensorSize(*picture_size(items[0].labels))
            left_out = {reason: count for reason, count in found.left_out.items() if count}
            return Folder(path, items, size, load_class_table(table), left_out)
    return None
