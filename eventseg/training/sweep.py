"""Sweeps: the combinations of some settings and seeds, each a run of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from eventseg.errors import TrainingError
from eventseg.training.config.options import SHORT_NAMES, overrides_of

ABBREVIATIONS = {"lr": "optimiser.learning_rate"}
"""Paths that everybody abbreviates."""


@dataclass(frozen=True, slots=True)
class SweepRun:
    """One run of a sweep.

    Parameters
    ----------
    name : str
        Name of its folder, such as ``learning_rate=0.001-batch_size=4-seed1``.
    overrides : mapping
        Its settings by path.
    """

    name: str
    overrides: Mapping[str, Any]


def parse_sweep(text: str) -> tuple[str, list[Any]]:
    """Return path and values of ``path=value,value``, the values as TOML or else as strings.

    Lists and tables stay whole: ``augmentation.scale=[0.75,1.5],[1,1]`` has two values.

    Raises
    ------
    TrainingError
        No path or no value, or a value twice.

    Examples
    --------
    >>> parse_sweep("lr=1e-3,5e-4")
    ('optimiser.learning_rate', [0.001, 0.0005])
    """
    name, equals, rest = text.partition("=")
    name = name.strip()
    if not name or not equals or not rest.strip():
        raise TrainingError(f"{text!r} is no sweep; write path=value,value, such as lr=1e-3,5e-4")
    try:
        values = tomllib.loads(f"values = [{rest}]")["values"]
    except tomllib.TOMLDecodeError:
        values = [part.strip() for part in rest.split(",")]
    if len({repr(value) for value in values}) < len(values) or "" in values:
        raise TrainingError(f"the values of {text!r} must differ and not be empty")
    path = {**SHORT_NAMES, **ABBREVIATIONS}.get(name, name)
    # As the options of the same names: one window, or one recording, is a list of it.
    short = {path: name for name, path in SHORT_NAMES.items()}.get(path, path)
    return path, [overrides_of({short: value}).get(path, value) for value in values]


def sweep_runs(sweeps: Sequence[str], *, seeds: int = 1, first_seed: int = 0) -> list[SweepRun]:
    """Return the runs of a sweep: all combinations, each with all seeds.

    Parameters
    ----------
    sweeps : sequence of str
        As :func:`parse_sweep` reads them.
    seeds : int
        Seeds of each combination.
    first_seed : int
        The first of them; the others follow.

    Raises
    ------
    TrainingError
        A setting twice, the seed among them, fewer than one seed, or values whose folders would
        have one name.

    Examples
    --------
    >>> [run.name for run in sweep_runs(["lr=1e-3,5e-4"], seeds=2)]
    ['learning_rate=0.001-seed0', 'learning_rate=0.001-seed1', 'learning_rate=0.0005-seed0', \
'learning_rate=0.0005-seed1']
    """
    parsed = [parse_sweep(text) for text in sweeps]
    paths = [path for path, _ in parsed]
    if len(set(paths)) < len(paths) or "seed" in paths:
        raise TrainingError(
            "each setting of a sweep must be given once, and seeds by their number (--seeds)"
        )
    if seeds < 1:
        raise TrainingError(f"seeds must be 1 or more, got {seeds}")
    names = {path: name for name, path in SHORT_NAMES.items()}
    runs = [
        SweepRun(
            "-".join(
                [
                    *(
                        f"{names.get(path, path.rpartition('.')[2])}={_word(value)}"
                        for path, value in zip(paths, values, strict=True)
                    ),
                    f"seed{seed}",
                ]
            ),
            {**dict(zip(paths, values, strict=True)), "seed": seed},
        )
        for values in product(*(values for _, values in parsed))
        for seed in range(first_seed, first_seed + seeds)
    ]
    if len({run.name for run in runs}) < len(runs):
        raise TrainingError("two values of a sweep would have one folder: train them apart")
    return runs


def _word(value: Any) -> str:
    """Return a value as part of a folder's name."""
    text = str(value).translate(str.maketrans("", "", " []{}'"))
    return "".join(letter if letter.isalnum() or letter in "._+,-" else "_" for letter in text)
