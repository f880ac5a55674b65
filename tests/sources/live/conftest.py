"""A data set of two recordings to train on, and its source."""

from __future__ import annotations

from pathlib import Path

import pytest
from sources.live.live_fixtures import opened
from training_fixtures import street_dataset

from eventseg.dataset.writer import encode_dataset


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, of which both have samples to train on."""
    root = tmp_path_factory.mktemp("data")
    street_dataset(root)
    encode_dataset(
        [root / "drive.hdf5", root / "other.hdf5"], root / "both", windows_us=(10_000, 50_000)
    )
    return root / "both"


@pytest.fixture
def source(data: Path):
    with opened(data) as found:
        yield found
