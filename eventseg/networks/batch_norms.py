"""Statistics of batch norms, taken anew from inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(slots=True)
class Moments:
    """Count, mean and summed squared deviation of each channel so far, in float64."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    deviation: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))

    def add(self, x: Tensor) -> None:
        """Add a map, float (N, C, H, W): its own moments, pooled exactly (Chan et al. 1983)."""
        count = x.numel() // x.shape[1]
        exact = x if x.dtype == torch.float64 else x.float()
        # Two passes, a tenth of the time of torch.var_mean on a CPU.
        middle = exact.mean((0, 2, 3), keepdim=True)
        variance = (exact - middle).square_().mean((0, 2, 3)).double()
        mean = middle.flatten().double()
        total = self.count + count
        distance = mean - self.mean.to(mean)
        self.mean = self.mean.to(mean) + distance * (count / total)
        between = distance.square() * (self.count * count / total)
        self.deviation = self.deviation.to(mean) + count * variance + between
        self.count = total


@torch.no_grad()
def retake_statistics(
    network: nn.Module,
    norms: Sequence[nn.BatchNorm2d],
    inputs: Iterable[Tensor],
    *,
    pool: Callable[[Moments], Moments] = lambda moments: moments,
) -> None:
    """Replace the running statistics of batch norms by those of given inputs, in place.

    Mean and unbiased variance of each norm's input over all pixels of all batches, where every
    norm normalises by its own batch, as in training (Wu and Johnson, Rethinking "Batch" in
    BatchNorm, arXiv 2105.07576, section 3; on other data than those of training it is AdaBN, Li et
    al., arXiv 1603.04779). Weights, scales, shifts and other norms stay.

    Parameters
    ----------
    network : nn.Module
        It is left in evaluation mode.
    norms : sequence of nn.BatchNorm2d
        Norms of the network that keep running statistics.
    inputs : iterable of float (N, C, H, W)
        Batches on the network's device; without any the statistics stay.
    pool : callable
        Adds to the moments of a norm's inputs those that other processes have seen.
    """
    network.eval()
    moments = [Moments() for _ in norms]
    with _watched(norms, moments):
        for x in inputs:
            network(x)
    for norm, own in zip(norms, moments, strict=True):
        seen = pool(own)
        if seen.count > 1 and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.copy_(seen.mean)
            norm.running_var.copy_(seen.deviation / (seen.count - 1))


@contextmanager
def _watched(norms: Sequence[nn.BatchNorm2d], moments: Sequence[Moments]) -> Iterator[None]:
    """Let norms normalise by their batches and add the moments of their inputs."""
    momenta = [norm.momentum for norm in norms]
    hooks = []
    for norm, seen in zip(norms, moments, strict=True):
        norm.train()
        norm.momentum = 0.0  # the statistics stay until all batches are seen

        def add(_norm: nn.Module, args: tuple[Any, ...], seen: Moments = seen) -> None:
            seen.add(args[0])

        hooks.append(norm.register_forward_pre_hook(add))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
