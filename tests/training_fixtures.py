"""A tiny simulated data set with truth, and runs on it that take a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from eventseg.dataset_writer import encode_dataset
from eventseg.events import SensorSize
from eventseg.simulate.street import simulate_street
from eventseg.training import trainer
from eventseg.training.config import TrainConfig, load_config
from eventseg.training.sources import open_source

SENSOR = SensorSize(48, 64)

TINY: Mapping[str, Any] = {
    "network.name": "enet",
    "batch_size": 4,
    "epochs": 2,
    "workers": 0,
    "optimiser.learning_rate": 1e-3,
}


def street_dataset(root: Path, **settings: Any) -> Path:
    """Simulate a training and a test drive into ``root/streets``."""
    for name, seed, duration_us in (("drive", 7, 600_000), ("other", 2, 300_000)):
        simulate_street(
            root / f"{name}.hdf5", duration_us=duration_us, seed=seed, sensor=SENSOR, threads=1
        )
    encode_dataset(
        [root / "drive.hdf5", root / "other.hdf5"], root / "streets", held_out=["other"],
        windows_us=(10_000, 50_000), **settings,
    )  # fmt: skip
    return root / "streets"


def tiny(**overrides: Any) -> TrainConfig:
    """Return the settings of a tiny run; dots in names are written as two underscores."""
    changed = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_config(overrides={**TINY, **changed})


def train_tiny(
    data: Path, out: Path, *, label_set: str = "truth", **settings: Any
) -> trainer.Trained:
    """Train on a data set; keywords of ``train`` are given apart from settings."""
    own = {key: settings.pop(key) for key in ("resume", "progress") if key in settings}
    config = settings.pop("config", None) or tiny(**settings)
    source = open_source(data, label_set=label_set)
    try:
        return trainer.train(source, out, config=config, command=["tiny"], **own)
    finally:
        source.close()


def one_thread() -> None:
    """Keep torch to one thread: results equal to the bit need a fixed number."""
    torch.set_num_threads(1)
