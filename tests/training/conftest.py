"""Data set and pictures that the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training_fixtures import draw_nothing, one_thread, street_dataset


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training and a test drive as one data set; tests that change it copy it first."""
    return street_dataset(tmp_path_factory.mktemp("data"), normalise="raw")


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no pictures: they are most of the time of a tiny run."""
    draw_nothing(monkeypatch)


@pytest.fixture(scope="module")
def quick():
    """Compute on one thread and draw nothing, in a module of many tiny runs."""
    before = torch.get_num_threads()
    one_thread()
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield
    torch.set_num_threads(before)
