"""All settings of a training run as one tree of frozen values, from recipes, files and options."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import tomli_w

from eventseg.augmentation.settings import Augmentation
from eventseg.errors import TrainingError, known_names
from eventseg.files.extensions import absolute_extension, is_extension, load_extension
from eventseg.files.texts import read_toml
from eventseg.networks.named import absolute_init
from eventseg.networks.zoo import architecture, usual_learning_rate
from eventseg.splits import SplitRule
from eventseg.training.config.optimisation import LossSpec, OptimiserSpec, ScheduleSpec
from eventseg.training.config.settings import (
    InputSettings,
    LabelSettings,
    NetworkSettings,
    SizeSettings,
)
from eventseg.training.config.tables import from_table, to_table


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that decides a training run but its data.

    Parameters
    ----------
    network, input, labels, split, size, loss, optimiser, schedule, augmentation
        Settings of a kind each.
    batch_size : int
        Samples of a forward pass, of all processes together.
    accumulation : int
        Forward passes of an update.
    epochs : int
        Passes over the training part; 0 where `iterations` gives the length.
    iterations : int
        Updates in place of epochs; 0 where `epochs` gives the length.
    fraction : float
        Share of the training samples to use: stretches of up to 20 neighbours, drawn by the seed;
        a smaller share is in a larger one.
    min_covered : float
        Least share of its window that a sample's recording must cover.
    validation_share : float
        Share of the training samples to validate on in place of the data set's own validation
        part: the last ones of each recording, with a gap before them; 0 for that part.
    protocol : {"clean", "paper"}
        Part that chooses the best checkpoint, by the mean IoU over the classes in its truth: the
        validation part (``clean``), or, as published, the test part (``paper``), with nothing held
        back of training.
    keep_epochs : tuple of int
        Epochs whose checkpoint is stored as ``epoch-N.pt``, beside the best and the last.
    clean_train_samples : int
        Training samples, spread over the part, that are scored as they are, without augmentation,
        after each epoch; 0 for none. The train scores are those of the samples as they were seen.
    patience : int
        Epochs without a better score after which training stops; 0 for never.
    min_delta : float
        Least difference by which a score must beat the best one to count as better.
    gradient_clip : float
        Largest norm of the gradient; 0 for any.
    ema_decay : float
        Decay of the averaged weights that are validated and saved; 0 for none.
    batch_norm_batches : int
        Training batches over which the statistics of batch norms are taken anew before each
        validation; 0 keeps their running means.
    sync_batch_norm : bool
        Whether batch norms normalise by the samples of all processes, so that their number does
        not matter; else each by those of its own process.
    amp : {"auto", "off", "bf16", "fp16"}
        Precision of the forward pass: ``off`` is float32, ``auto`` takes bfloat16 where a short
        probe at the start shows it to be faster by a fifth.
    memory_format : {"auto", "contiguous", "channels_last"}
        Memory format of weights and maps; ``auto`` takes the faster one of the probe.
    compile : bool
        Whether torch compiles the network (:func:`torch.compile`).
    workers : int
        Processes that load samples, for each process that trains; 0 loads in that one.
    bad_samples : {"raise", "skip"}
        Treatment of a sample whose files cannot be read: an error that names it (``raise``), or its
        batch goes on without it and skipped.csv in the run folder lists it (``skip``).
    shuffle_block : int
        Shuffle blocks of so many neighbours of a recording, to read files nearly in order; 0
        shuffles each sample by itself.
    seed : int
        Random seed of weights, augmentation, sample order and drawn shares.

    Raises
    ------
    TrainingError
        A value out of its range, or both epochs and iterations.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    input: InputSettings = field(default_factory=InputSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    split: SplitRule = field(default_factory=SplitRule)
    size: SizeSettings = field(default_factory=SizeSettings)
    loss: LossSpec = field(default_factory=LossSpec)
    optimiser: OptimiserSpec = field(default_factory=OptimiserSpec)
    schedule: ScheduleSpec = field(default_factory=ScheduleSpec)
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(flip=0.5))
    batch_size: int = 8
    accumulation: int = 1
    epochs: int = 30
    iterations: int = 0
    fraction: float = 1.0
    min_covered: float = 1.0
    validation_share: float = 0.0
    protocol: Literal["clean", "paper"] = "clean"
    keep_epochs: tuple[int, ...] = ()
    clean_train_samples: int = 0
    patience: int = 0
    min_delta: float = 0.0
    gradient_clip: float = 0.0
    ema_decay: float = 0.0
    batch_norm_batches: int = 32
    sync_batch_norm: bool = True
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    compile: bool = False
    workers: int = 2
    bad_samples: Literal["raise", "skip"] = "raise"
    shuffle_block: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulation"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in (
            "patience",
            "min_delta",
            "gradient_clip",
            "batch_norm_batches",
            "clean_train_samples",
            "workers",
            "shuffle_block",
            "seed",
        ):
            if not getattr(self, name) >= 0:
                raise TrainingError(f"{name} must not be below 0, got {getattr(self, name)}")
        if min(self.epochs, self.iterations) != 0 or max(self.epochs, self.iterations) < 1:
            raise TrainingError(
                "give epochs or iterations, 1 at least, and 0 for the other; got "
                f"{self.epochs} epochs and {self.iterations} iterations"
            )
        if any(epoch < 1 for epoch in self.keep_epochs):
            raise TrainingError(f"keep_epochs count from 1, got {self.keep_epochs}")
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
    NetworkError
        An unknown network.

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
    config = from_table(TrainConfig, whole)
    if not is_extension(config.network.name):
        architecture(config.network.name)
    return with_learning_rate(config)


def with_learning_rate(config: TrainConfig) -> TrainConfig:
    """Return settings with the network's usual learning rate where none is given."""
    spec = config.optimiser
    if spec.learning_rate > 0:
        return config
    rate = usual_learning_rate(config.network.name, optimiser=spec.kind)
    return replace(config, optimiser=replace(spec, learning_rate=rate))


