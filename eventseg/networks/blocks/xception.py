"""The Xception trunk as Keras builds it, with the five maps that EV-SegNet's decoder takes.

Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017, figure 5. The
modules bear Keras's names (``block2_sepconv1_bn`` is ``block2.sepconv1_bn``). Three things are
Keras's own: an epsilon of 1e-3 in batch norms, unpadded convolutions in the first block, and
pooling that pads an even size at its right and at its bottom only.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from eventseg.networks.network import PooledBatchNorm2d

KERAS_EPSILON = 1e-3
KERAS_MOMENTUM = 0.01
"""Share of the newest batch in the running statistics; Keras writes it as 0.99 of the old ones."""

MIDDLE = tuple(range(5, 13))
"""Numbers of the blocks of the middle flow."""


def batch_norm(channels: int, *, momentum: float = KERAS_MOMENTUM) -> nn.BatchNorm2d:
    """Return a batch norm with Keras's epsilon.

    The deepest maps of small inputs are one pixel, and must train in batches of one too.
    """
    return PooledBatchNorm2d(channels, eps=KERAS_EPSILON, momentum=momentum)


def pool_same(x: Tensor) -> Tensor:
    """Return maxima over 3x3 pixels at every second one, padded as Keras's ``same``.

    Keras pads n to ``2 ceil(n / 2) + 1`` and puts the odd pixel of padding behind: an even size
    gets one pixel at its end, an odd one a pixel at either end.

    Parameters
    ----------
    x : float (N, C, H, W)

    Returns
    -------
    float (N, C, ceil(H / 2), ceil(W / 2))
    """
    height, width = x.shape[-2:]
    padded = functional.pad(x, (width % 2, 1, height % 2, 1), value=-float("inf"))
    return functional.max_pool2d(padded, kernel_size=3, stride=2)


class SeparableConv2d(nn.Module):
    """A convolution within each channel, then one across channels, nothing in between.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel : int
        Side of the kernel, odd; the map keeps its size.
    dilation : (int, int)
        Vertical and horizontal.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        dilation: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel,
            padding=(kernel // 2 * dilation[0], kernel // 2 * dilation[1]),
            dilation=dilation,
            groups=in_channels,
            bias=False,
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, (N, out_channels, H, W)."""
        mixed: Tensor = self.pointwise(self.depthwise(x))
        return mixed


class Stem(nn.Module):
    """Block 1: two unpadded convolutions, the first at every second pixel."""

    def __init__(self, in_channels: int, between: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, between, 3, stride=2, bias=False)
        self.conv1_bn = batch_norm(between)
        self.conv2 = nn.Conv2d(between, out_channels, 3, bias=False)
        self.conv2_bn = batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, (N, out_channels, (H - 1) // 2 - 2, (W - 1) // 2 - 2)."""
        x = functional.relu(self.conv1_bn(self.conv1(x)))
        return functional.relu(self.conv2_bn(self.conv2(x)))


class ReductionBlock(nn.Module):
    """Blocks 2, 3, 4 and 13: two separable convolutions, pooling, and a projected shortcut.

    Parameters
    ----------
    in_channels, between, out_channels : int
        Channels before, between and after the two convolutions.
    rectified : bool
        Whether the input has been rectified already, as that of block 2.
    """

    def __init__(
        self, in_channels: int, between: int, out_channels: int, *, rectified: bool = False
    ) -> None:
        super().__init__()
        self.rectified = rectified
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=2, bias=False)
        self.shortcut_bn = batch_norm(out_channels)
        self.sepconv1 = SeparableConv2d(in_channels, between)
        self.sepconv1_bn = batch_norm(between)
        self.sepconv2 = SeparableConv2d(between, out_channels)
        self.sepconv2_bn = batch_norm(out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map at half the size, and the one before pooling and shortcut."""
        y = x if self.rectified else functional.relu(x)
        y = functional.relu(self.sepconv1_bn(self.sepconv1(y)))
        tap = self.sepconv2_bn(self.sepconv2(y))
        return pool_same(tap) + self.shortcut_bn(self.shortcut(x)), tap


class MiddleBlock(nn.Module):
    """Blocks 5 to 12: three separable convolutions on rectified maps, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sepconv1 = SeparableConv2d(channels, channels)
        self.sepconv1_bn = batch_norm(channels)
        self.sepconv2 = SeparableConv2d(channels, channels)
        self.sepconv2_bn = batch_norm(channels)
        self.sepconv3 = SeparableConv2d(channels, channels)
        self.sepconv3_bn = batch_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, (N, channels, H, W)."""
        y = self.sepconv1_bn(self.sepconv1(functional.relu(x)))
        y = self.sepconv2_bn(self.sepconv2(functional.relu(y)))
        y = self.sepconv3_bn(self.sepconv3(functional.relu(y)))
        total: Tensor = x + y
        return total


class LastBlock(nn.Module):
    """Block 14: two separable convolutions that widen the map."""

    def __init__(self, in_channels: int, between: int, out_channels: int) -> None:
        super().__init__()
        self.sepconv1 = SeparableConv2d(in_channels, between)
        self.sepconv1_bn = batch_norm(between)
        self.sepconv2 = SeparableConv2d(between, out_channels)
        self.sepconv2_bn = batch_norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map before its rectification, (N, out_channels, H, W)."""
        x = functional.relu(self.sepconv1_bn(self.sepconv1(x)))
        y: Tensor = self.sepconv2_bn(self.sepconv2(x))
        return y


class Xception(nn.Module):
    """The trunk, without its classifier.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    width : float
        Factor of all channels.
    """

    def __init__(self, in_channels: int, *, width: float = 1.0) -> None:
        super().__init__()
        c32, c64, c128, c256, c728, c1024, c1536, c2048 = (
            scaled(channels, width) for channels in (32, 64, 128, 256, 728, 1024, 1536, 2048)
        )
        self.channels = (c128, c256, c728, c1024, c2048)
        self.block1 = Stem(in_channels, c32, c64)
        self.block2 = ReductionBlock(c64, c128, c128, rectified=True)
        self.block3 = ReductionBlock(c128, c256, c256)
        self.block4 = ReductionBlock(c256, c728, c728)
        for number in MIDDLE:
            self.add_module(f"block{number}", MiddleBlock(c728))
        self.block13 = ReductionBlock(c728, c728, c1024)
        self.block14 = LastBlock(c1024, c1536, c2048)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return the outputs of the last batch norms of blocks 2, 3, 4, 13 and 14.

        Their heights are about a half, a quarter, ... and a thirty-second of the input's, their
        channels are those of :attr:`channels`.
        """
        x, tap2 = self.block2(self.block1(x))
        x, tap3 = self.block3(x)
        x, tap4 = self.block4(x)
        for number in MIDDLE:
            x = self.get_submodule(f"block{number}")(x)
        x, tap13 = self.block13(x)
        return tap2, tap3, tap4, tap13, self.block14(x)


def scaled(channels: int, width: float) -> int:
    """Return a number of channels times a factor, at least one."""
    return max(1, round(channels * width))
