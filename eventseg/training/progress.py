"""Reports of training to its caller: progress, the end of each epoch and the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eventseg.networks import TrainedNetwork
from eventseg.recordings.progress import Progress
from eventseg.training.epoch_tables import EpochScores


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress(Progress):
    """Progress of a training run in updates, as it is reported after a batch or a validation.

    Parameters
    ----------
    epoch, epochs : int
        Number of the epoch that runs, from 1, and number of all epochs.
    images : int
        Images of the batch that was just done; 0 after validation.
    loss : float
        Loss of the last batch.
    val_miou : float
        Mean IoU of the last validation in percent, NaN before the first.
    """

    epoch: int
    epochs: int
    images: int
    loss: float
    val_miou: float


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Result of a training run.

    Parameters
    ----------
    path : Path
        The run folder.
    history : tuple of EpochScores
    best : EpochScores
        Scores of the epoch that ``best.pt`` holds.
    stop_reason : str
        ``length``, ``patience`` or ``callback``.
    """

    path: Path
    history: tuple[EpochScores, ...]
    best: EpochScores
    stop_reason: str


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """A finished epoch, as callbacks of :func:`train` get it.

    Parameters
    ----------
    path : Path
        The run folder, with the files of the epoch in it.
    scores : EpochScores
    best : bool
        Whether the epoch is the best so far.
    network : TrainedNetwork
        The network that was validated, in evaluation mode on the training's device.
    """

    path: Path
    scores: EpochScores
    best: bool
    network: TrainedNetwork


EpochCallback = Callable[[EpochEnd], object]
"""Function called after each epoch; training ends where it returns True."""
