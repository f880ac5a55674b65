"""Data set, run and pictures that the tests of training share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from training.run_fixtures import train_tiny
from training_fixtures import draw_nothing, one_thread, street_dataset


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training and a test drive as one data set; tests that change it copy it first."""
    return street_dataset(tmp_path_factory.mktemp("data"), normalise="raw")


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    """A copy of the data set that may be changed, beside its recordings."""
    for path in data.parent.glob("*.h*5"):
        shutil.copy(path, tmp_path)
    return Path(shutil.copytree(data, tmp_path / "streets"))


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no pictures: they are most of the time of a tiny run."""
    draw_nothing(monkeypatch)


@pytest.fixture(scope="session")
def plain(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the data set, computed on one thread; tests leave it as it is."""
    out = tmp_path_factory.mktemp("plain") / "run"
    before = torch.get_num_threads()
    one_thread()
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        train_tiny(data, out)
    torch.set_num_threads(before)
    return out


@pytest.fixture(scope="module")
def quick(single_thread: None) -> Iterator[None]:
    """Compute on one thread and draw nothing, in a module of many tiny runs."""
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield
