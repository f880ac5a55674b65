"""Networks with random weights that predict recordings and pictures."""

from __future__ import annotations

from pathlib import Path

import torch

import eventseg
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, save_network

TABLE = eventseg.ClassTable(("a", "b", "c"), ((10, 20, 30), (40, 50, 60), (70, 80, 90)))


def random_network(
    path: Path, kind: str, data: Path | None = None, *, table: eventseg.ClassTable = TABLE
) -> Path:
    """Write a network with random weights, of events in the encoding of a data set or of frames."""
    channels = {"events": 6, "gray": 1, "rgb": 3}[kind]
    encoding = None
    if data is not None:
        encoding = eventseg.open_source(data).encoding.normalised("evsegnet")
    torch.manual_seed(len(table))
    blueprint = Blueprint("enet", channels, len(table))
    inputs = InputSpec(kind, channels, windows=("50ms",), encoding=encoding)
    save_network(path, TrainedNetwork(blueprint.build().eval(), blueprint, inputs, table))
    return path
