"""Settings from a time: batch, crop and length of the training that a budget has room for."""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import torch

from eventseg.augmentation.settings import Range
from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.networks.memory_format import in_memory_format
from eventseg.sources.source import Source
from eventseg.training.arithmetic import arithmetic_of, step_seconds
from eventseg.training.config.config import TrainConfig, with_learning_rate
from eventseg.training.config.optimisation import OptimiserKind
from eventseg.training.distributed import world
from eventseg.training.parts import parts_of
from eventseg.training.prepare import blueprint_of
from eventseg.training.samples import EpochSample, Samples, class_table_of

USUAL_BUDGET_US = 600_000_000
"""Ten minutes."""

ENOUGH_UPDATES = 300
"""Updates below which smaller batches and crops are taken: fewer teach little."""

LONG_UPDATES = 2000
"""Updates from which a training is long; at 250 averaged weights lag behind."""

LONG = ("ema_decay", "augmentation.scale", "optimiser.kind", "optimiser.weight_decay")
"""Settings that a long training has others of; docs/learning.md has what they gain."""

SMALLEST_BATCH, SMALLEST_SIDE = 4, 128

SPARE = 0.9
"""Share of the budget that is planned: pictures, checkpoints and a busy hour take the rest."""

LOADED = 8
"""Samples that are loaded to measure how long one takes."""


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """Settings that fit a budget, and the times that they follow from.

    Parameters
    ----------
    config : TrainConfig
        Settings with batch, crop, length and rate.
    update_s, validation_s : float
        Seconds of an update, and of a validation with the statistics of batch norms, measured.
    budget_s : float
    """

    config: TrainConfig
    update_s: float
    validation_s: float
    budget_s: float

    def __str__(self) -> str:
        """Return it on one line."""
        config = self.config
        crop = f", crop {config.size.crop}" if config.size.crop else ""
        batches = f"{config.accumulation} x " if config.accumulation > 1 else ""
        return (
            f"{config.iterations} updates of {batches}{config.batch_size} samples at "
            f"{1000 * self.update_s:.0f} ms{crop}, rate {config.optimiser.learning_rate:g}, "
            f"{'averaged weights, ' if config.ema_decay else ''}in {self.budget_s / 60:.3g} min"
        )


