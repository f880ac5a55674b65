"""Untrained networks, and scores of them that are counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from training_fixtures import tiny

from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork


def random_network(kind: str = "events", *, classes: ClassTable | None = None) -> TrainedNetwork:
    torch.manual_seed(1)
    table = classes or load_class_table("cityscapes19")
    channels = {"events": 6, "gray": 1, "both": 7}[kind]
    blueprint = Blueprint("fastscnn", channels, len(table))
    inputs: Any = InputSpec(kind, channels, tiny().input.scaling, ("50ms",))  # type: ignore[arg-type]
    return TrainedNetwork(blueprint.build().eval(), blueprint, inputs, table)


def counted(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    matrix = np.zeros((classes, classes), np.int64)
    for row, column in zip(truth.ravel().tolist(), guess.ravel().tolist(), strict=True):
        if row != 255:
            matrix[row, column] += 1
    return matrix


def scored_samples(source: Any, window: str) -> list[int]:
    of_test = np.array(source.splits) == "test"
    return np.flatnonzero(of_test & (source.covered(window) == 1)).tolist()


def soft(network: TrainedNetwork, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits = network.network(x)
    assert isinstance(logits, torch.Tensor)
    return logits.softmax(1)
