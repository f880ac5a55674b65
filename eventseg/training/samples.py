"""Training samples: what the network sees and what it learns, as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from eventseg.errors import EventsegError, TrainingError
from eventseg.labels import ClassTable, load_class_table, merge_labels, merge_of, unknown_labels
from eventseg.networks.converters.layout import Scaling
from eventseg.training.augment import Sample, augment, warp
from eventseg.training.augment_events import augment_events, jitter_window
from eventseg.training.augmentation import Draw, generator
from eventseg.training.config import TrainConfig
from eventseg.training.sources import Source

WINDOW = 3
"""Stream of random numbers that draws the window of a sample."""

Batch = dict[str, Any]
"""``x`` float32 (N, C, H, W), ``labels`` uint8 (N, H, W), ``confidence`` uint8 (N, H, W) where
the labels have one, and ``index`` int64 (N,)."""


@dataclass(frozen=True, slots=True)
class Place:
    """One sample of one epoch."""

    epoch: int
    index: int


@dataclass(frozen=True, eq=False, slots=True)
class Samples(Dataset[Batch]):
    """Samples of a source as a network sees them, by :class:`Place`.

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
    """

    source: Source
    config: TrainConfig
    classes: int
    training: bool
    merge: tuple[int, ...] | None = None
    window: str | None = None

    def __getitem__(self, place: Place) -> Batch:
        """Return one sample, without the batch dimension."""
        sample = self._moved(self._read(place), place)
        config = self.config
        parts = []
        if sample.image is not None:
            parts.append(scaled(sample.image, config.input.scaling))
        if sample.events is not None:
            parts.append(sample.events)
        x = parts[0] if len(parts) == 1 else np.concatenate(parts)
        made: Batch = {
            "x": torch.from_numpy(np.ascontiguousarray(x)),
            "labels": torch.from_numpy(np.ascontiguousarray(sample.labels)),
            "index": place.index,
        }
        if sample.confidence is not None:
            made["confidence"] = torch.from_numpy(np.ascontiguousarray(sample.confidence))
        return made

    def _read(self, place: Place) -> Sample:
        source, kind = self.source, self.config.input.kind
        labels = source.labels(place.index)
        if self.merge is not None:
            labels = merge_labels(labels, self.merge)
        unknown = unknown_labels(labels, self.classes)
        if unknown:
            raise TrainingError(
                f"labels of {source.ids[place.index]} hold {', '.join(map(str, unknown))}; allowed "
                f"are 0 to {self.classes - 1} and 255 for ignored"
            )
        weigh = self.training and self.config.loss.weigh_by_confidence
        confidence = source.confidence(place.index) if weigh else None
        if weigh and confidence is None:
            raise TrainingError(
                f"{source.path} has no confidence for the label set {self.config.labels.set!r}: "
                "train on pseudo-labels, or set loss.weigh_by_confidence=false"
            )
        return Sample(
            labels=labels,
            events=self._events(place) if kind in ("events", "both") else None,
            image=source.image(place.index, colour=kind == "rgb") if kind != "events" else None,
            confidence=confidence,
        )

    def _events(self, place: Place) -> NDArray[np.float32]:
        config, augmentation = self.config, self.config.augmentation
        drawn = {"seed": config.seed, "epoch": place.epoch, "index": place.index}
        change: dict[str, Any] = {"augmentation": augmentation, **drawn}
        events_change = augmentation.drop or augmentation.noise or augmentation.polarity
        return self.source.events(
            place.index,
            self.window or draw_window(config.input.windows, training=self.training, **drawn),
            normalise=config.input.normalise,
            live=config.input.live,
            change_window=(
                partial(jitter_window, **change)
                if self.training and augmentation.window_jitter
                else None
            ),
            change_events=(
                partial(augment_events, **change) if self.training and events_change else None
            ),
        )

    def _moved(self, sample: Sample, place: Place) -> Sample:
        size, config = self.source.size, self.config
        resized = config.size.resized(size)
        resize = None if resized == size else resized
        if not self.training:
            return warp(sample, Draw(), resize=resize, crop=config.size.validation_crop)
        return augment(
            sample,
            augmentation=config.augmentation,
            seed=config.seed,
            epoch=place.epoch,
            index=place.index,
            normalise=config.input.normalise,
            resize=resize,
            crop=config.size.crop,
        )


def scaled(image: NDArray[np.float32], scaling: Scaling) -> NDArray[np.float32]:
    """Return a picture as a network was or is trained to see it.

    Parameters
    ----------
    image : float32 (1 or 3, H, W)
        From 0 to 1, RGB where it has colour.
    scaling : Scaling

    Returns
    -------
    float32 (1 or 3, H, W)
        ``(top * image - mean) / std``.
    """
    ordered = image[::-1] if scaling.order == "bgr" and len(image) == 3 else image
    mean = np.array(scaling.mean, np.float32)[:, None, None]
    std = np.array(scaling.std, np.float32)[:, None, None]
    made: NDArray[np.float32] = (ordered * np.float32(scaling.top) - mean) / std
    return made


def channels_of(source: Source, kind: str) -> int:
    """Return the channels of an input of a kind: of the events, of the frame, or of both."""
    return {
        "events": source.event_channels,
        "gray": 1,
        "rgb": 3,
        "both": 1 + source.event_channels,
    }[kind]


def draw_window(
    windows: Sequence[str], *, training: bool, seed: int, epoch: int, index: int
) -> str:
    """Return the window of one sample of one epoch; outside training the first one."""
    if len(windows) == 1 or not training:
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
    return (table, None) if table.names == source.classes.names else (
        table, merge_of(source.classes, table)
    )  # fmt: skip


def pick(source: Source, config: TrainConfig, *, split: str) -> NDArray[np.int64]:
    """Return the samples of a part of the data, int64 (N,), in the source's order.

    Samples without labels are left out, and those whose window reaches past their recording's
    events, as the configuration's ``min_covered`` says. ``fraction`` draws from the training part.

    Parameters
    ----------
    source : Source
    config : TrainConfig
    split : {"train", "val", "test"}
        With a ``validation_share`` and the protocol ``clean``, ``val`` is drawn from the training
        part.

    Raises
    ------
    TrainingError
        The part has no samples.
    """
    share = config.validation_share if config.protocol == "clean" else 0.0
    held_out = split == "val" and share > 0
    of = np.array(source.splits)
    found = np.flatnonzero((of == ("train" if held_out else split)) & source.labelled)
    if config.input.kind in ("events", "both"):
        covered = np.min([source.covered(window) for window in config.input.windows], axis=0)
        found = found[covered[found] >= config.min_covered]
    if share and split in ("train", "val"):
        order = np.random.default_rng([config.seed, 1]).permutation(len(found))
        count = max(1, round(share * len(found)))
        chosen = order[:count] if held_out else order[count:]
        found = np.sort(found[chosen])
    if split == "train" and config.fraction < 1:
        order = np.random.default_rng([config.seed, 2]).permutation(len(found))
        found = np.sort(found[order[: max(1, round(config.fraction * len(found)))]])
    if len(found) == 0:
        have = ", ".join(f"{name} {int((of == name).sum())}" for name in sorted(set(of)))
        advice = {
            "train": "encode recordings for training, or lower min_covered",
            "val": "use longer recordings, set validation_share, or choose protocol paper",
            "test": "encode a recording for test with --test",
        }[split]
        raise TrainingError(f"{source.path} has no samples of split {split} ({have}); {advice}")
    return found.astype(np.int64)


def parts_of(source: Source, config: TrainConfig) -> dict[str, NDArray[np.int64]]:
    """Return what trains, and what chooses the best checkpoint: ``val``, or as published ``test``.

    Raises
    ------
    TrainingError
        As :func:`pick`.
    """
    chosen = "val" if config.protocol == "clean" else "test"
    return {name: pick(source, config, split=name) for name in ("train", chosen)}


class EpochBatches(Sampler[list[Place]]):
    """Batches of one epoch after the other: shuffled by seed and epoch, or in order.

    Parameters
    ----------
    indices : int64 (N,)
    batch_size : int
    seed : int, optional
        Shuffles, and drops a last batch that is not full unless it is the only one.
    """

    def __init__(
        self, indices: NDArray[np.int64], *, batch_size: int, seed: int | None = None
    ) -> None:
        self.indices = indices
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of batches."""
        if self.seed is not None:
            return max(1, len(self.indices) // self.batch_size)
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[list[Place]]:
        order = self.indices
        if self.seed is not None:
            order = np.random.default_rng([self.seed, 3, self.epoch]).permutation(order)
        for k in range(len(self)):
            taken = order[k * self.batch_size : (k + 1) * self.batch_size]
            yield [Place(self.epoch, int(index)) for index in taken]


def load_batches(
    samples: Samples, batches: EpochBatches, *, workers: int, pinned: bool = False
) -> DataLoader[Batch]:
    """Return a loader of batches; its workers stay from epoch to epoch."""
    return DataLoader(
        samples,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pinned,
        # The loader's own seed must not come from torch's generator: it would shift dropout's
        # numbers in the first epoch of a process only.
        generator=torch.Generator(),
        worker_init_fn=_one_thread if workers else None,
    )


def each_batch(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """Yield the batches of a loader; an error in one of its workers stays one line.

    Raises
    ------
    EventsegError
        As the samples raise it.
    """
    try:
        yield from loader
    except EventsegError as error:
        if not loader.num_workers:
            raise
        # The loader puts the worker's whole traceback into the message; its last line has ours.
        last = str(error).strip().splitlines()[-1]
        raise type(error)(last.partition(": ")[2] or last) from None


def _one_thread(_worker: int) -> None:
    """Keep a worker to one thread: there are as many of them as wanted."""
    torch.set_num_threads(1)


def to_device(batch: Batch, device: torch.device, *, channels_last: bool) -> tuple[Tensor, Tensor]:
    """Return the input and the labels (int64) of a batch on a device."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = batch["x"].to(device, non_blocking=True, memory_format=layout)
    return x, batch["labels"].to(device, non_blocking=True).long()