def fit_to_budget(
    source: Source,
    config: TrainConfig,
    *,
    budget_us: int,
    device: torch.device,
    given: Collection[str] = (),
) -> BudgetPlan:
    """Return settings of a training that takes about as long as a budget.

    A step of the network and the loading of samples are measured. Where fewer than
    :data:`ENOUGH_UPDATES` fit, or the GPU has too little memory for a step, the batch is halved,
    then the sides of the crop, down to 4 samples and 128 pixels; the length is the number of
    updates that fit beside the validations. From :data:`LONG_UPDATES` on weights are averaged and
    decay, and pictures are scaled.

    Parameters
    ----------
    source : Source
    config : TrainConfig
        Settings to begin with.
    budget_us : int
        Duration of the training in microseconds.
    device : torch.device
    given : collection of str
        Paths of settings that stay, such as ``batch_size``.

    Raises
    ------
    TrainingError
        A length that is given too, a budget that has room for no update, or a GPU that has memory
        for none.
    """
    if world() > 1:
        raise TrainingError(
            "several processes would measure several lengths: plan in one with --print-config, "
            "and give the file to all"
        )
    if lengths := sorted({"epochs", "iterations"}.intersection(given)):
        raise TrainingError(f"a budget decides the length: leave {' and '.join(lengths)} out")
    budget_s = budget_us / 1e6
    config = with_learning_rate(config)
    training_part, validation_part = parts_of(source, config).values()
    whole = size = config.size.crop or config.size.resized(source.size)
    load_s = _load_seconds(source, config, training_part)
    batch = config.batch_size
    while True:
        planned = replace(
            config,
            batch_size=batch,
            size=replace(config.size, crop=size) if size != whole else config.size,
        )
        sample_s = _sample_seconds(source, planned, size=size, device=device)
        # Loading processes work beside the network; without any the two take turns.
        beside = bool(planned.workers) and device.type == "cuda"
        loaded_s = load_s / max(1, planned.workers)
        batches = max(1, len(training_part) // batch)
        per_epoch = -(-batches // planned.accumulation)  # the last update may have fewer batches
        update_s = batches / per_epoch * batch * _both(sample_s, loaded_s, beside=beside)
        # A forward pass is about a third of a step; batch norms see training samples by it too.
        forward_s = _both(sample_s / 3, loaded_s, beside=beside)
        retaken = batch * min(config.batch_norm_batches, batches)
        validation_s = (len(validation_part) + retaken) * forward_s
        updates = _updates(SPARE * budget_s, update_s, validation_s, per_epoch=per_epoch)
        if updates >= ENOUGH_UPDATES:
            break
        if batch > SMALLEST_BATCH and "batch_size" not in given:
            batch = max(SMALLEST_BATCH, batch // 2)
        elif min(size) // 2 >= SMALLEST_SIDE and "size.crop" not in given:
            size = SensorSize(size.height // 2, size.width // 2)
        else:
            break
    if math.isinf(update_s):
        raise TrainingError(
            f"the GPU has too little memory for batches of {batch} samples of {size}: take a "
            "smaller batch_size (accumulation keeps the update as large), size.crop or network"
        )
    if not updates:
        raise TrainingError(
            f"a budget of {budget_s:g} s has room for no update of {update_s:.2g} s and a "
            f"validation of {validation_s:.2g} s: give more, or a smaller network"
        )
    fitted = replace(planned, iterations=updates, epochs=0)
    if updates >= LONG_UPDATES:
        fitted = _as_long_training(fitted, given)
    return BudgetPlan(fitted, update_s, validation_s, budget_s)


def _as_long_training(config: TrainConfig, given: Collection[str]) -> TrainConfig:
    """Return the settings of a long training, if those that change are the usual ones."""
    usual = TrainConfig()

    def changed(ema_decay: float, scale: Range, kind: OptimiserKind, decay: float) -> TrainConfig:
        return replace(
            config,
            ema_decay=ema_decay,
            augmentation=replace(config.augmentation, scale=scale),
            optimiser=replace(config.optimiser, kind=kind, weight_decay=decay),
        )

    as_usual = changed(
        usual.ema_decay,
        usual.augmentation.scale,
        usual.optimiser.kind,
        usual.optimiser.weight_decay,
    )
    if config != as_usual or set(LONG).intersection(given):
        return config
    return changed(0.995, (0.8, 1.25), "adamw", 0.02)


def _both(network_s: float, loading_s: float, *, beside: bool) -> float:
    return max(network_s, loading_s) if beside else network_s + loading_s


def _updates(budget_s: float, update_s: float, validation_s: float, *, per_epoch: int) -> int:
    """Return the updates that fit beside a validation after each epoch, at least one of them."""
    if math.isinf(update_s):
        return 0
    whole = math.floor(budget_s / (per_epoch * update_s + validation_s))
    left_s = budget_s - whole * (per_epoch * update_s + validation_s)
    return whole * per_epoch + max(0, math.floor((left_s - validation_s) / update_s))


def _load_seconds(source: Source, config: TrainConfig, part: np.ndarray) -> float:
    """Return the seconds that loading and augmenting a sample takes, after one that warms up."""
    table, merge = class_table_of(source, config)
    samples = Samples(source, config, len(table), training=True, merge=merge)
    spread = part[np.linspace(0, len(part) - 1, LOADED + 1).round().astype(int)]
    begin = 0.0
    for place, index in enumerate(spread):
        if place == 1:
            begin = time.perf_counter()
        samples[EpochSample(0, int(index))]
    return (time.perf_counter() - begin) / LOADED


def _sample_seconds(
    source: Source, config: TrainConfig, *, size: SensorSize, device: torch.device
) -> float:
    """Return the seconds of a training step by the number of its samples.

    Infinite where the GPU has too little memory for a step.
    """
    table, _ = class_table_of(source, config)
    network = blueprint_of(config, source, table).build().to(device)
    arithmetic = arithmetic_of(config, network, size=size, updates=ENOUGH_UPDATES)
    in_memory_format(network, arithmetic.memory_format)
    # A GPU is no faster for a small batch; a processor takes a time by the sample.
    batch = config.batch_size if device.type == "cuda" else 2
    return step_seconds(arithmetic, network, size=size, batch=batch) / batch
