"""Networks with random weights that predict recordings and pictures."""

from __future__ import annotations

from pathlib import Path

import torch

import eventseg
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, save_network

TABLE = eventseg.ClassTable(("a", "b", "c"), ((10, 20, 30), (40, 50, 60), (70, 80, 90)))


SMALL_NETWORK = """
import torch
from torch import nn
from torch.nn import functional
from eventseg.networks import SegmentationNetwork


class Small(SegmentationNetwork):
    def __init__(self, in_channels, classes):
        super().__init__(in_channels, classes)
        self.down = nn.Conv2d(in_channels, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(k) for k in (1, 3))
        self.logits = nn.Conv2d(24, classes, 1)

    def heads(self, x):
        y = functional.relu(self.norm(self.down(x)))
        y = functional.relu(self.deep(y))
        wide = [functional.interpolate(p(y), y.shape[-2:], mode="bilinear") for p in self.pools]
        return [self.logits(torch.cat([y, *wide], 1))]
"""
"""A network of a user's own, so small that its export is quick."""


def random_network(
    path: Path,
    kind: str,
    data: Path | None = None,
    *,
    table: eventseg.ClassTable = TABLE,
    name: str = "enet",
) -> Path:
    """Write a network with random weights, of events in the encoding of a data set or of frames."""
    channels = {"events": 6, "gray": 1, "rgb": 3}[kind]
    encoding = None
    if data is not None:
        encoding = eventseg.open_source(data).encoding.normalised("evsegnet")
    torch.manual_seed(len(table))
    blueprint = Blueprint(name, channels, len(table))
    inputs = InputSpec(kind, channels, windows=("50ms",), encoding=encoding)
    save_network(path, TrainedNetwork(blueprint.build().eval(), blueprint, inputs, table))
    return path
