"""Tables of a run folder: scores and costs by epoch, and samples that could not be read."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from eventseg.errors import TrainingError
from eventseg.files.texts import read_csv
from eventseg.files.whole import write_whole
from eventseg.training.layout import BEST, CONFIG, LAST, METRICS, RUN, SKIPPED, TIMING


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
        Loss, and accuracy and mean IoU in percent, over the samples of the epoch as they were seen.
    val_loss, val_accuracy, val_miou : float
        The same over the validation part; the mean IoU is over the classes in its truth or
        prediction.
    val_iou : tuple of float (K,)
        IoU of each class in percent, NaN for one in neither truth nor prediction.
    val_miou_truth, val_miou_all : float
        Mean IoU over the classes in the truth of the validation part, and over all classes with
        absent ones as 0. The first chooses the best epoch: one pixel taken for an absent class
        does not move it. Runs of earlier versions have neither (NaN).
    clean_loss, clean_accuracy, clean_miou : float, optional
        The same over training samples without augmentation; None where none are scored.
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
    """Cost of an epoch, one line of ``timing.csv``; it differs from run to run.

    Parameters
    ----------
    epoch : int
        Epochs done, from 1.
    train_s, val_s : float
        Wall time in seconds of the updates and of the validation.
    images_per_s : float
        Training samples a second of wall time.
    peak_memory_mib : float
        Largest memory so far in MiB: of the GPU, or of the process on a CPU; NaN on Windows.
    """

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


def check_has_epoch(root: Path) -> None:
    """Raise a TrainingError for a run whose first epoch has not ended, with what it has."""
    if (root / METRICS).is_file():
        return
    names = (CONFIG, RUN, BEST, LAST)
    there = [name for name in names if (root / name).is_file()]
    raise TrainingError(
        f"{root} has no {METRICS}, as no epoch of its training has ended; it has "
        f"{' and '.join(there) or 'no file of a run'}: wait for it, go on with train --resume, or "
        "leave it out"
    )


def read_metrics(root: Path) -> tuple[list[EpochScores], tuple[str, ...]]:
    """Return the rows of ``metrics.csv``, and the names of the classes.

    Raises
    ------
    TrainingError
        The file is missing or damaged.
    """
    check_has_epoch(root)
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


def _epoch(line: Mapping[str, str], classes: Sequence[str]) -> EpochScores:
    """Return one line of ``metrics.csv``; earlier versions had fewer columns."""
    numbers = {name: int(line[name]) for name in ("epoch", "iteration")}
    scores = {name: float(line[name]) for name in COLUMNS[2:] if line.get(name)}
    iou = tuple(float(line[f"val_iou_{name}"]) for name in classes)
    return EpochScores(**numbers, **scores, val_iou=iou)  # type: ignore[arg-type]


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
    reasons = {**skipped, **read_skipped(root)}
    _write_csv(root / SKIPPED, [("sample", "reason"), *reasons.items()])


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
