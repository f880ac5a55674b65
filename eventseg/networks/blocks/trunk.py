"""Classification networks as trunks of segmentation heads, and their ImageNet weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from eventseg.errors import CheckpointError, NetworkError
from eventseg.networks.blocks.inflate import inflate
from eventseg.networks.network import SegmentationNetwork

COUNTER = "num_batches_tracked"
"""Ending of the counters of batch norms, which old files lack."""


def check_one_of(name: str, value: object, allowed: Iterable[object]) -> None:
    """Refuse a value of an option that is not one of the allowed ones.

    Raises
    ------
    NetworkError
        Names the allowed values.
    """
    values = list(allowed)
    if value not in values:
        raise NetworkError(f"{name} must be one of {', '.join(map(str, values))}, got {value!r}")


def check_positive(name: str, values: Sequence[int] | None, count: int) -> None:
    """Refuse an option that is neither None nor so many positive numbers.

    Raises
    ------
    NetworkError
        Says how many there must be.
    """
    if values is not None and (len(values) != count or min(values) < 1):
        raise NetworkError(f"{name} must be {count} positive numbers, got {values!r}")


class Features(NamedTuple):
    """Maps of a trunk, float (N, C, h, w).

    ``low`` has a quarter of the input's height and width, ``middle`` is the input of an auxiliary
    head looks at, ``deep`` has the trunk's output stride.
    """

    low: Tensor
    middle: Tensor
    deep: Tensor


class Trunk(nn.Module):
    """A classification network without its classifier: an input to :class:`Features`.

    Attributes
    ----------
    widths : (int, int, int)
        Channels of the low, the middle and the deep features.
    imagenet : str or None
        The model of torchvision whose ImageNet weights fit.
    first : str
        Tensor of the first convolution.
    unused : tuple of str
        Beginnings of torchvision's tensors that have no place here.
    """

    widths: tuple[int, int, int]
    imagenet: str | None = None
    first = "conv1.weight"
    unused: tuple[str, ...] = ("fc.",)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Load torchvision's weights, the first convolution inflated to the input's channels.

        Raises
        ------
        CheckpointError
            A tensor is missing, unexpected or of another shape; nothing is loaded then.
        """
        own = self.state_dict()
        given = {name: state[name] for name in state if not name.startswith(self.unused)}
        if self.first in given:
            given[self.first] = inflate(given[self.first], in_channels=own[self.first].shape[1])
        given = {**{name: own[name] for name in own if name.endswith(COUNTER)}, **given}
        wrong = sorted(given.keys() ^ own.keys()) or [
            name for name in own if given[name].shape != own[name].shape
        ]
        if wrong:
            raise CheckpointError(
                f"these are no ImageNet weights of torchvision's {self.imagenet}: {len(wrong)} "
                f"tensors are missing, unexpected or of another shape, such as {wrong[0]}"
            )
        self.load_state_dict(given)


class TrunkNetwork(SegmentationNetwork):
    """A network of heads on a trunk, which is its ``backbone``."""

    backbone: Trunk

    def imagenet_trunk(self) -> str | None:
        """Return torchvision's name of the trunk, None where it has no ImageNet weights."""
        return self.backbone.imagenet

    def load_trunk(self, state: dict[str, Tensor]) -> None:
        """Load torchvision's ImageNet weights into the trunk: all of them, or none.

        Raises
        ------
        NetworkError
            torchvision has none for this trunk.
        CheckpointError
            A tensor is missing, unexpected or of another shape.
        """
        if self.backbone.imagenet is None:
            super().load_trunk(state)
        self.backbone.load_imagenet(state)
