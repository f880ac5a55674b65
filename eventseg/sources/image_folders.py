"""Image folders as samples: the layouts of Cityscapes, CamVid and EV-SegNet's released files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.settings import Encoding, Normalisation, Tensor, encoding_of
from eventseg.errors import DatasetError, LabelError, TrainingError
from eventseg.events import SensorSize
from eventseg.images import picture_size, read_picture, read_wide_image
from eventseg.labels.image_folders import LAYOUTS, Item, labels_of, left_out_note, list_samples
from eventseg.labels.maps import ClassTable, Labels, load_class_table
from eventseg.sources.order import recording_ranks
from eventseg.sources.picture_source import PictureSource
from eventseg.splits import EVSEGNET_BIN_US, evsegnet_splits, export_row, hold_back_stretches

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
    splits : tuple of str
        Split of each sample; of a folder without a part ``val`` see :func:`clean_splits`.
    left_out : mapping of str to int
        Number of entries that are no samples, by reason.
    """

    path: Path
    items: tuple[Item, ...]
    size: SensorSize
    classes: ClassTable
    splits: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        size = f"{len(self.items):,} samples of {self.size}, {len(self.classes)} classes"
        return f"Folder({str(self.path)!r}, {'; '.join([size, *self.notes()])})"

    def notes(self) -> list[str]:
        """Return the line that counts the entries left out; none where there are none."""
        return left_out_note(self.left_out)

    @property
    def ids(self) -> tuple[str, ...]:
        """Name of each sample."""
        return tuple(item.id for item in self.items)

    @property
    def published_splits(self) -> tuple[str, ...]:
        """Split of each sample as the folder has it."""
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
            return self._checked(labels_of(item), item.labels)
        except LabelError as error:
            raise DatasetError(str(error)) from error

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
    for layout in LAYOUTS.values():
        if layout.matches(path):
            found = list_samples(path, layout)
            size = SensorSize(*picture_size(found.samples[0].labels))
            table = load_class_table(layout.table)
            items = tuple(found.samples)
            return Folder(path, items, size, table, clean_splits(items), dict(found.left_out))
    return None


def clean_splits(items: Sequence[Item]) -> tuple[str, ...]:
    """Return the split of each sample, with a validation part where the folder has none.

    Of EV-SegNet's released files its rows of :data:`eventseg.splits.EVSEGNET_VALIDATION`; of
    others the last samples of each sequence, see :func:`eventseg.splits.hold_back_stretches`.
    Samples near those are ``gap``.
    """
    splits = [item.split for item in items]
    training = [i for i, split in enumerate(splits) if split == "train"]
    if "val" in splits or not training:
        return tuple(splits)
    for i in training:
        row = export_row(items[i].id)
        if row is not None:
            found = evsegnet_splits(items[i].sequence, np.array([row]), window_us=EVSEGNET_BIN_US)
            splits[i] = "train" if found is None else str(found[0])
    if "val" not in splits:
        sequences = [items[i].sequence for i in training]
        ranks = recording_ranks([items[i].id for i in training], sequences)
        for i, split in zip(training, hold_back_stretches(sequences, ranks), strict=True):
            splits[i] = str(split)
    return tuple(splits)
