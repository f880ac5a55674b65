"""The run folder: settings, where everything came from, scores by epoch, checkpoints."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from eventseg.errors import OutputError, TrainingError
from eventseg.files import write_whole
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig, to_toml
from eventseg.training.distributed import world

CONFIG, RUN, METRICS, TIMING = "config.toml", "run.json", "metrics.csv", "timing.csv"
BEST, LAST, FAILED = "best.pt", "last.pt", "failed.pt"
RUN_KEYS = frozenset(
    ("data", "inputs", "parts", "config", "seed", "device", "threads", "parameters", "versions",
     "command")
)  # fmt: skip
"""What every ``run.json`` holds."""
CURVES, SAMPLES = "curves.png", "samples.png"


@dataclass(frozen=True, slots=True)
class EpochScores:
    """One line of ``metrics.csv``: what equal runs have equal.

    Parameters
    ----------
    epoch, iteration : int
        Epochs and updates done.
    learning_rate : float
        Of the last update.
    train_loss, train_accuracy, train_miou : float
        Over the samples of the epoch, as they were seen; scores in percent.
    val_loss, val_accuracy, val_miou : float
        Over the validation part; classes that are absent from it are left out of the mean.
    val_iou : tuple of float (K,)
        IoU of each class in percent, NaN for one that is absent.
    """

    epoch: int
    iteration: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    train_miou: float
    val_loss: float
    val_accuracy: float
    val_miou: float
    val_iou: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EpochCost:
    """One line of ``timing.csv``: what differs from run to run."""

    epoch: int
    train_s: float
    val_s: float
    images_per_s: float
    peak_memory_mib: float


def write_metrics(root: Path, scores: Sequence[EpochScores], *, classes: Sequence[str]) -> None:
    """Write ``metrics.csv`` whole; numbers in the shortest digits that read back the same."""
    plain = [name for name in EpochScores.__dataclass_fields__ if name != "val_iou"]
    header = [*plain, *(f"val_iou_{name}" for name in classes)]
    rows = [
        [*(_text(getattr(epoch, name)) for name in plain), *map(_text, epoch.val_iou)]
        for epoch in scores
    ]
    _write_csv(root / METRICS, [header, *rows])


def read_metrics(root: Path) -> tuple[list[EpochScores], tuple[str, ...]]:
    """Return what ``metrics.csv`` holds, and the names of the classes.

    Raises
    ------
    TrainingError
        The file is missing or damaged.
    """
    try:
        with (root / METRICS).open(newline="", encoding="utf-8") as file:
            header, *lines = list(csv.reader(file))
        classes = tuple(n.removeprefix("val_iou_") for n in header if n.startswith("val_iou_"))
        k = len(header) - len(classes)
        scores = [_epoch(line, plain=k) for line in lines]
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise TrainingError(f"cannot read {root / METRICS}: {error}") from error
    if not scores:
        raise TrainingError(f"{root / METRICS} holds no epoch")
    return scores, classes


def best_of(history: Sequence[EpochScores], *, min_delta: float) -> EpochScores:
    """Return the epoch that ``best.pt`` is of: the last that beat the best one by `min_delta`."""
    best = history[0]
    for row in history:
        if row.val_miou > best.val_miou + min_delta:
            best = row
    return best


def write_timing(root: Path, costs: Sequence[EpochCost]) -> None:
    """Write ``timing.csv`` whole."""
    names = list(EpochCost.__dataclass_fields__)
    rows = [[f"{value:.6g}" for value in asdict(cost).values()] for cost in costs]
    _write_csv(root / TIMING, [names, *rows])


def read_timing(root: Path) -> list[EpochCost]:
    """Return what ``timing.csv`` holds; empty where there is none."""
    if not (root / TIMING).is_file():
        return []
    with (root / TIMING).open(newline="", encoding="utf-8") as file:
        _, *lines = list(csv.reader(file))
    return [EpochCost(int(line[0]), *map(float, line[1:])) for line in lines]


def claim_run(root: Path, config: TrainConfig, *, resume: bool) -> None:
    """Make the folder of a run, or check that the run in it can go on.

    Raises
    ------
    OutputError
        It cannot be written, or holds something else.
    TrainingError
        A run is there already and was not asked to go on, or has other settings.
    """
    held = root / CONFIG
    if root.exists() and not root.is_dir():
        raise OutputError(f"{root} is a file; give a folder")
    if held.is_file():
        if held.read_text(encoding="utf-8") != to_toml(config):
            raise TrainingError(
                f"{root} holds a run with other settings ({_first_difference(held, config)}); "
                "give another folder with --out"
            )
        if not resume:
            raise TrainingError(f"{root} holds a run; go on with --resume, or give another folder")
    elif root.is_dir() and any(root.iterdir()):
        raise OutputError(f"{root} holds files but no run; give a folder that is new")
    write_whole(held, lambda file: file.write(to_toml(config).encode()))


def describe_run(
    config: TrainConfig,
    source: Source,
    *,
    device: torch.device,
    parts: Mapping[str, Sequence[str]],
    parameters: int,
    command: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return what ``run.json`` holds: inputs by digest, versions, seed, device, command.

    Parameters
    ----------
    config : TrainConfig
    source : Source
    device : torch.device
    parts : mapping
        Ids of the samples of each part, of which the digest is kept.
    parameters : int
        Trainable parameters of the network.
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
                "sha256": _digest("\n".join(ids)),
            }
            for name, ids in parts.items()
        },
        "config": to_toml(config),
        "seed": config.seed,
        "device": str(device),
        "device_name": (
            torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
        ),
        "threads": torch.get_num_threads(),
        "processes": world(),
        "parameters": parameters,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in packages},
        "command": list(command if command is not None else sys.argv),
    }


def write_run(root: Path, described: Mapping[str, Any]) -> None:
    """Write ``run.json``; of a run that goes on, add to it with what it does so.

    Raises
    ------
    TrainingError
        The run goes on with other data than it began with.
    """
    if (root / RUN).is_file():
        held = read_run(root / RUN)
        other = differing_data(held, described)
        if other:
            raise TrainingError(
                f"{root} holds a run on other data: {other} differ from those in {RUN}; go on "
                "with the data it began with, or give another folder with --out"
            )
        names = ("command", "device", "threads", "processes", "versions")
        again = {name: described[name] for name in names}
        described = {**held, "resumed": [*held.get("resumed", ()), again]}
    text = json.dumps(described, indent=2) + "\n"
    write_whole(root / RUN, lambda file: file.write(text.encode()))


def differing_data(held: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return what of the data differs between two ``run.json``, empty where nothing does."""
    return " and ".join(
        words
        for name, words in (("inputs", "digests of the data"), ("parts", "samples of a part"))
        if held[name] != now[name]
    )


