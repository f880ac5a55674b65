"""DenseASPP with less of its pyramid: without the dense connections, and without any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eventseg.networks.denseaspp import HEADS, RATES, DenseASPP, Unit


class ParallelASPP(DenseASPP):
    """DenseASPP whose units all see the trunk alone, side by side, as in ASPP.

    Trunk, dilations, widths and what the logits see are those of DenseASPP.
    """

    def __init__(self, in_channels: int, classes: int, **options: Any) -> None:
        super().__init__(in_channels, classes, **options)
        channels = self.norm.num_features
        width, growth = HEADS[121]
        self.units = nn.ModuleList(
            Unit(channels, width, growth, dilation=rate, first=i == 0, dropout=self.dropout.p)
            for i, rate in enumerate(RATES)
        )
        for module in self.units.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits (N, classes, about H / 8, about W / 8)."""
        deep = self.backbone(x).deep
        seen = self.relu(self.norm(self.reduce(self.relu(deep))))
        joined = torch.cat([*(unit(seen) for unit in self.units), seen], 1)
        return (self.logits(self.dropout(joined)),)


class NoPyramid(DenseASPP):
    """DenseASPP without its units: logits of the trunk."""

    def __init__(self, in_channels: int, classes: int, **options: Any) -> None:
        super().__init__(in_channels, classes, **options)
        self.units = nn.ModuleList()
        self.logits = nn.Conv2d(self.norm.num_features, classes, 1)
        nn.init.kaiming_uniform_(self.logits.weight)
