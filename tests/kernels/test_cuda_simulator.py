"""The CUDA kernels without a GPU: Numba's simulator, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
CHECKS = sorted(TESTS.glob("*/*_in_simulator.py"))


def test_kernels_in_the_simulator_have_the_bits_of_the_cpu():
    # One process for all of them: to import torch takes as long as the checks of one file.
    assert len(CHECKS) == 3
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", *map(str, CHECKS)],
        cwd=TESTS.parent,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
