"""Data set and pictures that the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_fixtures import draw_nothing, street_dataset


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training and a test drive as one data set; tests that change it copy it first."""
    return street_dataset(tmp_path_factory.mktemp("data"), normalise="raw")


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no pictures: they are most of the time of a tiny run."""
    draw_nothing(monkeypatch)
