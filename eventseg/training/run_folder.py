"""Run folder: settings, provenance in ``run.json``, and tables of scores and costs by epoch."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from eventseg.errors import OutputError, TrainingError
from eventseg.files import read_csv, read_text, write_whole
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig, code_digests, load_config, to_toml
from eventseg.training.config.tables import to_table
from eventseg.training.distributed import world
from eventseg.training.layout import BEST as BEST
from eventseg.training.layout import CONFIG as CONFIG
from eventseg.training.layout import CURVES as CURVES
from eventseg.training.layout import FAILED as FAILED
from eventseg.training.layout import INIT as INIT
from eventseg.training.layout import KEPT as KEPT
from eventseg.training.layout import LAST as LAST
from eventseg.training.layout import METRICS as METRICS
from eventseg.training.layout import RUN as RUN
from eventseg.training.layout import SAMPLES as SAMPLES
from eventseg.training.layout import SKIPPED as SKIPPED
from eventseg.training.layout import TIMING as TIMING

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
NEUTRAL = ("workers", "input.encode", "input.live")
"""Settings that change nothing in the result, so that a run may continue with others."""


@dataclass(frozen=True, slots=True)
class EpochScores:
    """Scores of an epoch, one line of ``metrics.csv``; equal runs have equal lines.

    Parameters
    ----------
    epoch, iteration : int
        Epochs and updates done.
    learning_rate : float
        Learning rate of the last update.
    train_loss, train_accuracy, train_miou : float
        Scores in percent over the samples of the epoch, as they were seen.
    val_loss, val_accuracy, val_miou : float
        Scores in percent over the validation part; the mean IoU is over the classes in its truth
        or prediction.
    val_iou : tuple of float (K,)
        IoU of each class in percent, NaN for one in neither truth nor prediction.
    val_miou_truth, val_miou_all : float
        Mean IoU over the classes in the truth of the validation part, and over all classes with
        absent ones as 0. The first chooses the best epoch: one pixel taken for an absent class
        does not move it. Runs of earlier versions have neither (NaN).
    clean_loss, clean_accuracy, clean_miou : float, optional
        Scores over training samples without augmentation; None where none are scored.
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
    val_miou_truth: float = math.nan
    val_miou_all: float = math.nan
    clean_loss: float | None = None
    clean_accuracy: float | None = None
    clean_miou: float | None = None

    @property
    def selection_score(self) -> float:
        """Score that chooses the best epoch, in percent."""
        return self.val_miou if math.isnan(self.val_miou_truth) else self.val_miou_truth


COLUMNS = tuple(name for name in EpochScores.__dataclass_fields__ if name != "val_iou")
"""Columns of ``metrics.csv`` before those of each class."""


@dataclass(frozen=True, slots=True)
class EpochCost:
    """Cost of an epoch, one line of ``timing.csv``; it differs from run to run."""

    epoch: int
    train_s: float
    val_s: float
    images_per_s: float
    peak_memory_mib: float


def write_metrics(root: Path, scores: Sequence[EpochScores], *, classes: Sequence[str]) -> None:
    """Write ``metrics.csv``; numbers in the shortest digits that read back the same."""
    header = [*COLUMNS, *(f"val_iou_{name}" for name in classes)]
    rows = [
        [*(_text(getattr(epoch, name)) for name in COLUMNS), *map(_text, epoch.val_iou)]
        for epoch in scores
    ]
    _write_csv(root / METRICS, [header, *rows])


def read_metrics(root: Path) -> tuple[list[EpochScores], tuple[str, ...]]:
    """Return the rows of ``metrics.csv``, and the names of the classes.

    Raises
    ------
    TrainingError
        The file is missing or damaged.
    """
    try:
        header, *lines = read_csv(root / METRICS).values()
        classes = tuple(n.removeprefix("val_iou_") for n in header if n.startswith("val_iou_"))
        scores = [_epoch(dict(zip(header, line, strict=True)), classes) for line in lines]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"cannot read {root / METRICS}: {error}") from error
    if not scores:
        raise TrainingError(f"{root / METRICS} holds no epoch")
    return scores, classes


def best_of(history: Sequence[EpochScores], *, min_delta: float) -> EpochScores:
    """Return the epoch of ``best.pt``: the last one that beat the best before by `min_delta`."""
    best = history[0]
    for row in history:
        if row.selection_score > best.selection_score + min_delta:
            best = row
    return best


def write_timing(root: Path, costs: Sequence[EpochCost]) -> None:
    """Write ``timing.csv``."""
    names = list(EpochCost.__dataclass_fields__)
    rows = [[f"{value:.6g}" for value in asdict(cost).values()] for cost in costs]
    _write_csv(root / TIMING, [names, *rows])


def read_timing(root: Path) -> list[EpochCost]:
    """Return the rows of ``timing.csv``; none where it is missing."""
    if not (root / TIMING).is_file():
        return []
    try:
        _, *lines = read_csv(root / TIMING).values()
        return [EpochCost(int(line[0]), *map(float, line[1:])) for line in lines]
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise TrainingError(f"cannot read {root / TIMING}: {error}") from error


