"""Stop watch of the steps from events to a label map, and the machine that takes them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from eventseg.device.environment import processor_model

STEPS = ("read", "encode", "copy", "network", "argmax")
"""Steps in order; of stored tensors and of pictures alone nothing is encoded."""


class StopWatch:
    """Times of the steps of one sample; the device is waited for at the end of each.

    Parameters
    ----------
    device : torch.device

    Attributes
    ----------
    times_ms : dict of str to float
    """

    def __init__(self, device: torch.device) -> None:
        self.times_ms: dict[str, float] = {}
        self._device = device

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a block of code under a name."""
        begin = time.perf_counter()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.times_ms[name] = 1e3 * (time.perf_counter() - begin)


def machine_of(device: torch.device) -> str:
    """Return processor, threads, GPU and version of torch in words."""
    threads = torch.get_num_threads()
    parts = [
        f"{processor_model()}, {os.cpu_count()} processors",
        f"{threads} thread{'s' * (threads != 1)}",
    ]
    if device.type == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    return ", ".join([*parts, f"torch {torch.__version__}"])
