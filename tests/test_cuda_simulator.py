"""The CUDA kernels without a GPU: Numba's simulator, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_kernels_in_the_simulator_have_the_bits_of_the_cpu():
    checks = Path(__file__).with_name("cuda_in_simulator.py")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", str(checks), "-p", "no:cacheprovider"],
        cwd=checks.parents[1],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
