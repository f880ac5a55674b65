"""PSPNet: a dilated ResNet, its features pooled to several grids, and a head on both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eventseg.errors import NetworkError
from eventseg.networks.blocks.fcn_head import fcn_head, initialise
from eventseg.networks.blocks.resnet import FirstBlock, ResNet
from eventseg.networks.blocks.trunk import TrunkNetwork
from eventseg.networks.network import PooledBatchNorm2d, resize


class PyramidPooling(nn.Module):
    """The input beside its averages over grids, each reduced by a 1x1 convolution and enlarged.

    Parameters
    ----------
    in_channels : int
        Must be a multiple of the number of grids; all averages together have as many again.
    bins : sequence of int
        Cells across and down of each grid.
    align_corners : bool
        How the averages are enlarged.
    """

    def __init__(self, in_channels: int, bins: Sequence[int], *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        width = in_channels // len(bins)
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(cells),
                nn.Conv2d(in_channels, width, 1, bias=False),
                PooledBatchNorm2d(width) if cells == 1 else nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            for cells in bins
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return float (N, 2 in_channels, h, w)."""
        pooled = [resize(f(x), x, align_corners=self.align_corners) for f in self.features]
        return torch.cat([x, *pooled], 1)


class PSPNet(TrunkNetwork):
    """Zhao et al., Pyramid Scene Parsing Network, arXiv 1612.01105, at output stride 8.

    With its defaults as hszhao/semseg builds it, its author's; with ``stem=(32, 32, 64)``,
    ``first_block_dilation="previous"`` and ``align_corners=False`` as mmseg.

    Parameters
    ----------
    in_channels, classes : int
        Channels of the input and of the logits.
    depth : {101, 50}
        Layers of the ResNet.
    stem : (int, int, int) or None
        Widths of the stem's three 3x3 convolutions; None for the 7x7 convolution of
        torchvision's ResNet, which alone has ImageNet weights there.
    first_block_dilation : {"new", "previous"}
        Whether the first block of a dilated stage has the stage's dilation already.
    align_corners : bool
        How averages and logits are enlarged.
    auxiliary : bool
        Whether a second head looks at the third stage; its loss has weight 0.4 in the paper.
    dropout : float
        Share of channels dropped before each head's last convolution.
    bins : tuple of int
        Cells across and down of each pooled grid.

    Raises
    ------
    NetworkError
        A depth of no trunk, or bins that are not above 0 or do not divide its channels.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        depth: int = 101,
        stem: tuple[int, int, int] | None = (64, 64, 128),
        first_block_dilation: FirstBlock = "new",
        align_corners: bool = True,
        auxiliary: bool = False,
        dropout: float = 0.1,
        bins: tuple[int, ...] = (1, 2, 3, 6),
    ) -> None:
        super().__init__(in_channels, classes, align_corners=align_corners)
        self.backbone = ResNet(
            in_channels,
            depth=depth,
            output_stride=8,
            stem=stem,
            first_block_dilation=first_block_dilation,
        )
        _, middle, deep = self.backbone.widths
        if not bins or min(bins) < 1 or deep % len(bins):
            raise NetworkError(
                f"bins must be positive numbers, and {deep} a multiple of how many, got {bins}"
            )
        self.ppm = PyramidPooling(deep, bins, align_corners=align_corners)
        self.cls = fcn_head(2 * deep, 512, classes, dropout=nn.Dropout2d(dropout))
        self.aux = (
            fcn_head(middle, 256, classes, dropout=nn.Dropout2d(dropout)) if auxiliary else None
        )
        for part in (self.ppm, self.cls, self.aux):
            if part is not None:
                initialise(part.modules())

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits (N, classes, H / 8, W / 8)."""
        _, middle, deep = self.backbone(x)
        main = self.cls(self.ppm(deep))
        if self.training and self.aux is not None:
            return main, self.aux(middle)
        return (main,)