def read_run(path: Path) -> dict[str, Any]:
    """Return what a ``run.json`` holds.

    Raises
    ------
    TrainingError
        The file is missing, damaged or of something else.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {path}: {error}") from error
    if not isinstance(held, dict) or not held.keys() >= RUN_KEYS:
        raise TrainingError(f"{path} is no run.json of eventseg train")
    return held


def _first_difference(held: Path, config: TrainConfig) -> str:
    before, now = held.read_text(encoding="utf-8").splitlines(), to_toml(config).splitlines()
    for was, asked in zip(before, now, strict=False):
        if was != asked:
            return f"{was} there, {asked} asked"
    return "more or fewer settings"


def _epoch(line: Sequence[str], *, plain: int) -> EpochScores:
    numbers: Any = map(float, line[2:plain])
    rate, *rest = numbers
    loss, accuracy, miou, val_loss, val_accuracy, val_miou = rest
    return EpochScores(
        int(line[0]), int(line[1]), rate, loss, accuracy, miou, val_loss, val_accuracy, val_miou,
        tuple(map(float, line[plain:])),
    )  # fmt: skip


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_whole(path, lambda file: file.write(text.getvalue().encode()))


SKIPPED = "skipped.csv"


def write_skipped(root: Path, skipped: Mapping[str, str]) -> None:
    """Add samples that could not be read to the run folder's list; without any it has none.

    Parameters
    ----------
    root : Path
    skipped : mapping
        Reason of each, by sample id. An id that the list holds keeps its first reason.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    if not skipped:
        return
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(("sample", "reason"))
    table.writerows(({**skipped, **read_skipped(root)}).items())
    write_whole(root / SKIPPED, lambda file: file.write(rows.getvalue().encode()))


def read_skipped(root: Path) -> dict[str, str]:
    """Return the reason of each sample that a run left out, by sample id."""
    if not (root / SKIPPED).is_file():
        return {}
    with (root / SKIPPED).open(newline="", encoding="utf-8") as file:
        return {row["sample"]: row["reason"] for row in csv.DictReader(file)}
