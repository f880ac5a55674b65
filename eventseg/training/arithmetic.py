"""Precision and memory format of a training: as asked, or the fastest of a short probe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from eventseg.events import SensorSize
from eventseg.networks.memory_format import MemoryFormat, in_memory_format
from eventseg.networks.network import SegmentationNetwork
from eventseg.training.config.config import TrainConfig
from eventseg.training.distributed import world

Precision = Literal["off", "bf16", "fp16"]

LEAST_UPDATES = 100
"""Trainings of fewer updates are not probed: the probe would take as long as it saves."""

LEAST_GAIN = {"channels_last": 1.05, "bf16": 1.2}
"""Ratio of times from which a candidate is taken: bfloat16 rounds, so it must gain more."""

STEPS = 2
"""Timed steps of a candidate, after one or two that are not."""

HOPELESS = 3.0
"""A first step, of a GPU the second, that takes so many times the best step ends a candidate."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Precision and memory format of a training.

    Parameters
    ----------
    amp : {"off", "bf16", "fp16"}
        Precision of the forward pass; ``off`` is float32.
    memory_format : {"contiguous", "channels_last"}
        Memory format of weights and maps.
    step_ms : mapping of str to float
        Milliseconds of a training step by the candidates of the probe, such as
        ``"bf16 channels_last"``; empty where nothing was probed.
    """

    amp: Precision
    memory_format: MemoryFormat
    step_ms: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return both on one line, with the times of the probe."""
        layout = "channels last" if self.memory_format == "channels_last" else "contiguous"
        text = f"{'float32' if self.amp == 'off' else self.amp}, {layout}"
        if not self.step_ms:
            return text
        times = ", ".join(f"{name} {ms:.0f}" for name, ms in self.step_ms.items())
        return f"{text} (probe, ms a step: {times})"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for ``run.json``."""
        return asdict(self)

    def applied_to(self, config: TrainConfig) -> TrainConfig:
        """Return settings in which nothing is automatic."""
        return replace(config, amp=self.amp, memory_format=self.memory_format)


def arithmetic_of(
    config: TrainConfig,
    network: SegmentationNetwork,
    *,
    size: SensorSize,
    updates: int,
    held: Mapping[str, Any] | None = None,
) -> Arithmetic:
    """Return precision and memory format of a training.

    Parameters
    ----------
    config : TrainConfig
        Its ``amp`` and ``memory_format``; each that is ``auto`` is chosen.
    network : SegmentationNetwork
        The network on its device; it is left as it is.
    size : SensorSize
        Size of training samples.
    updates : int
        Length of the training; below :data:`LEAST_UPDATES` nothing is probed.
    held : mapping, optional
        Entry ``arithmetic`` of the run that continues: its choice stays.
    """
    amp, memory_format = config.amp, config.memory_format
    if held is not None:
        return Arithmetic(
            held["amp"] if amp == "auto" else amp,
            held["memory_format"] if memory_format == "auto" else memory_format,
        )
    precisions: list[Precision] = ["off", "bf16"] if amp == "auto" else [amp]
    formats: list[MemoryFormat] = (
        ["contiguous", "channels_last"] if memory_format == "auto" else [memory_format]
    )
    candidates = [Arithmetic(each, form) for each in precisions for form in formats]
    if len(candidates) == 1 or updates < LEAST_UPDATES:
        return candidates[0]
    return _fastest(candidates, config, network, size=size)


def _fastest(
    candidates: list[Arithmetic],
    config: TrainConfig,
    network: SegmentationNetwork,
    *,
    size: SensorSize,
) -> Arithmetic:
    batch = _probe_batch(config, network)
    times = _times(candidates, network, size=size, batch=batch)
    # What does not fit into memory is no choice; where nothing does, fewer samples compare.
    while not any(map(math.isfinite, times)) and batch > 1:
        batch //= 2
        times = _times(candidates, network, size=size, batch=batch)
    step_ms = {
        f"{each.amp.replace('off', 'float32')} {each.memory_format}": round(1000 * seconds, 1)
        for each, seconds in zip(candidates, times, strict=True)
        if math.isfinite(seconds)
    }
    chosen = 0
    for i, candidate in enumerate(candidates):
        gain = LEAST_GAIN["bf16" if candidate.amp != candidates[chosen].amp else "channels_last"]
        if times[i] * gain < times[chosen]:
            chosen = i
    return replace(candidates[chosen], step_ms=step_ms)


def _probe_batch(config: TrainConfig, network: nn.Module) -> int:
    """Return the samples of a probed step: few on the CPU, those of the training on a GPU."""
    least = min(config.batch_size, 2)  # batch norms need two values
    # On a GPU a small batch takes the time of its launches, in which the candidates are alike.
    return max(least, config.batch_size // world()) if _on_gpu(network) else least


def _on_gpu(network: nn.Module) -> bool:
    return next(network.parameters()).device.type == "cuda"


def _times(
    candidates: list[Arithmetic], network: SegmentationNetwork, *, size: SensorSize, batch: int
) -> list[float]:
    times: list[float] = []
    for candidate in candidates:
        best = min(times, default=math.inf)
        times.append(step_seconds(candidate, network, size=size, batch=batch, best=best))
    return times


def step_seconds(
    arithmetic: Arithmetic,
    network: SegmentationNetwork,
    *,
    size: SensorSize,
    batch: int,
    best: float = math.inf,
) -> float:
    """Return the least seconds of a training step on random inputs.

    Infinite where the step is hopeless, or where the GPU has too little memory for it.

    Parameters
    ----------
    arithmetic : Arithmetic
    network : SegmentationNetwork
        It is left as it is.
    size : SensorSize
        Height and width of the inputs.
    batch : int
        Samples of a step.
    best : float
        Seconds of a better candidate; a first step of :data:`HOPELESS` times them ends the
        measurement.
    """
    device = next(network.parameters()).device
    try:
        copy = deepcopy(network).train()
        in_memory_format(copy, arithmetic.memory_format)
        # The numbers of the training itself must not depend on whether something was measured.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            x = torch.randn(batch, network.in_channels, size.height, size.width, device=device)
            if arithmetic.memory_format == "channels_last":
                x = x.contiguous(memory_format=torch.channels_last)
            return _least_seconds(
                lambda: _timed_step(arithmetic, copy, x), best=best, loads_kernels=_on_gpu(network)
            )
    except torch.OutOfMemoryError:
        return math.inf


def _least_seconds(step: Callable[[], float], *, best: float, loads_kernels: bool) -> float:
    """Return the least of :data:`STEPS` times of a step, infinite where its first is hopeless.

    Parameters
    ----------
    step : callable
        Makes a step and returns its seconds.
    best : float
        Seconds of a better candidate.
    loads_kernels : bool
        Whether one more step comes first that does not count. On a GPU the first step of each
        format and type loads kernels and plans convolutions, which takes many steps' time.
    """
    if loads_kernels:
        step()
    if step() > HOPELESS * best:
        return math.inf
    return min(step() for _ in range(STEPS))


def _timed_step(candidate: Arithmetic, network: nn.Module, x: Tensor) -> float:
    begin = time.perf_counter()
    with autocast(candidate.amp, x.device):
        outputs = network(x)
    heads = (outputs,) if isinstance(outputs, Tensor) else outputs
    torch.stack([head.float().logsumexp(1).mean() for head in heads]).sum().backward()  # type: ignore[no-untyped-call]
    network.zero_grad(set_to_none=True)
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - begin


def autocast(amp: str, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass: mixed precision, or float32 throughout.

    Raises
    ------
    ValueError
        ``auto``, which :func:`arithmetic_of` decides before.
    """
    if amp == "auto":
        raise ValueError(
            "amp must be off, bf16 or fp16 in a pass; auto is chosen before a training"
        )
    kind = torch.float16 if amp == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=kind, enabled=amp != "off")
