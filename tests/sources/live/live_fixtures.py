"""Live encoding settings, and batches as a network gets them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from eventseg.sources.source import Source, open_source
from eventseg.training.config.config import TrainConfig
from eventseg.training.loading import EpochBatches, each_batch, load_batches, to_device
from eventseg.training.parts import pick
from eventseg.training.samples import Samples

CPU = torch.device("cpu")


def opened(path: Path) -> closing[Source]:
    return closing(open_source(path))


def loaded(
    source: Source,
    config: TrainConfig,
    *,
    workers: int = 0,
    start: Any = None,
    training: bool = True,
    epoch: int = 1,
    device: torch.device = CPU,
    **order: Any,
) -> list[dict[str, Any]]:
    """Return the batches of an epoch with their input as the network gets it."""
    samples = Samples(source, config, 19, training=training)
    part = pick(source, config, split="train")
    batches = EpochBatches(part, batch_size=4, seed=config.seed if training else None, **order)
    batches.epoch = epoch
    loader = load_batches(samples, batches, workers=workers, start=start, device=device)
    found = []
    for batch in each_batch(loader):
        x, labels = to_device(batch, device, memory_format="contiguous")
        assert x.device.type == labels.device.type == device.type
        found.append({**batch, "x": x.cpu(), "labels": labels.cpu()})
    return found


MOVING: dict[str, Any] = {"input__windows": ["10ms", "50ms"], "augmentation__placement": "random"}
ON_DEVICE: dict[str, Any] = {"input__live": True, "input__encode": "device"}
