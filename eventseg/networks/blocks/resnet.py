"""The trunk ResNet-50 or -101, dilated, with torchvision's names of its tensors."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from eventseg.networks.blocks.fcn_head import conv_norm_relu, initialise
from eventseg.networks.blocks.trunk import Features, Trunk, check_one_of, check_positive

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Blocks of the four stages by depth."""

DILATIONS = {32: (1, 1, 1, 1), 16: (1, 1, 1, 2), 8: (1, 1, 2, 4)}
"""Dilations of the four stages by output stride."""

LowLevel = Literal["layer1", "stem"]
FirstBlock = Literal["previous", "new"]


def _stage(in_channels: int, width: int, stride: int, dilations: list[int]) -> nn.Sequential:
    out_channels = width * Bottleneck.expansion
    return nn.Sequential(
        Bottleneck(in_channels, width, stride=stride, dilation=dilations[0]),
        *(Bottleneck(out_channels, width, stride=1, dilation=d) for d in dilations[1:]),
    )


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution around a shortcut; the 3x3 one has the stride and dilation."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, *, stride: int, dilation: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, 4 width, h, w)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        made: Tensor = self.relu(self.bn3(self.conv3(y)) + self.downsample(x))
        return made


class ResNet(Trunk):
    """He et al., Deep Residual Learning, arXiv 1512.03385, its last stages dilated.

    The stride of a stage is in the 3x3 convolution of its first block, as in torchvision.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    depth : {50, 101}
    output_stride : {8, 16, 32}
        A stage without its stride doubles the dilation instead.
    stem : (int, int, int), optional
        Widths of three 3x3 convolutions in place of the 7x7 one: (64, 64, 128) in semseg,
        (32, 32, 64) in mmseg's "v1c". The tensors are then named as timm's.
    first_block_dilation : {"previous", "new"}
        Dilation of the first block of a dilated stage: that of the stage before (torchvision,
        timm, mmseg) or the stage's own (semseg).
    multi_grid : (int, int, int), optional
        Dilations of the last stage's blocks, in units of the stage's; by default all 1, with
        the first block as ``first_block_dilation`` says. DeepLabV3, arXiv 1706.05587, section
        3.2.1, has (1, 2, 4).
    low : {"layer1", "stem"}
        Low-level features: of the first stage, 256 channels, or of the stem after its pooling;
        both have stride 4.

    Raises
    ------
    NetworkError
        A value that is not listed above, or widths and dilations that are not above 0.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        depth: int = 50,
        output_stride: int = 32,
        stem: tuple[int, int, int] | None = None,
        first_block_dilation: FirstBlock = "previous",
        multi_grid: tuple[int, int, int] | None = None,
        low: LowLevel = "layer1",
    ) -> None:
        super().__init__()
        check_one_of("depth", depth, BLOCKS)
        check_one_of("output_stride", output_stride, DILATIONS)
        check_one_of("first_block_dilation", first_block_dilation, ("previous", "new"))
        check_one_of("low_level", low, ("layer1", "stem"))
        check_positive("stem", stem, 3)
        check_positive("multi_grid", multi_grid, 3)
        self.low = low
        if stem is None:
            width = 64
            self.imagenet = f"resnet{depth}"
            self.conv1: nn.Module = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
        else:
            first, second, width = stem
            self.conv1 = nn.Sequential(
                *conv_norm_relu(in_channels, first, stride=2),
                *conv_norm_relu(first, second),
                nn.Conv2d(second, width, 3, padding=1, bias=False),
            )
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.widths = (256 if low == "layer1" else width, 1024, 2048)
        stages: list[nn.Sequential] = []
        before = 1
        for i, (blocks, own) in enumerate(
            zip(BLOCKS[depth], DILATIONS[output_stride], strict=True)
        ):
            dilations = [before if first_block_dilation == "previous" else own]
            dilations += [own] * (blocks - 1)
            if i == 3 and multi_grid is not None:
                dilations = [own * unit for unit in multi_grid]
            stride = 1 if i == 0 or own > before else 2
            stages.append(_stage(width, 64 * 2**i, stride, dilations))
            width, before = 256 * 2**i, own
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        initialise(self.modules(), mode="fan_out")

    def forward(self, x: Tensor) -> Features:
        """Return low features at stride 4, those of the third stage and those of the last."""
        stem = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        first = self.layer1(stem)
        third = self.layer3(self.layer2(first))
        return Features(stem if self.low == "stem" else first, third, self.layer4(third))
