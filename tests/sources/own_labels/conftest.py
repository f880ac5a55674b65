"""A data set that the tests of label sets import into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from recording_fixtures import write_recording

from eventseg.dataset import encode_dataset


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    recordings = [write_recording(folder / f"{n}.hdf5", seed=k) for k, n in enumerate(("a", "a_2"))]
    encode_dataset(recordings, folder / "data", store="none")
    return folder / "data"


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    for recording in made.parent.glob("*.hdf5"):
        shutil.copy(recording, tmp_path)
    shutil.copytree(made, tmp_path / "data")
    return tmp_path / "data"
