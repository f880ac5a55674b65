"""What changes from epoch to epoch: kept in ``last.pt``, so that a stopped run can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eventseg.errors import CheckpointError, NetworkError
from eventseg.networks.weights import load_file
from eventseg.training.config.config import TrainConfig, to_toml
from eventseg.training.run_folder import EpochCost, EpochScores
from eventseg.training.schedules import Plateau, after_score
from eventseg.training.steps import Learner


@dataclass(slots=True)
class State:
    """Where a run is, besides its weights.

    Parameters
    ----------
    history : list of EpochScores
    costs : list of EpochCost
    plateau : Plateau
        Of the schedule of that name.
    best : int
        Index of the best epoch; -1 before the first.
    waited : int
        Epochs since then.
    """

    history: list[EpochScores] = field(default_factory=list)
    costs: list[EpochCost] = field(default_factory=list)
    plateau: Plateau = field(default_factory=Plateau)
    best: int = -1
    waited: int = 0

    @property
    def val_miou(self) -> float:
        """Score of the last validation in percent, NaN before."""
        return self.history[-1].val_miou if self.history else float("nan")

    def add(self, row: EpochScores, cost: EpochCost, config: TrainConfig) -> bool:
        """Add an epoch and return whether it is the best so far."""
        self.history.append(row)
        self.costs.append(cost)
        self.plateau = after_score(config.schedule, self.plateau, score=row.val_miou)
        before = self.history[self.best]
        if self.best < 0 or row.val_miou > before.val_miou + config.min_delta:
            self.best, self.waited = len(self.history) - 1, 0
            return True
        self.waited += 1
        return False


def kept_state(learner: Learner, state: State) -> dict[str, Any]:
    """Return all that a run needs to go on but its weights, as plain values and tensors."""
    return {
        "config": to_toml(learner.config),
        "iteration": learner.iteration,
        "optimiser": learner.optimiser.state_dict(),
        "scaler": learner.scaler.state_dict(),
        "average": None if learner.average is None else learner.average.state_dict(),
        "plateau": asdict(state.plateau),
        "best": state.best,
        "waited": state.waited,
        "history": json.dumps([asdict(row) for row in state.history]),
        "costs": json.dumps([asdict(cost) for cost in state.costs]),
    }


def restore(path: Path, learner: Learner) -> State:
    """Take up a run where its last whole epoch left it: weights, optimiser and state.

    Raises
    ------
    CheckpointError
        The file is damaged or of another network.
    """
    loaded = load_file(path)
    try:
        held: Mapping[str, Any] = loaded["training"]
        learner.plain.load_state_dict(loaded["state_dict"])
        learner.optimiser.load_state_dict(held["optimiser"])
        learner.scaler.load_state_dict(held["scaler"])
        if learner.average is not None:
            learner.average.load_state_dict(held["average"])
        learner.iteration = held["iteration"]
        return State(
            history=[
                EpochScores(**{**row, "val_iou": tuple(row["val_iou"])})
                for row in json.loads(held["history"])
            ],
            costs=[EpochCost(**cost) for cost in json.loads(held["costs"])],
            plateau=Plateau(**held["plateau"]),
            best=held["best"],
            waited=held["waited"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError, NetworkError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{path} is of another network or damaged: {first}") from error
