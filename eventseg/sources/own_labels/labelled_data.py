"""Samples that label sets belong to, and the folder that the sets lie in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.labelled import imported_ids, is_imported, labelled_samples
from eventseg.dataset.layout import MANIFEST, label_file
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.reader import EventDataset
from eventseg.dataset.truth import TRUTH
from eventseg.errors import DatasetError, LabelError
from eventseg.events import SensorSize
from eventseg.files.paths import composed
from eventseg.images import picture_size
from eventseg.labels.files import read_labels
from eventseg.labels.folder_items import SPLITS
from eventseg.labels.image_folders import Item, labels_of
from eventseg.labels.maps import ClassTable, Labels
from eventseg.labels.own_folders import LABELS
from eventseg.labels.sets import FOLDER, LabelSets, read_label_sets, write_label_sets


@dataclass(frozen=True, eq=False, slots=True)
class Timeline:
    """Frames and times of samples.

    Parameters
    ----------
    recordings : sequence of str (N,)
        Recording of each sample.
    frames : int64 (N,)
        Frame of each sample, -1 for none.
    t_us : int64 (N,)
        Time of each sample on the clock of its recording.
    first_us : callable
        Returns the time of the first event of a recording.
    """

    recordings: Sequence[str]
    frames: NDArray[np.int64]
    t_us: NDArray[np.int64]
    first_us: Callable[[str], int]


class LabelledData(ABC):
    """Samples, and the folder that their label sets lie in.

    Attributes
    ----------
    path : Path
        The data set, the folder of pictures or the league.
    root : Path
        Folder of ``labels/SET`` and ``labels.partial/SET``.
    ids : tuple of str (N,)
    size : SensorSize
        Size of the label maps.
    owner : str
        What has this size, for errors.
    timeline : Timeline, optional
        Frames and times of the samples; None of pictures.
    classes : ClassTable, optional
        Classes of the data's own labels, which imported files have by default.
    """

    path: Path
    root: Path
    ids: tuple[str, ...]
    size: SensorSize
    owner: str
    timeline: Timeline | None = None
    classes: ClassTable | None = None

    @abstractmethod
    def read_sets(self) -> LabelSets:
        """Return the label sets with classes and settings."""

    @abstractmethod
    def write_sets(self, sets: LabelSets) -> None:
        """Write the list of the label sets."""

    @abstractmethod
    def table(self, name: str) -> ClassTable | None:
        """Return the classes of a label set, None where there is no such set."""

    @abstractmethod
    def labelled(self, name: str) -> NDArray[np.bool_]:
        """Return whether each sample has labels of a set, (N,)."""

    @abstractmethod
    def labels(self, i: int, name: str) -> Labels:
        """Return the labels of a sample, uint8 of the whole size, 255 ignored."""

    @abstractmethod
    def sample_of(self, file: Path) -> int | None:
        """Return the sample that a file names, a path in the folder of the files; None for none."""

    @abstractmethod
    def check_name(self, name: str) -> None:
        """Raise a LabelError for the name of a set that cannot be imported."""

    def whole(self, labels: Labels, path: Path) -> Labels:
        """Return labels that were read from a file at the size of the label maps.

        Raises
        ------
        LabelError
            They have another size.
        """
        if labels.shape != tuple(self.size):
            raise LabelError(
                f"labels {path} are {labels.shape[1]}x{labels.shape[0]}, {self.owner} {self.size}; "
                "label maps have the size of the frames"
            )
        return labels

    @property
    def set_names(self) -> list[str]:
        """Names of the label sets."""
        return list(self.read_sets().tables)


class DatasetLabels(LabelledData):
    """Samples of a data set."""

    def __init__(self, dataset: EventDataset) -> None:
        self.dataset = dataset
        self.path = self.root = dataset.path
        self.ids = tuple(dataset.ids)
        self.size, self.owner = dataset.manifest.settings.sensor, "the sensor is"
        samples, manifest = dataset.samples, dataset.manifest
        self.timeline = Timeline(
            samples.recording,
            samples.frame,
            samples.t_us,
            lambda name: manifest.recording(name).t_first_us,
        )
        self._index_of = {composed(sample): i for i, sample in enumerate(dataset.ids)}

    def read_sets(self) -> LabelSets:
        """Return the label sets of the manifest."""
        return Manifest.read(self.path / MANIFEST).label_sets

    def write_sets(self, sets: LabelSets) -> None:
        """Write the manifest with other label sets."""
        made = Manifest.read(self.path / MANIFEST)
        changed = replace(made, labels=sets.tables, label_settings=sets.settings)
        changed.write(self.path / MANIFEST)

    def table(self, name: str) -> ClassTable | None:
        """Return the classes of a label set."""
        return self.dataset.manifest.labels.get(name)

    def labelled(self, name: str) -> NDArray[np.bool_]:
        """Return whether each sample has labels; see :func:`eventseg.dataset.labelled_samples`."""
        return labelled_samples(self.dataset, name)

    def labels(self, i: int, name: str) -> Labels:
        """Return the labels of a sample at the size of the sensor."""
        return self.dataset.labels(i, name)

    def sample_of(self, file: Path) -> int | None:
        """Return the sample whose id is the file's name."""
        return self._index_of.get(composed(file.stem))

    def check_name(self, name: str) -> None:
        """Refuse the truth of simulated recordings."""
        if name == TRUTH and any(e.truth_sha256 for e in self.dataset.manifest.recordings):
            raise LabelError(
                f"the truth of {self.path} is that of its simulated recordings; give another --set"
            )


