"""The trunk Xception, dilated, with the tensor names of Cadene's and VainF's."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from eventseg.networks.blocks.fcn_head import initialise
from eventseg.networks.blocks.trunk import Features, Trunk, check_one_of


class SeparableConv(nn.Module):
    """3x3 convolution of each channel, then a 1x1 one; no norm or activation between them."""

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, in_channels, 3, 1, dilation, dilation, groups=in_channels, bias=False
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, out_channels, h, w)."""
        y: Tensor = self.pointwise(self.conv1(x))
        return y


class Block(nn.Module):
    """ReLU, separable convolution and batch norm, some times; a shortcut around them.

    Parameters
    ----------
    widths : tuple of int
        Channels of the input and after each separable convolution.
    stride : {1, 2}
        Stride of the closing max-pool and of the shortcut.
    dilation : int
        Dilation of all separable convolutions of the block.
    first_relu : bool
        Whether the first convolution has a ReLU before it.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        *,
        stride: int = 1,
        dilation: int = 1,
        first_relu: bool = True,
    ) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            # The first ReLU must not change the input: the shortcut reads it too.
            parts += [
                nn.ReLU(inplace=bool(parts)),
                SeparableConv(before, after, dilation=dilation),
                nn.BatchNorm2d(after),
            ]
        if stride != 1:
            parts.append(nn.MaxPool2d(3, stride, 1))
        self.rep = nn.Sequential(*parts[0 if first_relu else 1 :])
        self.has_skip = widths[0] != widths[-1]
        if self.has_skip:
            self.skip = nn.Conv2d(widths[0], widths[-1], 1, stride, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, widths[-1], h, w)."""
        shortcut = self.skipbn(self.skip(x)) if self.has_skip else x
        y: Tensor = self.rep(x) + shortcut
        return y


class Xception(Trunk):
    """Chollet, Xception, arXiv 1610.02357, its last blocks dilated, with VainF's tensors.

    As there, the low-level features are those of block 1 before its ReLU, and the last ones those
    of the last convolution, without batch norm. Unlike there, the two last convolutions are
    padded by their dilation: VainF pads them by 1, so that its maps lose pixels at the borders.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    output_stride : {8, 16}
        Block 12, and at 8 block 3 too, doubles the dilation in place of its stride.

    Raises
    ------
    NetworkError
        Another output stride.
    """

    widths = (128, 728, 2048)

    def __init__(self, in_channels: int, *, output_stride: int = 16) -> None:
        super().__init__()
        check_one_of("output_stride", output_stride, (8, 16))
        stride, dilation, exit_dilation = (1, 2, 4) if output_stride == 8 else (2, 1, 2)
        self.conv1 = nn.Conv2d(in_channels, 32, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.block1 = Block((64, 128, 128), stride=2, first_relu=False)
        self.block2 = Block((128, 256, 256), stride=2)
        self.block3 = Block((256, 728, 728), stride=stride, dilation=dilation)
        for i in range(4, 12):
            self.add_module(f"block{i}", Block((728,) * 4, dilation=dilation))
        self.block12 = Block((728, 728, 1024), dilation=exit_dilation)
        self.conv3 = SeparableConv(1024, 1536, dilation=exit_dilation)
        self.bn3 = nn.BatchNorm2d(1536)
        self.conv4 = SeparableConv(1536, 2048, dilation=exit_dilation)
        initialise(self.modules())

    def forward(self, x: Tensor) -> Features:
        """Return low features at stride 4, those of block 11 and those at the output stride."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        low = self.block1(x)
        middle = self.block3(self.block2(low))
        for i in range(4, 12):
            middle = self.get_submodule(f"block{i}")(middle)
        deep = self.relu(self.bn3(self.conv3(self.block12(middle))))
        return Features(low, middle, self.conv4(deep))
