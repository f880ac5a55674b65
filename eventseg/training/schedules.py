"""Learning rates as functions of the iteration, and the one schedule that looks at a score."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from eventseg.training.config.optimisation import ScheduleSpec


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
        Length of the whole training.
    iterations_per_epoch : int
    plateau : Plateau, optional
        State of a ``plateau`` schedule; by default a fresh one.
    """
    by_epoch = spec.unit == "epoch"
    k = iteration // iterations_per_epoch if by_epoch else iteration
    rate = base
    if spec.kind == "poly":
        whole = -(-iterations // iterations_per_epoch) if by_epoch else iterations
        left = max(0.0, 1 - k / (spec.length or whole))
        rate = spec.end + (base - spec.end) * left**spec.power
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


def _warmup(spec: ScheduleSpec, iteration: int) -> float:
    if iteration >= spec.warmup:
        return 1.0
    return spec.warmup_from + (1 - spec.warmup_from) * iteration / spec.warmup
