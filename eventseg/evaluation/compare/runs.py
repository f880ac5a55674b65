"""Summaries of run folders and their evaluations; runs that differ only in the seed as one."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eventseg.encoding.settings import Encoding
from eventseg.errors import EventsegError
from eventseg.evaluation.compare.published import published_data
from eventseg.evaluation.compare.scores import (
    Evaluation,
    Score,
    Scored,
    differ,
    read_scores,
    samples_of,
)
from eventseg.evaluation.request import FOLDER, classes_word, recordings_of
from eventseg.networks.checkpoints import read_inputs
from eventseg.training.config.config import TrainConfig, to_toml
from eventseg.training.epoch_tables import EpochScores, best_of, read_metrics, read_timing
from eventseg.training.layout import BEST, METRICS, RUN
from eventseg.training.run_record import read_run, recorded_config


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run, or several that differ only in their seed.

    Parameters
    ----------
    name : str
    config : TrainConfig
    parameters : int
    best_epoch : str
        Empty before the first epoch has ended.
    val_miou : tuple of float
        Validation mIoU of the best epoch in percent, one for each seed.
    scored : mapping
        See :data:`Scored`.
    train_s, peak_memory_mib : float
        Training time and memory over all epochs; the mean and the largest of several seeds.
    data : str
        Digest of data and classes, by which runs are alike.
    published_data : str
        Data set with published results that this is, empty for another.
    own : frozenset of Evaluation
        Those on the data and in the classes that the run was trained on, with any labels.
    folders : tuple of Path
        Run folders, one for each seed.
    encoding : Encoding, optional
        Encoding of the events that the network sees; None where it sees none or it is unknown.
    data_name : str
        Name of the data that the run was trained on.
    """

    name: str
    config: TrainConfig
    parameters: int
    best_epoch: str
    val_miou: tuple[float, ...]
    scored: Scored
    train_s: float
    peak_memory_mib: float
    data: str
    published_data: str
    own: frozenset[Evaluation] = frozenset()
    folders: tuple[Path, ...] = ()
    encoding: Encoding | None = None
    data_name: str = ""


def read_run_summary(run: str | Path, *, unfinished: bool = False) -> RunSummary:
    """Return the summary of a run folder and of the evaluations in it.

    Parameters
    ----------
    run : path
    unfinished : bool
        Whether a run may be without an epoch; it has no scores then.

    Raises
    ------
    TrainingError
        No run folder, or a file in it that cannot be read.
    """
    root = Path(run)
    record = read_run(root / RUN)
    config = recorded_config(record, root / RUN)
    best: EpochScores | None = None
    classes: tuple[str, ...] = ()
    if not unfinished or (root / METRICS).is_file():
        history, classes = read_metrics(root)
        best = best_of(history, min_delta=config.min_delta)
    costs = read_timing(root)
    scored: dict[Evaluation, dict[str, tuple[Score, ...]]] = {}
    own = set()
    for path in sorted(root.glob(f"{FOLDER}*/scores.json")):
        evaluation, digests, found = read_scores(path)
        evaluation = _kept_apart(evaluation, found, scored)
        # Evaluations that differ only in their windows are one.
        scored.setdefault(evaluation, {}).update(found)
        same = _without_labels(digests) == _without_labels(record["inputs"])
        if same and evaluation.classes == classes_word(classes):
            own.add(evaluation)
    return RunSummary(
        name=root.resolve().name,
        config=config,
        parameters=int(record["parameters"]),
        best_epoch="" if best is None else str(best.epoch),
        val_miou=() if best is None else (best.val_miou,),
        scored=scored,
        train_s=math.fsum(cost.train_s for cost in costs),
        peak_memory_mib=max((cost.peak_memory_mib for cost in costs), default=math.nan),
        data=json.dumps([record["inputs"], classes], sort_keys=True),
        published_data=published_data(Path(record["data"]), classes=classes),
        own=frozenset(own),
        folders=(root.resolve(),),
        encoding=_encoding(root),
        data_name=Path(record["data"]).name,
    )


def _kept_apart(
    evaluation: Evaluation, found: Mapping[str, tuple[Score, ...]], scored: Scored
) -> Evaluation:
    """Return the evaluation, named by its samples where it has a window of one on other samples."""
    known = scored.get(evaluation, {})
    common = sorted(known.keys() & found.keys())
    for one, other in ((known[window][0], found[window][0]) for window in common):
        if differ(samples_of(one), samples_of(other)):
            samples = other.sample_set or f"{other.samples}"
            return evaluation._replace(how=f"{evaluation.how}-samples@{samples}")
    return evaluation


def _encoding(root: Path) -> Encoding | None:
    """Return the encoding that the checkpoint of a run holds; None without one."""
    try:
        return read_inputs(root / BEST).encoding
    except EventsegError:
        return None


def group_seeds(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Return the runs, those on the same data that differ only in the seed as one.

    A run with the seed of an earlier one, such as its reproduction, is no further seed.
    """
    alike: dict[tuple[str, int], list[RunSummary]] = {}
    seen: Counter[str] = Counter()
    for run in runs:
        repeated = to_toml(run.config) + run.data
        alone = to_toml(replace(run.config, seed=0)) + run.data
        alike.setdefault((alone, seen[repeated]), []).append(run)
        seen[repeated] += 1
    return [_merged(group) for group in alike.values()]


def _without_labels(digests: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of a source's recordings or files, and of its settings."""
    return {**recordings_of(digests), "settings": digests.get("settings", "")}


def _merged(group: Sequence[RunSummary]) -> RunSummary:
    if len(group) == 1:
        return group[0]
    scored: dict[Evaluation, dict[str, tuple[Score, ...]]] = {}
    for run in group:
        for evaluation, windows in run.scored.items():
            merged = scored.setdefault(evaluation, {})
            for window, scores in windows.items():
                merged[window] = merged.get(window, ()) + scores
    return replace(
        group[0],
        name=", ".join(run.name for run in group),
        best_epoch=", ".join(run.best_epoch for run in group),
        val_miou=tuple(value for run in group for value in run.val_miou),
        scored=scored,
        own=frozenset().union(*(run.own for run in group)),
        train_s=statistics.fmean(run.train_s for run in group),
        peak_memory_mib=max(run.peak_memory_mib for run in group),
        folders=tuple(folder for run in group for folder in run.folders),
    )
