"""Record of a run, ``run.json``: its inputs, versions and device, read and compared again."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from eventseg.errors import EventsegError, TrainingError
from eventseg.files.texts import read_text
from eventseg.sources.source import Source
from eventseg.training.config.config import (
    TrainConfig,
    code_digests,
    to_toml,
)
from eventseg.training.config.tables import from_table
from eventseg.training.distributed import world
from eventseg.training.layout import CONFIG, RUN

RUN_KEYS = frozenset(
    (
        "data",
        "inputs",
        "parts",
        "config",
        "seed",
        "device",
        "threads",
        "parameters",
        "versions",
        "command",
    )
)
"""Keys that every ``run.json`` has."""
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "data": str,
    "inputs": dict,
    "parts": dict,
    "config": str,
    "seed": int,
    "device": str,
    "parameters": int,
    "versions": dict,
    "command": list,
    "processes": int,
    "arithmetic": dict,
    "init": (dict, type(None)),
    "split": dict,
    "code": dict,
    "resumed": list,
}
"""Types of the entries of ``run.json`` that are read again."""


def describe_run(
    config: TrainConfig,
    source: Source,
    *,
    device: torch.device,
    parts: Mapping[str, Sequence[str]],
    parameters: int,
    arithmetic: Mapping[str, Any] | None = None,
    init: Mapping[str, Any] | None = None,
    split: Mapping[str, Any] | None = None,
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the entries of ``run.json``: inputs by digest, versions, seed, device, command.

    Parameters
    ----------
    config : TrainConfig
    source : Source
    device : torch.device
    parts : mapping
        Ids of the samples of each part, of which the digest is kept.
    parameters : int
        Trainable parameters of the network.
    arithmetic : mapping, optional
        Precision and memory format of the training.
    init : mapping, optional
        Origin of the initial weights; None for random ones.
    split : mapping, optional
        Samples of each split and notes on them, where the split is not that of the data.
    command : sequence of str, optional
        By default that of this process.
    """
    packages = ("eventseg", "torch", "torchvision", "numpy", "numba")
    return {
        "data": str(source.path.resolve()),
        "inputs": source.digests,
        "parts": {
            name: {
                "samples": len(ids),
                "sha256": ids_digest(ids),
            }
            for name, ids in parts.items()
        },
        **({"split": dict(split)} if split else {}),
        "config": to_toml(config),
        "seed": config.seed,
        "device": str(device),
        "device_name": (
            torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
        ),
        "threads": torch.get_num_threads(),
        "processes": world(),
        "parameters": parameters,
        "arithmetic": dict(arithmetic or {}),
        "init": init,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in packages},
        "code": code_digests(config),
        "command": list(command if command is not None else sys.argv),
    }


def differing_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the data that differs between two ``run.json``; empty where nothing does."""
    return " and ".join(
        meaning
        for name, meaning in (("inputs", "digests of the data"), ("parts", "samples of a part"))
        if before[name] != now[name]
    )


def changed_code(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the code of a user's own that differs between two ``run.json``; empty where none."""
    old, new = before.get("code", {}), now["code"]
    return " and ".join(name for name in new if old.get(name) != new[name])


def check_is_run(root: Path) -> None:
    """Raise a TrainingError for a folder that is no run folder, such as a data set."""
    if (root / "manifest.toml").is_file():
        raise TrainingError(
            f"{root} is a data set and no run folder; "
            "the run comes first: eventseg evaluate RUN DATA"
        )
    if root.is_dir() and not (root / RUN).is_file() and not any(root.glob("*.pt")):
        if (root / CONFIG).is_file():
            raise TrainingError(
                f"{root} has the settings of a run, {CONFIG}, and no {RUN}: its training was "
                "stopped before it began; go on with train --resume"
            )
        raise TrainingError(f"{root} is no run folder: it has no {RUN}; eventseg train makes one")


def read_run(path: Path) -> dict[str, Any]:
    """Return the entries of a ``run.json``.

    Raises
    ------
    TrainingError
        The file is missing, damaged or of something else.
    """
    check_is_run(path.parent)
    try:
        held = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(f"cannot read {path}: {error}") from error
    if not isinstance(held, dict) or not held.keys() >= RUN_KEYS:
        raise TrainingError(f"{path} is no run.json of eventseg train")
    if wrong := _wrong_entries(held):
        raise TrainingError(
            f"{path} is damaged: no valid entry {', '.join(wrong)}; restore the file, or train "
            "into another folder"
        )
    return held


def _wrong_entries(run: Mapping[str, Any]) -> list[str]:
    """Return the names of entries that are not of their type."""
    wrong = [
        name for name, kind in TYPES.items() if name in run and not isinstance(run[name], kind)
    ]
    arithmetic = run.get("arithmetic") or {"amp": "off", "memory_format": "contiguous"}
    if "arithmetic" not in wrong and (
        not arithmetic.keys() <= {"amp", "memory_format", "step_ms"}
        or arithmetic.get("amp") not in ("off", "bf16", "fp16")
        or arithmetic.get("memory_format") not in ("contiguous", "channels_last")
        or not isinstance(arithmetic.get("step_ms", {}), dict)
    ):
        wrong.append("arithmetic")
    if "resumed" not in wrong and not all(
        isinstance(again, dict) and isinstance(again.get("device"), str)
        for again in run.get("resumed", ())
    ):
        wrong.append("resumed")
    return wrong


def recorded_config(run: Mapping[str, Any], path: Path) -> TrainConfig:
    """Return the settings that the ``run.json`` at a path holds.

    Raises
    ------
    TrainingError
        They are damaged.
    """
    try:
        return from_table(TrainConfig, tomllib.loads(run["config"]))
    except (ValueError, RecursionError, EventsegError) as error:
        raise TrainingError(
            f"the entry config of {path} is no configuration: {error}; restore the file"
        ) from error


def held_arithmetic(root: Path) -> dict[str, Any] | None:
    """Return precision and memory format of the run in a folder; None where there is no run."""
    if not (root / RUN).is_file():
        return None
    return read_run(root / RUN).get("arithmetic") or None


def ids_digest(ids: Sequence[str]) -> str:
    """Return the sha256 of the ids of samples in their order."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()
