"""Training: one loop over epochs, from a configuration and a source to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eventseg.device import peak_memory_mib
from eventseg.errors import TrainingError
from eventseg.metrics.scores import scores
from eventseg.networks import save_network
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig
from eventseg.training.distributed import (
    gathered,
    join_processes,
    rank,
    share_buffers,
    wait_for_all,
)
from eventseg.training.loading import each_batch
from eventseg.training.pictures import picture_curves, picture_samples
from eventseg.training.run_folder import (
    BEST,
    FAILED,
    LAST,
    EpochCost,
    EpochScores,
    write_metrics,
    write_skipped,
    write_timing,
)
from eventseg.training.session import Session, open_session
from eventseg.training.state import kept_state
from eventseg.training.steps import LossError, Pass, train_pass, validation_pass
from eventseg.training.tensorboard import check_tensorboard, write_epoch


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training is.

    Parameters
    ----------
    epoch, epochs : int
        Of the epoch that runs, from 1.
    update, updates : int
        Done, and in all.
    images : int
        Images of the batch that was just done; 0 after validation.
    loss : float
        Of the last batch.
    val_miou : float
        Of the last validation in percent, NaN before.
    """

    epoch: int
    epochs: int
    update: int
    updates: int
    images: int
    loss: float
    val_miou: float


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a training.

    Parameters
    ----------
    path : Path
        The run folder.
    history : tuple of EpochScores
    best : EpochScores
        That of ``best.pt``.
    reason : str
        Why it ended: ``length`` or ``patience``.
    """

    path: Path
    history: tuple[EpochScores, ...]
    best: EpochScores
    reason: str


def train(
    source: Source,
    out: str | Path,
    *,
    config: TrainConfig,
    device: str | torch.device = "cpu",
    resume: bool = False,
    tensorboard: bool = False,
    command: Sequence[str] | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Trained:
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
        Whether to go on with the run that the folder holds.
    tensorboard : bool
        Whether to write TensorBoard files too.
    command : sequence of str, optional
        What ``run.json`` calls the command; by default that of this process.
    progress : callable
        Called after every batch and every validation.

    Returns
    -------
    Trained

    Raises
    ------
    TrainingError
        No samples of a part, labels outside the classes, a loss that is no number, settings
        that differ from those of the run to resume.
    NetworkError
        A network that cannot be built so.
    OutputError
        The folder cannot be written.
    CheckpointError
        The run to resume cannot be read.
    """
    if tensorboard:
        check_tensorboard()
    on = torch.device(device)
    join_processes(on)
    session = open_session(
        source, Path(out), config=config, device=on, resume=resume, command=command
    )
    while not (reason := _reason_to_end(session)):
        _one_epoch(session, progress)
        if tensorboard and rank() == 0:
            write_epoch(session.root, session.state.history[-1], classes=session.classes.names)
    wait_for_all()
    history = tuple(session.state.history)
    return Trained(session.root, history, history[session.state.best], reason)


def _reason_to_end(session: Session) -> str:
    patience = session.learner.config.patience
    if patience and session.state.waited >= patience:
        return "patience"
    return "length" if session.learner.iteration >= session.updates else ""


def _one_epoch(session: Session, progress: Callable[[Progress], None]) -> None:
    """Train, validate and write everything."""
    learner, state = session.learner, session.state
    skipped: dict[int, str] = {}
    begin = time.perf_counter()
    learnt, images = _train(session, progress, skipped)
    trained_s = time.perf_counter() - begin
    if not learnt.matrix.any():
        raise TrainingError(
            f"the label set {learner.config.labels.set!r} has no labelled pixel in the training "
            "samples of an epoch: nothing can be learnt; make labels with a lower threshold"
        )
    begin = time.perf_counter()
    share_buffers(learner.plain)
    if learner.average is not None:
        share_buffers(learner.average)
    judged = learner.plain if learner.average is None else learner.average
    found = validation_pass(
        judged, each_batch(session.checker, skipped=skipped), config=learner.config,
        device=learner.device, classes=learner.classes, class_weights=learner.class_weights,
    )  # fmt: skip
    row = _row(session, learnt, found)
    cost = EpochCost(
        row.epoch, trained_s, time.perf_counter() - begin, images / trained_s,
        peak_memory_mib(learner.device),
    )  # fmt: skip
    better = state.add(row, cost, learner.config)
    left_out = {index: why for each in gathered(skipped) for index, why in each.items()}
    if rank() == 0:
        _write(session, better=better, skipped=left_out)
        _tell(progress, session, epoch=row.epoch, loss=learnt.loss)


