"""State of a run: the network in training and the epochs so far, as ``last.pt`` keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eventseg.errors import CheckpointError, NetworkError
from eventseg.networks.network import SegmentationNetwork
from eventseg.networks.weights import load_file
from eventseg.training.config.config import TrainConfig, to_toml
from eventseg.training.epoch_tables import EpochCost, EpochScores
from eventseg.training.schedules import Plateau, after_score


@dataclass(slots=True)
class NetworkInTraining:
    """A network with the optimiser, learning rate and averaged copy that go with it.

    Parameters
    ----------
    network : SegmentationNetwork
        The network whose weights are saved.
    forward : callable
        The same network as it is called: compiled or wrapped for several processes, or itself.
    optimiser : torch.optim.Optimizer
    config : TrainConfig
    device : torch.device
    classes : int
        Number of classes.
    learning_rate : callable
        Learning rate by the number of updates done.
    loss : callable
        :func:`eventseg.training.losses.losses.segmentation_loss` with its settings, called with
        outputs, labels and ``pixel_weights``.
    scaler : torch.amp.GradScaler
        Gradient scaler; disabled except for fp16.
    average : SegmentationNetwork, optional
        Averaged copy of the network.
    iteration : int
        Updates done.
    """

    network: SegmentationNetwork
    forward: Callable[[Tensor], Tensor | tuple[Tensor, ...]]
    optimiser: torch.optim.Optimizer
    config: TrainConfig
    device: torch.device
    classes: int
    learning_rate: Callable[[int], float]
    loss: Callable[..., Tensor]
    scaler: torch.amp.GradScaler
    average: SegmentationNetwork | None = None
    iteration: int = 0

    @property
    def validated(self) -> SegmentationNetwork:
        """The network that is validated and saved: the averaged copy if there is one."""
        return self.network if self.average is None else self.average


@dataclass(slots=True)
class RunHistory:
    """Scores and costs of the epochs so far, and their best.

    Parameters
    ----------
    scores : list of EpochScores
    costs : list of EpochCost
    plateau : Plateau
        State of the ``plateau`` schedule.
    best : int
        Index of the best epoch; -1 before the first.
    waited : int
        Epochs since the best one.
    """

    scores: list[EpochScores] = field(default_factory=list)
    costs: list[EpochCost] = field(default_factory=list)
    plateau: Plateau = field(default_factory=Plateau)
    best: int = -1
    waited: int = 0

    @property
    def val_miou(self) -> float:
        """Mean IoU of the last validation in percent, NaN before the first."""
        return self.scores[-1].val_miou if self.scores else float("nan")

    def add(self, scores: EpochScores, cost: EpochCost, config: TrainConfig) -> bool:
        """Add an epoch and return whether it is the best so far."""
        self.scores.append(scores)
        self.costs.append(cost)
        self.plateau = after_score(config.schedule, self.plateau, score=scores.selection_score)
        before = self.scores[self.best]
        if self.best < 0 or scores.selection_score > before.selection_score + config.min_delta:
            self.best, self.waited = len(self.scores) - 1, 0
            return True
        self.waited += 1
        return False


def training_state(training: NetworkInTraining, history: RunHistory) -> dict[str, Any]:
    """Return everything that a run needs to go on but the validated weights: values and tensors.

    Where weights are averaged, the average is validated and stands beside this; ``network`` is what
    goes on learning.
    """
    learning = None if training.average is None else training.network.state_dict()
    return {
        "config": to_toml(training.config),
        "iteration": training.iteration,
        "optimiser": training.optimiser.state_dict(),
        "scaler": training.scaler.state_dict(),
        "network": learning,
        "plateau": asdict(history.plateau),
        "best": history.best,
        "waited": history.waited,
        "history": json.dumps([asdict(row) for row in history.scores]),
        "costs": json.dumps([asdict(cost) for cost in history.costs]),
    }


def restore(path: Path, training: NetworkInTraining) -> RunHistory:
    """Load weights, optimiser and history of the last complete epoch of a run.

    Raises
    ------
    CheckpointError
        The file is damaged or of another network.
    """
    loaded = load_file(path)
    try:
        state: Mapping[str, Any] = loaded["training"]
        learning, average = loaded["state_dict"], loaded["state_dict"]
        if "average" in state:  # as files of version 0.1 had them
            average = state["average"]
        elif training.average is not None:
            learning = state["network"]
        training.network.load_state_dict(learning)
        training.optimiser.load_state_dict(state["optimiser"])
        training.scaler.load_state_dict(state["scaler"])
        if training.average is not None:
            training.average.load_state_dict(average)
        training.iteration = state["iteration"]
        return RunHistory(
            scores=[
                EpochScores(**{**row, "val_iou": tuple(row["val_iou"])})
                for row in json.loads(state["history"])
            ],
            costs=[EpochCost(**cost) for cost in json.loads(state["costs"])],
            plateau=Plateau(**state["plateau"]),
            best=state["best"],
            waited=state["waited"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError, NetworkError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path} is of another network or damaged: {first}") from error
