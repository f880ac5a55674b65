"""Cost of a network: parameters and multiply-accumulates at a size, without running it."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from eventseg.networks.network import SegmentationNetwork, parameter_count


class Cost(NamedTuple):
    """Trainable parameters, and multiply-accumulates of one input in 10^9."""

    parameters: int
    gmac: float


def cost(network: SegmentationNetwork, *, height: int, width: int) -> Cost:
    """Return the cost of one forward pass in evaluation mode.

    Multiply-accumulates are those of convolutions, transposed ones too, and matrix products, as
    PyTorch's counter finds them; "FLOPs" in papers are usually twice as many. The network is
    copied to the meta device: nothing is computed.

    Parameters
    ----------
    network : SegmentationNetwork
        On any device.
    height, width : int
        Size of the input.
    """
    shadow = _shadow(network)
    x = torch.empty(1, network.in_channels, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(x)
    return Cost(parameter_count(network), counter.get_total_flops() / 2e9)


def smallest_stride(network: SegmentationNetwork, *, size: int = 512) -> int:
    """Return the output stride: how much smaller the smallest convolved map is than the input.

    Pooled pyramids are no maps: sizes of 6 and less are left out.
    """
    sizes: list[int] = []

    def note(_module: object, _inputs: object, output: torch.Tensor) -> None:
        if output.dim() == 4 and output.shape[-1] > 6:
            sizes.append(output.shape[-1])

    shadow = _shadow(network)
    for module in shadow.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(note)
    with torch.no_grad():
        shadow(torch.empty(1, network.in_channels, size, size, device="meta"))
    return round(size / min(sizes))


def layers(network: SegmentationNetwork, *, height: int, width: int) -> list[str]:
    """Return one line for every layer that computes: name, kind, output shape, parameters."""
    rows: list[tuple[str, str, str, str]] = []
    shadow = _shadow(network)
    names = {module: name for name, module in shadow.named_modules()}

    def note(module: torch.nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            shape = "x".join(map(str, output.shape[1:]))
            count = sum(p.numel() for p in module.parameters())
            rows.append((names[module], type(module).__name__, shape, f"{count:,}"))

    for module in shadow.modules():
        if not any(module.children()):
            module.register_forward_hook(note)
    with torch.no_grad():
        shadow(torch.empty(1, network.in_channels, height, width, device="meta"))
    columns = [max(len(row[i]) for row in rows) for i in range(4)]
    return [
        f"{name:<{columns[0]}}  {kind:<{columns[1]}}  {shape:>{columns[2]}}  {count:>{columns[3]}}"
        for name, kind, shape, count in rows
    ]


def _shadow(network: SegmentationNetwork) -> SegmentationNetwork:
    """Return a copy that has shapes only."""
    return deepcopy(network).to("meta").eval()
