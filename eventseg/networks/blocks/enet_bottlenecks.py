"""ENet's bottlenecks, as its authors' program and as its PyTorch port build them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from eventseg.networks.segnet import max_unpool

Kind = int | Literal["asymmetric"]
"""Middle of a bottleneck: a 3x3 convolution of this dilation, or a pair 5x1 and 1x5."""

REGULAR: Kind = 1

STEM_WIDTH = 16
"""Channels at half of the input's size."""

RGB_FILTERS = 13
"""Filters of the first convolution beside the three pooled channels of a picture."""


@dataclass(frozen=True, slots=True)
class Definition:
    """Differences between the two published definitions of ENet.

    Parameters
    ----------
    inner_of_output : bool
        Whether bottlenecks that change the size are a quarter as wide inside as their output,
        or as their input.
    slopes : bool
        Whether PReLUs of the encoder have a slope a channel, or one for all.
    bias : bool
        Whether the stem, the middle of the bottlenecks and the logits have biases.
    epsilon : float
        Term that the batch norms add to the variance.
    active_expansion : bool
        Whether an activation follows the last 1x1 convolution of a bottleneck; in upsampling
        bottlenecks none ever does.
    norm_in_pair : bool
        Whether batch norm and activation stand between the two of an asymmetric pair.
    first_of_pair : (height, width)
        Kernel of the first of an asymmetric pair.
    stem_pool, up_kernel, logits_kernel : int
        Kernels of the pooling of the input and of the transposed convolutions.
    decoder_dropout : bool
        Whether the decoder has dropout.
    """

    inner_of_output: bool
    slopes: bool
    bias: bool
    epsilon: float
    active_expansion: bool
    norm_in_pair: bool
    first_of_pair: tuple[int, int]
    stem_pool: int
    up_kernel: int
    logits_kernel: int
    decoder_dropout: bool


DEFINITIONS = {
    "port": Definition(
        inner_of_output=False,
        slopes=False,
        bias=False,
        epsilon=1e-5,
        active_expansion=True,
        norm_in_pair=True,
        first_of_pair=(5, 1),
        stem_pool=3,
        up_kernel=2,
        logits_kernel=3,
        decoder_dropout=True,
    ),
    "lua": Definition(
        inner_of_output=True,
        slopes=True,
        bias=True,
        epsilon=1e-3,
        active_expansion=False,
        norm_in_pair=False,
        first_of_pair=(1, 5),
        stem_pool=2,
        up_kernel=3,
        logits_kernel=2,
        decoder_dropout=False,
    ),
}
"""davidtvs/PyTorch-ENet, and the paper authors' e-lab/ENet-training."""


def stem_filters(in_channels: int) -> int:
    """Return the filters of the first convolution, whose maps stand beside the pooled input.

    As many as make 16 channels together with the input, 13 for a picture. An input of 16 channels
    or more leaves no room: then there are 13, and the network is 13 + ``in_channels`` wide at
    half size, in its encoder and in its decoder.
    """
    return STEM_WIDTH - in_channels if in_channels < STEM_WIDTH else RGB_FILTERS


