"""Seconds that short commands take: the first time, with nothing compiled, and after it.

    uv run python benchmarks/bench_startup.py

Each command is a process of its own. Cold, Numba's cache is an empty folder; Python's bytecode is
there in both cases, as after the first command on a machine. Processor time is that of the command
and its children, which other work on the machine changes less than wall time. CHECKOUT, another
working tree with an environment of its own, is timed in turn and gives the ratio.

    uv run python benchmarks/bench_startup.py CHECKOUT
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from paired import machine, save

from eventseg.dataset.writer import encode_dataset
from eventseg.events import SensorSize
from eventseg.simulate.street import simulate_street

HERE = Path(__file__).resolve().parents[1]
ROUNDS = 5


def seconds(command: list[str], *, cache: Path, folder: Path) -> tuple[float, float]:
    """Return wall and processor seconds of a command."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=folder)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", nargs="?", type=Path, help="Another checkout to compare with.")
    arguments = parser.parse_args()
    trees = {
        "this": HERE,
        **({"other": arguments.checkout.resolve()} if arguments.checkout else {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        simulate_street(
            root / "rec.hdf5", duration_us=1_000_000, seed=1, sensor=SensorSize(260, 346)
        )
        with contextlib.chdir(root):
            encode_dataset("rec.hdf5", "drives", windows_us=[50_000])
        training = "--network fastscnn --workers 0 --device cpu --batch-size 2 --set iterations=1"
        commands = {
            "--help": ["--help"],
            "networks": ["networks"],
            "info": ["info", "rec.hdf5"],
            "encode": ["encode", "rec.hdf5", "--window", "50ms", "--out", "data"],
            "train": ["train", "drives", *training.split(), "--out", "run"],
        }
        times: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
        for turn in range(ROUNDS + 1):
            for name, arguments in commands.items():
                for tree, path in trees.items():
                    cache = root / f"cache-{tree}"
                    shutil.rmtree(cache, ignore_errors=True)
                    for state in ("cold", "warm"):
                        for left in ("data", "run"):
                            shutil.rmtree(root / left, ignore_errors=True)
                        command = [str(path / ".venv" / "bin" / "eventseg"), *arguments]
                        taken = seconds(command, cache=cache, folder=root)
                        if turn:  # the first round writes the bytecode
                            times.setdefault((name, state, tree), []).append(taken)
    rows: list[dict[str, Any]] = []
    for (name, state, tree), found in times.items():
        wall, cpu = np.median(np.array(found), axis=0)
        rows.append(
            {
                "command": name,
                "state": state,
                "tree": tree,
                "wall_s": round(float(wall), 2),
                "cpu_s": round(float(cpu), 2),
            }
        )
        print(rows[-1])
    save("startup", {"machine": machine(), "rounds": ROUNDS, "rows": rows})


if __name__ == "__main__":
    main()
