"""Learning rates as functions of the iteration, and the one schedule that looks at a score."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from eventseg.training.config.optimisation import ScheduleSpec

FIRST_DIVISOR = 25
"""Base rate over the first rate of ``one_cycle``, as in PyTorch."""


@dataclass(frozen=True, slots=True)
class Plateau:
    """State of the plateau schedule; saved in the checkpoint, field by field.

    Parameters
    ----------
    scale : float
        Product of the factors so far.
    best : float
        Best score so far.
    waited : int
        Epochs since then, or since the last fall.
    """

    scale: float = 1.0
    best: float = -math.inf
    waited: int = 0


def learning_rate(
    spec: ScheduleSpec,
    iteration: int,
    *,
    base: float,
    iterations: int,
    iterations_per_epoch: int,
    plateau: Plateau | None = None,
) -> float:
    """Return the learning rate of an iteration.

    Parameters
    ----------
    spec : ScheduleSpec
    iteration : int
        Updates made before this one, from 0.
    base : float
        The optimiser's learning rate.
    iterations : int
        Length of the entire training.
    iterations_per_epoch : int
    plateau : Plateau, optional
        State of a ``plateau`` schedule; by default a fresh one.
    """
    by_epoch = spec.unit == "epoch"
    k = iteration // iterations_per_epoch if by_epoch else iteration
    length = spec.length or (-(-iterations // iterations_per_epoch) if by_epoch else iterations)
    rate = base
    if spec.kind == "poly":
        left = max(0.0, 1 - k / length)
        rate = spec.end + (base - spec.end) * left**spec.power
    elif spec.kind == "cosine":
        rate = _half_cosine(base, spec.end, k / length)
    elif spec.kind == "one_cycle":
        rate = _one_cycle(spec, k, base=base, length=length)
    elif spec.kind == "step":
        rate = base * spec.factor ** (k // spec.step)
    elif spec.kind == "plateau":
        rate = max(base * (plateau or Plateau()).scale, spec.end)
    return rate * _warmup(spec, iteration)


def after_score(spec: ScheduleSpec, plateau: Plateau, *, score: float) -> Plateau:
    """Return the state of a ``plateau`` schedule after an epoch's validation score.

    Higher scores are better; NaN is never better.
    """
    if score > plateau.best + spec.min_delta:
        return replace(plateau, best=score, waited=0)
    if plateau.waited < spec.patience:
        return replace(plateau, waited=plateau.waited + 1)
    return replace(plateau, scale=plateau.scale * spec.factor, waited=0)


def _half_cosine(begin: float, end: float, share: float) -> float:
    """Return the rate at a share of the way from one rate to another, by half a cosine."""
    return end + (begin - end) * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0))) / 2


def _one_cycle(spec: ScheduleSpec, k: int, *, base: float, length: int) -> float:
    """Return the rate of the one-cycle policy (Smith and Topin 2018, arXiv 1708.07120).

    As in PyTorch: the last step of the rise has the base rate, the last of the fall has `end`.
    """
    peak = max(spec.rise * length - 1, 1e-9)
    if k <= peak:
        return _half_cosine(base / FIRST_DIVISOR, base, k / peak)
    return _half_cosine(base, spec.end, (k - peak) / max(length - 1 - peak, 1e-9))


def _warmup(spec: ScheduleSpec, iteration: int) -> float:
    if iteration >= spec.warmup:
        return 1.0
    return spec.warmup_from + (1 - spec.warmup_from) * iteration / spec.warmup
