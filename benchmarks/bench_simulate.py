"""How long a second of driving takes to simulate, and what takes the time.

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

DURATION_US = 2_000_000
ROUNDS = 3
SEED = 7
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


def one_drive(folder: Path, *, threads: int) -> dict[str, float]:
    """Return the wall seconds of a drive, in all and by part."""
    spent = dict.fromkeys(PARTS, 0.0)
    patches = [
        patch.object(kind, method, timed(getattr(kind, method), spent, name))
        for name, (kind, method) in PARTS.items()
    ]
    for each in patches:
        each.start()
    begin = time.perf_counter()
    simulate_street(folder / "drive.hdf5", duration_us=DURATION_US, seed=SEED, threads=threads)
    spent["all"] = time.perf_counter() - begin
    for each in patches:
        each.stop()
    return spent


def main() -> None:
    result: dict[str, object] = {
        "machine": machine(),
        "drive": f"day, seed {SEED}, 346x260, 500 Hz, {DURATION_US / 1e6:g} s",
    }
    with TemporaryDirectory() as folder:
        simulate_street(Path(folder) / "warm.hdf5", duration_us=100_000, seed=SEED)
        for threads in (1, 2):
            drives = [one_drive(Path(folder), threads=threads) for _ in range(ROUNDS)]
            whole = np.array([drive["all"] for drive in drives])
            result[f"{threads} thread{'s' * (threads > 1)}"] = {
                "seconds_per_simulated_second": float(np.median(whole)) / (DURATION_US / 1e6),
                "rounds": (whole / (DURATION_US / 1e6)).tolist(),
                **{
                    f"share_{name}": float(np.median([d[name] / d["all"] for d in drives]))
                    for name in PARTS
                },
            }
    for name, numbers in result.items():
        print(name, numbers)
    save("simulate", result)


if __name__ == "__main__":
    main()
