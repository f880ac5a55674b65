"""DeepLabV3+: atrous spatial pyramid pooling, joined with low-level features in a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from eventseg.errors import NetworkError
from eventseg.networks.blocks.deeplab_xception import Xception
from eventseg.networks.blocks.fcn_head import conv_norm_relu, fcn_head, initialise
from eventseg.networks.blocks.mobilenetv2 import MobileNetV2
from eventseg.networks.blocks.resnet import LowLevel, ResNet
from eventseg.networks.blocks.trunk import Trunk, TrunkNetwork, check_one_of
from eventseg.networks.deeplabv3 import ASPP, RATES, separable_conv
from eventseg.networks.network import resize

TrunkName = Literal["resnet50", "resnet101", "xception", "mobilenetv2"]

LOW_WIDTH = 48
"""Channels to which the low-level features are reduced: the paper's table 1."""


def _trunk(name: str, in_channels: int, output_stride: int, **of_resnet: Any) -> Trunk:
    """Return a trunk; only ResNets have further options."""
    check_one_of("trunk", name, ("resnet50", "resnet101", "xception", "mobilenetv2"))
    if name.startswith("resnet"):
        depth = int(name.removeprefix("resnet"))
        return ResNet(in_channels, depth=depth, output_stride=output_stride, **of_resnet)
    if of_resnet != {"low": "layer1", "multi_grid": None, "stem": None}:
        raise NetworkError(
            f"trunk {name} has neither multi_grid nor stem, and low_level must be layer1; "
            "leave them out or take resnet50 or resnet101"
        )
    trunk = {"xception": Xception, "mobilenetv2": MobileNetV2}[name]
    return trunk(in_channels, output_stride=output_stride)


class Decoder(nn.Module):
    """The pyramid's result enlarged to the low-level features, both joined, and convolved."""

    def __init__(
        self,
        low: int,
        deep: int,
        classes: int,
        *,
        rates: tuple[int, int, int],
        convs: int,
        separable: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.project = nn.Sequential(*conv_norm_relu(low, LOW_WIDTH, 1))
        self.aspp = ASPP(deep, rates, dropout=dropout, separable=separable)
        width = self.aspp.width
        layers: list[nn.Module] = []
        for before in [LOW_WIDTH + width, *[width] * (convs - 1)]:
            layers += (
                [separable_conv(before, width)] if separable else conv_norm_relu(before, width)
            )
        self.classifier = nn.Sequential(*layers, nn.Conv2d(width, classes, 1))

    def forward(self, low: Tensor, deep: Tensor) -> Tensor:
        """Return logits of the size of the low-level features."""
        low = self.project(low)
        logits: Tensor = self.classifier(torch.cat([low, resize(self.aspp(deep), low)], 1))
        return logits


class DeepLabV3Plus(TrunkNetwork):
    """Chen et al., Encoder-Decoder with Atrous Separable Convolution, arXiv 1802.02611.

    With its defaults as VainF/DeepLabV3Plus-Pytorch builds it. The re-implementation report has
    ``decoder_convs=2`` and ``multi_grid=(1, 2, 4)``; mmseg has ``separable=True``,
    ``decoder_convs=2``, ``output_stride=8`` and ``stem=(32, 32, 64)``.

    Parameters
    ----------
    in_channels, classes : int
        Channels of the input and of the logits.
    trunk : {"resnet50", "resnet101", "xception", "mobilenetv2"}
    output_stride : {16, 8}
        16 with dilations 6, 12 and 18 of the pyramid, or 8 with 12, 24 and 36.
    decoder_convs : {1, 2}
        3x3 convolutions after the join; the paper has two.
    low_level : {"layer1", "stem"}
        Features of the first stage (of block 1 in Xception, 24 channels in MobileNetV2), or of
        a ResNet's stem after its pooling; all have stride 4.
    separable : bool
        Separable convolutions in pyramid and decoder, of mmseg's 512 channels in place of 256.
    auxiliary : bool
        Whether a second head looks at the third stage (at block 11 in Xception, at 96 channels
        in MobileNetV2).
    multi_grid : (int, int, int), optional
        ResNets only: dilations of the last stage's blocks in units of the stage's.
    dropout : float
        Share of values dropped after the pyramid.
    stem : (int, int, int), optional
        ResNets only: widths of three 3x3 convolutions in place of the 7x7 one.

    Raises
    ------
    NetworkError
        An option that is not allowed, or that this trunk does not have.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        trunk: TrunkName = "resnet50",
        output_stride: int = 16,
        decoder_convs: int = 1,
        low_level: LowLevel = "layer1",
        separable: bool = False,
        auxiliary: bool = False,
        multi_grid: tuple[int, int, int] | None = None,
        dropout: float = 0.1,
        stem: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__(in_channels, classes)
        check_one_of("output_stride", output_stride, RATES)
        check_one_of("decoder_convs", decoder_convs, (1, 2))
        self.backbone = _trunk(
            trunk, in_channels, output_stride, low=low_level, multi_grid=multi_grid, stem=stem
        )
        low, middle, deep = self.backbone.widths
        self.classifier = Decoder(
            low,
            deep,
            classes,
            rates=RATES[output_stride],
            convs=decoder_convs,
            separable=separable,
            dropout=dropout,
        )
        self.aux_classifier = (
            fcn_head(middle, 256, classes, dropout=nn.Dropout2d(0.1)) if auxiliary else None
        )
        for part in (self.classifier, self.aux_classifier):
            if part is not None:
                initialise(part.modules())

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits (N, classes, H / 4, W / 4)."""
        low, middle, deep = self.backbone(x)
        main = self.classifier(low, deep)
        if self.training and self.aux_classifier is not None:
            return main, self.aux_classifier(middle)
        return (main,)
