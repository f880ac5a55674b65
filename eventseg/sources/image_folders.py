"""Image folders as samples: a user's own, and those of Cityscapes, CamVid and EV-SegNet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.labelled import imported_ids, is_imported
from eventseg.dataset.layout import LIMITS, MANIFEST, confidence_file, label_file
from eventseg.dataset.truth import TRUTH
from eventseg.encoding.settings import Encoding, Normalisation, Tensor, encoding_of
from eventseg.errors import DatasetError, LabelError, TrainingError
from eventseg.events import SensorSize
from eventseg.files.digests import table_digest
from eventseg.files.paths import composed
from eventseg.files.texts import counted
from eventseg.images import picture_size, read_image, read_picture, read_wide_image
from eventseg.labels.files import read_labels
from eventseg.labels.image_folders import LAYOUTS, Item, labels_of, left_out_note, list_samples
from eventseg.labels.maps import ClassTable, Labels
from eventseg.labels.own_folders import CLASSES, IMAGES, LABELS, lacks_classes
from eventseg.labels.sets import FOLDER, read_label_sets
from eventseg.labels.tables import PAGE
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
    label_set : str
        ``truth`` for the labels of the folder itself, or a set of ``label_sets/``.
    assigned : bool
        Whether the splits are others than the folder's, see :mod:`eventseg.sources.assigned`.
    imported : frozenset of str, optional
        Ids of the samples with labels in an imported set, in composed form; None of other sets.
    own_classes : ClassTable, optional
        Classes of the folder's own labels, where `label_set` is another.

    Attributes
    ----------
    ids : tuple of str
        Name of each sample.
    sequences : tuple of str
        Drive of each sample.
    """

    path: Path
    items: tuple[Item, ...]
    size: SensorSize
    classes: ClassTable
    splits: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    label_set: str = TRUTH
    assigned: bool = False
    imported: frozenset[str] | None = None
    own_classes: ClassTable | None = None
    # Made once: loops over samples ask for them at every sample.
    ids: tuple[str, ...] = field(init=False, repr=False)
    sequences: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(item.id for item in self.items))
        object.__setattr__(self, "sequences", tuple(item.sequence for item in self.items))

    def __repr__(self) -> str:
        samples, classes = counted(len(self.items), "sample"), counted(len(self.classes), "class")
        size = f"{samples} of {self.size}, {classes}"
        return f"Folder({str(self.path)!r}, {'; '.join([size, *self.notes()])})"

    def notes(self) -> list[str]:
        """Return the line that counts the entries left out; none where there are none."""
        return left_out_note(self.left_out)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether each sample has labels, (N,); only an imported set may lack some."""
        if self.imported is None:
            return np.ones(len(self.ids), np.bool_)
        return np.array([composed(sample) in self.imported for sample in self.ids], np.bool_)

    @property
    def has_frames(self) -> bool:
        """Whether every sample has a picture."""
        return all(item.image is not None for item in self.items)

    @property
    def published_splits(self) -> tuple[str, ...]:
        """Split of each sample as the folder has it, or as it is assigned."""
        if self.assigned:
            return self.splits
        return tuple(item.split for item in self.items)

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
        found = {"files": listed.hexdigest()}
        if (self.path / CLASSES).is_file():
            table = self.items[0].table or self.classes
            found["settings"] = table_digest(
                {"names": table.names, "colours": table.colours, "ignored": table.ignored_ids}
            )
        if self.label_set != TRUTH:
            settings = read_label_sets(self.path / FOLDER).settings.get(self.label_set, {})
            made = {"classes": self.classes.names, **settings}
            made.pop(LIMITS, None)
            found[f"labels {self.label_set}"] = table_digest(made)
        return found

    @property
    def label_sets(self) -> tuple[str, ...]:
        """Names of the label sets: ``truth``, and those that were made."""
        return (TRUTH, *read_label_sets(self.path / FOLDER).tables)

    def with_labels(self, name: str) -> Folder:
        """Return the same samples with the labels of another set.

        Raises
        ------
        TrainingError
            There is no such set.
        """
        own = self.own_classes or self.classes
        if name == TRUTH:
            return replace(self, classes=own, label_set=TRUTH, imported=None, own_classes=None)
        root = self.path / FOLDER
        sets = read_label_sets(root)
        if name not in sets.tables:
            raise TrainingError(
                f"{self.path} has no label set {name!r}; it has {', '.join(self.label_sets)}"
            )
        imported = is_imported(sets.settings.get(name, {}))
        return replace(
            self,
            classes=sets.tables[name],
            label_set=name,
            imported=frozenset(imported_ids(root, name)) if imported else None,
            own_classes=own,
        )

    def with_splits(self, splits: tuple[str, ...]) -> Folder:
        """Return the same samples in other splits."""
        return replace(self, splits=splits, assigned=True)

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
            if self.label_set == TRUTH:
                return self._checked(labels_of(item), item.labels)
            path = label_file(self.path / FOLDER, labels=self.label_set, sample_id=item.id)
            return self._checked(read_labels(path, colours=self.classes), path)
        except LabelError as error:
            raise DatasetError(str(error)) from error

    def confidence(self, i: int) -> NDArray[np.uint8] | None:
        """Return the confidence of a sample's labels, uint8 (H, W); None of the folder's own."""
        root = self.path / FOLDER
        if self.label_set == TRUTH or not (root / "confidence" / self.label_set).is_dir():
            return None
        path = confidence_file(root, labels=self.label_set, sample_id=self.items[i].id)
        confidence: NDArray[np.uint8] = self._checked(read_image(path), path)
        return confidence

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
    LabelError
        A class table that cannot be read.
    """
    for layout in LAYOUTS.values():
        if layout.matches(path):
            found = list_samples(path, layout)
            size = SensorSize(*picture_size(found.samples[0].labels))
            assert found.classes is not None
            items = tuple(found.samples)
            splits = clean_splits(items)
            return Folder(path, items, size, found.classes, splits, dict(found.left_out))
    if lacks_classes(path) and not (path / MANIFEST).is_file():
        raise DatasetError(
            f"{path} has the folders {IMAGES} and {LABELS} and no {CLASSES}, which names their "
            f"classes: write one, see {PAGE}"
        )
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