def fitted(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return a map at a height and width: cut, or filled with zeros, at the right and bottom."""
    height, width = size
    if torch.compiler.is_exporting():
        # At most one row and column is missing; a zero pad would be taken for one of every size.
        return functional.pad(x, (0, 1, 0, 1))[..., :height, :width]
    x = x[..., :height, :width]
    return functional.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))


def transposed(in_channels: int, out_channels: int, *, kernel: int, bias: bool) -> nn.Module:
    """Return a transposed convolution that doubles height and width, of kernel 2 or 3."""
    extra = kernel - 2
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel, 2, padding=extra, output_padding=extra, bias=bias
    )


@dataclass(frozen=True, slots=True)
class Layers:
    """Makes the layers of one definition, for its encoder or its decoder.

    Parameters
    ----------
    definition : Definition
    decoder : bool
        Whether activations are ReLUs.
    dropout : float
        Probability that a bottleneck drops a channel.
    """

    definition: Definition
    decoder: bool
    dropout: float

    def activation(self, channels: int) -> nn.Module:
        """Return a PReLU in the encoder, a ReLU in the decoder."""
        if self.decoder:
            return nn.ReLU()
        return nn.PReLU(channels if self.definition.slopes else 1)

    def norm(self, channels: int) -> nn.Module:
        """Return a batch norm."""
        return nn.BatchNorm2d(channels, eps=self.definition.epsilon)

    def reduction(self, in_channels: int, inner: int, *, stride: int = 1) -> nn.Module:
        """Return the convolution that begins a bottleneck; its kernel is its stride."""
        return nn.Sequential(
            nn.Conv2d(in_channels, inner, stride, stride, bias=False),
            self.norm(inner),
            self.activation(inner),
        )

    def middle(self, inner: int, kind: Kind) -> nn.Module:
        """Return the middle of a bottleneck that keeps the size."""
        bias = self.definition.bias
        convolutions: list[nn.Module]
        if kind == "asymmetric":
            kernel = self.definition.first_of_pair
            between = [self.norm(inner), self.activation(inner)]
            convolutions = [
                nn.Conv2d(inner, inner, kernel, padding="same", bias=False),
                *(between if self.definition.norm_in_pair else []),
                nn.Conv2d(inner, inner, kernel[::-1], padding="same", bias=bias),
            ]
        else:
            convolutions = [nn.Conv2d(inner, inner, 3, 1, kind, kind, bias=bias)]
        return nn.Sequential(*convolutions, self.norm(inner), self.activation(inner))

    def expansion(self, inner: int, out_channels: int, *, active: bool) -> nn.Module:
        """Return the 1x1 convolution that ends a bottleneck, and spatial dropout."""
        return nn.Sequential(
            nn.Conv2d(inner, out_channels, 1, bias=False),
            self.norm(out_channels),
            self.activation(out_channels) if active else nn.Identity(),
            nn.Dropout2d(self.dropout),
        )


class Stem(nn.Module):
    """A strided convolution beside the pooled input, at half size."""

    def __init__(self, in_channels: int, layers: Layers) -> None:
        super().__init__()
        definition = layers.definition
        filters = stem_filters(in_channels)
        self.width = filters + in_channels
        self.convolution = nn.Conv2d(in_channels, filters, 3, 2, padding=1, bias=definition.bias)
        # Half of the size, rounded up as the convolution does.
        kernel = definition.stem_pool
        self.pool = nn.MaxPool2d(kernel, 2, padding=kernel - 2, ceil_mode=kernel == 2)
        self.norm = layers.norm(self.width)
        self.activation = layers.activation(self.width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at half size."""
        both = torch.cat((self.convolution(x), self.pool(x)), dim=1)
        y: Tensor = self.activation(self.norm(both))
        return y


class Bottleneck(nn.Module):
    """A bottleneck that keeps size and channels."""

    def __init__(self, channels: int, kind: Kind, layers: Layers) -> None:
        super().__init__()
        inner = channels // 4
        self.reduce = layers.reduction(channels, inner)
        self.middle = layers.middle(inner, kind)
        self.expand = layers.expansion(inner, channels, active=layers.definition.active_expansion)
        self.activation = layers.activation(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        y: Tensor = self.activation(x + self.expand(self.middle(self.reduce(x))))
        return y


class Downsampling(nn.Module):
    """A bottleneck that halves the size, beside max pooling whose indices it hands on."""

    def __init__(
        self, in_channels: int, out_channels: int, layers: Layers, *, pooling_branch: bool
    ) -> None:
        super().__init__()
        inner = (out_channels if layers.definition.inner_of_output else in_channels) // 4
        self.pool = nn.MaxPool2d(2, 2, return_indices=True) if pooling_branch else None
        self.reduce = layers.reduction(in_channels, inner, stride=2)
        self.middle = layers.middle(inner, REGULAR)
        self.expand = layers.expansion(
            inner, out_channels, active=layers.definition.active_expansion
        )
        self.activation = layers.activation(out_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the map and, with a pooling branch, where its maxima were."""
        y = self.expand(self.middle(self.reduce(x)))
        if self.pool is None:
            return self.activation(y), None
        pooled, indices = self.pool(x)
        channels = y.shape[1] - pooled.shape[1]
        return self.activation(y + functional.pad(pooled, (0, 0, 0, 0, 0, channels))), indices


class Upsampling(nn.Module):
    """A bottleneck that doubles the size, beside unpooling by the encoder's indices."""

    def __init__(
        self, in_channels: int, out_channels: int, layers: Layers, *, pooling_branch: bool
    ) -> None:
        super().__init__()
        definition = layers.definition
        inner = (out_channels if definition.inner_of_output else in_channels) // 4
        self.shortcut = (
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), layers.norm(out_channels)
            )
            if pooling_branch
            else None
        )
        self.reduce = layers.reduction(in_channels, inner)
        self.enlarge = transposed(inner, inner, kernel=definition.up_kernel, bias=definition.bias)
        self.middle = nn.Sequential(layers.norm(inner), layers.activation(inner))
        self.expand = layers.expansion(inner, out_channels, active=False)
        self.activation = layers.activation(out_channels)

    def forward(self, x: Tensor, indices: Tensor | None, size: Sequence[int]) -> Tensor:
        """Return the map at a height and width, those before the pooling."""
        y = self.expand(self.middle(fitted(self.enlarge(self.reduce(x)), size)))
        if self.shortcut is not None and indices is not None:
            y = y + max_unpool(self.shortcut(x), indices, size=size)
        activated: Tensor = self.activation(y)
        return activated
