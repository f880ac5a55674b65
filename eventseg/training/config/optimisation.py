"""Settings of loss, optimiser and learning-rate schedule, read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from eventseg.errors import TrainingError
from eventseg.files.extensions import is_extension

TERMS = ("cross_entropy", "ohem", "dice", "focal", "region_mutual_information")
"""Names of the terms that a loss can be summed from."""

ClassWeighting = Literal["none", "median_frequency", "enet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSpec:
    """A weighted sum of terms, and how classes, pixels and auxiliary heads weigh in it.

    Parameters
    ----------
    terms : tuple of (str, float)
        Terms of the loss and their weights: ``cross_entropy``, ``ohem``, ``dice``, ``focal``,
        ``region_mutual_information``, or ``FILE.py:NAME`` of your own.
    auxiliary_weight : float
        Weight of the same sum for each auxiliary head.
    class_weights : {"none", "median_frequency", "enet"}
        Class weights to derive from the training labels.
    enet_c : float
        Constant c of ENet's class weights, ``1 / ln(c + p)``: 1.02 in ENet, 1.10 in CGNet.
    weigh_by_confidence : bool
        Whether a pixel's weight is the confidence of its pseudo-label.
    ohem_threshold : float
        Probability of its true class below which a pixel counts as hard for ``ohem``.
    ohem_min_share : float
        Least share of the pixels of a batch that ``ohem`` keeps, the hardest first.
    ohem_min_kept : int
        The same as a number of pixels, whatever the size of a batch; 0 for the share.
    focal_gamma : float
        Exponent of ``(1 - p)`` in ``focal``; 0 makes it cross entropy.
    region_radius : int
        Side of the neighbourhoods that ``region_mutual_information`` compares, in pixels after
        pooling.
    region_pool : int
        Factor by which ``region_mutual_information`` shrinks its maps first.

    Raises
    ------
    TrainingError
        No term, an unknown one, or a value out of its range.
    """

    terms: tuple[tuple[str, float], ...] = (("cross_entropy", 1.0), ("dice", 1.0))
    auxiliary_weight: float = 0.4
    class_weights: ClassWeighting = "none"
    enet_c: float = 1.02
    weigh_by_confidence: bool = False
    ohem_threshold: float = 0.7
    ohem_min_share: float = 0.0625
    ohem_min_kept: int = 0
    focal_gamma: float = 2.0
    region_radius: int = 3
    region_pool: int = 4

    def __post_init__(self) -> None:
        names = [name for name, _ in self.terms]
        unknown = [name for name in names if name not in TERMS and not is_extension(name)]
        if unknown or not names or len(set(names)) != len(names):
            raise TrainingError(
                f"loss terms {names} must be one or more of {', '.join(TERMS)} and FILE.py:NAME "
                "of your own, each once"
            )
        if any(not weight > 0 for _, weight in self.terms) or not self.auxiliary_weight >= 0:
            raise TrainingError(
                f"weights of loss terms must be above 0 and that of auxiliary heads not below, "
                f"got {self.terms} and {self.auxiliary_weight}"
            )
        if self.class_weights not in ("none", "median_frequency", "enet"):
            raise TrainingError(
                f"class weights {self.class_weights!r} are none of none, median_frequency, enet"
            )
        if not (0 < self.ohem_threshold <= 1 and 0 < self.ohem_min_share <= 1):
            raise TrainingError(
                f"OHEM needs a threshold and a share to keep in (0, 1], got {self.ohem_threshold} "
                f"and {self.ohem_min_share}"
            )
        if self.ohem_min_kept < 0:
            raise TrainingError(f"ohem_min_kept must not be below 0, got {self.ohem_min_kept}")
        if not self.enet_c > 1 or not self.focal_gamma >= 0:
            raise TrainingError(
                f"enet_c must be above 1 and focal_gamma not below 0, got {self.enet_c} and "
                f"{self.focal_gamma}"
            )
        if self.region_radius < 1 or self.region_pool < 1:
            raise TrainingError(
                f"region_radius and region_pool must be 1 or more, got {self.region_radius} and "
                f"{self.region_pool}"
            )


OptimiserKind = Literal["adam", "adamw", "sgd", "rmsprop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserSpec:
    """An optimiser, its learning rate, and what departs from them for some parameters.

    Parameters
    ----------
    kind : {"adam", "adamw", "sgd", "rmsprop"}
        Optimiser.
    learning_rate : float
        Initial learning rate, which the schedule scales; 0 for that of the network, see
        :func:`eventseg.networks.zoo.usual_learning_rate`.
    momentum : float
        Momentum of ``sgd`` and ``rmsprop``.
    nesterov : bool
        Whether ``sgd`` uses Nesterov's momentum.
    betas : (float, float)
        Decay rates of the two running means of ``adam`` and ``adamw``.
    alpha : float
        Decay rate of the running mean of ``rmsprop``.
    weight_decay : float
        Weight decay: decoupled in ``adamw``, an L2 penalty elsewhere.
    decay_depthwise : bool
        Whether depthwise convolutions decay; they do not in Fast-SCNN.
    decay_norms_and_biases : bool
        Whether parameters of one dimension decay; they do not in SegFormer.
    multipliers : tuple of (str, float)
        Learning-rate factors of the parameters whose names begin so, such as ``("head.", 10)``;
        the longest beginning wins. In late fusion they hold for both networks.

    Raises
    ------
    TrainingError
        An unknown kind, or a value out of its range.
    """

    kind: OptimiserKind = "adam"
    learning_rate: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    alpha: float = 0.99
    weight_decay: float = 0.0
    decay_depthwise: bool = True
    decay_norms_and_biases: bool = True
    multipliers: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("adam", "adamw", "sgd", "rmsprop"):
            raise TrainingError(f"optimiser {self.kind!r} is none of adam, adamw, sgd, rmsprop")
        if not self.learning_rate >= 0 or not self.weight_decay >= 0:
            raise TrainingError(
                f"the learning rate and weight decay must not be below 0, got "
                f"{self.learning_rate} and {self.weight_decay}"
            )
        shares = {"momentum": self.momentum, "alpha": self.alpha, "betas": max(self.betas)}
        for name, share in shares.items():
            if not (0 <= share < 1 and min(self.betas) >= 0):
                raise TrainingError(f"{name} must be at least 0 and below 1, got {share}")
        if self.momentum and self.kind in ("adam", "adamw"):
            raise TrainingError(f"{self.kind} has betas and no momentum; set momentum to 0")
        if self.nesterov and (self.kind != "sgd" or not self.momentum):
            raise TrainingError("nesterov needs kind sgd and a momentum")
        for beginning, factor in self.multipliers:
            if not factor >= 0:
                raise TrainingError(
                    f"the multiplier of {beginning!r} must not be below 0, got {factor}"
                )


ScheduleKind = Literal["constant", "poly", "cosine", "one_cycle", "step", "plateau"]
Unit = Literal["iteration", "epoch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """Schedule of the learning rate.

    Parameters
    ----------
    kind : {"constant", "poly", "cosine", "one_cycle", "step", "plateau"}
        Schedule: ``poly`` is ``end + (base - end) (1 - k / length)^power``; ``cosine`` is ``end +
        (base - end) (1 + cos(pi k / length)) / 2``; ``one_cycle`` rises by half a cosine from a
        25th of the base over the share `rise` of the length and falls by another one to `end`;
        ``step`` multiplies by `factor` every `step` of k; ``plateau`` multiplies by `factor` when
        the validation score has not risen for more than `patience` epochs.
    unit : {"iteration", "epoch"}
        Unit of k in all schedules but ``plateau``.
    power : float
        Exponent of ``poly``.
    end : float
        Learning rate at the end of ``poly``, ``cosine`` and ``one_cycle``, and the least one of
        ``plateau``.
    length : int
        Length of these three in units; 0 for that of the training. Later the rate stays at `end`.
    rise : float
        Share of ``one_cycle`` over which the rate rises, between 0 and 1.
    step : int
        Distance between the steps of ``step``, in units.
    factor : float
        Factor of ``step`` and ``plateau``.
    patience : int
        Epochs without a better score that ``plateau`` waits.
    min_delta : float
        Least difference by which a score must beat the best one to count as better for ``plateau``.
    warmup : int
        Iterations over which a factor rises linearly from `warmup_from` to 1, before any schedule.
    warmup_from : float
        Factor at the begin of the warm-up, from 0 to 1.

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
    rise: float = 0.3
    step: int = 100
    factor: float = 0.1
    patience: int = 10
    min_delta: float = 0.0
    warmup: int = 0
    warmup_from: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(ScheduleKind):
            raise TrainingError(
                f"schedule {self.kind!r} is none of {', '.join(get_args(ScheduleKind))}"
            )
        if self.unit not in ("iteration", "epoch"):
            raise TrainingError(f"a schedule's unit is iteration or epoch, not {self.unit!r}")
        if not 0 < self.rise < 1:
            raise TrainingError(f"a schedule's rise must be between 0 and 1, got {self.rise}")
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
