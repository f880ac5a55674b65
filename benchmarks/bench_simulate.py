"""How long a second of driving takes to simulate, what takes the time, and version 2 beside 1.

    uv run python benchmarks/bench_simulate.py

At 346x260 and 500 renders a second, with truth, frames and files; compiled code is warm.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
from paired import machine, save

from eventseg.simulate.scene.film import StreetFilm
from eventseg.simulate.sensor.dvs import DvsSensor
from eventseg.simulate.street import simulate_street

DURATION_US = 1_000_000
SEEDS = (7, 21, 22, 23, 24)
VERSIONS = (1, 2)
PARTS = {"rendering": (StreetFilm, "pictures"), "dvs": (DvsSensor, "step")}


def timed(function: Callable[..., object], spent: dict[str, float], name: str):
    """Return the function with its wall time added to ``spent``."""

    def call(*arguments: object, **settings: object) -> object:
        begin = time.perf_counter()
        try:
            return function(*arguments, **settings)
        finally:
            spent[name] += time.perf_counter() - begin

    return call


def one_drive(folder: Path, *, threads: int, version: int, seed: int) -> dict[str, float]:
    """Return the wall seconds of a drive, in all and by part."""
    spent = dict.fromkeys(PARTS, 0.0)
    patches = [
        patch.object(kind, method, timed(getattr(kind, method), spent, name))
        for name, (kind, method) in PARTS.items()
    ]
    for each in patches:
        each.start()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    simulate_street(
        folder / "drive.hdf5",
        duration_us=DURATION_US,
        seed=seed,
        threads=threads,
        version=version,
    )
    spent["all"] = time.perf_counter() - begin
    spent["cpu"] = time.process_time() - begin_cpu
    for each in patches:
        each.stop()
    return spent


def main() -> None:
    result: dict[str, object] = {
        "machine": machine(),
        "drive": f"day, seeds {', '.join(map(str, SEEDS))}, 346x260, 500 Hz, "
        f"{DURATION_US / 1e6:g} s, versions in turn",
    }
    with TemporaryDirectory() as folder:
        for version in VERSIONS:
            simulate_street(
                Path(folder) / "warm.hdf5", duration_us=100_000, seed=SEEDS[0], version=version
            )
        for threads in (1, 2):
            drives: dict[int, list[dict[str, float]]] = {version: [] for version in VERSIONS}
            for seed in SEEDS:
                for version in VERSIONS:
                    drives[version].append(
                        one_drive(Path(folder), threads=threads, version=version, seed=seed)
                    )
            title = f"{threads} thread{'s' * (threads > 1)}"
            whole = {v: np.array([d["all"] for d in of]) for v, of in drives.items()}
            cpu = {v: np.array([d["cpu"] for d in of]) for v, of in drives.items()}
            for version, of in drives.items():
                result[f"version {version}, {title}"] = {
                    "seconds_per_simulated_second": float(np.median(whole[version]))
                    / (DURATION_US / 1e6),
                    "rounds": (whole[version] / (DURATION_US / 1e6)).tolist(),
                    "cpu_seconds_per_simulated_second": float(np.median(cpu[version]))
                    / (DURATION_US / 1e6),
                    **{
                        f"share_{name}": float(np.median([d[name] / d["all"] for d in of]))
                        for name in PARTS
                    },
                }
            # Of processor time, which other programs on the machine change less.
            result[f"version 2 / version 1, {title}"] = {
                "median": float(np.median(cpu[2] / cpu[1])),
                "rounds": (cpu[2] / cpu[1]).tolist(),
            }
    for name, numbers in result.items():
        print(name, numbers)
    save("simulate", result)


if __name__ == "__main__":
    main()
