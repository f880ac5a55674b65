"""Base class of the networks: a checked input, and logits at the input's height and width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from eventseg.errors import NetworkError
from eventseg.networks.resizing import enlarge_by_products

SMALL, FEWEST_TIMES = 128, 3
"""Largest side of logits that training on a CPU enlarges by matrix products, and least factor."""


class SegmentationNetwork(nn.Module, ABC):
    """Base of all networks; a network defines :meth:`heads` and nothing else.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    classes : int
        Classes of the logits.
    align_corners : bool
        How logits are enlarged to the input's size.

    Raises
    ------
    NetworkError
        Fewer than one channel or class.
    """

    def __init__(self, in_channels: int, classes: int, *, align_corners: bool = False) -> None:
        super().__init__()
        if in_channels < 1 or classes < 1:
            raise NetworkError(
                f"a network needs at least one input channel and one class, got {in_channels} "
                f"channels and {classes} classes"
            )
        self.in_channels = in_channels
        self.classes = classes
        self.align_corners = align_corners
        self.frozen_batch_norm = False
        self.frozen: tuple[str, ...] = ()

    @abstractmethod
    def heads(self, x: Tensor) -> Sequence[Tensor]:
        """Return logits (N, classes, h, w) of any size: the main head, then auxiliary ones.

        Auxiliary heads run in training mode only, where the network was built with them.
        """

    def imagenet_trunk(self) -> str | None:
        """Return torchvision's name of the trunk that it has ImageNet weights of, or None."""
        return None

    def load_trunk(self, state: dict[str, Tensor]) -> None:  # noqa: ARG002
        """Load torchvision's ImageNet weights into the trunk: all of them, or none.

        Raises
        ------
        CheckpointError
            A tensor is missing, unexpected or of another shape.
        """
        raise NetworkError(f"{type(self).__name__} has no trunk that torchvision has weights of")

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return logits at the input's height and width.

        Parameters
        ----------
        x : float (N, in_channels, H, W)

        Returns
        -------
        float (N, classes, H, W), or a tuple of them
            A tuple ``(main, auxiliary, ...)`` in training mode of a network that was built with
            auxiliary heads, a tensor everywhere else.

        Raises
        ------
        NetworkError
            An input of another number of dimensions or channels.
        """
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise NetworkError(
                f"this {type(self).__name__} was built for inputs "
                f"(N, {self.in_channels}, H, W), got {tuple(x.shape)}"
            )
        outputs = [self._at_size(logits, x) for logits in self.heads(x)]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _at_size(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return logits at the input's height and width, float (N, classes, H, W)."""
        (h, w), size = logits.shape[-2:], (x.shape[-2], x.shape[-1])
        pays = max(h, w) <= SMALL and FEWEST_TIMES * h <= size[0] and FEWEST_TIMES * w <= size[1]
        if logits.device.type == "cpu" and logits.requires_grad and pays:
            return enlarge_by_products(logits, size, align_corners=self.align_corners)
        return resize(logits, x, align_corners=self.align_corners)

    def train(self, mode: bool = True) -> Self:
        """Switch to training or evaluation mode; frozen batch norms stay in evaluation mode.

        These are all of them after :meth:`freeze_batch_norm`, and those of parts that
        :meth:`freeze` has frozen.
        """
        super().train(mode)
        for name, module in self.named_modules():
            if isinstance(module, nn.BatchNorm2d) and (
                self.frozen_batch_norm or self._is_frozen(f"{name}.weight")
            ):
                module.eval()
        return self

    def freeze_batch_norm(self) -> Self:
        """Keep the statistics, scales and shifts of all batch norms as they are."""
        self.frozen_batch_norm = True
        for norm in batch_norms(self):
            for parameter in norm.parameters():
                parameter.requires_grad_(False)
        return self.train(self.training)

    def freeze(self, beginnings: Iterable[str]) -> Self:
        """Keep the parameters whose names begin so, and the statistics of their batch norms.

        Parameters
        ----------
        beginnings : iterable of str
            Such as ``backbone.``; in late fusion they hold for both networks.

        Raises
        ------
        NetworkError
            A beginning that no parameter's name has.
        """
        self.frozen = tuple(beginnings)
        check_beginnings(self, self.frozen, setting="network.frozen")
        for name, parameter in self.named_parameters():
            if self._is_frozen(name):
                parameter.requires_grad_(False)
        return self.train(self.training)

    def _is_frozen(self, name: str) -> bool:
        return plain_name(name).startswith(self.frozen)


def plain_name(name: str) -> str:
    """Return the name of a tensor as it is in one network alone, in late fusion too."""
    return name.removeprefix("of_frame.").removeprefix("of_events.")


def check_beginnings(network: nn.Module, beginnings: Iterable[str], *, setting: str) -> None:
    """Check that each beginning is that of a parameter's name.

    Parameters
    ----------
    network : nn.Module
    beginnings : iterable of str
    setting : str
        Setting that names them, for the error.

    Raises
    ------
    NetworkError
        Names the first that is not, and the parts that the network has.
    """
    names = [plain_name(name) for name, _ in network.named_parameters()]
    for beginning in beginnings:
        if not beginning or not any(name.startswith(beginning) for name in names):
            parts = sorted({f"{name.partition('.')[0]}." for name in names if "." in name})
            raise NetworkError(
                f"{setting}: no parameter's name begins with {beginning!r}; this network has "
                f"{', '.join(parts)}"
            )


def batch_norms(network: nn.Module) -> Iterable[nn.BatchNorm2d]:
    """Return the batch norms of a network."""
    return (module for module in network.modules() if isinstance(module, nn.BatchNorm2d))


def resize(x: Tensor, like: Tensor, *, align_corners: bool = False) -> Tensor:
    """Return a map enlarged or shrunk, bilinear, to the height and width of another.

    By size and never by a factor, so that maps of odd inputs meet; one that has the size already
    is returned as it is.

    Parameters
    ----------
    x : float (N, C, h, w)
    like : float (N, any, H, W)
    align_corners : bool
        Whether the centres of the corner pixels coincide (True) or the corners of the image.

    Returns
    -------
    float (N, C, H, W)
    """
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return functional.interpolate(
        x, size=like.shape[-2:], mode="bilinear", align_corners=align_corners
    )


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch norm for maps that are pooled to one pixel.

    A batch of one such map has a single value a channel and so no variance: plain batch norm
    refuses to train on it. Here such a batch is normalised by the running statistics, which it
    leaves as they are. Any larger batch is treated as usual.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised map, (N, C, h, w)."""
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(x)


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable parameters; statistics of batch norms are none."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
