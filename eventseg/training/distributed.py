"""Data-parallel training: exchange between the processes that ``torchrun`` starts.

``torchrun`` tells each process its rank and their number by the environment. Without it there is
one process, and every function here leaves its argument as it is.
"""

from __future__ import annotations

import atexit
import os
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from eventseg.errors import TrainingError

Value = TypeVar("Value")


def rank() -> int:
    """Return which of the processes this is, from 0; the first one writes and reports."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join_processes(device: torch.device) -> None:
    """Join the processes, by NCCL on CUDA and by gloo on the CPU, until this one ends.

    Raises
    ------
    TrainingError
        They cannot be joined.
    """
    if world() == 1 or dist.is_initialized():
        return
    try:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise TrainingError(
            f"process {rank()} of {world()} cannot join the others: {error}; start them with "
            "torchrun, or unset RANK and WORLD_SIZE"
        ) from error
    # A group that was left cannot be joined again without a race for its address.
    atexit.register(dist.destroy_process_group)


def wait_for_all() -> None:
    """Wait until all processes are here, and the files of the first one are there."""
    if world() > 1:
        dist.barrier()


def parallel(network: nn.Module, device: torch.device, *, some_unused: bool) -> nn.Module:
    """Return the network, its gradients averaged over the processes with each backward pass.

    Parameters
    ----------
    network : nn.Module
        All processes go on with the weights of the first one.
    device : torch.device
    some_unused : bool
        Whether some parameters may get no gradient; torch must look for them then.
    """
    if world() == 1:
        return network
    return DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=some_unused,
    )


def share_buffers(network: nn.Module) -> None:
    """Give all processes the statistics of the first one's batch norms.

    A forward pass begins with them too, but each process then adds those of its own samples.
    """
    if world() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def mean_loss(loss: Tensor, images: int) -> tuple[float, int]:
    """Return the mean loss over the images of all processes, and their number.

    A loss of one process that is no number is no number in all of them, so that all of them stop.
    """
    if world() == 1:
        return float(loss.detach()), images
    both = torch.stack((loss.detach().double() * images, loss.new_tensor(images).double()))
    total, count = summed(both).tolist()
    return total / count, int(count)


def summed(values: Tensor) -> Tensor:
    """Return a tensor's sum over the processes, in place."""
    if world() > 1:
        dist.all_reduce(values)
    return values


def gathered(value: Value) -> list[Value]:
    """Return the values of all processes by rank; they are pickled."""
    if world() == 1:
        return [value]
    values: list[Value | None] = [None] * world()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]
