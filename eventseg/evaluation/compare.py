"""What run folders and the evaluations in them say, and runs that differ only in their seed."""

from __future__ import annotations

import json
import math
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eventseg.dataset_files import MANIFEST
from eventseg.dataset_manifest import Manifest
from eventseg.errors import TrainingError
from eventseg.splits import EVSEGNET_ROWS
from eventseg.training.config import TrainConfig, to_toml
from eventseg.training.config_tables import from_table
from eventseg.training.run_folder import RUN, best_of, read_metrics, read_run, read_timing


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run, or several that differ only in their seed.

    Parameters
    ----------
    name : str
    config : TrainConfig
    parameters : int
    best_epoch : str
    val_miou : tuple of float
        Of the best epoch in percent, one a seed.
    scored : mapping of str to tuple of float
        mIoU in percent by evaluation and window, one a seed that has it.
    train_s, peak_memory_mib : float
        Of all epochs; the mean and the largest of several seeds.
    data : str
        Digest of data and classes, by which runs are alike.
    published_data : bool
        Whether the data set is EV-SegNet's.
    """

    name: str
    config: TrainConfig
    parameters: int
    best_epoch: str
    val_miou: tuple[float, ...]
    scored: Mapping[str, tuple[float, ...]]
    train_s: float
    peak_memory_mib: float
    data: str
    published_data: bool


def read_run_summary(run: str | Path) -> RunSummary:
    """Return what a run folder and the evaluations in it say.

    Raises
    ------
    TrainingError
        No run folder, or a file in it that cannot be read.
    """
    root = Path(run)
    held = read_run(root / RUN)
    config = from_table(TrainConfig, tomllib.loads(held["config"]))
    history, classes = read_metrics(root)
    best = best_of(history, min_delta=config.min_delta)
    costs = read_timing(root)
    return RunSummary(
        name=root.resolve().name,
        config=config,
        parameters=int(held["parameters"]),
        best_epoch=str(best.epoch),
        val_miou=(best.val_miou,),
        scored={
            name: (value,)
            for path in sorted(root.glob("evaluation-*/scores.json"))
            for name, value in _scored(path).items()
        },
        train_s=math.fsum(cost.train_s for cost in costs),
        peak_memory_mib=max((cost.peak_memory_mib for cost in costs), default=math.nan),
        data=json.dumps([held["inputs"], classes], sort_keys=True),
        published_data=is_published_data(Path(held["data"]), classes=classes),
    )


def is_published_data(data: Path, *, classes: Sequence[str]) -> bool:
    """Return whether a data set has EV-SegNet's seven recordings, rows and six classes."""
    if not (data / MANIFEST).is_file():
        return False
    manifest = Manifest.read(data / MANIFEST)
    return (
        manifest.settings.anchor.kind == "evsegnet"
        and {entry.name for entry in manifest.recordings} == set(EVSEGNET_ROWS)
        and len(classes) == 6
    )


def group_seeds(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Return the runs, those on the same data that differ only in the seed as one."""
    alike: dict[str, list[RunSummary]] = {}
    for run in runs:
        alike.setdefault(to_toml(replace(run.config, seed=0)) + run.data, []).append(run)
    return [_merged(group) for group in alike.values()]


def _scored(path: Path) -> dict[str, float]:
    """Return the network's mIoU in percent by evaluation and window."""
    name = path.parent.name.removeprefix("evaluation-")
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        network = held["rows"][0]["name"]
        return {
            f"{name} {row['window']}".removesuffix(" -"): 100 * row["scores"]["miou_present"]
            for row in held["rows"]
            if row["name"] == network and row["scores"]["miou_present"] is not None
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise TrainingError(
            f"cannot read {path}: {error!r}; run eventseg evaluate again"
        ) from error


def _merged(group: Sequence[RunSummary]) -> RunSummary:
    if len(group) == 1:
        return group[0]
    names = {name for run in group for name in run.scored}
    return replace(
        group[0],
        name=", ".join(run.name for run in group),
        best_epoch=", ".join(run.best_epoch for run in group),
        val_miou=tuple(value for run in group for value in run.val_miou),
        scored={
            name: tuple(value for run in group for value in run.scored.get(name, ()))
            for name in names
        },
        train_s=statistics.fmean(run.train_s for run in group),
        peak_memory_mib=max(run.peak_memory_mib for run in group),
    )
