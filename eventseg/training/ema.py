"""Exponential moving average of a network's weights."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def averaged_copy(network: Network) -> Network:
    """Return a copy that holds the average: in evaluation mode, with nothing to train."""
    return deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, *, decay: float, update: int) -> None:
    """Move the averaged weights towards the network's; copy the statistics of batch norms.

    ``average <- d average + (1 - d) weight`` with ``d = min(decay, (1 + update) / (10 + update))``,
    so that a short run does not stay at the weights it began with.

    Parameters
    ----------
    average : nn.Module
        From :func:`averaged_copy` of the network.
    network : nn.Module
    decay : float
        In [0, 1).
    update : int
        Updates made before this one, from 0.
    """
    reached = min(decay, (1 + update) / (10 + update))
    averaged: list[Tensor] = list(average.parameters())
    torch._foreach_lerp_(averaged, list(network.parameters()), 1 - reached)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)
