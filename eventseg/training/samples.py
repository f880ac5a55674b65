"""Training samples: network inputs and labels as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from eventseg.augmentation.event_changes import draw_event_change
from eventseg.augmentation.events import jitter_window
from eventseg.augmentation.sample import EMPTY, Sample, augment, warp
from eventseg.augmentation.settings import Draw, generator
from eventseg.encoding.settings import Tensor
from eventseg.errors import DatasetError, EventsegError, RecordingError, TrainingError
from eventseg.labels.maps import (
    ClassTable,
    load_class_table,
    merge_labels,
    merge_of,
    shown_ids,
    unknown_labels,
)
from eventseg.labels.tables import described
from eventseg.networks.inputs import scaled
from eventseg.sources.live import LiveWindow
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig

WINDOW = 3
"""Stream of random numbers that draws the window of a sample."""

UNREADABLE: tuple[type[EventsegError], ...] = (DatasetError, RecordingError)
"""Errors of a sample whose files are missing or damaged."""

Batch = dict[str, Any]
"""One sample or a batch of N: ``x`` float32 (N, C, H, W), or what it is made of on the network's
device: ``events`` and, of kind ``both``, ``image`` float32 (N, 1, H, W); ``labels`` uint8
(N, H, W), ``confidence`` uint8 (N, H, W) where the labels have one, and ``index`` int64 (N,).
``unreadable`` is the reason where there is no sample, or of a batch all reasons by index."""


@dataclass(frozen=True, slots=True)
class EpochSample:
    """One sample of one epoch, by its index in the source."""

    epoch: int
    index: int


@dataclass(frozen=True, eq=False, slots=True)
class Samples(Dataset[Batch]):
    """Network inputs and labels of a source, by :class:`EpochSample`.

    Parameters
    ----------
    source : Source
    config : TrainConfig
        Its input, labels, size, augmentation and seed.
    classes : int
        Number of classes that labels may have.
    training : bool
        Whether samples are augmented; otherwise they are whole and as they are, but for the
        size that validation sees.
    merge : tuple of int, optional
        Class of each class of the source; by default they are the same.
    window : str, optional
        Window to use; by default the configuration's, of which training draws one a sample.
    on_device : bool
        Whether events stay events, to be encoded where the network is.
    """

    source: Source
    config: TrainConfig
    classes: int
    training: bool
    merge: tuple[int, ...] | None = None
    window: str | None = None
    on_device: bool = False

    def __getitem__(self, key: EpochSample) -> Batch:
        """Return one sample, without the batch dimension.

        Raises
        ------
        DatasetError, RecordingError
            Its files cannot be read, unless such samples are skipped.
        TrainingError
            Labels outside the classes, or without a confidence that is needed.
        """
        try:
            return self._batch(key)
        except UNREADABLE as error:
            if self.config.bad_samples == "skip":
                return {"index": key.index, "unreadable": str(error)}
            raise type(error)(f"sample {self.source.ids[key.index]}: {error}") from error

    def _batch(self, key: EpochSample) -> Batch:
        window = self._window(key) if self.config.input.kind in ("events", "both") else None
        read = self._read(key, window)
        sample = self._augmented(read, key)
        batch: Batch = {"labels": _tensor(sample.labels), "index": key.index}
        if sample.confidence is not None:
            batch["confidence"] = _tensor(sample.confidence)
        image = sample.image
        image = None if image is None else scaled(image, self.config.input.scaling)
        if isinstance(window, LiveWindow):
            stays = sample.pixels is read.pixels
            pixels = None if stays else sample.pixels
            batch["events"] = replace(window, pixels=pixels, border=self._border)
            return batch if image is None else {**batch, "image": _tensor(image)}
        parts = [part for part in (image, sample.events) if part is not None]
        return {**batch, "x": _tensor(parts[0] if len(parts) == 1 else np.concatenate(parts))}

    def _read(self, key: EpochSample, window: LiveWindow | Tensor | None) -> Sample:
        source, kind = self.source, self.config.input.kind
        labels = source.labels(key.index)
        unknown = unknown_labels(labels, len(source.classes))
        if unknown:
            raise TrainingError(
                f"labels of {source.ids[key.index]} hold {shown_ids(unknown)}; "
                f"{described(source.classes)}"
            )
        if self.merge is not None:
            labels = merge_labels(labels, self.merge)
        weigh = self.training and self.config.loss.weigh_by_confidence
        confidence = source.confidence(key.index) if weigh else None
        if weigh and confidence is None:
            raise TrainingError(
                f"{source.path} has no confidence for the label set {self.config.labels.set!r}: "
                "train on pseudo-labels, or set loss.weigh_by_confidence=false"
            )
        live = isinstance(window, LiveWindow)
        return Sample(
            labels=labels,
            events=None if isinstance(window, LiveWindow) else window,
            image=source.image(key.index, colour=kind == "rgb") if kind != "events" else None,
            confidence=confidence,
            pixels=np.arange(labels.size, dtype=np.int32).reshape(labels.shape) if live else None,
        )

    def _window(self, key: EpochSample) -> LiveWindow | Tensor:
        """Return the events of a sample, encoded or, for the device, not yet."""
        config, augmentation = self.config, self.config.augmentation
        draw = {"seed": config.seed, "epoch": key.epoch, "index": key.index}
        change: dict[str, Any] = {"augmentation": augmentation, **draw}
        window = self.window or draw_window(config.input.windows, training=self.training, **draw)
        options: dict[str, Any] = {
            "normalise": config.input.normalisation(self.source.encoding),
            "change_window": (
                partial(jitter_window, **change)
                if self.training and augmentation.window_jitter
                else None
            ),
            "draw_change": (
                (lambda count: draw_event_change(**change, events=count))
                if self.training and augmentation.changes_events
                else None
            ),
        }
        if self.on_device:
            return self.source.live_window(key.index, window, **options)
        return self.source.events(key.index, window, live=config.input.live, **options)

    @property
    def _border(self) -> tuple[float, ...]:
        """Values of the event channels outside the picture, as in :func:`augment`."""
        config = self.config
        empty = config.augmentation.event_border == "empty"
        return EMPTY[config.input.normalisation(self.source.encoding)] if empty else (0.0,)

    def _augmented(self, sample: Sample, key: EpochSample) -> Sample:
        size, config = self.source.size, self.config
        resized = config.size.resized(size)
        resize = None if resized == size else resized
        if not self.training:
            return warp(
                sample,
                Draw(),
                event_border=self._border,
                image_border=config.augmentation.image_border,
                resize=resize,
                rule=config.size.rule,
                crop=config.size.validation_crop,
            )
        return augment(
            sample,
            augmentation=config.augmentation,
            seed=config.seed,
            epoch=key.epoch,
            index=key.index,
            normalise=config.input.normalisation(self.source.encoding),
            resize=resize,
            rule=config.size.rule,
            crop=config.size.crop,
        )


def channels_of(source: Source, kind: str) -> int:
    """Return the channels of an input of a kind: of the events, of the frame, or of both."""
    if kind in ("gray", "rgb"):
        return {"gray": 1, "rgb": 3}[kind]
    if source.encoding is None:
        raise TrainingError(f"{source.path} holds pictures and no events; use gray or rgb")
    return source.encoding.representation.channels + (kind == "both")


def draw_window(
    windows: Sequence[str], *, training: bool, seed: int, epoch: int, index: int
) -> str:
    """Return the window of one sample of one epoch; in validation they take turns."""
    if not training:
        return windows[index % len(windows)]
    if len(windows) == 1:
        return windows[0]
    rng = generator(seed=seed, epoch=epoch, index=index, stream=WINDOW)
    return windows[int(rng.integers(len(windows)))]


def class_table_of(
    source: Source, config: TrainConfig
) -> tuple[ClassTable, tuple[int, ...] | None]:
    """Return the classes that are learnt, and the merge of the source's into them, if any.

    Raises
    ------
    LabelError
        An unknown class table, or one that the source's classes do not merge into.
    """
    if not config.labels.classes:
        return source.classes, None
    table = load_class_table(config.labels.classes)
    same = table.names == source.classes.names
    return table, None if same else merge_of(source.classes, table)


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
