"""Training loop: epochs, the passes over the data that they consist of, and the update."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eventseg.device import peak_memory_mib
from eventseg.errors import TrainingError
from eventseg.metrics.confusion_torch import new_counts
from eventseg.metrics.scores import scores
from eventseg.networks.network import SegmentationNetwork
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings.progress import no_report
from eventseg.sources.source import Source
from eventseg.training.arithmetic import autocast
from eventseg.training.config.config import TrainConfig, with_absolute_paths
from eventseg.training.distributed import (
    gathered,
    join_processes,
    mean_loss,
    rank,
    share_buffers,
    summed,
    wait_for_all,
)
from eventseg.training.epoch_files import write_epoch_files, write_failed_network
from eventseg.training.loading import each_batch, loading_advice, to_device
from eventseg.training.optimisers import set_learning_rate, update_average
from eventseg.training.prepare import PreparedRun, prepare_run
from eventseg.training.progress import (
    EpochCallback,
    EpochEnd,
    TrainingProgress,
    TrainingResult,
)
from eventseg.training.run_folder import FAILED, EpochCost, EpochScores
from eventseg.training.samples import Batch
from eventseg.training.state import NetworkInTraining
from eventseg.training.tensorboard import check_tensorboard, write_epoch


class PassResult(NamedTuple):
    """Mean loss of a pass and its confusion matrix, int64 (K, K)."""

    loss: float
    confusion: NDArray[np.int64]


class LossError(TrainingError):
    """A loss that is not finite; ``samples`` are the indices of the batch."""

    def __init__(self, message: str, samples: list[int]) -> None:
        super().__init__(message)
        self.samples = samples


def train(
    source: Source,
    out: str | Path,
    *,
    config: TrainConfig,
    device: str | torch.device = "cpu",
    resume: bool = False,
    tensorboard: bool = False,
    command: Sequence[str] | None = None,
    started: Callable[[], None] = lambda: None,
    progress: Callable[[TrainingProgress], None] = no_report,
    callbacks: Sequence[EpochCallback] = (),
) -> TrainingResult:
    """Train a network and keep everything about it in a run folder.

    After each epoch the network is validated and ``metrics.csv``, the curves, a picture of
    predictions and the checkpoints are written, each whole or not at all; ``last.pt`` comes last
    and a stopped run goes on from it to the same bits. Random numbers are functions of the seed,
    the epoch and the sample.

    Parameters
    ----------
    source : Source
        From :func:`eventseg.training.open_source`.
    out : path
        The run folder.
    config : TrainConfig
    device : str or torch.device
    resume : bool
        Whether to continue the run that the folder holds.
    tensorboard : bool
        Whether to write TensorBoard files too.
    command : sequence of str, optional
        Command that ``run.json`` records; by default that of this process.
    started : callable
        Called once, after all checks and before the first epoch.
    progress : callable
        Called after every batch and every validation.
    callbacks : sequence of callable
        Functions called in turn with an :class:`EpochEnd` after the files of each epoch are
        written, by the first of several processes only. Training ends after an epoch where one of
        them returns True; the run can be resumed.

    Returns
    -------
    TrainingResult

    Raises
    ------
    TrainingError
        No samples of a part, labels outside the classes, a loss that is no number, settings
        that differ from those of the run to resume.
    NetworkError
        A network that cannot be built so.
    ExtensionError
        A file of your own network or loss that cannot be loaded.
    OutputError
        The folder cannot be written.
    CheckpointError
        The run to resume cannot be read.
    """
    if tensorboard:
        check_tensorboard()
    device = torch.device(device)
    join_processes(device)
    run = prepare_run(
        source,
        Path(out),
        config=with_absolute_paths(config),
        device=device,
        resume=resume,
        command=command,
    )
    if tensorboard:
        names = run.classes.names
        callbacks = (lambda end: write_epoch(end.path, end.scores, classes=names), *callbacks)
    started()
    stop_reason = _stop_reason(run)
    while not stop_reason:
        end = _train_epoch(run, progress)
        # The first process decides for all of them.
        answers = [callback(end) for callback in callbacks] if rank() == 0 else []
        stopped = any(gathered(any(answer is True for answer in answers)))
        stop_reason = _stop_reason(run) or ("callback" if stopped else "")
    wait_for_all()
    history = tuple(run.history.scores)
    return TrainingResult(run.root, history, history[run.history.best], stop_reason)


def _stop_reason(run: PreparedRun) -> str:
    patience = run.training.config.patience
    if patience and run.history.waited >= patience:
        return "patience"
    return "length" if run.training.iteration >= run.updates else ""


@loading_advice()
def _train_epoch(run: PreparedRun, progress: Callable[[TrainingProgress], None]) -> EpochEnd:
    """Train over one epoch, validate, and write the files of the epoch."""
    training, history = run.training, run.history
    config, epoch = training.config, len(history.scores)
    skipped: dict[int, str] = {}
    images = 0

    def report(loss: float, batch_images: int) -> None:
        nonlocal images
        images += batch_images
        if rank() == 0:
            scored = "" if math.isnan(history.val_miou) else f", val mIoU {history.val_miou:.1f}"
            progress(
                TrainingProgress(
                    "train",
                    training.iteration,
                    run.updates,
                    "update",
                    f"epoch {epoch + 1}/{run.epochs}, loss {loss:.3f}{scored}",
                    epoch=epoch + 1,
                    epochs=run.epochs,
                    images=batch_images,
                    loss=loss,
                    val_miou=history.val_miou,
                )
            )

    run.training_batches.batch_sampler.epoch = epoch  # type: ignore[union-attr]
    # Dropout's numbers too follow from seed and epoch, so that a resumed run draws the same.
    seed = np.random.SeedSequence([config.seed, 4, epoch, rank()]).generate_state(1)
    torch.manual_seed(int(seed[0]))
    begin = time.perf_counter()
    try:
        trained = train_pass(
            training,
            each_batch(run.training_batches, skipped=skipped),
            updates=min(run.updates_per_epoch, run.updates - training.iteration),
            report=report,
        )
    except LossError as error:
        if rank() == 0:
            write_failed_network(run, samples=error.samples)
        names = ", ".join(run.source.ids[i] for i in error.samples)
        raise TrainingError(
            f"{error}, epoch {epoch + 1}, samples {names}; the network before it is in "
            f"{run.root / FAILED}; lower the learning rate or clip gradients"
        ) from error
    train_s = time.perf_counter() - begin
    if not trained.confusion.any():
        raise TrainingError(
            f"the label set {config.labels.set!r} has no labelled pixel in the training "
            "samples of an epoch: nothing can be learnt; make labels with a lower threshold"
        )

    begin = time.perf_counter()
    share_buffers(training.network)
    if training.average is not None:
        share_buffers(training.average)
    validated = validation_pass(
        training.validated,
        each_batch(run.validation_batches, skipped=skipped),
        config=config,
        device=training.device,
        classes=training.classes,
        loss=training.loss,
    )
    val_s = time.perf_counter() - begin
    memory_mib = peak_memory_mib(training.device)
    cost = EpochCost(epoch + 1, train_s, val_s, images / train_s, memory_mib)
    best = history.add(_epoch_scores(run, trained, validated), cost, config)
    all_skipped = {i: reason for part in gathered(skipped) for i, reason in part.items()}
    if rank() == 0:
        write_epoch_files(run, best=best, skipped=all_skipped)
    report(trained.loss, 0)
    return EpochEnd(run.root, history.scores[-1], best, run.trained_network(training.validated))


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
        loss = training.loss(outputs, labels, pixel_weights=_pixel_weights(batch, device))
        logits = outputs if isinstance(outputs, Tensor) else outputs[0]
        # Before the loss is read, which waits for the device anyway: after it nothing waits.
        ScoredBatch(tuple(batch["index"].tolist()), labels, logits).add_to(counts)
        value, batch_images = mean_loss(loss, len(x))
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


def _pixel_weights(batch: Batch, device: torch.device) -> Tensor | None:
    """Return the confidence of the labels as weights from 0 to 1, float32 (N, H, W)."""
    if "confidence" not in batch:
        return None
    weights: Tensor = batch["confidence"].to(device, non_blocking=True).float() / 255
    return weights


def _epoch_scores(run: PreparedRun, trained: PassResult, validated: PassResult) -> EpochScores:
    """Return the scores of an epoch in percent."""
    training = run.training
    train, val = scores(trained.confusion), scores(validated.confusion)
    return EpochScores(
        epoch=len(run.history.scores) + 1,
        iteration=training.iteration,
        learning_rate=training.learning_rate(training.iteration - 1),
        train_loss=trained.loss,
        train_accuracy=100 * train.pixel_accuracy,
        train_miou=100 * train.miou_present,
        val_loss=validated.loss,
        val_accuracy=100 * val.pixel_accuracy,
        val_miou=100 * val.miou_present,
        val_iou=tuple(100 * iou for iou in val.iou),
        val_miou_truth=100 * val.miou_truth,
        val_miou_all=100 * val.miou_all,
    )
