"""Training loop: epochs, the passes over the data that they consist of, and the update."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from eventseg.device import (
    choose_device,
    forget_peak_memory,
    keep_freed_memory,
    peak_memory_mib,
)
from eventseg.errors import TrainingError
from eventseg.metrics.scores import scores
from eventseg.recordings.progress import no_report
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig, with_absolute_paths, with_learning_rate
from eventseg.training.distributed import gathered, rank, share_buffers, wait_for_all
from eventseg.training.epoch_files import write_epoch_files, write_failed_network
from eventseg.training.epoch_tables import EpochCost, EpochScores
from eventseg.training.layout import FAILED
from eventseg.training.loading import each_batch, loading_advice
from eventseg.training.passes import (
    LossError,
    PassResult,
    batch_norm_pass,
    train_pass,
    validation_pass,
)
from eventseg.training.pictures import curves_are_drawn, picture_curves
from eventseg.training.prepare import PreparedRun, prepare_run
from eventseg.training.progress import EpochCallback, EpochEnd, TrainingProgress, TrainingResult
from eventseg.training.tensorboard import check_tensorboard, write_epoch
from eventseg.training.together import ending_together


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

    After each epoch the network is validated and ``metrics.csv``, a picture of predictions and the
    checkpoints are written, each whole or not at all; ``last.pt`` comes last and a stopped run goes
    on from it to the same bits. The curves are drawn at the end, and after epochs not more often
    than each 10 s. Random numbers are functions of the seed,
    the epoch and the sample.

    Parameters
    ----------
    source : Source
        From :func:`eventseg.training.open_source`.
    out : path
        The run folder.
    config : TrainConfig
    device : str or torch.device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; with ``torchrun`` each process takes a GPU of its
        own by ``cuda``.
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
        that differ from those of the run to resume, a batch that the processes cannot share, or
        another process that has failed.
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
    device = choose_device(str(device))
    if device.type == "cpu":
        keep_freed_memory()
    with ending_together(device):
        run = prepare_run(
            source,
            Path(out),
            config=with_learning_rate(with_absolute_paths(config)),
            device=device,
            resume=resume,
            command=command,
        )
        if tensorboard:
            names = run.classes.names
            callbacks = (lambda end: write_epoch(end.path, end.scores, classes=names), *callbacks)
        forget_peak_memory(device)  # that of a run before in this process, or of the probe
        started()
        first = len(run.history.scores)
        stop_reason = _train_epochs(run, progress, callbacks)
    history = tuple(run.history.scores)
    if rank() == 0 and len(history) > first and not curves_are_drawn(run.root):
        picture_curves(run.root, history, table=run.classes, best=run.history.best)
    return TrainingResult(run.root, history, history[run.history.best], stop_reason)


def _train_epochs(
    run: PreparedRun,
    progress: Callable[[TrainingProgress], None],
    callbacks: Sequence[EpochCallback],
) -> str:
    """Train epoch after epoch and return the reason for the end."""
    stop_reason = _stop_reason(run)
    while not stop_reason:
        end = _train_epoch(run, progress)
        # The first process decides for all of them.
        answers = [callback(end) for callback in callbacks] if rank() == 0 else []
        stopped = any(gathered(any(answer is True for answer in answers)))
        stop_reason = _stop_reason(run) or ("callback" if stopped else "")
    wait_for_all()
    return stop_reason


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
    if config.batch_norm_batches:
        batch_norm_pass(
            training.validated,
            each_batch(run.training_batches, skipped=skipped),
            config=config,
            device=training.device,
        )
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
    clean = None
    if run.clean_batches is not None:
        clean = validation_pass(
            training.validated,
            each_batch(run.clean_batches, skipped=skipped),
            config=config,
            device=training.device,
            classes=training.classes,
            loss=training.loss,
        )
    val_s = time.perf_counter() - begin
    memory_mib = peak_memory_mib(training.device)
    cost = EpochCost(epoch + 1, train_s, val_s, images / train_s, memory_mib)
    best = history.add(_epoch_scores(run, trained, validated, clean), cost, config)
    all_skipped = {i: reason for part in gathered(skipped) for i, reason in part.items()}
    if rank() == 0:
        write_epoch_files(run, best=best, skipped=all_skipped)
    report(trained.loss, 0)
    return EpochEnd(run.root, history.scores[-1], best, run.trained_network(training.validated))


def _epoch_scores(
    run: PreparedRun, trained: PassResult, validated: PassResult, clean: PassResult | None
) -> EpochScores:
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
        **_clean_scores(clean),
    )


def _clean_scores(clean: PassResult | None) -> dict[str, float]:
    """Return the scores of training samples without augmentation, in percent, if there are any."""
    if clean is None:
        return {}
    found = scores(clean.confusion)
    return {
        "clean_loss": clean.loss,
        "clean_accuracy": 100 * found.pixel_accuracy,
        "clean_miou": 100 * found.miou_present,
    }
