"""Everything a training run works with, built from its configuration and its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from eventseg.errors import TrainingError
from eventseg.labels.maps import ClassTable
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, parameter_count
from eventseg.networks.memory_format import in_memory_format
from eventseg.networks.network import SegmentationNetwork
from eventseg.sources.source import Source
from eventseg.sources.split_file import write_split_file
from eventseg.training.agreement import check_alike, sees_run
from eventseg.training.arithmetic import arithmetic_of
from eventseg.training.config.config import TrainConfig
from eventseg.training.distributed import check_share, gathered, parallel, rank, world
from eventseg.training.initial import check_initial_file, initialise, write_initial
from eventseg.training.label_weights import class_weights
from eventseg.training.layout import LAST, RUN, SPLIT
from eventseg.training.loading import EpochBatches, load_batches
from eventseg.training.losses.losses import own_losses, segmentation_loss
from eventseg.training.optimisers import averaged_copy, build_optimiser
from eventseg.training.parts import own_split, parts_of
from eventseg.training.run_folder import check_run_folder, claim_run, write_run
from eventseg.training.run_record import describe_run, held_arithmetic, read_run
from eventseg.training.samples import Batch, EpochSample, Samples, channels_of, class_table_of
from eventseg.training.schedules import learning_rate
from eventseg.training.state import NetworkInTraining, RunHistory, restore
from eventseg.training.synced_batch_norm import synchronise

PICTURED = 4
"""Validation samples in the picture of predictions."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """Folder, data, network and history of a run that is ready to train its next epoch.

    Parameters
    ----------
    root : Path
        The run folder.
    source : Source
    classes : ClassTable
        Classes that are learnt.
    training_batches, validation_batches : DataLoader
        Batches of the training part and of the part that chooses the best checkpoint.
    clean_batches : DataLoader, optional
        Batches of training samples without augmentation, where these are scored too.
    training : NetworkInTraining
    history : RunHistory
    blueprint : Blueprint
    inputs : InputSpec
    updates, updates_per_epoch : int
        Length of the entire training and of an epoch.
    pictured : sequence of Batch
        Validation samples whose predictions are drawn.
    """

    root: Path
    source: Source
    classes: ClassTable
    training_batches: DataLoader[Batch]
    validation_batches: DataLoader[Batch]
    clean_batches: DataLoader[Batch] | None
    training: NetworkInTraining
    history: RunHistory
    blueprint: Blueprint
    inputs: InputSpec
    updates: int
    updates_per_epoch: int
    pictured: Sequence[Batch]

    @property
    def epochs(self) -> int:
        """Number of epochs of the entire training; the last may be cut short."""
        return -(-self.updates // self.updates_per_epoch)

    def trained_network(self, network: SegmentationNetwork) -> TrainedNetwork:
        """Return a network with everything that a checkpoint needs to be used."""
        return TrainedNetwork(
            network, self.blueprint, self.inputs, self.classes, f"run {self.root.name}"
        )


def prepare_run(
    source: Source,
    root: Path,
    *,
    config: TrainConfig,
    device: torch.device,
    resume: bool = False,
    command: Sequence[str] | None = None,
) -> PreparedRun:
    """Build loaders and network, claim the run folder, and load the run that it may hold.

    Parameters and errors are those of :func:`eventseg.training.trainer.train`.
    """
    if config.amp == "fp16" and device.type != "cuda":
        raise TrainingError("amp fp16 needs a CUDA device; use bf16 or off on the CPU")
    check_share(config.batch_size, world=world())
    if rank() == 0:
        check_run_folder(root, config, resume=resume)
    table, merge = class_table_of(source, config)
    split = own_split(source, config)
    parts = parts_of(source, config)
    training_part, validation_part = parts.values()
    check_alike(source, parts, config)
    training_order, validation_order = _orders(source, training_part, validation_part, config)
    updates_per_epoch = -(-len(training_order) // config.accumulation)
    updates = config.iterations or config.epochs * updates_per_epoch
    weights = class_weights(source, training_part, merge, config, classes=len(table), device=device)

    torch.manual_seed(config.seed)
    blueprint = blueprint_of(config, source, table)
    inputs = _inputs_of(config, source, blueprint)
    # A run that goes on has its own weights: the file that it began with may be gone.
    goes_on = sees_run(root)
    network = blueprint.build(weights_follow=goes_on)
    initial = (
        None
        if goes_on
        else initialise(
            network,
            settings=config.network,
            blueprint=blueprint,
            inputs=inputs,
            classes=table.names,
        )
    )
    network = network.freeze(config.network.frozen).to(device)
    size = config.size.crop or config.size.resized(source.size)
    arithmetic = arithmetic_of(
        config,
        network,
        size=size,
        updates=updates,
        held=held_arithmetic(root),
    )
    arithmetic = gathered(arithmetic)[0]  # each process could find another one the fastest
    in_memory_format(network, arithmetic.memory_format)
    if config.sync_batch_norm:
        synchronise(network)
    if rank() == 0:
        described = describe_run(
            config,
            source,
            device=device,
            parts={name: [source.ids[i] for i in part] for name, part in parts.items()},
            parameters=parameter_count(network),
            arithmetic=arithmetic.to_dict(),
            init=None if initial is None else initial.describe(),
            split=None if split is None else split.describe(),
            command=command,
        )
        claim_run(root, config, described, resume=resume)
        if split is not None:
            write_split_file(root / SPLIT, source, split.splits)
        if not goes_on and (root / RUN).is_file():
            check_initial_file(read_run(root / RUN).get("init"), root=root)
    history = RunHistory()
    forward = parallel(network, device, size=size, auxiliary_weight=config.loss.auxiliary_weight)
    training = NetworkInTraining(
        network=network,
        forward=torch.compile(forward) if config.compile else forward,
        optimiser=build_optimiser(network, spec=config.optimiser),
        config=arithmetic.applied_to(config),
        device=device,
        classes=len(table),
        learning_rate=lambda update: learning_rate(
            config.schedule,
            update,
            base=config.optimiser.learning_rate,
            iterations=updates,
            iterations_per_epoch=updates_per_epoch,
            plateau=history.plateau,
        ),
        loss=partial(
            segmentation_loss,
            spec=config.loss,
            class_weights=None if weights is None else weights.to(device),
            own=own_losses(config.loss),
        ),
        scaler=torch.amp.GradScaler(device.type, enabled=config.amp == "fp16"),
        average=averaged_copy(network) if config.ema_decay else None,
    )
    if goes_on:
        history = restore(root / LAST, training)
    if rank() == 0:
        write_run(root, config, described)
        if initial is not None:
            write_initial(root, initial.report)
    augmented = Samples(source, config, len(table), training=True, merge=merge)
    plain = Samples(source, config, len(table), training=False, merge=merge)
    return PreparedRun(
        root=root,
        source=source,
        classes=table,
        training_batches=load_batches(
            augmented, training_order, workers=config.workers, device=device
        ),
        validation_batches=load_batches(
            plain, validation_order, workers=config.workers, device=device
        ),
        clean_batches=_clean_batches(plain, training_part, config, device=device),
        training=training,
        history=history,
        blueprint=blueprint,
        inputs=inputs,
        updates=updates,
        updates_per_epoch=updates_per_epoch,
        pictured=_pictured(plain, validation_part),
    )


def _orders(
    source: Source,
    training_part: NDArray[np.int64],
    validation_part: NDArray[np.int64],
    config: TrainConfig,
) -> tuple[EpochBatches, EpochBatches]:
    """Return the order of the batches of both parts: shuffled by epoch, and as they come."""
    sequences = source.sequences
    shuffled = EpochBatches(
        training_part,
        batch_size=config.batch_size,
        seed=config.seed,
        rank=rank(),
        world=world(),
        block=config.shuffle_block,
        groups=[sequences[i] for i in training_part],
    )
    in_order = EpochBatches(
        validation_part, batch_size=config.batch_size, rank=rank(), world=world()
    )
    return shuffled, in_order


def _clean_batches(
    samples: Samples, part: NDArray[np.int64], config: TrainConfig, *, device: torch.device
) -> DataLoader[Batch] | None:
    """Return batches of samples that are spread over the training part, if any are wanted."""
    count = min(config.clean_train_samples, len(part))
    if not count:
        return None
    spread = part[np.linspace(0, len(part) - 1, count).round().astype(np.int64)]
    order = EpochBatches(spread, batch_size=config.batch_size, rank=rank(), world=world())
    return load_batches(samples, order, workers=config.workers, device=device)


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


def _inputs_of(config: TrainConfig, source: Source, blueprint: Blueprint) -> InputSpec:
    """Return the input specification that the checkpoints keep."""
    resized = config.size.resized(source.size)
    own_size = config.size.resize is None and resized == source.size
    sees_events = config.input.kind in ("events", "both")
    encoding = source.encoding if sees_events else None
    normalise = config.input.normalisation(encoding)
    return InputSpec(
        config.input.kind,
        blueprint.in_channels,
        config.input.scaling,
        config.input.windows,
        normalise,
        None if own_size else (resized.height, resized.width),
        None if encoding is None else encoding.normalised(normalise),
        config.size.rule,
    )


def _pictured(samples: Samples, part: NDArray[np.int64]) -> list[Batch]:
    """Return a few samples spread over a part, without those that cannot be read."""
    places = np.linspace(0, len(part) - 1, min(PICTURED, len(part)))
    spread = [samples[EpochSample(0, int(part[round(place)]))] for place in places]
    return [sample for sample in spread if "x" in sample]
