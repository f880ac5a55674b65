"""Check of a run folder: settings, scores, checkpoints and data."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventseg.errors import EventsegError
from eventseg.files.whole import temporary_files
from eventseg.networks import load_network
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config, with_learning_rate
from eventseg.training.epoch_tables import read_metrics
from eventseg.training.layout import BEST, CONFIG, LAST, METRICS, RUN
from eventseg.training.run_record import check_is_run, read_run, recorded_config


def check_run(path: str | Path) -> tuple[list[str], list[str]]:
    """Return the problems of a run folder and remarks on it.

    ``run.json`` and ``config.toml`` must agree, checkpoints load, and ``metrics.csv`` have one
    finite line an epoch. Data that is no longer there is a remark, data that has changed since a
    problem.

    Examples
    --------
    >>> check_run("runs/fastscnn")
    ([], [])
    """
    root = Path(path)
    try:
        check_is_run(root)
    except EventsegError as error:
        return [str(error)], []
    problems = [f"{root}: {problem}" for problem in _files(root)]
    try:
        run = read_run(root / RUN)
    except EventsegError as error:
        return [*problems, f"{error}; train again, or with --resume where {LAST} is there"], []
    problems += [f"{root}: {problem}" for problem in (*_settings(root, run), *_metrics(root))]
    warnings: list[str] = []
    data = Path(str(run["data"]))
    if not os.path.exists(data):  # noqa: PTH110 - false too for a path that cannot be
        warnings.append(f"{root}: its data are no longer at {data}: they were not compared")
    else:
        try:
            if open_source(data).digests != run["inputs"]:
                problems.append(
                    f"{root}: the data in {data} have changed since the training; scores of this "
                    "run hold for the data as they were"
                )
        except EventsegError as error:
            warnings.append(f"{root}: its data cannot be opened: {error}")
    return problems, warnings


def _files(root: Path) -> Iterator[str]:
    for left in temporary_files(root):
        yield f"{left.relative_to(root)} is left over from a stopped run: --repair removes it"
    for name in (BEST, LAST):
        if not (root / name).is_file():
            yield f"{name} is missing: the run was stopped early; go on with train --resume"
            continue
        try:
            load_network(root / name)
        except EventsegError as error:
            yield f"{error}; restore the file, or train again"


def _settings(root: Path, run: dict[str, Any]) -> Iterator[str]:
    try:
        config = load_config(root / CONFIG)
    except EventsegError as error:
        yield f"{error}; restore it from the entry config of {RUN}"
        return
    try:
        recorded = recorded_config(run, root / RUN)
    except EventsegError as error:
        yield str(error)
        return
    # As values: an earlier version wrote fewer settings.
    if config != with_learning_rate(recorded):
        yield f"{CONFIG} differs from the settings in {RUN}: restore it from there"


def _metrics(root: Path) -> Iterator[str]:
    if not (root / METRICS).is_file():
        yield f"{METRICS} is missing: no epoch has ended; go on with train --resume"
        return
    try:
        history, _ = read_metrics(root)
    except EventsegError as error:
        yield f"{error}; go on with train --resume, which writes it again"
        return
    if [line.epoch for line in history] != list(range(1, len(history) + 1)):
        yield f"{METRICS} does not have one line an epoch, in order"
    for line in history:
        if not math.isfinite(line.train_loss):
            yield f"{METRICS}: the loss of epoch {line.epoch} is {line.train_loss}"