def with_absolute_paths(config: TrainConfig) -> TrainConfig:
    """Return settings whose files have absolute paths: weights, split, class table, own code."""
    terms = tuple((absolute_extension(name), weight) for name, weight in config.loss.terms)
    name = absolute_extension(config.network.name)
    return replace(
        config,
        network=replace(config.network, name=name, init=absolute_init(config.network.init)),
        split=replace(
            config.split, file=config.split.file and str(Path(config.split.file).resolve())
        ),
        labels=replace(config.labels, classes=_absolute_table(config.labels.classes)),
        loss=replace(config.loss, terms=terms),
    )


def _absolute_table(name: str) -> str:
    """Return the name of a class table, with an absolute path where it is a user's own file."""
    before = "void+" if name.startswith("void+") else ""
    file, suffix, after = name.removeprefix(before).rpartition(".toml")
    return f"{before}{Path(file + suffix).absolute()}{after}" if suffix else name


def code_digests(config: TrainConfig) -> dict[str, str]:
    """Return the sha256 of each file of a user's own that the settings name, by its name.

    Raises
    ------
    ExtensionError
        A file cannot be loaded.
    """
    names = [config.network.name, *(name for name, _ in config.loss.terms)]
    return {name: load_extension(name).sha256 for name in names if is_extension(name)}


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
    files = [file.name for file in (resources.files("eventseg.training") / "recipes").iterdir()]
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
        file = resources.files("eventseg.training") / "recipes" / f"{source}.toml"
    else:
        known = known_names(str(source), recipe_names(), listed="--list-recipes lists all")
        raise TrainingError(f"no recipe {str(source)!r}{known}, or give a file ending in .toml")
    try:
        return read_toml(file)
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {source}: {error}") from error


def _set(table: dict[str, Any], path: str, value: Any) -> None:
    *parents, key = path.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise TrainingError(f"there is no setting {path!r}: {parent} is a value, not a table")
    table[key] = value
