"""The trunk MobileNetV2, dilated, with torchvision's names of its tensors."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from eventseg.networks.blocks.depthwise import DepthwiseConv2d
from eventseg.networks.blocks.fcn_head import initialise
from eventseg.networks.blocks.trunk import Features, Trunk, check_one_of

GROUPS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, blocks and stride of each group: the paper's table 2."""

LOW, MIDDLE = 4, 14
"""Parts of the sequence before the low and the middle features: to 24 and to 96 channels."""


def conv_norm_relu6(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Return a convolution without bias and padding, a batch norm and a ReLU capped at 6."""
    return nn.Sequential(
        DepthwiseConv2d(
            in_channels, out_channels, kernel, stride, 0, dilation, groups=groups, bias=False
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 convolution of each channel, 1x1 reduction without activation.

    The block's input is padded, not that of its 3x3 convolution as in torchvision: VainF's
    published weights were trained so.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, expansion: int, stride: int, dilation: int
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        expand = [conv_norm_relu6(in_channels, width, 1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv_norm_relu6(width, width, 3, stride=stride, dilation=dilation, groups=width),
            nn.Conv2d(width, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.padding = (dilation,) * 4
        self.shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, out_channels, h, w)."""
        y: Tensor = self.conv(functional.pad(x, self.padding))
        return x + y if self.shortcut else y


class MobileNetV2(Trunk):
    """Sandler et al., MobileNetV2, arXiv 1801.04381, its last groups dilated, as VainF builds it.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    output_stride : {8, 16, 32}
        A group without its stride doubles the dilation instead, from its second block on.

    Raises
    ------
    NetworkError
        Another output stride.
    """

    widths = (24, 96, 320)
    imagenet = "mobilenet_v2"
    first = "features.0.0.weight"
    unused = ("features.18.", "classifier.")

    def __init__(self, in_channels: int, *, output_stride: int = 32) -> None:
        super().__init__()
        check_one_of("output_stride", output_stride, (8, 16, 32))
        self.features = nn.Sequential(conv_norm_relu6(in_channels, 32, 3, stride=2))
        width, reached, dilation = 32, 2, 1
        for expansion, channels, blocks, stride in GROUPS:
            before = dilation
            if reached == output_stride:
                dilation, stride = dilation * stride, 1
            reached *= stride
            for i in range(blocks):
                self.features.append(
                    InvertedResidual(
                        width,
                        channels,
                        expansion=expansion,
                        stride=stride if i == 0 else 1,
                        dilation=before if i == 0 else dilation,
                    )
                )
                width = channels
        initialise(self.modules(), mode="fan_out")

    def forward(self, x: Tensor) -> Features:
        """Return low features at stride 4, middle ones at most 16, deep ones at the output's."""
        low = self.features[:LOW](x)
        middle = self.features[LOW:MIDDLE](low)
        return Features(low, middle, self.features[MIDDLE:](middle))
