"""The CUDA kernels without a GPU: Numba's simulator, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKS = sorted(Path(__file__).parent.glob("cuda_*in_simulator.py"))


@pytest.mark.parametrize("checks", CHECKS, ids=lambda path: path.stem)
def test_kernels_in_the_simulator_have_the_bits_of_the_cpu(checks):
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", str(checks), "-p", "no:cacheprovider"],
        cwd=checks.parents[2],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
