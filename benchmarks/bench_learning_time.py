"""Processor time of a training of bench_learning beside that of an earlier checkout.

    git worktree add /tmp/before 2fc7503 && (cd /tmp/before && uv sync)
    uv run python benchmarks/bench_learning.py FOLDER
    uv run python benchmarks/bench_learning_time.py /tmp/before FOLDER

Each checkout trains by the Python of its own `.venv` and the rows of its own
`benchmarks/bench_learning.py`, on the recordings of FOLDER, which each encodes once. They take
turns, one thread each, for an epoch: seconds are those of the processor, without imports, with the
validation. Times the updates of the whole training they say which of the two is shorter.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from paired import machine, save

HERE = Path(__file__).resolve().parents[1]
BEFORE, NOW = "fastscnn-events-50ms", "fastscnn-averaged-50ms"

TRAIN = """
import json, sys, time
from pathlib import Path
benchmarks, folder, data, out, row, updates = sys.argv[1:]
sys.path.insert(0, benchmarks)
import bench_learning as bench
import torch
torch.set_num_threads(1)
recordings = {
    seeds: [Path(folder) / "recordings" / f"world{seed}.hdf5" for seed in seeds]
    for seeds in (bench.TRAIN_SEEDS, bench.TEST_SEEDS)
}
if not Path(data).exists():
    bench.encode_dataset(
        [path for paths in recordings.values() for path in paths],
        Path(data),
        windows_us=[10_000, 50_000, 250_000],
        held_out=[path.stem for path in recordings[bench.TEST_SEEDS]],
        sensor=bench.SENSOR,
    )
begin = time.process_time()
bench.learn(Path(data), Path(out), {**bench.RUNS[row], "iterations": int(updates)})
seconds = time.process_time() - begin
print(json.dumps([seconds, bench.RUNS[row]["iterations"]]))
"""


def trained(checkout: Path, *arguments: str) -> tuple[float, int]:
    """Return the processor seconds of a training by a checkout, and the updates of its row."""
    python = checkout / ".venv" / "bin" / "python"
    # -P: the eventseg of its environment, not that of the folder in which this runs.
    command = [str(python), "-P", "-c", TRAIN, str(checkout / "benchmarks"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, text=True)
    seconds, updates = json.loads(done.stdout.splitlines()[-1])
    return seconds, updates


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path, help="The earlier checkout, with its environment.")
    parser.add_argument("folder", type=Path, help="Folder of bench_learning.py.")
    parser.add_argument("--updates", type=int, default=364, help="Updates of a turn: an epoch.")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rows = {"before": (given.checkout.resolve(), BEFORE), "now": (HERE, NOW)}
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    whole: dict[str, int] = {}
    for turn in range(given.rounds):
        for name, (checkout, row) in rows.items():
            data = given.folder / f"time-{name}.eventseg"
            with tempfile.TemporaryDirectory() as out:
                taken, whole[name] = trained(
                    checkout, str(given.folder), str(data), f"{out}/run", row, str(given.updates)
                )
            seconds[name].append(taken)
            print(f"{turn} {name}: {taken:.1f} s")
    pairs = np.array(seconds["now"]) / np.array(seconds["before"])
    result = {
        "machine": machine(),
        "updates": given.updates,
        "rows": {
            name: {
                "commit": commit_of(rows[name][0]),
                "row": rows[name][1],
                "updates": whole[name],
                "cpu_s": [round(each, 2) for each in seconds[name]],
                "whole_minutes": round(
                    float(np.median(seconds[name])) / given.updates * whole[name] / 60, 2
                ),
            }
            for name in rows
        },
        "update_ratio": round(float(np.median(pairs)), 3),
        "whole_ratio": round(float(np.median(pairs)) * whole["now"] / whole["before"], 3),
    }
    print(json.dumps(result, indent=2))
    save("learning_time", result)


if __name__ == "__main__":
    main()
