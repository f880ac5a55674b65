"""CGNet: few channels; each block joins a pixel, its surroundings and the global context."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eventseg.errors import NetworkError
from eventseg.networks.blocks.fcn_head import initialise
from eventseg.networks.network import SegmentationNetwork

WIDTHS = (32, 64, 128)
"""Channels of the three stages."""

DILATIONS = (2, 4)
"""Dilations of the surroundings in stages 2 and 3."""

REDUCTIONS = (8, 16)
"""How much narrower the gates of stages 2 and 3 are inside."""

EPS = 1e-3
"""Added to the variance in batch norms."""


class NormPReLU(nn.Module):
    """Batch norm and PReLU with a slope for every channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=EPS)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same size."""
        y: Tensor = self.act(self.bn(x))
        return y


class ConvNormPReLU(NormPReLU):
    """Convolution without bias, batch norm, PReLU."""

    def __init__(self, in_channels: int, channels: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(channels)
        self.conv = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, channels, h, w)."""
        return super().forward(self.conv(x))


class Gate(nn.Module):
    """Channel weights from the global average of the map: the paper's global extractor."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, each channel times a number between 0 and 1."""
        y = torch.relu(self.squeeze(x.mean((2, 3))))
        return x * torch.sigmoid(self.excite(y))[..., None, None]


class ContextGuided(nn.Module):
    """A context guided block (Figures 2 and 3 of the paper).

    A local and a dilated depthwise convolution see a pixel and its surroundings; both together
    are gated. Without a stride the block works on half the channels and adds its input; with
    stride 2 it works on all, then halves their joined output.

    Parameters
    ----------
    in_channels, channels : int
        Channels of the input and of the output; alike without a stride.
    dilation : int
        Dilation of the convolution that sees the surroundings.
    reduction : int
        Factor by which the gate reduces the channels.
    down : bool
        Whether the size is halved.
    """

    def __init__(
        self, in_channels: int, channels: int, *, dilation: int, reduction: int, down: bool
    ) -> None:
        super().__init__()
        self.down = down
        width = channels if down else channels // 2
        self.reduce = ConvNormPReLU(in_channels, width, 3 if down else 1, stride=2 if down else 1)
        self.local = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.surroundings = nn.Conv2d(
            width, width, 3, padding=dilation, dilation=dilation, groups=width, bias=False
        )
        self.joint = NormPReLU(2 * width)
        self.project = nn.Conv2d(2 * width, channels, 1, bias=False) if down else nn.Identity()
        self.gate = Gate(channels, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, channels, h, w)."""
        y = self.reduce(x)
        y = self.joint(torch.cat([self.local(y), self.surroundings(y)], 1))
        y = self.gate(self.project(y))
        made: Tensor = y if self.down else x + y
        return made


class CGNet(SegmentationNetwork):
    """Wu et al., CGNet: A Light-weight Context Guided Network, arXiv 1811.08201.

    Parameters
    ----------
    in_channels, classes : int
        Channels of the input and of the logits.
    blocks_stage2, blocks_stage3 : int
        Blocks of stages 2 and 3, at 1/4 and 1/8 of the size: the paper's M and N, 3 and 21; its
        smaller network has N = 15.
    dropout : float
        Share of channels dropped before the logits, in [0, 1).
    logits_bias : bool
        Whether the last convolution has a bias, as in mmseg.

    Raises
    ------
    NetworkError
        A stage without a block, or a dropout outside [0, 1).
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        blocks_stage2: int = 3,
        blocks_stage3: int = 21,
        dropout: float = 0.0,
        logits_bias: bool = False,
    ) -> None:
        super().__init__(in_channels, classes)
        if min(blocks_stage2, blocks_stage3) < 1:
            raise NetworkError(
                "blocks_stage2 and blocks_stage3 must be at least 1, got "
                f"{blocks_stage2} and {blocks_stage3}"
            )
        if not 0 <= dropout < 1:
            raise NetworkError(f"dropout must be in [0, 1), got {dropout}")
        first, second, third = WIDTHS
        self.stage1 = nn.Sequential(
            ConvNormPReLU(in_channels, first, 3, stride=2),
            ConvNormPReLU(first, first, 3),
            ConvNormPReLU(first, first, 3),
        )
        self.halve = nn.AvgPool2d(3, 2, 1)
        self.inject1 = NormPReLU(first + in_channels)
        self.down2, self.stage2 = _stage(first + in_channels, 0, blocks_stage2)
        self.inject2 = NormPReLU(2 * second + in_channels)
        self.down3, self.stage3 = _stage(2 * second + in_channels, 1, blocks_stage3)
        self.tail = NormPReLU(2 * third)
        self.dropout = nn.Dropout2d(dropout)
        self.logits = nn.Conv2d(2 * third, classes, 1, bias=logits_bias)
        initialise(self.modules())

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits (N, classes, H / 8, W / 8)."""
        half = self.halve(x)
        down = self.down2(self.inject1(torch.cat([self.stage1(x), half], 1)))
        y = torch.cat([self.stage2(down), down, self.halve(half)], 1)
        down = self.down3(self.inject2(y))
        y = self.tail(torch.cat([down, self.stage3(down)], 1))
        return (self.logits(self.dropout(y)),)


def _stage(in_channels: int, index: int, blocks: int) -> tuple[ContextGuided, nn.Sequential]:
    """Return the block that halves the size, and the others, of stage 2 (index 0) or 3 (1)."""
    channels = WIDTHS[1 + index]

    def block(before: int, *, down: bool) -> ContextGuided:
        return ContextGuided(
            before, channels, dilation=DILATIONS[index], reduction=REDUCTIONS[index], down=down
        )

    others = (block(channels, down=False) for _ in range(blocks - 1))
    return block(in_channels, down=True), nn.Sequential(*others)
