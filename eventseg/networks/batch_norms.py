"""Statistics of batch norms, taken anew from inputs."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from eventseg.networks.network import batch_norms


@torch.no_grad()
def retake_statistics(network: nn.Module, inputs: Iterable[Tensor]) -> int:
    """Replace the running statistics of batch norms by means over batches, in place.

    Weights, scales and shifts stay, as do batch norms that are frozen: those in evaluation mode
    while the network is in training mode. Every batch weighs the same, as in Wu and Johnson,
    Rethinking "Batch" in BatchNorm, arXiv 2105.07576, section 3 (there called PreciseBN). The
    network is left in evaluation mode.

    Parameters
    ----------
    network : nn.Module
    inputs : iterable of float32 (N, C, H, W)

    Returns
    -------
    int
        Number of batches; with none the statistics stay.
    """
    network.train()
    taken = [module for module in batch_norms(network) if module.training]
    network.eval()
    momenta = [module.momentum for module in taken]
    count = 0
    try:
        for count, x in enumerate(inputs, start=1):
            for module in taken:
                module.train()
                # The mean of k batches is that of k - 1 moved by 1 / k to the last one.
                module.momentum = 1 / count
            network(x)
    finally:
        for module, momentum in zip(taken, momenta, strict=True):
            module.momentum = momentum
            module.eval()
    return count
