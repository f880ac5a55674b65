"""Where samples come from: one small interface over data set folders and image folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset import EventDataset, open_dataset
from eventseg.dataset_truth import TRUTH
from eventseg.errors import DatasetError, TrainingError
from eventseg.events import EventStream, SensorSize
from eventseg.labels import ClassTable, Labels
from eventseg.tensors import Normalisation, Tensor, encode
from eventseg.training.folders import Folder, open_folder

ChangeEvents = Callable[[EventStream], EventStream]
"""What happens to the events of a window before they are encoded."""

ChangeWindow = Callable[[tuple[int, int]], tuple[int, int]]
"""What happens to a window ``[t0_us, t1_us)`` before its events are read."""


class Source(Protocol):
    """Samples by index, each with labels and what a network can see of it."""

    @property
    def path(self) -> Path:
        """Folder the samples lie in."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Name of each sample, (N,)."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Split of each sample, (N,)."""

    @property
    def sequences(self) -> tuple[str, ...]:
        """Recording or drive each sample is of, (N,)."""

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether each sample has labels, (N,)."""

    @property
    def size(self) -> SensorSize:
        """Height and width of the samples."""

    @property
    def event_channels(self) -> int:
        """Channels of the event tensors."""

    @property
    def classes(self) -> ClassTable:
        """What the labels mean."""

    @property
    def digests(self) -> dict[str, str]:
        """What identifies the data: sha256 by what it is of."""

    def covered(self, window: str) -> NDArray[np.float64]:
        """Share of each sample's window that its recording covers, (N,)."""

    def labels(self, i: int) -> Labels:
        """Return labels, uint8 (H, W), 255 ignored."""

    def confidence(self, i: int) -> NDArray[np.uint8] | None:
        """Return the confidence of the labels, uint8 (H, W), or None where they have none."""

    def image(self, i: int, *, colour: bool) -> Tensor:
        """Return the frame, float32 (1, H, W), or (3, H, W) in colour, from 0 to 1."""

    def events(
        self,
        i: int,
        window: str,
        *,
        normalise: Normalisation,
        live: bool = False,
        change_window: ChangeWindow | None = None,
        change_events: ChangeEvents | None = None,
    ) -> Tensor:
        """Return the event tensor, float32 (6, H, W)."""

    def close(self) -> None:
        """Close open recordings."""