def check_run_folder(root: Path, config: TrainConfig, *, resume: bool) -> None:
    """Check that a folder is free for a run, or holds one that can continue; nothing is read else.

    Settings of :data:`NEUTRAL` may differ: they change nothing in the result.

    Parameters
    ----------
    root : Path
        The run folder.
    config : TrainConfig
    resume : bool
        Whether a run that is there shall continue.

    Raises
    ------
    OutputError
        It is a file, or holds something else.
    TrainingError
        A run is there already and shall not continue, or has other settings.
    """
    if root.exists() and not root.is_dir():
        raise OutputError(f"{root} is a file; give a folder")
    if not (root / CONFIG).is_file():
        if root.is_dir() and any(root.iterdir()):
            raise OutputError(f"{root} holds files but no run; give a folder that is new")
        return
    for path, (before, now) in _differences(root, config).items():
        if path not in NEUTRAL:
            raise TrainingError(
                f"{root} holds a run with other settings ({path} = {before} there, {path} = {now} "
                "asked); give another folder with --out"
            )
    if not resume:
        raise TrainingError(f"{root} holds a run; go on with --resume, or give another folder")


def claim_run(
    root: Path, config: TrainConfig, described: Mapping[str, Any], *, resume: bool
) -> None:
    """Make the folder of a run, or check that the run in it can continue.

    Parameters
    ----------
    root, config, resume
        As for :func:`check_run_folder`.
    described : mapping
        From :func:`describe_run`.

    Raises
    ------
    OutputError
        It cannot be written, or holds something else.
    TrainingError
        A run is there already and shall not continue, or has other settings, data or code.
    """
    check_run_folder(root, config, resume=resume)
    if not (root / CONFIG).is_file():
        write_whole(root / CONFIG, lambda file: file.write(to_toml(config).encode()))
        return
    if (root / RUN).is_file():
        run = read_run(root / RUN)
        if other := differing_data(run, described):
            raise TrainingError(
                f"{root} holds a run on other data: {other} differ from those in {RUN}; go on "
                "with the data it began with, or give another folder with --out"
            )
        if changed := changed_code(run, described):
            raise TrainingError(
                f"{changed} has changed since the run in {root} began; restore the file as it "
                "was, or give another folder with --out"
            )


def resume_notes(root: Path, config: TrainConfig, *, device: torch.device) -> list[str]:
    """Return the differences from a folder's run that do not change its result, one a line."""
    if not (root / CONFIG).is_file():
        return []
    notes = [
        f"{path} was {before} and is {now}"
        for path, (before, now) in _differences(root, config).items()
        if path in NEUTRAL
    ]
    if (root / RUN).is_file():
        run = read_run(root / RUN)
        before = run.get("resumed", [run])[-1]["device"]
        if before != str(device):
            notes.append(f"device was {before} and is {device}")
    return notes


def describe_run(
    config: TrainConfig,
    source: Source,
    *,
    device: torch.device,
    parts: Mapping[str, Sequence[str]],
    parameters: int,
    arithmetic: Mapping[str, Any] | None = None,
    init: Mapping[str, Any] | None = None,
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
        "arithmetic": dict(arithmetic or {}),
        "init": init,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: metadata.version(name) for name in packages},
        "code": code_digests(config),
        "command": list(command if command is not None else sys.argv),
    }


def write_run(root: Path, config: TrainConfig, described: Mapping[str, Any]) -> None:
    """Write ``run.json``; for a run that continues, add command, device and what differs."""
    if (root / RUN).is_file():
        run = read_run(root / RUN)
        names = ("command", "device", "threads", "processes", "versions", "arithmetic")
        again = {name: described[name] for name in names}
        again["settings"] = {path: now for path, (_, now) in _differences(root, config).items()}
        described = {**run, "resumed": [*run.get("resumed", ()), again]}
    text = json.dumps(described, indent=2) + "\n"
    write_whole(root / RUN, lambda file: file.write(text.encode()))


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
    except (OSError, ValueError) as error:
        raise TrainingError(f"cannot read {path}: {error}") from error
    if not isinstance(held, dict) or not held.keys() >= RUN_KEYS:
        raise TrainingError(f"{path} is no run.json of eventseg train")
    return held


def held_arithmetic(root: Path) -> dict[str, Any] | None:
    """Return precision and memory format of the run in a folder; None where there is no run."""
    if not (root / RUN).is_file():
        return None
    return read_run(root / RUN).get("arithmetic") or None


def _differences(root: Path, config: TrainConfig) -> dict[str, tuple[str, str]]:
    """Return the settings that differ from those of the run in a folder: before and now."""
    before, now = (_by_path(to_table(each)) for each in (load_config(root / CONFIG), config))
    missing = "nothing"
    return {
        path: (before.get(path, missing), now.get(path, missing))
        for path in {**before, **now}
        if before.get(path) != now.get(path)
    }


def _by_path(table: Mapping[str, Any], *, parent: str = "") -> dict[str, str]:
    """Return the values of a table as text, by path such as ``optimiser.learning_rate``."""
    found: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            found |= _by_path(value, parent=f"{parent}{name}.")
        else:
            found[f"{parent}{name}"] = json.dumps(value)
    return found


def _epoch(line: Mapping[str, str], classes: Sequence[str]) -> EpochScores:
    """Return one line of ``metrics.csv``; earlier versions had fewer columns."""
    whole = {name: int(line[name]) for name in ("epoch", "iteration")}
    real = {name: float(line[name]) for name in COLUMNS[2:] if line.get(name)}
    iou = tuple(float(line[f"val_iou_{name}"]) for name in classes)
    return EpochScores(**whole, **real, val_iou=iou)  # type: ignore[arg-type]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else repr(float(value))


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_whole(path, lambda file: file.write(text.getvalue().encode()))


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
    """Return the reason of each sample that a run left out, by sample id.

    Raises
    ------
    TrainingError
        The file is damaged.
    """
    if not (root / SKIPPED).is_file():
        return {}
    try:
        _, *lines = read_csv(root / SKIPPED).values()
        return dict(lines)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"cannot read {root / SKIPPED}: {error}; delete it, which loses the list of samples "
            "that were left out"
        ) from error
