"""Learning rates as functions of the iteration, and the one schedule that looks at a score."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from eventseg.errors import TrainingError

ScheduleKind = Literal["constant", "poly", "step", "plateau"]
Unit = Literal["iteration", "epoch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """How the learning rate falls.

    Parameters
    ----------
    kind : {"constant", "poly", "step", "plateau"}
        ``poly``: ``end + (base - end) (1 - k / length)^power``. ``step``: times `factor` every
        `step` of k. ``plateau``: times `factor` when the validation score has not risen for more
        than `patience` epochs.
    unit : {"iteration", "epoch"}
        What k counts in ``poly`` and ``step``.
    power : float
        Of ``poly``.
    end : float
        Learning rate at the end of ``poly``, and the least one of ``plateau``.
    length : int
        Length of ``poly`` in units; 0 for that of the training. Later the rate stays at `end`.
    step : int
        Of ``step``, in units.
    factor : float
        Of ``step`` and ``plateau``.
    patience : int
        Of ``plateau``, in epochs.
    min_delta : float
        Of ``plateau``: by how much a score must beat the best one to count as better.
    warmup : int
        Iterations over which a factor rises linearly from `warmup_from` to 1, before any kind.
    warmup_from : float
        In [0, 1].

    Raises
    ------
    TrainingError
        An unknown kind or unit, or a value out of its range.
    """

    kind: ScheduleKind = "poly"
    unit: Unit = "iteration"
    power: float = 0.9
    end: float = 0.0
    length: int = 0
    step: int = 100
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 0.0
    warmup: int = 0
    warmup_from: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in ("constant", "poly", "step", "plateau"):
            raise TrainingError(f"schedule {self.kind!r} is none of constant, poly, step, plateau")
        if self.unit not in ("iteration", "epoch"):
            raise TrainingError(f"a schedule's unit is iteration or epoch, not {self.unit!r}")
        if not self.power > 0 or not 0 < self.factor < 1 or not 0 <= self.warmup_from <= 1:
            raise TrainingError(
                f"a schedule needs power above 0, factor between 0 and 1 and warmup_from from 0 "
                f"to 1, got {self.power}, {self.factor} and {self.warmup_from}"
            )
        if self.step < 1 or min(self.length, self.patience, self.warmup) < 0:
            raise TrainingError(
                f"a schedule's step must be 1 or more, length, patience and warmup 0 or more, "
                f"got {self.step}, {self.length}, {self.patience} and {self.warmup}"
            )
        if not self.end >= 0 or not self.min_delta >= 0:
            raise TrainingError(
                f"a schedule's end and min_delta must not be below 0, got {self.end} and "
                f"{self.min_delta}"
            )


@dataclass(frozen=True, slots=True)
class Plateau:
    """What the plateau schedule remembers; kept in the checkpoint, field by field.

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
