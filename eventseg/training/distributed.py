"""Data-parallel training: exchange between the processes that ``torchrun`` starts.

``torchrun`` tells each process its rank and their number by the environment. Without it there is
one process, and every function here leaves its argument as it is. With gloo (CPU) and NCCL (CUDA)
the same functions run: tensors are exchanged on the device that they are on.
"""

from __future__ import annotations

import os
from copy import deepcopy
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.networks.network import SegmentationNetwork

Value = TypeVar("Value")


def rank() -> int:
    """Return which of the processes this is, from 0; the first one writes and reports."""
    return dist.get_rank() if joined() else int(os.environ.get("RANK", "0"))


def world() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if joined() else int(os.environ.get("WORLD_SIZE", "1"))


def joined() -> bool:
    """Return whether this process has joined others, be it the only one of its group."""
    return dist.is_available() and dist.is_initialized()


def wait_for_all() -> None:
    """Wait until all processes are here, and the files of the first one are there."""
    if joined():
        dist.barrier()


def check_share(batch_size: int, *, world: int) -> None:
    """Check that a batch can be divided among processes.

    Raises
    ------
    TrainingError
        It is no multiple of their number.
    """
    if batch_size % world:
        fewer = " or ".join(str(n) for n in range(1, world) if batch_size % n == 0)
        more = -(-batch_size // world) * world
        raise TrainingError(
            f"{world} processes cannot share batches of {batch_size}: batch_size counts the "
            f"samples of all processes together; set it to a multiple of {world} such as {more}, "
            f"or start {fewer}"
        )


def parallel(
    network: SegmentationNetwork, device: torch.device, *, size: SensorSize, auxiliary_weight: float
) -> nn.Module:
    """Return the network, its gradients averaged over the processes with each backward pass.

    Parameters
    ----------
    network : SegmentationNetwork
        All processes go on with the weights of the first one.
    device : torch.device
    size : SensorSize
        Size of training samples.
    auxiliary_weight : float
        Weight of auxiliary heads in the loss.
    """
    if not joined():
        return network
    # Torch waits for the gradient of every parameter, unless it looks for those without one with
    # each step, which it warns of where there are none.
    some_unused = has_unused_parameters(network, size=size, auxiliary_weight=auxiliary_weight)
    return DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=any(gathered(some_unused)),
    )


def has_unused_parameters(
    network: SegmentationNetwork, *, size: SensorSize, auxiliary_weight: float
) -> bool:
    """Return whether some trained parameter gets no gradient in a step on random inputs.

    Parameters
    ----------
    network : SegmentationNetwork
        The network on its device; it and the random numbers are left as they are.
    size : SensorSize
        Height and width of the inputs.
    auxiliary_weight : float
        Weight of auxiliary heads in the loss; with 0 they get no gradient.
    """
    copy = deepcopy(network).train()
    like = next(copy.parameters())
    device = like.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        # Batch norms need two values.
        shape = (2, copy.in_channels, size.height, size.width)
        outputs = copy(torch.randn(shape, dtype=like.dtype, device=device))
    heads = (outputs,) if isinstance(outputs, Tensor) else outputs
    counted = heads if auxiliary_weight else heads[:1]
    torch.stack([head.logsumexp(1).mean() for head in counted]).sum().backward()  # type: ignore[no-untyped-call]
    return any(each.requires_grad and each.grad is None for each in copy.parameters())


def share_buffers(network: nn.Module) -> None:
    """Give all processes the statistics of the first one's batch norms.

    A forward pass begins with them too, but each process then adds those of its own samples where
    norms are not synchronised.
    """
    if joined():
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def over_processes(values: Tensor) -> Tensor:
    """Return a tensor's sum over the processes; gradients flow to the values of all of them.

    A loss of such sums is the loss of the whole batch, and the same number in each process. The
    mean of the gradients that the processes have of it is the gradient of that loss.
    """
    total: Tensor = _Sum.apply(values) if joined() else values
    return total


def side_by_side(values: Tensor) -> Tensor:
    """Return the tensors of all processes as one of another dimension, by rank: (world, ...).

    All of them must have one shape. No gradient flows back.
    """
    values = values.detach().contiguous()
    if not joined():
        return values[None]
    parts = [torch.empty_like(values) for _ in range(world())]
    dist.all_gather(parts, values)
    return torch.stack(parts)


def summed(values: Tensor) -> Tensor:
    """Return a tensor's sum over the processes, in place."""
    if joined():
        dist.all_reduce(values)
    return values


def summed_count(count: int, device: torch.device) -> int:
    """Return the sum of a number over the processes."""
    return int(summed(torch.tensor(count, device=device))) if joined() else count


def gathered(value: Value) -> list[Value]:
    """Return the values of all processes by rank; they are pickled."""
    if not joined():
        return [value]
    values: list[Value | None] = [None] * world()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


class _Sum(torch.autograd.Function):
    """Sum over the processes of a tensor, and of the gradients that they have of it."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return summed(values.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        return summed(gradients[0].clone(memory_format=torch.contiguous_format))
