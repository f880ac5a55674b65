"""A data set, and a copy of it with a teacher, that the tests of evaluation share."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_fixtures import street_dataset

from eventseg.dataset.manifest import Manifest


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training and a test drive as one data set; tests that change it copy it first."""
    return street_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture
def taught(data: Path, tmp_path: Path) -> Path:
    """A copy of the data set with a teacher that leaves the left half out."""
    for path in data.parent.glob("*.h*5"):
        shutil.copy(path, tmp_path)
    copied = Path(shutil.copytree(data, tmp_path / "streets"))
    manifest = Manifest.read(copied / "manifest.toml")
    labels = {**manifest.labels, "guess": manifest.labels["truth"]}
    replace(manifest, labels=labels).write(copied / "manifest.toml")
    (copied / "labels/guess").mkdir()
    for path in (copied / "labels/truth").iterdir():
        values = np.array(Image.open(path))
        values[:, :32] = 255
        Image.fromarray(values).save(copied / "labels/guess" / path.name)
    return copied
