"""The trunk DenseNet at output stride 8, with torchvision's names of its tensors."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eventseg.networks.blocks.trunk import Features, Trunk, check_one_of


class Widths(NamedTuple):
    """Channels of the stem, channels that each layer adds, and layers of the four blocks."""

    stem: int
    growth: int
    layers: tuple[int, int, int, int]


DEPTHS = {
    121: Widths(64, 32, (6, 12, 24, 16)),
    161: Widths(96, 48, (6, 12, 36, 24)),
    169: Widths(64, 32, (6, 12, 32, 32)),
    201: Widths(64, 32, (6, 12, 48, 32)),
}
"""DenseNets by their number of layers (Table 1 of the paper; 161 as torchvision has it)."""

DILATIONS = (1, 1, 2, 4)
"""Dilations of the four blocks at output stride 8."""

BOTTLENECK = 4
"""Channels between the two convolutions of a layer, in units of the growth."""

DOTTED = re.compile(r"\b(norm|conv)\.([12])\.")


def undotted(name: str) -> str:
    """Return a tensor's name as torch allows it today: ``norm1.`` where old files say ``norm.1.``.

    torchvision's own ImageNet files of DenseNet still have the old names.
    """
    return DOTTED.sub(r"\1\2.", name)


class DenseLayer(nn.Module):
    """Normalised input, 1x1 and 3x3 convolution, concatenated behind the input."""

    def __init__(self, in_channels: int, growth: int, *, dilation: int) -> None:
        super().__init__()
        width = BOTTLENECK * growth
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, growth, 3, 1, dilation, dilation, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, in_channels + growth, h, w)."""
        y = self.conv1(self.relu(self.norm1(x)))
        y = self.conv2(self.relu(self.norm2(y)))
        return torch.cat([x, y], 1)


class DenseNet(Trunk):
    """Huang et al., Densely Connected Convolutional Networks, arXiv 1608.06993, dilated.

    The second and third transition do not pool; the blocks after them have dilation 2 and 4
    instead. The deep features are those that torchvision's classifier sees, before its ReLU.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    depth : {121, 161, 169, 201}

    Raises
    ------
    NetworkError
        Another depth.
    """

    first = "features.conv0.weight"
    unused = ("classifier.",)

    def __init__(self, in_channels: int, *, depth: int) -> None:
        super().__init__()
        check_one_of("depth", depth, DEPTHS)
        self.imagenet = f"densenet{depth}"
        channels, growth, layers = DEPTHS[depth]
        self.features = nn.Sequential(
            OrderedDict(
                conv0=nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False),
                norm0=nn.BatchNorm2d(channels),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(3, 2, 1),
            )
        )
        outputs = []
        for block, (count, dilation) in enumerate(zip(layers, DILATIONS, strict=True), 1):
            dense = nn.Sequential()
            for layer in range(1, count + 1):
                dense.add_module(
                    f"denselayer{layer}", DenseLayer(channels, growth, dilation=dilation)
                )
                channels += growth
            self.features.add_module(f"denseblock{block}", dense)
            outputs.append(channels)
            if block < len(layers):
                transition = _transition(channels, pool=block == 1)
                self.features.add_module(f"transition{block}", transition)
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.widths = (outputs[0], outputs[2], outputs[3])

    def forward(self, x: Tensor) -> Features:
        """Return the output of the first block, of the third, and the normalised last one."""
        outputs = {}
        for name, module in self.features.named_children():
            x = module(x)
            # The others are let go, for memory's sake.
            if name in ("denseblock1", "denseblock3"):
                outputs[name] = x
        return Features(low=outputs["denseblock1"], middle=outputs["denseblock3"], deep=x)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load torchvision's weights; its files' older names of tensors will do, too.

        Raises
        ------
        CheckpointError
            A tensor is missing, unexpected or of another shape; nothing is loaded then.
        """
        super().load_imagenet({undotted(name): tensor for name, tensor in state.items()})


def _transition(channels: int, *, pool: bool) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        norm=nn.BatchNorm2d(channels),
        relu=nn.ReLU(inplace=True),
        conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
    )
    if pool:
        layers["pool"] = nn.AvgPool2d(2, 2)
    return nn.Sequential(layers)
