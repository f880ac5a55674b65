"""A tiny simulated data set with truth, and runs on it that take a second."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from eventseg.dataset.writer import encode_dataset
from eventseg.events import SensorSize
from eventseg.networks import build_network
from eventseg.simulate.street import simulate_street
from eventseg.sources.source import open_source
from eventseg.training import epoch_files, trainer
from eventseg.training.config.config import TrainConfig, load_config
from eventseg.training.distributed import parallel
from eventseg.training.losses.losses import segmentation_loss
from eventseg.training.optimisers import build_optimiser
from eventseg.training.progress import TrainingResult
from eventseg.training.samples import Batch
from eventseg.training.state import NetworkInTraining
from eventseg.training.synced_batch_norm import synchronise

SENSOR = SensorSize(48, 64)

EXACT: Mapping[str, Any] = {
    "loss.terms": {"cross_entropy": 1.0},
    "batch_norm_batches": 0,
    "amp": "off",
    "memory_format": "contiguous",
}
"""Settings of an update that is simple to repeat by hand."""

TINY: Mapping[str, Any] = {
    **EXACT,
    "network.name": "enet",
    "batch_size": 4,
    "epochs": 2,
    "workers": 0,
    "optimiser.learning_rate": 1e-3,
}

OWN = ("resume", "progress", "tensorboard", "callbacks")
"""Keywords of ``train`` that are no settings."""


@cache
def simulated_street(seed: int, duration_us: int) -> dict[str, bytes]:
    """Return the files of a drive by their suffix: simulated once in a process, as many need it."""
    with TemporaryDirectory() as folder:
        simulate_street(
            Path(folder) / "drive.hdf5", duration_us=duration_us, seed=seed, sensor=SENSOR,
            threads=1, version=1,
        )  # fmt: skip
        return {
            path.name.removeprefix("drive"): path.read_bytes() for path in Path(folder).iterdir()
        }


def street_dataset(
    root: Path,
    *,
    name: str = "streets",
    recordings: tuple[str, str] = ("drive", "other"),
    **settings: Any,
) -> Path:
    """Make a data set ``root/NAME`` of a simulated training and test drive, which lie beside it."""
    train, test = (root / f"{recording}.hdf5" for recording in recordings)
    for path, seed, duration_us in ((train, 7, 600_000), (test, 2, 300_000)):
        for suffix, content in simulated_street(seed, duration_us).items():
            path.with_suffix(suffix).write_bytes(content)
    encode_dataset(
        [train, test], root / name, held_out=[test.stem], windows_us=(10_000, 50_000), **settings
    )
    return root / name


def tiny(**overrides: Any) -> TrainConfig:
    """Return the settings of a tiny run; dots in names are written as two underscores."""
    changed = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_config(overrides={**TINY, **changed})


def train_tiny(
    data: Path, out: Path, *, label_set: str = "truth", **settings: Any
) -> TrainingResult:
    """Train on a data set; keywords of ``train`` are given apart from settings."""
    own = {key: settings.pop(key) for key in OWN if key in settings}
    config = settings.pop("config", None) or tiny(**settings)
    source = open_source(data, label_set=label_set)
    try:
        return trainer.train(source, out, config=config, command=["tiny"], **own)
    finally:
        source.close()


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Draw no pictures after an epoch and at the end."""
    for module in (epoch_files, trainer):
        patch.setattr(module, "picture_curves", lambda *_a, **_k: None)
    patch.setattr(epoch_files, "picture_samples", lambda *_a, **_k: None)


def training_of(config: TrainConfig, *, channels: int = 6, classes: int = 4) -> NetworkInTraining:
    """Return a training in float64 whose weights follow from the seed, without any data."""
    torch.manual_seed(config.seed)
    network = build_network(
        config.network.name, in_channels=channels, classes=classes,
        frozen_batch_norm=config.network.frozen_batch_norm, **config.network.options,
    ).double()  # fmt: skip
    device = torch.device("cpu")
    if config.sync_batch_norm:
        synchronise(network)
    return NetworkInTraining(
        network=network,
        forward=parallel(
            network, device, size=SensorSize(16, 24), auxiliary_weight=config.loss.auxiliary_weight
        ),
        optimiser=build_optimiser(network, spec=config.optimiser),
        config=config,
        device=device,
        classes=classes,
        learning_rate=lambda _update: config.optimiser.learning_rate,
        loss=partial(segmentation_loss, spec=config.loss),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
    )


def random_batch(
    images: int, *, channels: int = 6, classes: int = 4, size: tuple[int, int] = (16, 24)
) -> Batch:
    """Return a batch in float64 whose pixels are all labelled."""
    random = torch.Generator().manual_seed(images)
    return {
        "x": torch.randn(images, channels, *size, generator=random, dtype=torch.float64),
        "labels": torch.randint(classes, (images, *size), generator=random).to(torch.uint8),
        "index": torch.arange(images),
    }


def one_thread() -> None:
    """Keep torch to one thread: results equal to the bit need a fixed number."""
    torch.set_num_threads(1)
