"""All settings of a training run as one tree of frozen values, from recipes, files and options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import tomli_w

from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.networks.converters.layout import Scaling
from eventseg.tensors import Normalisation
from eventseg.training.augmentation import Augmentation
from eventseg.training.config_tables import from_table, to_table
from eventseg.training.losses import LossSpec
from eventseg.training.optimisers import OptimiserSpec
from eventseg.training.schedules import ScheduleSpec
from eventseg.windows import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """The network, as :func:`eventseg.networks.build` takes it.

    Parameters
    ----------
    name : str
        Such as ``evsegnet``, or ``smp:ARCHITECTURE/ENCODER``.
    init : str
        ``random``, ``imagenet``, or ``imagenet:PATH``.
    frozen_batch_norm : bool
        Whether batch norms keep their statistics, scales and shifts.
    options : mapping
        Options of the network's constructor.
    """

    name: str = "evsegnet"
    init: str = "random"
    frozen_batch_norm: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSettings:
    """What the network sees.

    Parameters
    ----------
    kind : {"events", "gray", "rgb", "both"}
        ``both`` is gray followed by the six channels of the events.
    fusion : {"early", "late"}
        Of ``both``: one network on seven channels, or two whose logits are averaged.
    windows : tuple of str
        Window lengths such as ``50ms``; one is drawn for each sample.
    normalise : {"evsegnet", "raw"}
        Normalisation of the event tensor.
    live : bool
        Whether events are encoded from the recordings even where tensors are stored.
    scaling : Scaling
        Of the image: what 255 becomes, then mean and deviation.

    Raises
    ------
    TrainingError
        No window, or late fusion of one input.
    WindowError
        A window that is no duration.
    """

    kind: Literal["events", "gray", "rgb", "both"] = "events"
    fusion: Literal["early", "late"] = "early"
    windows: tuple[str, ...] = ("50ms",)
    normalise: Normalisation = "evsegnet"
    live: bool = False
    scaling: Scaling = field(default_factory=lambda: Scaling(mean=(0.0,), std=(1.0,)))

    def __post_init__(self) -> None:
        if not self.windows:
            raise TrainingError("windows must name at least one length, such as 50ms")
        for window in self.windows:
            parse_duration(window)
        if self.fusion == "late" and self.kind != "both":
            raise TrainingError(f"late fusion needs the input both, not {self.kind}")
        scaling = self.scaling
        if len(scaling.mean) != len(scaling.std) or not all(one > 0 for one in scaling.std):
            raise TrainingError("scaling needs as many deviations as means, all above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSettings:
    """What the network learns.

    Parameters
    ----------
    set : str
        Label set of the data set: ``truth``, or a teacher's name.
    classes : str
        Class table to merge it into, by name or file; empty for the set's own.
    """

    set: str = "truth"
    classes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSettings:
    """At which size it sees it; by default as the data set has it.

    Parameters
    ----------
    resize : SensorSize, optional
        Size that all pictures are brought to, in training and in validation.
    rescale : float
        Factor in place of a size.
    crop : SensorSize, optional
        Size of training samples, cut out or padded after augmentation's enlargement.
    validation_crop : SensorSize, optional
        Size of the part about the centre that validation during training sees.

    Raises
    ------
    TrainingError
        Both a size and a factor, or a factor that is not above 0.
    """

    resize: SensorSize | None = None
    rescale: float = 1.0
    crop: SensorSize | None = None
    validation_crop: SensorSize | None = None

    def __post_init__(self) -> None:
        if not self.rescale > 0 or (self.resize is not None and self.rescale != 1):
            raise TrainingError(
                f"give resize or a rescale above 0, not resize {self.resize} with rescale "
                f"{self.rescale}"
            )

    def resized(self, size: SensorSize) -> SensorSize:
        """Return the size that pictures of a size are brought to."""
        if self.resize is not None:
            return self.resize
        return SensorSize(round(size.height * self.rescale), round(size.width * self.rescale))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run but its data.

    Parameters
    ----------
    network, input, labels, size, loss, optimiser, schedule, augmentation
        Settings of a kind each.
    batch_size : int
        Samples of a forward pass.
    accumulation : int
        Forward passes of an update.
    epochs, iterations : int
        Length of the training: one of them, the other 0. An iteration is an update.
    fraction : float
        Share of the training samples to use, drawn by the seed.
    min_covered : float
        Least share of its window that a sample's recording must cover.
    validation_share : float
        Share of the training samples to validate on, drawn by the seed; 0 for the data set's own
        validation part.
    protocol : {"clean", "paper"}
        What chooses the best checkpoint: the validation part, or, as published, the test part.
    patience : int
        Epochs without a better score after which training stops; 0 for never.
    min_delta : float
        By how much a score must beat the best one to count as better.
    gradient_clip : float
        Largest norm of the gradient; 0 for any.
    ema_decay : float
        Decay of the averaged weights that are validated and kept; 0 for none.
    amp : {"off", "bf16", "fp16"}
        Precision of the forward pass.
    channels_last, compile : bool
        Memory layout, and :func:`torch.compile`.
    workers : int
        Processes that load samples.
    seed : int

    Raises
    ------
    TrainingError
        A value out of its range, or both epochs and iterations.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    input: InputSettings = field(default_factory=InputSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    size: SizeSettings = field(default_factory=SizeSettings)
    loss: LossSpec = field(default_factory=LossSpec)
    optimiser: OptimiserSpec = field(default_factory=OptimiserSpec)
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            flip=0.5, scale=(0.5, 2.0), shift=0.2, rotation_deg=10.0
        )
    )
    batch_size: int = 8
    accumulation: int = 1
    epochs: int = 30
    iterations: int = 0
    fraction: float = 1.0
    min_covered: float = 1.0
    validation_share: float = 0.0
    protocol: Literal["clean", "paper"] = "clean"
    patience: int = 0
    min_delta: float = 0.0
    gradient_clip: float = 0.0
    ema_decay: float = 0.0
    amp: Literal["off", "bf16", "fp16"] = "off"
    channels_last: bool = False
    compile: bool = False
    workers: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulation"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("patience", "min_delta", "gradient_clip", "workers", "seed"):
            if not getattr(self, name) >= 0:
                raise TrainingError(f"{name} must not be below 0, got {getattr(self, name)}")
        if min(self.epochs, self.iterations) != 0 or max(self.epochs, self.iterations) < 1:
            raise TrainingError(
                f"give epochs or iterations, got {self.epochs} epochs and {self.iterations} "
                "iterations; set one of them to 0"
            )
        if not 0 < self.fraction <= 1 or not 0 <= self.min_covered <= 1:
            raise TrainingError(
                f"fraction must be in (0, 1] and min_covered in [0, 1], got {self.fraction} and "
                f"{self.min_covered}"
            )
        for name in ("ema_decay", "validation_share"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{name} must be in [0, 1), got {getattr(self, name)}")


def load_config(
    source: str | Path | None = None, *, overrides: Mapping[str, Any] | None = None
) -> TrainConfig:
    """Return the settings of a recipe or of a file, with some changed.

    Parameters
    ----------
    source : str or Path, optional
        Name of a recipe, or a file ending in ``.toml``; by default the defaults.
    overrides : mapping, optional
        Values by path, such as ``{"optimiser.learning_rate": 1e-4}``. Epochs in place of
        iterations, and the other way round, need one of them only.

    Returns
    -------
    TrainConfig

    Raises
    ------
    TrainingError
        No such recipe or file, no TOML, an unknown setting or a wrong value.

    Examples
    --------
    >>> config = load_config("evsegnet-code", overrides={"batch_size": 4})
    """
    table = {} if source is None else read_table(source)
    table.pop("recipe", None)
    if table.get("iterations"):
        table.setdefault("epochs", 0)
    # Changes go to the whole tree, so that they leave its other settings as they are.
    whole = to_table(from_table(TrainConfig, table))
    changes = dict(overrides or {})
    for one, other in (("epochs", "iterations"), ("iterations", "epochs")):
        if changes.get(one):
            changes.setdefault(other, 0)
    for path, value in changes.items():
        _set(whole, path, value)
    return from_table(TrainConfig, whole)


def parse_override(text: str) -> tuple[str, Any]:
    """Return path and value of ``path=value``, the value as TOML or else as a string.

    Raises
    ------
    TrainingError
        No ``=`` with a path before it.
    """
    path, equals, value = text.partition("=")
    if not equals or not path.strip():
        raise TrainingError(
            f"{text!r} is no setting; write path=value, such as optimiser.learning_rate=1e-4"
        )
    try:
        return path.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return path.strip(), value.strip()


def to_toml(config: TrainConfig) -> str:
    """Return all settings as TOML; :func:`load_config` reads it back to an equal value."""
    return tomli_w.dumps(to_table(config))


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that ship with the package, sorted."""
    files = [file.name for file in (resources.files("eventseg") / "recipes").iterdir()]
    return tuple(sorted(name[:-5] for name in files if name.endswith(".toml")))


def read_table(source: str | Path) -> dict[str, Any]:
    """Return a recipe by name, or a file ending in ``.toml``, as a table.

    Raises
    ------
    TrainingError
        No such recipe or file, or no TOML.
    """
    if str(source).endswith(".toml"):
        file: Any = Path(source)
    elif str(source) in recipe_names():
        file = resources.files("eventseg") / "recipes" / f"{source}.toml"
    else:
        raise TrainingError(
            f"no recipe {str(source)!r}; there are {', '.join(recipe_names())}, or give a file "
            "ending in .toml"
        )
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {source}: {error}") from error


def _set(table: dict[str, Any], path: str, value: Any) -> None:
    *parents, key = path.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise TrainingError(f"there is no setting {path!r}: {parent} is a value, not a table")
    table[key] = value
