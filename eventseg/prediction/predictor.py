"""Class probabilities of a trained network for one input, over scales and flips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eventseg.errors import TrainingError
from eventseg.networks import InputSpec, TrainedNetwork
from eventseg.networks.inputs import scaled
from eventseg.sources.source import Source


@dataclass(frozen=True, slots=True)
class Passes:
    """Which views of an input are averaged.

    Parameters
    ----------
    scales : tuple of float
        Sizes as factors of the input's.
    flip : bool
        Whether each is also seen mirrored.

    Raises
    ------
    TrainingError
        No scale, or one that is not above 0.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(scale > 0 for scale in self.scales):
            raise TrainingError(f"scales must be one or more numbers above 0, got {self.scales}")

    def __str__(self) -> str:
        """Return the passes in words."""
        if self == Passes():
            return "single pass"
        words = f"scales {', '.join(f'{scale:g}' for scale in self.scales)}"
        return f"{words} and flip" if self.flip else words


SINGLE = Passes()
PUBLISHED = Passes((1.0, 0.75, 1.5), flip=True)
"""The six passes of EV-SegNet's final test, as its code has them."""


def network_input(
    source: Source, i: int, *, inputs: InputSpec, window: str, shift_us: int = 0
) -> Tensor:
    """Return what a network sees of a sample, float32 (C, H, W), at the sample's own size.

    Parameters
    ----------
    source : Source
    i : int
        Index of the sample.
    inputs : InputSpec
        What the network was trained to see.
    window : str
        Window of the events.
    shift_us : int
        How much earlier the window lies than it should, for the baseline of a wrong clock.
    """
    parts = []
    if inputs.kind != "events":
        parts.append(scaled(source.image(i, colour=inputs.kind == "rgb"), inputs.scaling))
    if inputs.kind in ("events", "both"):
        move = None if shift_us == 0 else lambda span: (span[0] - shift_us, span[1] - shift_us)
        parts.append(source.events(i, window, normalise=inputs.normalise, change_window=move))
    return torch.from_numpy(np.ascontiguousarray(np.concatenate(parts)))


@torch.inference_mode()
def probabilities(
    trained: TrainedNetwork, x: Tensor, *, size: tuple[int, int], passes: Passes = SINGLE
) -> Tensor:
    """Return class probabilities, averaged over the passes.

    Frames are resized bilinearly and events to the nearest pixel, as in training; probabilities
    come back bilinearly.

    Parameters
    ----------
    trained : TrainedNetwork
    x : float32 (N, C, H, W)
        On the network's device.
    size : (int, int)
        Height and width of the result.
    passes : Passes

    Returns
    -------
    float32 (N, K, height, width)
        Of sum 1 over the classes.
    """
    inputs = trained.inputs
    whole = inputs.size or (int(x.shape[-2]), int(x.shape[-1]))
    total: Tensor | None = None
    for scale in passes.scales:
        seen = resize_input(x, (round(whole[0] * scale), round(whole[1] * scale)), kind=inputs.kind)
        for mirrored in (False, True)[: 1 + passes.flip]:
            logits = trained.network(seen.flip(-1) if mirrored else seen)
            assert isinstance(logits, Tensor)  # in evaluation mode there are no auxiliary heads
            logits = logits.flip(-1) if mirrored else logits
            made = functional.softmax(_bilinear(logits.float(), size), dim=1)
            total = made if total is None else total + made
    assert total is not None
    return total / (len(passes.scales) * (1 + passes.flip))


def resize_input(x: Tensor, size: tuple[int, int], *, kind: str) -> Tensor:
    """Return inputs (N, C, H, W) at another size: frames bilinear, events the nearest pixel."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if kind in ("gray", "rgb"):
        return _bilinear(x, size)
    nearest = functional.interpolate(x, size=size, mode="nearest-exact")
    if kind == "both":
        nearest[:, :1] = _bilinear(x[:, :1], size)
    return nearest


def _bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=False)
