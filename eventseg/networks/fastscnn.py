"""Fast-SCNN: few layers at full resolution, a deep branch on them at 1/32, and their sum."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from eventseg.errors import NetworkError
from eventseg.networks.blocks.depthwise import DepthwiseConv2d
from eventseg.networks.blocks.fcn_head import initialise
from eventseg.networks.blocks.trunk import check_one_of
from eventseg.networks.network import PooledBatchNorm2d, SegmentationNetwork, resize
from eventseg.networks.pspnet import PyramidPooling

PyramidExit = Literal["1x1", "3x3"]
Enlarging = Literal["bilinear", "transposed"]
AuxiliaryAt = Literal["stem", "stem+global"]

STEM = (32, 48, 64)
"""Channels of the stem's three layers, at 1/2, 1/4 and 1/8 of the size."""

BOTTLENECKS = ((64, 2), (96, 2), (128, 1))
"""Channels and stride of the three groups of bottlenecks."""

REPEATS = 3
"""Bottlenecks of a group."""

EXPANSION = 6
"""How many times wider a bottleneck is inside."""

BINS = (1, 2, 3, 6)
"""Cells across and down of the pyramid's grids."""

WIDTH = 128
"""Channels of the deep branch, of the fusion and of the classifier."""

AUXILIARY_WIDTH = 32
"""Channels of an auxiliary head."""


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int | None = None,
    groups: int = 1,
    bias: bool = False,
    relu: bool = True,
) -> nn.Sequential:
    """Return a convolution, a batch norm that trains on a single pixel too, and maybe a ReLU."""
    if padding is None:
        padding = kernel // 2
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=DepthwiseConv2d(
            in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias
        ),
        bn=PooledBatchNorm2d(out_channels),
    )
    if relu:
        layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def depthwise_separable(
    in_channels: int, out_channels: int, *, stride: int = 1, activation: bool
) -> nn.Sequential:
    """Return a 3x3 convolution within each channel, maybe a ReLU, and a 1x1 convolution."""
    return nn.Sequential(
        OrderedDict(
            depthwise=convolution(
                in_channels, in_channels, 3, stride=stride, groups=in_channels, relu=activation
            ),
            pointwise=convolution(in_channels, out_channels, 1),
        )
    )


class Bottleneck(nn.Module):
    """MobileNetV2's inverted residual block, arXiv 1801.04381, with ReLU in place of ReLU6."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        width = EXPANSION * in_channels
        self.shortcut = stride == 1 and in_channels == out_channels
        self.expand = convolution(in_channels, width, 1)
        self.depthwise = convolution(width, width, 3, stride=stride, groups=width)
        self.project = convolution(width, out_channels, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, out_channels, h, w)."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class Enlarge(nn.ConvTranspose2d):
    """A transposed convolution within each channel, bilinear before training.

    Long et al., Fully Convolutional Networks, arXiv 1411.4038, section 3.3. Where a
    size is no multiple of the factor, the surplus at the right and bottom is cut off.

    Parameters
    ----------
    channels : int
    factor : int
        How many times larger the map becomes; even.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(
            channels, channels, 2 * factor, factor, factor // 2, groups=channels, bias=False
        )
        offset = (torch.arange(2 * factor) - factor + 0.5).abs()
        weight = 1 - offset / factor
        with torch.no_grad():
            self.weight.copy_(torch.outer(weight, weight).expand_as(self.weight))

    def enlarged(self, x: Tensor, like: Tensor) -> Tensor:
        """Return the enlarged map, no larger than another."""
        height, width = like.shape[-2:]
        y: Tensor = self(x)[..., :height, :width]
        return y


class Fusion(nn.Module):
    """The deep branch, enlarged, added to the stem's output.

    Parameters
    ----------
    bias : bool
        Whether its 1x1 convolutions have a bias, which the batch norms after them cancel.
    upsampling : {"bilinear", "transposed"}
    align_corners : bool
        Whether bilinear enlarging aligns the corner pixels.
    """

    def __init__(self, *, bias: bool, upsampling: Enlarging, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.enlarge = Enlarge(WIDTH, 4) if upsampling == "transposed" else None
        self.depthwise = convolution(WIDTH, WIDTH, 3, groups=WIDTH)
        self.low = convolution(WIDTH, WIDTH, 1, bias=bias, relu=False)
        self.high = convolution(STEM[-1], WIDTH, 1, bias=bias, relu=False)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """Return float (N, 128, h, w) for the stem's (N, 64, h, w) and the deep (N, 128, ...)."""
        if self.enlarge is not None:
            low = self.enlarge.enlarged(low, high)
        else:
            low = resize(low, high, align_corners=self.align_corners)
        return torch.relu(self.high(high) + self.low(self.depthwise(low)))


class FastSCNN(SegmentationNetwork):
    """Poudel et al., Fast-SCNN: Fast Semantic Segmentation Network, arXiv 1902.04502.

    Two public networks differ from the defaults. Tramac/Fast-SCNN-pytorch: ``stem_padding=0``,
    ``depthwise_activation=True``, ``align_corners=True``. mmseg: ``pyramid_exit="3x3"``,
    ``fusion_bias=False`` and, with heads, ``auxiliary_at="stem+global"``.

    Parameters
    ----------
    in_channels, classes : int
        Channels of the input and of the logits.
    pyramid_exit : {"1x1", "3x3"}
        Kernel of the convolution behind the pyramid pooling.
    upsampling : {"bilinear", "transposed"}
        How the deep branch is enlarged for the fusion, and the logits to the input's size:
        ``transposed`` learns both, within each channel and starting as bilinear (8,192
        parameters and 256 for each class). Auxiliary logits are always enlarged bilinear.
    stem_padding : {1, 0}
        Pixels around the input of the first convolution.
    depthwise_activation : bool
        Whether a ReLU is between depthwise and pointwise convolutions of stem and classifier;
        the paper has none.
    fusion_bias : bool
        Whether the fusion's 1x1 convolutions have a bias.
    align_corners : bool
        How maps are enlarged, where bilinear.
    auxiliary : bool
        Whether there are auxiliary heads; their losses have weight 0.4.
    auxiliary_at : {"stem", "stem+global"}
        Inputs of the auxiliary heads: the stem's output (Tramac), or that and the deep branch's
        (mmseg).
    dropout : float
        Share of values dropped before the logits of each head, in [0, 1).

    Raises
    ------
    NetworkError
        A kind that is not listed above, or a dropout that is not in [0, 1).
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        pyramid_exit: PyramidExit = "1x1",
        upsampling: Enlarging = "bilinear",
        stem_padding: int = 1,
        depthwise_activation: bool = False,
        fusion_bias: bool = True,
        align_corners: bool = False,
        auxiliary: bool = False,
        auxiliary_at: AuxiliaryAt = "stem",
        dropout: float = 0.1,
    ) -> None:
        super().__init__(in_channels, classes, align_corners=align_corners)
        check_one_of("pyramid_exit", pyramid_exit, ("1x1", "3x3"))
        check_one_of("upsampling", upsampling, ("bilinear", "transposed"))
        check_one_of("stem_padding", stem_padding, (1, 0))
        check_one_of("auxiliary_at", auxiliary_at, ("stem", "stem+global"))
        if not 0 <= dropout < 1:
            raise NetworkError(f"dropout must be in [0, 1), got {dropout}")

        def separable(before: int, after: int, stride: int = 1) -> nn.Sequential:
            return depthwise_separable(
                before, after, stride=stride, activation=depthwise_activation
            )

        first, second, high = STEM
        self.learning_to_downsample = nn.Sequential(
            convolution(in_channels, first, 3, stride=2, padding=stem_padding),
            separable(first, second, 2),
            separable(second, high, 2),
        )
        self.global_features = nn.Sequential()
        channels = high
        for width, stride in BOTTLENECKS:
            for repeat in range(REPEATS):
                self.global_features.append(
                    Bottleneck(channels, width, stride=1 if repeat else stride)
                )
                channels = width
        self.pyramid = PyramidPooling(channels, BINS, align_corners=align_corners)
        self.pyramid_exit = convolution(2 * channels, WIDTH, int(pyramid_exit[0]))
        self.fusion = Fusion(bias=fusion_bias, upsampling=upsampling, align_corners=align_corners)
        self.classifier = nn.Sequential(separable(WIDTH, WIDTH), separable(WIDTH, WIDTH))
        self.logits = _logits(WIDTH, classes, dropout)
        self.enlarge = Enlarge(classes, 8) if upsampling == "transposed" else None
        self.stem_head = self.global_head = None
        if auxiliary:
            self.stem_head = _head(high, classes, dropout)
            if auxiliary_at == "stem+global":
                self.global_head = _head(WIDTH, classes, dropout)
        initialise(self.modules())

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits (N, classes, h, w): of the fusion, then of the stem and the deep branch."""
        high = self.learning_to_downsample(x)
        low = self.pyramid_exit(self.pyramid(self.global_features(high)))
        main = self.logits(self.classifier(self.fusion(high, low)))
        if self.enlarge is not None:
            main = self.enlarge.enlarged(main, x)
        outputs = [main]
        if self.training and self.stem_head is not None:
            outputs.append(self.stem_head(high))
        if self.training and self.global_head is not None:
            outputs.append(self.global_head(low))
        return outputs


def _logits(in_channels: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(dropout), nn.Conv2d(in_channels, classes, 1))


def _head(in_channels: int, classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        convolution(in_channels, AUXILIARY_WIDTH, 3), *_logits(AUXILIARY_WIDTH, classes, dropout)
    )
