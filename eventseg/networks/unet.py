"""U-Net: two convolutions a level, maps of the encoder beside those of the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from eventseg.errors import NetworkError
from eventseg.networks.blocks.trunk import check_one_of
from eventseg.networks.network import SegmentationNetwork, resize

Upsampling = Literal["transposed", "bilinear"]

LEVELS = 5
"""Levels of the encoder; each halves the map and doubles the width."""


def double_convolution(in_channels: int, between: int, out_channels: int) -> nn.Sequential:
    """Return two padded 3x3 convolutions, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, between, 3, padding=1, bias=False),
        nn.BatchNorm2d(between),
        nn.ReLU(),
        nn.Conv2d(between, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class UNet(SegmentationNetwork):
    """U-Net (Ronneberger et al., MICCAI 2015), padded and with batch norm.

    The paper's convolutions are neither padded nor normalised, so that its logits are smaller
    than the input; here they have its size, as in the implementations in use.

    Parameters
    ----------
    in_channels, classes : int
        As for every network.
    upsampling : {"transposed", "bilinear"}
        How maps of the decoder are enlarged: by a transposed convolution that halves the
        channels, or bilinear; then the level below halves them.
    base_width : int
        Channels of the first level.

    Raises
    ------
    NetworkError
        Another upsampling, or a width below 1.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        upsampling: Upsampling = "transposed",
        base_width: int = 64,
    ) -> None:
        super().__init__(in_channels, classes)
        check_one_of("upsampling", upsampling, ("transposed", "bilinear"))
        if base_width < 1:
            raise NetworkError(f"base_width must be at least 1, got {base_width}")
        transposed = upsampling == "transposed"
        widths = [base_width * 2**level for level in range(LEVELS)]
        encoded = [*widths[:-1], widths[-1] if transposed else widths[-2]]

        self.encoder = nn.ModuleList(
            double_convolution(before, after, after)
            for before, after in zip([in_channels, *widths], encoded, strict=False)
        )
        # From the deepest level up.
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2) if transposed else nn.Identity()
            for width in reversed(widths[:-1])
        )
        self.decoder = nn.ModuleList(
            double_convolution(
                2 * width, width, width if transposed else max(width // 2, base_width)
            )
            for width in reversed(widths[:-1])
        )
        self.logits = nn.Conv2d(base_width, classes, 1)
        self.transposed = transposed

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return the logits at the input's size."""
        maps = []
        for level, convolve in enumerate(self.encoder):
            x = convolve(functional.max_pool2d(x, 2) if level else x)
            maps.append(x)
        maps.pop()
        for enlarge, convolve in zip(self.up, self.decoder, strict=True):
            skip = maps.pop()
            x = convolve(torch.cat((skip, self._fitted(enlarge(x), skip)), dim=1))
        return [self.logits(x)]

    def _fitted(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return an enlarged map at the size of the encoder's, which may be odd."""
        if not self.transposed:
            return resize(x, skip, align_corners=True)
        missing = (skip.shape[-1] - x.shape[-1], skip.shape[-2] - x.shape[-2])
        return functional.pad(x, (0, missing[0], 0, missing[1]))
