"""A tree of the ESS repack that the tests of leagues share."""

from __future__ import annotations

from pathlib import Path

import pytest
from league_trees import DAVIS, Drive, simulated, write_ess_tree


@pytest.fixture(scope="session")
def ess(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Drive]]:
    root = tmp_path_factory.mktemp("ess")
    train = simulated(root / "train.hdf5", sensor=DAVIS, duration_us=700_000, seed=7)
    test = simulated(root / "test.hdf5", sensor=DAVIS, duration_us=200_000, seed=8)
    return root / "DDD17", write_ess_tree(root / "DDD17", train, test)