@dataclass(frozen=True, eq=False, slots=True)
class EventSource:
    """Samples of a data set folder, cropped to the manifest's rows.

    Parameters
    ----------
    dataset : EventDataset
    label_set : str
        Label set to learn or to score.
    """

    dataset: EventDataset
    label_set: str

    @property
    def path(self) -> Path:
        """Folder of the data set."""
        return self.dataset.path

    @property
    def ids(self) -> tuple[str, ...]:
        """Sample ids."""
        return self.dataset.ids

    @property
    def splits(self) -> tuple[str, ...]:
        """Split of each sample."""
        return self.dataset.samples.split

    @property
    def sequences(self) -> tuple[str, ...]:
        """Recording of each sample."""
        return self.dataset.samples.recording

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether each sample has a frame, and for truth a recording whose truth is known."""
        samples, manifest = self.dataset.samples, self.dataset.manifest
        known = {entry.name for entry in manifest.recordings if entry.truth_sha256}
        of_known = np.array([self.label_set != TRUTH or n in known for n in samples.recording])
        made: NDArray[np.bool_] = (samples.frame >= 0) & of_known.astype(bool)
        return made

    @property
    def size(self) -> SensorSize:
        """Size of the tensors."""
        return SensorSize(*self.dataset.manifest.settings.tensor_shape[1:])

    @property
    def event_channels(self) -> int:
        """Channels of the tensors."""
        return self.dataset.manifest.settings.tensor_shape[0]

    @property
    def classes(self) -> ClassTable:
        """Classes of the label set."""
        return self.dataset.manifest.labels[self.label_set]

    @property
    def digests(self) -> dict[str, str]:
        """Digests of recordings and truths, of the data set's settings and the label set's."""
        manifest, name = self.dataset.manifest, self.label_set
        found = {entry.name: entry.sha256 for entry in manifest.recordings}
        if name == TRUTH:
            found |= {f"{e.name} truth": e.truth_sha256 for e in manifest.recordings}
        made = {"classes": self.classes.names, **manifest.label_settings.get(name, {})}
        found["settings"] = _digest(manifest.settings.to_dict())
        found[f"labels {name}"] = _digest(made)
        return found

    def covered(self, window: str) -> NDArray[np.float64]:
        """Return the covered share of each sample's window."""
        return self.dataset.covered(window)

    def labels(self, i: int) -> Labels:
        """Return the labels of a sample within the crop."""
        return self._crop(self.dataset.labels(i, self.label_set))

    def confidence(self, i: int) -> NDArray[np.uint8] | None:
        """Return the confidence of a sample's labels within the crop, where the set has one."""
        if not (self.dataset.path / "confidence" / self.label_set).is_dir():
            return None
        return self._crop(self.dataset.confidence(i, self.label_set))

    def image(self, i: int, *, colour: bool) -> Tensor:
        """Return the frame within the crop; three equal channels in colour."""
        gray = self._crop(self.dataset.frame(i)).astype(np.float32)[None] / np.float32(255)
        return np.repeat(gray, 3, axis=0) if colour else gray

    def events(
        self,
        i: int,
        window: str,
        *,
        normalise: Normalisation,
        live: bool = False,
        change_window: ChangeWindow | None = None,
        change_events: ChangeEvents | None = None,
    ) -> Tensor:
        """Return the tensor of a window, stored or encoded live.

        Raises
        ------
        DatasetError
            As :meth:`eventseg.dataset.EventDataset.tensor`.
        """
        if change_window is None and change_events is None:
            if live:
                return self.dataset.encode_live(i, window, normalise=normalise)
            return self.dataset.tensor(i, window, normalise=normalise)
        settings = self.dataset.manifest.settings
        span = self.dataset.window_of(i, window)
        span = change_window(span) if change_window else span
        events = self.dataset.recording_of(i).events(*span)
        return encode(
            change_events(events) if change_events else events,
            window=span, normalise=normalise, ddof=settings.ddof, rows=settings.rows,
            representation=settings.representation,
        )  # fmt: skip

    def close(self) -> None:
        """Close the recordings."""
        self.dataset.close()

    def _crop(self, whole: NDArray[np.uint8]) -> NDArray[np.uint8]:
        settings = self.dataset.manifest.settings
        if whole.shape != tuple(settings.sensor):
            raise DatasetError(
                f"frame or labels of {whole.shape[1]}x{whole.shape[0]} in a data set of "
                f"{settings.sensor}; make them again"
            )
        return whole[slice(*settings.rows)]


def _digest(settings: Mapping[str, Any]) -> str:
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def open_source(path: str | Path, *, label_set: str = "truth") -> Source:
    """Open a data set folder, or an image folder in the layout of Cityscapes or CamVid.

    Parameters
    ----------
    path : path
        A folder made by ``eventseg encode``; or one of Cityscapes, CamVid, or EV-SegNet's
        released tensors.
    label_set : str
        Label set of a data set folder; image folders have one, ``truth``.

    Raises
    ------
    DatasetError
        No such folder or a layout that is not known.
    TrainingError
        The data set has no such label set.
    """
    folder: Folder | None = open_folder(Path(path))
    if folder is not None:
        if label_set != "truth":
            raise TrainingError(f"{path} has the label set truth only, not {label_set!r}")
        return folder
    dataset = open_dataset(path)
    known = dataset.manifest.labels
    if label_set not in known:
        have = f"it has {', '.join(known)}" if known else "it has none: run eventseg pseudolabel"
        raise TrainingError(f"{path} has no label set {label_set!r}; {have}")
    return EventSource(dataset, label_set)
