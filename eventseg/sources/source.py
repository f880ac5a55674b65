"""Interface of sample sources, and the function that opens data set folders and image folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.opening import open_dataset
from eventseg.encoding.settings import Encoding, Normalisation, Tensor
from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.labels.maps import ClassTable, Labels
from eventseg.sources.layouts import open_layout
from eventseg.sources.live import ChangeWindow, DrawChange, LiveWindow
from eventseg.sources.recorded import EventSource


class Source(Protocol):
    """Samples by index, each with its labels and the inputs of a network."""

    @property
    def path(self) -> Path:
        """Folder the samples lie in."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Name of each sample, (N,)."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Split of each sample, (N,): ``train``, ``val``, ``test``, or another that none uses."""

    @property
    def published_splits(self) -> tuple[str, ...]:
        """Split of each sample in the protocol ``paper``, (N,): without validation held back."""

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
    def encoding(self) -> Encoding | None:
        """Encoding of the event tensors; None where the source holds no events."""

    @property
    def classes(self) -> ClassTable:
        """Classes of the labels."""

    @property
    def digests(self) -> dict[str, str]:
        """Digests that identify the data, by the name of the part."""

    def stores(self, window: str) -> bool:
        """Return whether tensors of a window are stored."""

    def covered(self, window: str) -> NDArray[np.float64]:
        """Share of each sample's window that its recording covers, (N,)."""

    def labels(self, i: int) -> Labels:
        """Return labels, uint8 (H, W), 255 ignored."""

    def confidence(self, i: int) -> NDArray[np.uint8] | None:
        """Return the confidence of the labels, uint8 (H, W), or None where they have none."""

    def instances(self, i: int) -> NDArray[np.int32] | None:
        """Return which thing each pixel is of, int32 (H, W), 0 for none; None where unknown."""

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
        draw_change: DrawChange | None = None,
    ) -> Tensor:
        """Return the event tensor, float32 (C, H, W), by default the six channels."""

    def live_window(
        self,
        i: int,
        window: str,
        *,
        normalise: Normalisation,
        change_window: ChangeWindow | None = None,
        draw_change: DrawChange | None = None,
    ) -> LiveWindow:
        """Return the events that :meth:`events` encodes live."""

    def open_recordings(self, indices: Sequence[int] | NDArray[np.int64]) -> None:
        """Open the recordings of some samples, for all workers that start after it."""

    def close(self) -> None:
        """Close open recordings."""


def open_source(path: str | Path, *, label_set: str = "truth") -> Source:
    """Open a data set folder, an image folder, or a league as it was downloaded.

    Parameters
    ----------
    path : path
        A folder made by ``eventseg encode``; one of pictures and labels of your own with its
        class table, see docs/classes.md; one of Cityscapes, CamVid, or EV-SegNet's released
        tensors; or DDD17 in the ESS repack or DSEC-Semantic, as a folder or as a TOML file that
        names it, see :class:`eventseg.sources.leagues.LeagueSettings`.
    label_set : str
        Label set, ``truth`` for the labels that the folder came with.

    Raises
    ------
    DatasetError
        No such folder or a layout that is not known.
    TrainingError
        There is no such label set.

    Examples
    --------
    >>> open_source("drives").classes.names[0]
    'road'
    """
    folder = open_layout(Path(path))
    if folder is not None:
        return folder.with_labels(label_set)
    dataset = open_dataset(path)
    known = dataset.manifest.labels
    if label_set not in known:
        have = f"it has {', '.join(known)}" if known else "it has none: run eventseg pseudolabel"
        raise TrainingError(f"{path} has no label set {label_set!r}; {have}")
    return EventSource(dataset, label_set)
