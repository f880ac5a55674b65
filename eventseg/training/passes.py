"""Passes over batches: training with its updates, statistics of batch norms, validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eventseg.errors import TrainingError
from eventseg.metrics.confusion_torch import new_counts
from eventseg.networks.batch_norms import Moments, retake_statistics
from eventseg.networks.network import SegmentationNetwork, batch_norms
from eventseg.prediction.scored import ScoredBatch
from eventseg.training.arithmetic import autocast
from eventseg.training.config.config import TrainConfig
from eventseg.training.distributed import gathered, side_by_side, summed, summed_count
from eventseg.training.loading import to_device
from eventseg.training.optimisers import set_learning_rate, update_average
from eventseg.training.samples import Batch
from eventseg.training.state import NetworkInTraining
from eventseg.training.synced_batch_norm import pooled


class PassResult(NamedTuple):
    """Mean loss of a pass and its confusion matrix, int64 (K, K)."""

    loss: float
    confusion: NDArray[np.int64]


class LossError(TrainingError):
    """A loss that is not finite; ``samples`` are the indices of the batch."""

    def __init__(self, message: str, samples: list[int]) -> None:
        super().__init__(message)
        self.samples = samples


@contextmanager
def memory_advice() -> Iterator[None]:
    """Give advice where the GPU runs out of memory.

    Raises
    ------
    TrainingError
        In place of torch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "the GPU has too little memory for a batch: lower batch_size (accumulation keeps the "
            "update as large), set amp to bf16 or fp16, or a smaller size.crop"
        ) from error


@memory_advice()
def train_pass(
    training: NetworkInTraining,
    batches: Iterable[Batch],
    *,
    updates: int,
    report: Callable[[float, int], None] = lambda _loss, _images: None,
) -> PassResult:
    """Train over the batches of an epoch.

    Parameters
    ----------
    training : NetworkInTraining
        Its weights, optimiser and iteration change.
    batches : iterable of Batch
    updates : int
        Largest number of updates.
    report : callable
        Called after every batch with its loss and its number of images.

    Returns
    -------
    PassResult
        Over the samples as they were seen, weighted by images.

    Raises
    ------
    LossError
        The loss is not finite; nothing was updated with it.
    TrainingError
        The GPU has too little memory.
    """
    config, device = training.config, training.device
    training.network.train()
    training.optimiser.zero_grad(set_to_none=True)
    counts = new_counts(training.classes, device)
    total, images, waiting = 0.0, 0, 0
    for batch in batches:
        if updates == 0:
            break
        # x (N, C, H, W), labels (N, H, W), logits (N, K, H, W)
        x, labels = to_device(batch, device, memory_format=config.memory_format)
        with autocast(config.amp, device):
            outputs = training.forward(x)
        pixel_weights = _pixel_weights(batch, device)
        loss = training.loss(outputs, labels, pixel_weights=pixel_weights, together=True)
        logits = outputs if isinstance(outputs, Tensor) else outputs[0]
        # Before the loss is read, which waits for the device anyway: after it nothing waits.
        ScoredBatch(tuple(batch["index"].tolist()), labels, logits).add_to(counts)
        # Of all processes: they have the same loss, so that all stop where it is no number.
        value, batch_images = float(loss.detach()), summed_count(len(x), device)
        if not math.isfinite(value):
            samples = [i for part in gathered(batch["index"].tolist()) for i in part]
            raise LossError(f"the loss is {value} at update {training.iteration}", samples)
        training.scaler.scale(loss / config.accumulation).backward()  # type: ignore[no-untyped-call]
        waiting += 1
        if waiting == config.accumulation:
            _update(training)
            waiting, updates = 0, updates - 1
        total, images = total + value * batch_images, images + batch_images
        report(value, batch_images)
    if waiting and updates:
        # The last update of a pass is the mean of fewer batches.
        for parameter in training.network.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(config.accumulation / waiting)
        _update(training)
    return PassResult(total / max(1, images), summed(counts).cpu().numpy())


def _update(training: NetworkInTraining) -> None:
    """Step the optimiser with the gradients there are, and then the averaged copy."""
    config = training.config
    set_learning_rate(training.optimiser, training.learning_rate(training.iteration))
    if config.gradient_clip:
        training.scaler.unscale_(training.optimiser)
        nn.utils.clip_grad_norm_(training.network.parameters(), config.gradient_clip)
    training.scaler.step(training.optimiser)
    training.scaler.update()
    training.optimiser.zero_grad(set_to_none=True)
    if training.average is not None:
        update_average(
            training.average, training.network, decay=config.ema_decay, update=training.iteration
        )
    training.iteration += 1


@memory_advice()
def batch_norm_pass(
    network: SegmentationNetwork,
    batches: Iterable[Batch],
    *,
    config: TrainConfig,
    device: torch.device,
) -> None:
    """Take the statistics of batch norms anew over training batches.

    Running means are those of weights that have changed since: with EV-SegNet's momentum of 0.007
    a network of 250 updates scores as if it had learnt nothing.
    """

    def inputs() -> Iterator[Tensor]:
        for batch in islice(batches, config.batch_norm_batches):
            x, _ = to_device(batch, device, memory_format=config.memory_format)
            yield x

    network.train()
    norms = [norm for norm in batch_norms(network) if norm.training]  # frozen ones are not
    with autocast(config.amp, device):
        retake_statistics(network, norms, inputs(), pool=_of_all_processes)


@memory_advice()
@torch.inference_mode()
def validation_pass(
    network: SegmentationNetwork,
    batches: Iterable[Batch],
    *,
    config: TrainConfig,
    device: torch.device,
    classes: int,
    loss: Callable[..., Tensor],
) -> PassResult:
    """Return loss and confusion matrix of a network in evaluation mode, at the input's size."""
    network.eval()
    counts = new_counts(classes, device)
    total = torch.zeros(2, dtype=torch.float64, device=device)
    for batch in batches:
        x, labels = to_device(batch, device, memory_format=config.memory_format)
        with autocast(config.amp, device):
            logits = network(x)
        ScoredBatch(tuple(batch["index"].tolist()), labels, logits).add_to(counts)
        total[0] += loss(logits, labels).double() * len(x)
        total[1] += len(x)
    losses, images = summed(total).tolist()
    return PassResult(losses / max(1, images), summed(counts).cpu().numpy())


def _of_all_processes(own: Moments) -> Moments:
    """Return the moments that all processes have seen; they have had as many batches each."""
    if own.count == 0:
        return own
    parts = torch.cat([own.mean, own.deviation, own.mean.new_tensor([own.count])])
    count, mean, deviation = pooled(side_by_side(parts))
    return Moments(int(count), mean, deviation)


def _pixel_weights(batch: Batch, device: torch.device) -> Tensor | None:
    """Return the confidence of the labels as weights from 0 to 1, float32 (N, H, W)."""
    if "confidence" not in batch:
        return None
    weights: Tensor = batch["confidence"].to(device, non_blocking=True).float() / 255
    return weights