class SetsBeside(LabelledData):
    """Samples of a folder that belongs to somebody else, whose own labels stay as they are.

    Other sets lie beside them, in the layout of :mod:`eventseg.labels.sets`.

    Attributes
    ----------
    own : mapping of str to ClassTable
        Classes of each set of the folder's own labels.
    """

    own: Mapping[str, ClassTable]

    def read_sets(self) -> LabelSets:
        """Return the label sets of ``label_sets.toml``."""
        return read_label_sets(self.root)

    def write_sets(self, sets: LabelSets) -> None:
        """Write ``label_sets.toml``."""
        write_label_sets(self.root, sets)

    def table(self, name: str) -> ClassTable | None:
        """Return the classes of a label set."""
        return self.own.get(name) or self.read_sets().tables.get(name)

    @property
    def set_names(self) -> list[str]:
        """The folder's own sets, and those that were made."""
        return [*self.own, *self.read_sets().tables]

    def labelled(self, name: str) -> NDArray[np.bool_]:
        """Return whether each sample has labels; only an imported set may lack some."""
        if name in self.own or not is_imported(self.read_sets().settings.get(name, {})):
            return np.ones(len(self.ids), np.bool_)
        there = imported_ids(self.root, name)
        return np.array([composed(sample) in there for sample in self.ids], np.bool_)

    def labels(self, i: int, name: str) -> Labels:
        """Return the labels of a sample."""
        try:
            if name in self.own:
                return self.own_labels(i, name)
            path = label_file(self.root, labels=name, sample_id=self.ids[i])
            return read_labels(path, colours=self.table(name))
        except LabelError as error:
            raise DatasetError(str(error)) from error

    @abstractmethod
    def own_labels(self, i: int, name: str) -> Labels:
        """Return the labels of a sample in a set of the folder itself."""


class PictureLabels(SetsBeside):
    """Samples of a folder of labelled pictures, whose own labels are the set ``truth``.

    Other sets lie in ``label_sets/`` within it.
    """

    def __init__(self, path: Path, items: Sequence[Item], classes: ClassTable) -> None:
        self.path, self.root = path, path / FOLDER
        self.items = tuple(items)
        self.ids = tuple(item.id for item in items)
        self.size, self.owner = SensorSize(*picture_size(items[0].labels)), "the pictures are"
        self.classes, self.own = classes, {TRUTH: classes}
        self._by_id = {composed(sample): i for i, sample in enumerate(self.ids)}
        self._index_of = _names(self.items)

    def own_labels(self, i: int, name: str) -> Labels:  # noqa: ARG002 - there is one set
        """Return the labels of a picture."""
        return labels_of(self.items[i])

    def sample_of(self, file: Path) -> int | None:
        """Return the sample that a file is called like: its path, its id or its picture.

        Folders below the split must be those of the sample, or the last of them.
        """
        parts = [composed(part) for part in (*file.parts[:-1], file.stem)]
        *folders, name = parts[1:] if parts[0] in SPLITS and len(parts) > 1 else parts
        i = self._by_id.get("_".join((*folders, name)))
        if i is not None:
            return i
        i = self._index_of.get(name)
        return i if i is None or _ends_in(self.items[i], folders) else None

    def check_name(self, name: str) -> None:
        """Refuse the name of the folder's own labels."""
        if name == TRUTH:
            raise LabelError(
                f"the set {TRUTH} of {self.path} is its own labels, such as those in "
                f"{self.path / LABELS}: put PNGs there, or give another --set"
            )


def _names(items: Sequence[Item]) -> dict[str, int]:
    """Return the sample of each name: ids, and names of pictures that one sample only has."""
    pictures = Counter(composed(item.image.stem) for item in items if item.image is not None)
    found = {
        composed(item.image.stem): i
        for i, item in enumerate(items)
        if item.image is not None and pictures[composed(item.image.stem)] == 1
    }
    return found | {composed(item.id): i for i, item in enumerate(items)}


def _ends_in(item: Item, folders: Sequence[str]) -> bool:
    """Return whether the picture or the labels of a sample lie in folders that end in others."""
    return not folders or any(
        [composed(part) for part in path.parent.parts[-len(folders) :]] == [*folders]
        for path in (item.image, item.labels)
        if path is not None
    )
