"""Data sets and networks that the tests of scores share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from prediction_fixtures import random_network
from training_fixtures import street_dataset

from eventseg.dataset.writer import encode_dataset
from eventseg.labels.maps import CITYSCAPES_19


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("score")
    street_dataset(folder)
    encode_dataset(
        [folder / "drive.hdf5", folder / "other.hdf5"], folder / "cropped",
        held_out=["other"], windows_us=50_000, crop=(0, 36),
    )  # fmt: skip
    random_network(folder / "events.pt", "events", folder / "streets", table=CITYSCAPES_19)
    random_network(folder / "gray.pt", "gray", table=CITYSCAPES_19)
    return folder


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing: figures take most of the time of a small score."""
    monkeypatch.setattr("eventseg.evaluation.report.write.report_page", lambda *_a, **_k: "")
