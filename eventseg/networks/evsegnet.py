"""EV-SegNet: an Xception trunk and a light decoder of residual separable convolutions.

Alonso and Murillo, EV-SegNet: Semantic Segmentation for Event-based Cameras, CVPR Workshops 2019.
This is the network of the released code and weights there, "Segception small"; the modules are
built in that code's order, by which the released tensors are numbered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from eventseg.errors import NetworkError
from eventseg.networks.blocks.xception import SeparableConv2d, Xception, batch_norm, scaled
from eventseg.networks.network import SegmentationNetwork, resize

Auxiliary = Literal["none", "head", "copy"]

SLOPE = 0.3
"""Of the leaky rectifiers, below zero."""

MOMENTUM = 0.007
"""Share of the newest batch in the decoder's running statistics; Keras writes it as 0.993."""

DILATIONS = ((4, 4), (8, 8), (16, 16), (2, 8), (6, 3), (8, 2), (3, 6))
"""Vertical and horizontal dilation of the branches of the spatial pyramid."""


class ConvBN(nn.Module):
    """1x1 convolution, batch norm, leaky rectifier."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = batch_norm(out_channels, momentum=MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, (N, out_channels, H, W)."""
        return functional.leaky_relu(self.bn(self.conv(x)), SLOPE)


class SeparableConvBN(nn.Module):
    """Separable convolution, batch norm, leaky rectifier."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        dilation: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.conv = SeparableConv2d(in_channels, out_channels, kernel=kernel, dilation=dilation)
        self.bn = batch_norm(out_channels, momentum=MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, (N, out_channels, H, W)."""
        return functional.leaky_relu(self.bn(self.conv(x)), SLOPE)


class ResidualBlock(nn.Module):
    """Three separable convolutions at twice the channels and one back, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = SeparableConvBN(channels, 2 * channels)
        self.conv2 = SeparableConvBN(2 * channels, 2 * channels)
        self.conv3 = SeparableConvBN(2 * channels, 2 * channels)
        self.conv4 = ConvBN(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, (N, channels, H, W)."""
        y: Tensor = x + self.conv4(self.conv3(self.conv2(self.conv1(x))))
        return y


def stage(in_channels: int, channels: int, *, blocks: int) -> nn.Sequential:
    """Return a 1x1 convolution to a number of channels, and residual blocks."""
    return nn.Sequential(
        ConvBN(in_channels, channels), *(ResidualBlock(channels) for _ in range(blocks))
    )


class SpatialPyramid(nn.Module):
    """Dilated convolutions and the mean of the map, summed, mixed and added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = SeparableConvBN(channels, channels, kernel=1)
        self.dilated = nn.ModuleList(
            SeparableConvBN(channels, channels, dilation=dilation) for dilation in DILATIONS
        )
        self.mix = ConvBN(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, (N, channels, H, W)."""
        total = self.mean(x.mean((2, 3), keepdim=True))
        for branch in self.dilated:
            total = total + branch(x)
        y: Tensor = self.mix(total) + x
        return y


class EvSegNet(SegmentationNetwork):
    """EV-SegNet as released.

    Maps of the decoder are enlarged to a 16th, an eighth, a quarter and a half of the input,
    rounded up, and the trunk's maps resized to them. Where height and width are multiples of 32
    this is the released network's doubling; at other sizes the released one returns logits of
    another size than its input's.

    Parameters
    ----------
    in_channels : int
        6 for events, 1 for gray, 7 for gray and events in the paper.
    classes : int
        6 in the paper.
    width : float
        Factor of all channels, above 0.
    auxiliary : {"none", "head", "copy"}
        Second logits in training mode: none; of a 1x1 convolution after the spatial pyramid, at a
        quarter of the input, as in a later variant of the released code; or the main ones again,
        as the released network was trained (its loss, main plus 0.8 times auxiliary, was 1.8
        times that of the main logits).

    Raises
    ------
    NetworkError
        A width that is not positive, or an unknown auxiliary.
    """

    def __init__(
        self, in_channels: int, classes: int, *, width: float = 1.0, auxiliary: Auxiliary = "none"
    ) -> None:
        super().__init__(in_channels, classes, align_corners=True)
        if not 0 < width < math.inf:
            raise NetworkError(f"the width of evsegnet must be above 0, such as 0.5, got {width}")
        if auxiliary not in ("none", "head", "copy"):
            raise NetworkError(
                f"auxiliary of evsegnet must be none, head or copy, got {auxiliary!r}"
            )
        self.auxiliary = auxiliary
        self.encoder = Xception(in_channels, width=width)
        c2, c3, c4, c13, c14 = self.encoder.channels
        c128, c64, c32 = (scaled(channels, width) for channels in (128, 64, 32))
        self.adapt14 = stage(c14, c128, blocks=1)
        self.adapt13 = stage(c13, c128, blocks=1)
        self.adapt4 = stage(c4, c128, blocks=1)
        self.adapt3 = stage(c3, c64, blocks=1)
        self.adapt2 = stage(c2, c32, blocks=1)
        self.generate16 = stage(c128, c128, blocks=3)
        self.generate8 = stage(c128, c64, blocks=3)
        self.generate4 = stage(c64, c32, blocks=3)
        self.generate2 = stage(c32, c32, blocks=1)
        self.pyramid = SpatialPyramid(c32)
        self.logits = nn.Conv2d(c32, classes, 1)
        if auxiliary == "head":
            self.auxiliary_logits = nn.Conv2d(c32, classes, 1)
        initialise(self)

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits at half the input, and in training mode auxiliary ones, if any."""
        tap2, tap3, tap4, tap13, tap14 = (
            functional.leaky_relu(tap, SLOPE) for tap in self.encoder(x)
        )
        y = enlarge(self.adapt14(tap14), x, 16)
        y = self.generate16(y + resize(self.adapt13(tap13), y, align_corners=True))
        y = enlarge(y, x, 8)
        y = self.generate8(y + resize(self.adapt4(tap4), y, align_corners=True))
        y = enlarge(y, x, 4)
        y = self.generate4(y + resize(self.adapt3(tap3), y, align_corners=True))
        quarter = self.pyramid(y)
        y = enlarge(quarter, x, 2)
        y = self.generate2(y + resize(self.adapt2(tap2), y, align_corners=True))
        main = self.logits(y)
        if not self.training or self.auxiliary == "none":
            return [main]
        return [main, main if self.auxiliary == "copy" else self.auxiliary_logits(quarter)]


def enlarge(x: Tensor, image: Tensor, part: int) -> Tensor:
    """Return a map resized to a part of an image's height and width, rounded up."""
    # Of positive numbers alone: ONNX divides integers towards 0.
    height, width = ((size + part - 1) // part for size in image.shape[-2:])
    return functional.interpolate(x, size=(height, width), mode="bilinear", align_corners=True)


def initialise(network: nn.Module) -> None:
    """Draw the weights of all convolutions as Keras does, biases zero.

    Glorot and Bengio, AISTATS 2010, uniform between ±sqrt(6 / (fan in + fan out)). This makes
    depthwise kernels of many channels far smaller than torch's rule would.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
