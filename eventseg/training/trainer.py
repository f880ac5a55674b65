"""Training: one loop over epochs, from a configuration and a source to a run folder."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from eventseg.errors import CheckpointError, NetworkError, TrainingError
from eventseg.labels import ClassTable, merge_labels
from eventseg.metrics import scores
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, parameter_count, save_network
from eventseg.networks.weights import load_file
from eventseg.training.class_weights import count_labels, enet_weights, median_frequency
from eventseg.training.config import TrainConfig, to_toml
from eventseg.training.ema import averaged_copy
from eventseg.training.optimisers import build_optimiser
from eventseg.training.pictures import picture_curves, picture_samples
from eventseg.training.run_folder import (
    BEST,
    FAILED,
    LAST,
    EpochCost,
    EpochScores,
    claim_run,
    describe_run,
    peak_memory_mib,
    write_metrics,
    write_run,
    write_timing,
)
from eventseg.training.samples import (
    Batch,
    EpochBatches,
    Place,
    Samples,
    channels_of,
    class_table_of,
    each_batch,
    load_batches,
    parts_of,
)
from eventseg.training.schedules import Plateau, after_score, learning_rate
from eventseg.training.sources import Source
from eventseg.training.steps import Learner, LossError, Pass, train_pass, validation_pass
from eventseg.training.tensorboard import check_tensorboard, write_epoch

SHOWN = 4
"""Validation samples in the picture of predictions."""


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


@dataclass(slots=True)
class _State:
    """What changes from epoch to epoch; kept in ``last.pt``, so that a run can go on."""

    history: list[EpochScores]
    costs: list[EpochCost]
    plateau: Plateau
    best: int = -1
    waited: int = 0


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
    root, on = Path(out), torch.device(device)
    if tensorboard:
        check_tensorboard()
    if config.amp == "fp16" and on.type != "cuda":
        raise TrainingError("amp fp16 needs a CUDA device; use bf16 or off on the CPU")
    table, merge = class_table_of(source, config)
    parts = parts_of(source, config)
    training, judging = parts.values()
    samples = Samples(source, config, len(table), training=True, merge=merge)
    checked = Samples(source, config, len(table), training=False, merge=merge)
    batches = EpochBatches(training, batch_size=config.batch_size, seed=config.seed)
    loader = _loader(samples, batches, config, on)
    checker = _loader(checked, EpochBatches(judging, batch_size=config.batch_size), config, on)
    weights = _class_weights(source, training, merge, config, len(table), on)

    torch.manual_seed(config.seed)
    blueprint = blueprint_of(config, source, table)
    network = blueprint.build(init=config.network.init).to(on)
    if config.channels_last:
        network = network.to(memory_format=torch.channels_last)
    claim_run(root, config, resume=resume)
    per_epoch = -(-len(batches) // config.accumulation)
    updates = config.iterations or config.epochs * per_epoch
    state = _State([], [], Plateau())
    learner = Learner(
        network=torch.compile(network) if config.compile else network,
        plain=network,
        optimiser=build_optimiser(network, spec=config.optimiser),
        config=config,
        device=on,
        classes=len(table),
        rate=lambda update: learning_rate(
            config.schedule,
            update,
            base=config.optimiser.learning_rate,
            iterations=updates,
            iterations_per_epoch=per_epoch,
            plateau=state.plateau,
        ),
        class_weights=weights,
        scaler=torch.amp.GradScaler(on.type, enabled=config.amp == "fp16"),
        average=averaged_copy(network) if config.ema_decay else None,
    )
    resized = config.size.resized(source.size)
    own_size = config.size.resize is None and resized == source.size
    inputs = InputSpec(
        config.input.kind, blueprint.in_channels, config.input.scaling, config.input.windows,
        config.input.normalise, None if own_size else (resized.height, resized.width),
    )  # fmt: skip
    if (root / LAST).is_file():
        _restore(root / LAST, learner, state)
    write_run(
        root,
        describe_run(
            config, source, device=on, parameters=parameter_count(network), command=command,
            parts={name: [source.ids[i] for i in part] for name, part in parts.items()},
        ),
    )  # fmt: skip
    epochs = -(-updates // per_epoch)
    shown = [checked[Place(0, i)] for i in _spread(judging)]
    while not _reason(state, learner, config, updates):
        epoch = len(state.history)
        _one_epoch(
            root, state, learner, loader, checker, epoch=epoch, epochs=epochs, updates=updates,
            per_epoch=per_epoch, table=table, progress=progress,
            kept=lambda net: TrainedNetwork(net, blueprint, inputs, table, f"run {root.name}"),
            shown=shown,
        )  # fmt: skip
        if tensorboard:
            write_epoch(root, state.history[-1], classes=table.names)
    return Trained(
        root, tuple(state.history), state.history[state.best],
        _reason(state, learner, config, updates),
    )  # fmt: skip


def blueprint_of(config: TrainConfig, source: Source, table: ClassTable) -> Blueprint:
    """Return how the network of a configuration is built for a source and its classes."""
    return Blueprint(
        config.network.name,
        channels_of(source, config.input.kind),
        len(table),
        fusion=config.input.fusion,
        frozen_batch_norm=config.network.frozen_batch_norm,
        options=dict(config.network.options),
    )


def _one_epoch(
    root: Path,
    state: _State,
    learner: Learner,
    loader: DataLoader[Batch],
    checker: DataLoader[Batch],
    *,
    epoch: int,
    epochs: int,
    updates: int,
    per_epoch: int,
    table: ClassTable,
    progress: Callable[[Progress], None],
    kept: Callable[[Any], TrainedNetwork],
    shown: Sequence[Batch],
) -> None:
    """Train, validate and write everything; ``last.pt`` at the end stands for the epoch."""
    config = learner.config
    loader.batch_sampler.epoch = epoch  # type: ignore[union-attr]
    # Dropout's numbers too follow from seed and epoch, so that a resumed run draws the same.
    torch.manual_seed(int(np.random.SeedSequence([config.seed, 4, epoch]).generate_state(1)[0]))
    before = state.history[-1].val_miou if state.history else float("nan")
    seen = 0

    def tell(loss: float, images: int) -> None:
        nonlocal seen
        seen += images
        progress(Progress(epoch + 1, epochs, learner.iteration, updates, images, loss, before))

    begin = time.perf_counter()
    try:
        learnt = train_pass(
            learner,
            each_batch(loader),
            updates=min(per_epoch, updates - learner.iteration),
            tell=tell,
        )
    except LossError as error:
        save_network(root / FAILED, kept(learner.plain), samples=error.samples)
        names = ", ".join(loader.dataset.source.ids[i] for i in error.samples)  # type: ignore[attr-defined]
        raise TrainingError(
            f"{error}, epoch {epoch + 1}, samples {names}; the network before it is in "
            f"{root / FAILED}; lower the learning rate or clip gradients"
        ) from error
    trained_s = time.perf_counter() - begin
    if not learnt.matrix.any():
        raise TrainingError(
            f"the label set {config.labels.set!r} has no labelled pixel in the training samples of "
            "an epoch: nothing can be learnt; make labels with a lower threshold"
        )
    judged = learner.plain if learner.average is None else learner.average
    begin = time.perf_counter()
    found = validation_pass(
        judged, each_batch(checker), config=config, device=learner.device, classes=learner.classes,
        class_weights=learner.class_weights,
    )  # fmt: skip
    row = _row(epoch, learner, learnt, found)
    state.history.append(row)
    state.costs.append(
        EpochCost(
            epoch + 1, trained_s, time.perf_counter() - begin, seen / trained_s,
            peak_memory_mib(learner.device),
        )
    )  # fmt: skip
    state.plateau = after_score(config.schedule, state.plateau, score=row.val_miou)
    first = state.best < 0
    if first or row.val_miou > state.history[state.best].val_miou + config.min_delta:
        state.best, state.waited = epoch, 0
        save_network(root / BEST, kept(judged), epoch=epoch + 1, val_miou=row.val_miou)
        picture_samples(
            root, judged, shown, table=table, device=learner.device, kind=config.input.kind,
            names=[checker.dataset.source.ids[sample["index"]] for sample in shown],  # type: ignore[attr-defined]
            scaling=config.input.scaling,
        )  # fmt: skip
    else:
        state.waited += 1
    write_metrics(root, state.history, classes=table.names)
    write_timing(root, state.costs)
    picture_curves(root, state.history, table=table, best=state.best)
    save_network(root / LAST, kept(learner.plain), training=_kept_state(learner, state))
    progress(Progress(epoch + 1, epochs, learner.iteration, updates, 0, learnt.loss, row.val_miou))


def _row(epoch: int, learner: Learner, learnt: Pass, found: Pass) -> EpochScores:
    seen, judged = scores(learnt.matrix), scores(found.matrix)
    return EpochScores(
        epoch + 1,
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


def _kept_state(learner: Learner, state: _State) -> dict[str, Any]:
    return {
        "config": to_toml(learner.config),
        "iteration": learner.iteration,
        "optimiser": learner.optimiser.state_dict(),
        "scaler": learner.scaler.state_dict(),
        "average": None if learner.average is None else learner.average.state_dict(),
        "plateau": asdict(state.plateau),
        "best": state.best,
        "waited": state.waited,
        "history": json.dumps([asdict(row) for row in state.history]),
        "costs": json.dumps([asdict(cost) for cost in state.costs]),
    }


def _restore(path: Path, learner: Learner, state: _State) -> None:
    """Take up a run where its last whole epoch left it."""
    loaded = load_file(path)
    try:
        held: Mapping[str, Any] = loaded["training"]
        learner.plain.load_state_dict(loaded["state_dict"])
        learner.optimiser.load_state_dict(held["optimiser"])
        learner.scaler.load_state_dict(held["scaler"])
        if learner.average is not None:
            learner.average.load_state_dict(held["average"])
        learner.iteration = held["iteration"]
        state.plateau = Plateau(**held["plateau"])
        state.best, state.waited = held["best"], held["waited"]
        state.history = [
            EpochScores(**{**row, "val_iou": tuple(row["val_iou"])})
            for row in json.loads(held["history"])
        ]
        state.costs = [EpochCost(**cost) for cost in json.loads(held["costs"])]
    except (KeyError, TypeError, ValueError, RuntimeError, NetworkError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path} is of another network or damaged: {first}") from error


def _reason(state: _State, learner: Learner, config: TrainConfig, updates: int) -> str:
    if config.patience and state.waited >= config.patience:
        return "patience"
    return "length" if learner.iteration >= updates else ""


def _loader(
    samples: Samples, batches: EpochBatches, config: TrainConfig, device: torch.device
) -> DataLoader[Batch]:
    return load_batches(samples, batches, workers=config.workers, pinned=device.type == "cuda")


def _spread(indices: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    """Return a few samples spread over a part."""
    places = np.linspace(0, len(indices) - 1, min(SHOWN, len(indices)))
    return [int(indices[round(place)]) for place in places]


def _class_weights(
    source: Source,
    part: np.ndarray[Any, np.dtype[np.int64]],
    merge: tuple[int, ...] | None,
    config: TrainConfig,
    classes: int,
    device: torch.device,
) -> torch.Tensor | None:
    """Return the class weights that the configuration derives from the training labels."""
    if config.loss.class_weights == "none":
        return None
    maps = (source.labels(int(i)) for i in part)
    counts = count_labels(
        (labels if merge is None else merge_labels(labels, merge) for labels in maps),
        classes=classes,
    )
    if config.loss.class_weights == "enet":
        weights = enet_weights(counts.pixels_of_class, c=config.loss.enet_c)
    else:
        weights = median_frequency(
            counts.pixels_of_class,
            pixels_of_images_with_class=counts.pixels_of_images_with_class,
        )
    return torch.tensor(weights, dtype=torch.float32, device=device)
