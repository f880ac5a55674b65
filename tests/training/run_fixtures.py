"""Runs that take less than a second, and comparisons of their weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
import training_fixtures as fixtures

QUICK: dict[str, Any] = {"network__name": "fastscnn"}
"""A network whose update takes less than half the time of the one of other tiny runs."""

tiny, train_tiny = partial(fixtures.tiny, **QUICK), partial(fixtures.train_tiny, **QUICK)


def state(path: Path, key: str = "state_dict") -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)[key]


def same_weights(one: Path, other: Path) -> bool:
    first, second = state(one), state(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )
