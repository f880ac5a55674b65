"""DeepLabV3: a dilated ResNet and atrous spatial pyramid pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eventseg.networks.blocks.fcn_head import conv_norm_relu, fcn_head, initialise
from eventseg.networks.blocks.resnet import ResNet
from eventseg.networks.blocks.trunk import TrunkNetwork, check_one_of
from eventseg.networks.network import PooledBatchNorm2d, resize

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}
"""Dilations of the pyramid by output stride: the paper's, section 3.3 and table 7."""


def separable_conv(in_channels: int, out_channels: int, *, dilation: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution of each channel and a 1x1 one, each with batch norm and ReLU."""
    return nn.Sequential(
        *conv_norm_relu(in_channels, in_channels, dilation=dilation, groups=in_channels),
        *conv_norm_relu(in_channels, out_channels, 1),
    )


class ImagePooling(nn.Sequential):
    """The mean over the map, through a 1x1 convolution, at every pixel."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, width, 1, bias=False),
            PooledBatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, width, h, w)."""
        y = x
        for part in self:
            y = part(y)
        return resize(y, x)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1, three dilated 3x3 convolutions and the image's mean.

    Parameters
    ----------
    in_channels : int
    rates : (int, int, int)
        Dilations.
    dropout : float
        Share of values dropped from the result.
    separable : bool
        The variant of mmseg: 512 channels in place of 256, the dilated convolutions separable,
        and their results joined by a 3x3 convolution in place of a 1x1.
    """

    def __init__(
        self,
        in_channels: int,
        rates: tuple[int, int, int],
        *,
        dropout: float,
        separable: bool = False,
    ) -> None:
        super().__init__()
        self.width = width = 512 if separable else 256
        self.convs = nn.ModuleList([nn.Sequential(*conv_norm_relu(in_channels, width, 1))])
        for rate in rates:
            self.convs.append(
                separable_conv(in_channels, width, dilation=rate)
                if separable
                else nn.Sequential(*conv_norm_relu(in_channels, width, dilation=rate))
            )
        self.convs.append(ImagePooling(in_channels, width))
        self.project = nn.Sequential(
            *conv_norm_relu(len(self.convs) * width, width, 3 if separable else 1),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, width, h, w)."""
        joined: Tensor = self.project(torch.cat([conv(x) for conv in self.convs], 1))
        return joined


class DeepLabV3(TrunkNetwork):
    """Chen et al., Rethinking Atrous Convolution, arXiv 1706.05587, as torchvision builds it.

    Parameters
    ----------
    in_channels, classes : int
        Channels of the input and of the logits.
    depth : {50, 101}
        Layers of the ResNet.
    output_stride : {8, 16}
        8 with dilations 12, 24 and 36 of the pyramid (torchvision), or 16 with 6, 12 and 18.
    auxiliary : bool
        Whether a second head looks at the third stage.
    multi_grid : (int, int, int), optional
        Dilations of the last stage's blocks in units of the stage's, such as (1, 2, 4); by
        default those of torchvision.
    dropout : float
        Share of values dropped after the pyramid.

    Raises
    ------
    NetworkError
        An output stride that the pyramid has no rates for, or a depth of no trunk.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        depth: int = 50,
        output_stride: int = 8,
        auxiliary: bool = False,
        multi_grid: tuple[int, int, int] | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(in_channels, classes)
        check_one_of("output_stride", output_stride, RATES)
        self.backbone = ResNet(
            in_channels, depth=depth, output_stride=output_stride, multi_grid=multi_grid
        )
        _, middle, deep = self.backbone.widths
        aspp = ASPP(deep, RATES[output_stride], dropout=dropout)
        self.classifier = nn.Sequential(
            aspp, *conv_norm_relu(aspp.width, 256), nn.Conv2d(256, classes, 1)
        )
        self.aux_classifier = (
            fcn_head(middle, middle // 4, classes, dropout=nn.Dropout(0.1)) if auxiliary else None
        )
        for part in (self.classifier, self.aux_classifier):
            if part is not None:
                initialise(part.modules())

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits (N, classes, h, w) at the output stride."""
        _, middle, deep = self.backbone(x)
        main = self.classifier(deep)
        if self.training and self.aux_classifier is not None:
            return main, self.aux_classifier(middle)
        return (main,)
