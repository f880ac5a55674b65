"""A data set folder of recordings as a source of training samples."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.augmentation.event_changes import UNCHANGED
from eventseg.dataset.labelled import labelled_samples
from eventseg.dataset.layout import LIMITS
from eventseg.dataset.reader import EventDataset
from eventseg.dataset.truth import TRUTH
from eventseg.encoding.settings import Encoding, Normalisation, Tensor
from eventseg.errors import DatasetError, RecordingError
from eventseg.events import SensorSize
from eventseg.files.digests import table_digest
from eventseg.labels.maps import ClassTable, Labels
from eventseg.sources.live import ChangeWindow, DrawChange, LiveWindow
from eventseg.splits import split_of


@dataclass(frozen=True, eq=False, slots=True)
class EventSource:
    """Samples of a data set folder, cropped to the manifest's rows.

    Parameters
    ----------
    dataset : EventDataset
    label_set : str
        Label set to learn or to score.
    assigned : tuple of str, optional
        Split of each sample in place of the data set's, see :mod:`eventseg.sources.assigned`.
    """

    dataset: EventDataset
    label_set: str
    assigned: tuple[str, ...] | None = None

    def with_splits(self, splits: tuple[str, ...]) -> EventSource:
        """Return the same samples in other splits."""
        return replace(self, assigned=splits)

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
        return self.dataset.samples.split if self.assigned is None else self.assigned

    @property
    def published_splits(self) -> tuple[str, ...]:
        """Split of each sample without a validation part in data sets of anchor ``evsegnet``.

        EV-SegNet trained on all rows of its training recordings. Other data sets have nothing
        published: their splits are the same as :attr:`splits`.
        """
        settings = self.dataset.manifest.settings
        if self.assigned is not None or settings.anchor.kind != "evsegnet":
            return self.splits
        held_out = frozenset(settings.held_out)
        return tuple(split_of(name, held_out=held_out) for name in self.sequences)

    @property
    def sequences(self) -> tuple[str, ...]:
        """Recording of each sample."""
        return self.dataset.samples.recording

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether each sample has labels; see :func:`eventseg.dataset.labelled_samples`."""
        return labelled_samples(self.dataset, self.label_set)

    @property
    def size(self) -> SensorSize:
        """Size of the tensors."""
        return SensorSize(*self.encoding.shape[1:])

    @property
    def encoding(self) -> Encoding:
        """Encoding of the event tensors, in the normalisation that they are stored in."""
        return self.dataset.manifest.settings.encoding

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
        made.pop(LIMITS, None)
        found["settings"] = table_digest(manifest.settings.to_dict())
        found[f"labels {name}"] = table_digest(made)
        return found

    def stores(self, window: str) -> bool:
        """Return whether the data set stores tensors of a window."""
        settings = self.dataset.manifest.settings
        return settings.store != "none" and window in settings.windows

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

    def instances(self, _i: int) -> None:
        """Return None: neither label sets nor truth files hold instance ids."""

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
        draw_change: DrawChange | None = None,
    ) -> Tensor:
        """Return the tensor of a window, stored or encoded live.

        Raises
        ------
        DatasetError
            As :meth:`eventseg.dataset.reader.EventDataset.tensor`.
        """
        if not (live or change_window or draw_change):
            return self.dataset.tensor(i, window, normalise=normalise)
        found = self.live_window(
            i,
            window,
            normalise=normalise,
            change_window=change_window,
            draw_change=draw_change,
        )
        return found.tensor()

    def live_window(
        self,
        i: int,
        window: str,
        *,
        normalise: Normalisation,
        change_window: ChangeWindow | None = None,
        draw_change: DrawChange | None = None,
    ) -> LiveWindow:
        """Return the events of a window, read from the recording.

        Raises
        ------
        DatasetError
            As :meth:`eventseg.dataset.reader.EventDataset.events_of`.
        """
        settings = self.dataset.manifest.settings
        span = self.dataset.window_of(i, window)
        events = self.dataset.events_of(i, change_window(span) if change_window else span)
        return LiveWindow(
            events,
            settings.encoding.normalised(normalise),
            draw_change(len(events)) if draw_change else UNCHANGED,
        )

    def open_recordings(self, indices: Sequence[int] | NDArray[np.int64]) -> None:
        """Open the recordings of some samples, as far as they can be read.

        To open one is to check the digest of the file, which each worker would do for itself
        unless it is started with the recordings open. One that cannot be read is left to the
        samples that need it.
        """
        for i in {self.sequences[i]: int(i) for i in indices}.values():
            with contextlib.suppress(DatasetError, RecordingError):
                self.dataset.recording_of(i)

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