def _train(
    session: Session, progress: Callable[[Progress], None], skipped: dict[int, str]
) -> tuple[Pass, int]:
    """Train over one epoch; return its scores and how many images it had."""
    learner, epoch = session.learner, len(session.state.history)
    seed = learner.config.seed
    session.loader.batch_sampler.epoch = epoch  # type: ignore[union-attr]
    # Dropout's numbers too follow from seed and epoch, so that a resumed run draws the same.
    drawn = np.random.SeedSequence([seed, 4, epoch, rank()]).generate_state(1)
    torch.manual_seed(int(drawn[0]))
    seen = 0

    def tell(loss: float, images: int) -> None:
        nonlocal seen
        seen += images
        if rank() == 0:
            _tell(progress, session, epoch=epoch + 1, loss=loss, images=images)

    try:
        learnt = train_pass(
            learner,
            each_batch(session.loader, skipped=skipped),
            updates=min(session.updates_per_epoch, session.updates - learner.iteration),
            tell=tell,
        )
    except LossError as error:
        if rank() == 0:
            save_network(session.root / FAILED, session.kept(learner.plain), samples=error.samples)
        names = ", ".join(session.source.ids[i] for i in error.samples)
        raise TrainingError(
            f"{error}, epoch {epoch + 1}, samples {names}; the network before it is in "
            f"{session.root / FAILED}; lower the learning rate or clip gradients"
        ) from error
    return learnt, seen


def _row(session: Session, learnt: Pass, found: Pass) -> EpochScores:
    learner = session.learner
    seen, judged = scores(learnt.matrix), scores(found.matrix)
    return EpochScores(
        len(session.state.history) + 1,
        learner.iteration,
        learner.rate(learner.iteration - 1),
        learnt.loss,
        100 * seen.pixel_accuracy,
        100 * seen.miou_present,
        found.loss,
        100 * judged.pixel_accuracy,
        100 * judged.miou_present,
        tuple(100 * value for value in judged.iou),
    )


def _write(session: Session, *, better: bool, skipped: dict[int, str]) -> None:
    """Write what an epoch leaves; ``last.pt`` at the end stands for the epoch."""
    root, table = session.root, session.classes
    learner, state = session.learner, session.state
    config, ids = learner.config, session.source.ids
    judged = learner.plain if learner.average is None else learner.average
    if better:
        save_network(
            root / BEST, session.kept(judged), epoch=len(state.history), val_miou=state.val_miou
        )
        picture_samples(
            root, judged, session.shown, table=table, device=learner.device,
            kind=config.input.kind, scaling=config.input.scaling,
            names=[ids[sample["index"]] for sample in session.shown],
        )  # fmt: skip
    write_metrics(root, state.history, classes=table.names)
    write_timing(root, state.costs)
    write_skipped(root, {ids[index]: why for index, why in skipped.items()})
    picture_curves(root, state.history, table=table, best=state.best)
    save_network(root / LAST, session.kept(learner.plain), training=kept_state(learner, state))


def _tell(
    progress: Callable[[Progress], None],
    session: Session,
    *,
    epoch: int,
    loss: float,
    images: int = 0,
) -> None:
    progress(
        Progress(
            epoch, session.epochs, session.learner.iteration, session.updates, images, loss,
            session.state.val_miou,
        )
    )  # fmt: skip
