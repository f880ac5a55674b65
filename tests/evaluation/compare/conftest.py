"""Trained runs that the tests of comparisons share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from training_fixtures import train_tiny

from eventseg.training import epoch_files


@pytest.fixture(scope="session")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a run, and one on frames in six classes."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch_files, "picture_curves", lambda *_a, **_k: None)
        patch.setattr(epoch_files, "picture_samples", lambda *_a, **_k: None)
        train_tiny(data, root / "first", epochs=1)
        train_tiny(data, root / "second", epochs=1, seed=3)
        train_tiny(data, root / "gray", epochs=1, input__kind="gray", labels__classes="evsegnet6")
    return root


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs"))
