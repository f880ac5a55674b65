"""DenseASPP: a dilated DenseNet, and dilated convolutions each of which sees those before."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eventseg.errors import NetworkError
from eventseg.networks.blocks.densenet import DenseNet
from eventseg.networks.blocks.trunk import TrunkNetwork

RATES = (3, 6, 12, 18, 24)
"""Dilations of the head's units."""

HEADS = {121: (128, 64), 161: (512, 128), 169: (336, 168), 201: (480, 240)}
"""Channels between a unit's two convolutions and channels it adds, by the trunk's depth."""

MOMENTUM = 3e-4
"""Share of a batch in the running statistics of the head's batch norms."""


class Unit(nn.Module):
    """1x1 convolution, then a dilated 3x3 one.

    Parameters
    ----------
    in_channels, width, out_channels : int
        Channels of the input, between the convolutions, and of the output.
    dilation : int
        Dilation of the 3x3 convolution.
    first : bool
        Whether this is the head's first unit, which takes its input as it is: that is rectified
        already. All others normalise and rectify it.
    dropout : float
        Share of the output's channels dropped in training.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        *,
        dilation: int,
        first: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.norm1 = None if first else nn.BatchNorm2d(in_channels, momentum=MOMENTUM)
        self.conv1 = nn.Conv2d(in_channels, width, 1)
        self.norm2 = nn.BatchNorm2d(width, momentum=MOMENTUM)
        self.conv2 = nn.Conv2d(width, out_channels, 3, padding=dilation, dilation=dilation)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, out_channels, h, w)."""
        y = x if self.norm1 is None else self.relu(self.norm1(x))
        y = self.relu(self.norm2(self.conv1(y)))
        new: Tensor = self.dropout(self.conv2(y))
        return new


class DenseASPP(TrunkNetwork):
    """Yang et al., DenseASPP for Semantic Segmentation in Street Scenes, CVPR 2018.

    As its authors' repository builds it at output stride 8. After DenseNet's last block comes one
    more transition; its batch norm sees the output that the last batch norm of torchvision's
    DenseNet sees, and takes its ImageNet weights, while its convolution and the batch norm behind
    it have none. The authors' first unit rectifies its input in place, so that the concatenated
    tensor is rectified too: here this is written out.

    Parameters
    ----------
    in_channels, classes : int
        Channels of the input and of the logits.
    depth : {121, 161, 169, 201}
        Layers of the DenseNet; the head's widths follow from it.
    dropout : float
        Share of channels dropped after each unit and before the logits, in [0, 1).
    align_corners : bool
        How logits are enlarged. The authors' version of PyTorch, 0.3, could only do True.

    Raises
    ------
    NetworkError
        Another depth, or a dropout outside [0, 1).
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        depth: int = 121,
        dropout: float = 0.1,
        align_corners: bool = False,
    ) -> None:
        super().__init__(in_channels, classes, align_corners=align_corners)
        if not 0 <= dropout < 1:
            raise NetworkError(f"dropout must be in [0, 1), got {dropout}")
        self.backbone = DenseNet(in_channels, depth=depth)
        width, growth = HEADS[depth]
        deep = self.backbone.widths[-1]
        channels = deep // 2
        self.relu = nn.ReLU(inplace=True)
        self.reduce = nn.Conv2d(deep, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.units = nn.ModuleList()
        for i, rate in enumerate(RATES):
            self.units.append(
                Unit(channels, width, growth, dilation=rate, first=i == 0, dropout=dropout)
            )
            channels += growth
        self.dropout = nn.Dropout2d(dropout)
        self.logits = nn.Conv2d(channels, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits (N, classes, about H / 8, about W / 8)."""
        deep = self.backbone(x).deep
        seen = self.relu(self.norm(self.reduce(self.relu(deep))))
        for unit in self.units:
            seen = torch.cat([unit(seen), seen], 1)
        return (self.logits(self.dropout(seen)),)
