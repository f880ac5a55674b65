"""SegNet: VGG16 and its mirror image, which unpools where the encoder pooled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from eventseg.errors import CheckpointError
from eventseg.networks.blocks.inflate import inflate
from eventseg.networks.blocks.trunk import COUNTER, check_one_of
from eventseg.networks.network import SegmentationNetwork

Logits = Literal["plain", "normalised"]
Vgg = Literal["vgg16_bn", "vgg16"]

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the levels of VGG16."""

DEPTHS = (2, 2, 3, 3, 3)
"""Convolutions of the levels of VGG16."""

FIRST = "features.0.weight"
"""Tensor of the encoder's first convolution, whose inputs are the channels."""


def max_unpool(x: Tensor, indices: Tensor, *, size: Sequence[int]) -> Tensor:
    """Return a map with each value where its maximum was found, zero elsewhere.

    The same as ``torch.nn.functional.max_unpool2d``, which refuses to run where deterministic
    algorithms are asked for.

    Parameters
    ----------
    x : float (N, C, h, w)
    indices : int64 (N, C, h, w)
        As ``max_pool2d`` returns them: row * W + column.
    size : (H, W)
        Height and width before pooling, odd ones too.

    Returns
    -------
    float (N, C, H, W)
    """
    height, width = size
    empty = x.new_zeros((*x.shape[:2], height * width))
    filled = empty.scatter(2, indices.flatten(2), x.flatten(2))
    return filled.view(*x.shape[:2], height, width)


def convolution(in_channels: int, out_channels: int) -> list[nn.Module]:
    """Return a padded 3x3 convolution with batch norm and ReLU."""
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]


class SegNet(SegmentationNetwork):
    """SegNet (Badrinarayanan et al., PAMI 2017).

    Parameters
    ----------
    in_channels, classes : int
        As for every network.
    logits : {"plain", "normalised"}
        Whether the logits are those of the last convolution, or go through batch norm and ReLU,
        as in meetshah1995/pytorch-semseg: good for its checkpoints, not for training, as no
        logit can be negative.
    vgg : {"vgg16_bn", "vgg16"}
        Whose ImageNet weights start the encoder: those with batch norm, or the ones without
        that the paper used, which leave the batch norms as they are.

    Raises
    ------
    NetworkError
        Another kind of logits or trunk.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        logits: Logits = "plain",
        vgg: Vgg = "vgg16_bn",
    ) -> None:
        super().__init__(in_channels, classes)
        check_one_of("logits", logits, ("plain", "normalised"))
        check_one_of("vgg", vgg, ("vgg16_bn", "vgg16"))
        self.vgg = vgg

        # Numbered as in torchvision's vgg16_bn.
        self.features = nn.ModuleList()
        before = in_channels
        for width, depth in zip(WIDTHS, DEPTHS, strict=True):
            for _ in range(depth):
                self.features.extend(convolution(before, width))
                before = width
            self.features.append(nn.MaxPool2d(2, stride=2, return_indices=True))

        # From the deepest level up; the last convolution of the first level gives the logits.
        self.decoder = nn.ModuleList()
        for level in reversed(range(len(WIDTHS))):
            layers = [
                layer
                for _ in range(DEPTHS[level] - 1)
                for layer in convolution(WIDTHS[level], WIDTHS[level])
            ]
            if level:
                layers += convolution(WIDTHS[level], WIDTHS[level - 1])
            self.decoder.append(nn.Sequential(*layers))
        last = convolution(WIDTHS[0], classes)
        self.logits = nn.Sequential(*(last if logits == "normalised" else last[:1]))

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return the logits at the input's size."""
        pooled = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                size = x.shape[-2:]
                x, indices = layer(x)
                pooled.append((indices, size))
            else:
                x = layer(x)
        for convolve in self.decoder:
            indices, size = pooled.pop()
            x = convolve(max_unpool(x, indices, size=size))
        return [self.logits(x)]

    def imagenet_trunk(self) -> str:
        """Return torchvision's name of the encoder."""
        return self.vgg

    def load_trunk(self, state: dict[str, Tensor]) -> None:
        """Load torchvision's VGG16 into the encoder; its classifier is left out.

        Raises
        ------
        CheckpointError
            A tensor is missing, unexpected or of another shape.
        """
        own = {n: tensor for n, tensor in self.state_dict().items() if n.startswith("features.")}
        names = self._trunk_names()
        given = {
            names.get(name, name): tensor
            for name, tensor in state.items()
            if not name.startswith("classifier.")
        }
        if FIRST in given:
            given[FIRST] = inflate(given[FIRST], in_channels=self.in_channels)
        # What torchvision's file need not hold stays as it is.
        needed = {name for name in names.values() if not name.endswith(COUNTER)}
        given = {**{name: own[name] for name in own.keys() - needed}, **given}
        wrong = sorted(given.keys() ^ own.keys()) or [
            name for name in own if given[name].shape != own[name].shape
        ]
        if wrong:
            raise CheckpointError(
                f"these are no ImageNet weights of torchvision's {self.vgg}: {len(wrong)} tensors "
                f"are missing, unexpected or of another shape, such as {wrong[0]}"
            )
        self.load_state_dict({**self.state_dict(), **given})

    def _trunk_names(self) -> dict[str, str]:
        """Return torchvision's name of each tensor of the encoder with ours."""
        names = {}
        place = 0
        for index, layer in enumerate(self.features):
            if self.vgg == "vgg16" and isinstance(layer, nn.BatchNorm2d):
                continue
            for tensor in layer.state_dict():
                names[f"features.{place}.{tensor}"] = f"features.{index}.{tensor}"
            place += 1
        return names
