"""One pass over the data: a training epoch, and validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eventseg.errors import TrainingError
from eventseg.metrics.confusion_torch import add_confusion, new_counts
from eventseg.networks.network import SegmentationNetwork
from eventseg.training.config.config import TrainConfig
from eventseg.training.distributed import gathered, mean_loss, summed
from eventseg.training.loading import to_device
from eventseg.training.losses.losses import segmentation_loss
from eventseg.training.optimisers import set_learning_rate, update_average
from eventseg.training.samples import Batch

Matrix = NDArray[np.int64]


class Pass(NamedTuple):
    """Mean loss of a pass and its confusion matrix, int64 (K, K)."""

    loss: float
    matrix: Matrix


class LossError(TrainingError):
    """The loss is no longer a number; ``samples`` are those of the batch."""

    def __init__(self, message: str, samples: list[int]) -> None:
        super().__init__(message)
        self.samples = samples


@dataclass(slots=True)
class Learner:
    """What an update needs.

    Parameters
    ----------
    network : callable
        What is called: the network, compiled or not.
    plain : SegmentationNetwork
        The network itself, whose weights are kept.
    optimiser : torch.optim.Optimizer
    config : TrainConfig
    device : torch.device
    classes : int
    rate : callable
        Learning rate by iteration.
    class_weights : float32 (K,), optional
    scaler : torch.amp.GradScaler
        Disabled but for fp16.
    average : SegmentationNetwork, optional
        Averaged copy of the network.
    iteration : int
        Updates done.
    """

    network: Callable[[Tensor], Tensor | tuple[Tensor, ...]]
    plain: SegmentationNetwork
    optimiser: torch.optim.Optimizer
    config: TrainConfig
    device: torch.device
    classes: int
    rate: Callable[[int], float]
    class_weights: Tensor | None
    scaler: torch.amp.GradScaler
    average: SegmentationNetwork | None = None
    iteration: int = 0


@contextmanager
def memory_advice() -> Iterator[None]:
    """Say what to do where the GPU runs out of memory.

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
    learner: Learner,
    batches: Iterable[Batch],
    *,
    updates: int,
    tell: Callable[[float, int], None] = lambda _loss, _images: None,
) -> Pass:
    """Train over the batches of an epoch, at most for so many updates.

    Parameters
    ----------
    learner : Learner
        Its network, optimiser and iteration change.
    batches : iterable of Batch
    updates : int
    tell : callable
        Called after every batch with its loss and its number of images.

    Returns
    -------
    Pass
        Over the samples as they were seen, weighted by images.

    Raises
    ------
    LossError
        The loss is not finite; nothing was updated with it.
    TrainingError
        The GPU has too little memory.
    """
    config = learner.config
    learner.plain.train()
    learner.optimiser.zero_grad(set_to_none=True)
    counts = new_counts(learner.classes, learner.device)
    total, images, waiting = 0.0, 0, 0
    for batch in batches:
        if updates == 0:
            break
        x, labels = to_device(batch, learner.device, channels_last=config.channels_last)
        with autocast(config, learner.device):
            outputs = learner.network(x)
        loss = segmentation_loss(
            outputs,
            labels,
            spec=config.loss,
            class_weights=learner.class_weights,
            pixel_weights=_confidence(batch, learner.device),
        )
        main = outputs if isinstance(outputs, Tensor) else outputs[0]
        # Before the loss is read, which waits for the device anyway: after it nothing waits.
        add_confusion(main, labels, counts)
        value, shared = mean_loss(loss, len(x))
        if not math.isfinite(value):
            samples = [i for each in gathered(batch["index"].tolist()) for i in each]
            raise LossError(f"the loss is {value} at update {learner.iteration}", samples)
        torch.autograd.backward(learner.scaler.scale(loss / config.accumulation))
        waiting += 1
        if waiting == config.accumulation:
            _update(learner)
            waiting, updates = 0, updates - 1
        total, images = total + value * shared, images + shared
        tell(value, shared)
    if waiting and updates:
        _update(learner)
    return Pass(total / max(1, images), summed(counts).cpu().numpy())


@memory_advice()
@torch.inference_mode()
def validation_pass(
    network: SegmentationNetwork,
    batches: Iterable[Batch],
    *,
    config: TrainConfig,
    device: torch.device,
    classes: int,
    class_weights: Tensor | None = None,
) -> Pass:
    """Return loss and confusion matrix of a network in evaluation mode, at the input's size."""
    network.eval()
    counts = new_counts(classes, device)
    total = torch.zeros(2, dtype=torch.float64, device=device)
    for batch in batches:
        x, labels = to_device(batch, device, channels_last=config.channels_last)
        with autocast(config, device):
            logits = network(x)
        loss = segmentation_loss(logits, labels, spec=config.loss, class_weights=class_weights)
        add_confusion(logits, labels, counts)
        total[0] += loss.double() * len(x)
        total[1] += len(x)
    losses, images = summed(total).tolist()
    return Pass(losses / max(1, images), summed(counts).cpu().numpy())


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[object]:
    """Return the context of the forward pass."""
    if config.amp == "off":
        return nullcontext()
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[config.amp]
    return torch.autocast(device.type, dtype=kind)


def _update(learner: Learner) -> None:
    set_learning_rate(learner.optimiser, learner.rate(learner.iteration))
    if learner.config.gradient_clip:
        learner.scaler.unscale_(learner.optimiser)
        nn.utils.clip_grad_norm_(learner.plain.parameters(), learner.config.gradient_clip)
    learner.scaler.step(learner.optimiser)
    learner.scaler.update()
    learner.optimiser.zero_grad(set_to_none=True)
    if learner.average is not None:
        update_average(
            learner.average,
            learner.plain,
            decay=learner.config.ema_decay,
            update=learner.iteration,
        )
    learner.iteration += 1


def _confidence(batch: Batch, device: torch.device) -> Tensor | None:
    if "confidence" not in batch:
        return None
    weights: Tensor = batch["confidence"].to(device, non_blocking=True).float() / 255
    return weights
