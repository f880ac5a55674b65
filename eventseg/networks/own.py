"""Networks of a user's own: any module that returns logits, as a segmentation network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from eventseg.errors import NetworkError
from eventseg.files.extensions import short_extension
from eventseg.networks.network import SegmentationNetwork


class OwnNetwork(SegmentationNetwork):
    """A module of a user's own, with the checks and the resizing of all networks.

    Parameters
    ----------
    own : nn.Module
        Takes float (N, in_channels, H, W). Returns logits (N, classes, h, w) of any size; or the
        main logits followed by auxiliary ones, as a sequence or as a mapping whose first value is
        the main one, as in torchvision.
    in_channels, classes : int
    name : str
        Name for error messages.
    """

    def __init__(self, own: nn.Module, in_channels: int, classes: int, *, name: str) -> None:
        super().__init__(in_channels, classes)
        self.own = own
        self.name = name

    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return the logits of the module; auxiliary ones in training mode only."""
        outputs = self.own(x)
        if isinstance(outputs, Mapping):
            outputs = tuple(outputs.values())
        heads = tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)
        expected = (len(x), self.classes)
        for head in heads or (None,):
            if not isinstance(head, Tensor) or head.dim() != 4 or head.shape[:2] != expected:
                shape = tuple(head.shape) if isinstance(head, Tensor) else type(head).__name__
                raise NetworkError(
                    f"{self.name} must return logits ({len(x)}, {self.classes}, h, w) for an "
                    f"input {tuple(x.shape)}, got {shape}"
                )
        return heads if self.training else heads[:1]


def build_own(
    make: Callable[..., Any], in_channels: int, classes: int, *, spec: str, **options: Any
) -> SegmentationNetwork:
    """Build a network from a class or function of a user's own.

    Parameters
    ----------
    make : callable
        Called as ``make(in_channels, classes, **options)``; returns an ``nn.Module``.
    in_channels, classes : int
    spec : str
        ``FILE.py:NAME``.
    **options
        Options of ``make``.

    Raises
    ------
    NetworkError
        Something that cannot be called, or that returns no module.
    """
    name = short_extension(spec)
    if not callable(make):
        raise NetworkError(
            f"{name} is a {type(make).__name__}; name a class or a function that is called as "
            "NAME(in_channels, classes)"
        )
    network = make(in_channels, classes, **options)
    if isinstance(network, SegmentationNetwork):
        return network
    if not isinstance(network, nn.Module):
        raise NetworkError(
            f"{name}({in_channels}, {classes}) returns a {type(network).__name__}; it must return "
            "a torch.nn.Module"
        )
    return OwnNetwork(network, in_channels, classes, name=name)
