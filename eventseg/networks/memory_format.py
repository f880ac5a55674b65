"""Memory format of a network: channels last, and the convolutions that must not have it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

MemoryFormat = Literal["contiguous", "channels_last"]
Network = TypeVar("Network", bound=nn.Module)


def in_memory_format(network: nn.Module, memory_format: MemoryFormat) -> None:
    """Bring the weights of a network into a memory format, in place.

    With channels last, dilated depthwise convolutions stay contiguous: the weight gradient that
    PyTorch 2.15 with oneDNN computes for them in bfloat16 is wrong by more than its own size, some
    of it infinite (``tests/networks/test_memory_format.py`` shows both). They are small, so that
    the two copies of their maps cost little.

    Parameters
    ----------
    network : nn.Module
    memory_format : {"contiguous", "channels_last"}
    """
    if memory_format == "contiguous":
        network.to(memory_format=torch.contiguous_format)
        return
    network.to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and max(module.dilation) > 1:
            # One channel a group makes both formats look alike; PyTorch goes by the strides.
            plain = torch.empty(module.weight.shape, dtype=module.weight.dtype)
            module.weight.data = plain.to(module.weight.device).copy_(module.weight.data)
            module.register_forward_pre_hook(_contiguous_input)


def channels_last_copy(network: Network) -> Network:
    """Return a network with channels last beside one that stays as it is.

    Only weights of four dimensions are copied: all others, most of a transformer, are shared.

    Parameters
    ----------
    network : nn.Module
    """
    tensors = (*network.parameters(), *network.buffers())
    copied = deepcopy(network, {id(each): each for each in tensors if each.dim() != 4})
    in_memory_format(copied, "channels_last")
    return copied


def _contiguous_input(_module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
    x: Tensor = inputs[0]
    return (x.contiguous(), *inputs[1:])
