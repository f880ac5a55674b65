"""Paired timing in one process: every competitor in turn, round after round; medians and ratios."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
from numba import njit

RESULTS = Path(__file__).parent / "results"


def rounds(competitors: dict[str, Callable[[], object]], *, count: int) -> dict[str, np.ndarray]:
    """Return the wall seconds of each competitor in each round; one round before is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in competitors}
    for turn in range(count + 1):
        for name, run in competitors.items():
            begin = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return {name: np.array(values) for name, values in seconds.items()}


def ratio(seconds: dict[str, np.ndarray], slower: str, faster: str) -> float:
    """Return how many times as long ``slower`` took, as the median over the paired rounds."""
    return float(np.median(seconds[slower] / seconds[faster]))


@njit(nogil=True)
def _fill(array, value):
    for i in range(len(array)):
        array[i] = value


@njit(nogil=True)
def _read(array):
    total = np.int64(0)
    for i in range(len(array)):
        total += array[i]
    return total


def bandwidth_gb_s(threads: int, *, megabytes: int = 256, count: int = 7) -> dict[str, float]:
    """Return what this machine writes and reads a second, in GB, by plain loops over memory."""
    array = np.ones(megabytes << 17, np.int64)
    parts = np.array_split(array, threads)
    with ThreadPoolExecutor(threads) as pool:
        seconds = rounds(
            {
                "write": lambda: list(pool.map(lambda part: _fill(part, 1), parts)),
                "read": lambda: list(pool.map(_read, parts)),
            },
            count=count,
        )
    return {name: array.nbytes / float(np.median(each)) / 1e9 for name, each in seconds.items()}


def machine() -> dict[str, object]:
    """Return what a reader needs to know of the machine and the versions."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    packages = ("numpy", "numba", "h5py", "torch", "eventseg")
    peers = ("tonic", "evutils", "evlib", "dv-processing")
    versions = {}
    for name in packages + peers:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": model,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": versions,
    }


def save(name: str, result: dict[str, object]) -> None:
    """Write a result beside those of other runs."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {path.relative_to(RESULTS.parent.parent)}")
