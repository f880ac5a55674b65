"""Convolution, batch norm, ReLU; and the head of two convolutions that many networks end in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import nn


def conv_norm_relu(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> list[nn.Module]:
    """Return a convolution without bias, a batch norm and a ReLU; the size stays, but for stride.

    Returns
    -------
    list of Module (3,)
        A list, so that a longer sequence can be made of several.
    """
    return [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            dilation * (kernel // 2),
            dilation,
            groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def fcn_head(in_channels: int, width: int, classes: int, *, dropout: nn.Module) -> nn.Sequential:
    """Return the head 3x3 convolution, batch norm, ReLU, dropout, 1x1 convolution to logits."""
    return nn.Sequential(*conv_norm_relu(in_channels, width), dropout, nn.Conv2d(width, classes, 1))


def initialise(
    modules: Iterable[nn.Module], *, mode: Literal["fan_in", "fan_out"] = "fan_in"
) -> None:
    """Draw the weights of convolutions from He's normal distribution; biases become 0.

    He et al., Delving Deep into Rectifiers, arXiv 1502.01852, equation 10 (``fan_in``) or 14
    (``fan_out``).
    """
    for module in modules:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
