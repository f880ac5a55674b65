"""Samples of a data set as objects to look at, and as items of a torch data loader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eventseg import html
from eventseg.dataset.labelled import labelled_samples
from eventseg.encoding.tensors import encode
from eventseg.errors import DatasetError
from eventseg.events import EventStream
from eventseg.files.texts import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eventseg.dataset.reader import EventDataset


@dataclass(frozen=True, eq=False, slots=True)
class DatasetSample:
    """One sample of a data set; arrays are read or encoded when they are asked for.

    Parameters
    ----------
    dataset : EventDataset
    index : int
        Index of the sample, 0 to ``len(dataset) - 1``.
    """

    dataset: EventDataset
    index: int

    @property
    def id(self) -> str:
        """Sample id."""
        return self.dataset.samples.ids[self.index]

    @property
    def recording(self) -> str:
        """Name of the recording."""
        return self.dataset.samples.recording[self.index]

    @property
    def split(self) -> str:
        """Split: ``train``, ``val``, ``test``, ``other`` or ``gap``."""
        return self.dataset.samples.split[self.index]

    @property
    def t_us(self) -> int:
        """Time of the frame, or end of the window, in us of the sensor's clock."""
        return int(self.dataset.samples.t_us[self.index])

    @property
    def frame(self) -> NDArray[np.uint8] | None:
        """Gray frame at full size, uint8 (H, W); None where the sample has none."""
        known = self.dataset.samples.frame[self.index] >= 0
        return self.dataset.frame(self.index) if known else None

    def tensor(self, window: str | int | None = None) -> NDArray[np.float32]:
        """Return the tensor of a window, float32 (C, H, W); see :meth:`EventDataset.tensor`."""
        return self.dataset.tensor(self.index, window)

    def labels(self, name: str = "truth") -> NDArray[np.uint8]:
        """Return the labels at full size, uint8 (H, W), 255 ignored."""
        return self.dataset.labels(self.index, name)

    def events(self, window: str | int | None = None) -> EventStream:
        """Return the events of a window that the data set's filters keep."""
        window = self.dataset.windows[0] if window is None else window
        return self.dataset.events_of(self.index, self.dataset.window_of(self.index, window))

    def plot(self, window: str | int | None = None) -> Figure:
        """Return a figure of a window: the frame, its events over it, and the six channels.

        Parameters
        ----------
        window : str or int, optional
            Length of the window, by default the first of the data set.

        Raises
        ------
        DatasetError
            The recording is gone or has changed, or the samples have no such window.
        """
        import eventseg  # a figure needs rooms above this one: their public face is asked for it

        events, settings = self.events(window), self.dataset.manifest.settings
        return eventseg.figure_sample(
            events,
            encode(events, rows=settings.rows, ddof=settings.encoding.ddof),
            frame=self.frame,
            title=f"{self.id}, {self.dataset.windows[0] if window is None else window}",
            row0=settings.rows[0],
        )

    def __repr__(self) -> str:
        frame = "with a frame" if self.dataset.samples.frame[self.index] >= 0 else "without a frame"
        return f"DatasetSample({self.id!r}, {self.split}, {self.t_us} us, {frame})"

    def _repr_html_(self) -> str:
        samples, i = self.dataset.samples, self.index
        rows = [("split", self.split), ("time", f"{self.t_us} us"), ("recording", self.recording)]
        rows += [
            (
                f"events in {window}",
                f"{samples.events[i, k]:,} ({samples.covered[i, k]:.0%} covered)",
            )
            for k, window in enumerate(samples.windows)
        ]
        return html.table(("sample", self.id), rows, words=True)


@dataclass(frozen=True, eq=False, slots=True)
class TorchSamples:
    """Labelled samples as dictionaries of torch tensors, for a plain ``DataLoader``.

    Made by :meth:`EventDataset.torch`. Rows of labels are those of the tensors.

    Parameters
    ----------
    dataset : EventDataset
    window : str
    label_set : str, optional
        None for samples without labels.
    indices : int64 (N,)
        Samples of the data set.
    """

    dataset: EventDataset
    window: str
    label_set: str | None
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.indices)

    def __getitem__(self, k: int) -> dict[str, Any]:
        """Return ``x`` float32 (C, H, W), ``labels`` int64 (H, W) and ``index`` of a sample."""
        import torch

        i = int(self.indices[index(k)])
        item: dict[str, Any] = {
            "x": torch.from_numpy(self.dataset.tensor(i, self.window)),
            "index": i,
        }
        if self.label_set is not None:
            rows = slice(*self.dataset.manifest.settings.rows)
            labels = self.dataset.labels(i, self.label_set)[rows]
            item["labels"] = torch.from_numpy(labels.astype(np.int64))
        return item

    def __repr__(self) -> str:
        labels = self.label_set or "no"
        return f"TorchSamples({counted(len(self), 'sample')}, {self.window}, {labels} labels)"


def torch_samples(
    dataset: EventDataset,
    *,
    window: str | int | None,
    labels: str | None,
    split: str | Sequence[str] | None,
    min_covered: float,
) -> TorchSamples:
    """Return the selected samples for a data loader; see :meth:`EventDataset.torch`."""
    window = dataset.window_name(window)
    keep = dataset.covered(window) >= min_covered
    splits = (split,) if isinstance(split, str) else split
    if splits is not None:
        keep &= np.isin(np.array(dataset.samples.split), splits)
    if labels is not None:
        known = dataset.manifest.labels
        if labels not in known:
            raise DatasetError(
                f"{dataset.path} has no label set {labels!r}; it has {', '.join(known) or 'none'}"
            )
        keep &= labelled_samples(dataset, labels)
    if not keep.any():
        there = ", ".join(sorted(set(dataset.samples.split)))
        raise DatasetError(
            f"{dataset.path} has no such samples (split {split}, covered {min_covered} or more); "
            f"its splits are {there}"
        )
    return TorchSamples(dataset, window, labels, np.flatnonzero(keep))
