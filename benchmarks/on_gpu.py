"""Everything that a GPU is needed for, in one command with a limit of time.

    uv run --extra cuda python benchmarks/on_gpu.py --minutes 9
    uv run --extra cuda python benchmarks/on_gpu.py --minutes 30 --camvid CamVid
    uv run python benchmarks/on_gpu.py --rehearse

Tests marked gpu, kernels against torch and the CPU, live encoding in training, networks in
bfloat16 and compiled, training steps, latency of live labels and, with a folder of CamVid, three
networks trained as far as the time allows. Each part is a process of its own: one that fails, lacks
a package or runs out of time is named, and the others go on. Their figures lie in
benchmarks/results as each part writes them; gpu.json says what ran, on which machine. With
--rehearse the parts run on the CPU with tiny sizes and write no figures: tests in Numba's
simulator, networks, training and latency with Fast-SCNN; the others are imported, no more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from paired import RESULTS, machine, save

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
SHOWN_LINES = 12
"""Last lines of a part's output that are kept."""


@dataclass(frozen=True)
class Part:
    """A command that needs a GPU, and the one that rehearses it without."""

    name: str
    command: tuple[str, ...]
    rehearsal: tuple[str, ...]
    minutes: float
    """Longest time."""
    cudasim: bool = False
    """Whether the rehearsal runs in Numba's simulator."""


@dataclass(frozen=True)
class Outcome:
    """Result of a part: ``done``, ``failed`` or ``out of time``, with the end of its output."""

    part: str
    state: str
    seconds: float
    output: list[str]


def bench(script: str, *arguments: str) -> tuple[str, ...]:
    """Return the command of a benchmark beside this file."""
    return (PYTHON, str(HERE / script), *arguments)


TESTS = str(HERE.parent / "tests")
SIMULATED = str(HERE.parent / "tests" / "kernels" / "cuda_in_simulator.py")
TINY = ("--only", "fastscnn")

PARTS = (
    Part(
        "tests",
        (PYTHON, "-m", "pytest", "-q", "-n0", "-m", "gpu", TESTS),
        (PYTHON, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", SIMULATED, "-k", "what"),
        3.0,
        cudasim=True,
    ),
    Part("kernels", bench("bench_cuda.py"), (PYTHON, "-c", "import bench_cuda"), 3.0),
    Part(
        "loading",
        bench("bench_loader.py", "--parts", "gpu", "--rounds", "5"),
        (PYTHON, "-c", "import bench_loader"),
        3.0,
    ),
    Part(
        "networks",
        bench("bench_networks.py", "--device", "cuda", "--quick", "--save", "networks_cuda"),
        bench("bench_networks.py", *TINY, "--rounds", "1"),
        4.0,
    ),
    Part(
        "compiled",
        bench(
            *("bench_networks.py", "--device", "cuda", "--quick", "--compiled"),
            *("--save", "networks_cuda_compiled"),
        ),
        (PYTHON, "-c", "import bench_networks"),
        5.0,
    ),
    Part(
        "training",
        bench("bench_training.py", "--device", "cuda", "--save"),
        bench("bench_training.py", *TINY, "--size", "48x64", "--rounds", "1"),
        4.0,
    ),
    Part(
        "latency",
        bench("bench_latency.py", "--device", "cuda", "--seconds", "15", "--save", "latency_cuda"),
        bench("bench_latency.py", *TINY, "--labels", "2", "--seconds", "2", "--save", "none"),
        4.0,
    ),
)


def camvid_parts(folder: Path, minutes: float) -> list[Part]:
    """Return the training and scoring of three networks on CamVid, an equal time for each.

    Each call has run folders of its own: what a time has room for is never the same twice, and a
    run is not begun in the folder of one with other settings.
    """
    parts = []
    when = time.strftime("%Y%m%d-%H%M%S")
    names = ("fastscnn", "enet", "cgnet")
    each = minutes / len(names)
    for name in names:
        run = Path("runs") / f"camvid-{name}-{when}"
        budget = f"{max(0.5, 0.8 * each):.1f}min"
        command = (
            f"{PYTHON} -m eventseg_cli.main train {folder} --input rgb --network {name} "
            f"--recipe auto --budget {budget} --out {run} --device cuda && "
            f"{PYTHON} -m eventseg_cli.main evaluate {run} {folder} --split test --device cuda"
        )
        parts.append(Part(f"camvid {name}", ("sh", "-c", command), ("true",), each))
    return parts


def run_part(part: Part, *, rehearse: bool, seconds_left: float) -> Outcome:
    """Run a part within its time and that of all."""
    limit_s = min(60 * part.minutes, seconds_left)
    if limit_s < 5:
        return Outcome(part.name, "out of time", 0.0, [])
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    if rehearse:
        environment["CUDA_VISIBLE_DEVICES"] = ""
        if part.cudasim:
            environment["NUMBA_ENABLE_CUDASIM"] = "1"
    begin = time.monotonic()
    process = subprocess.Popen(
        part.rehearsal if rehearse else part.command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=HERE.parent,
        start_new_session=os.name == "posix",  # its own children end with it
    )
    try:
        output, _ = process.communicate(timeout=limit_s)
        state = "done" if process.returncode == 0 else "failed"
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            os.killpg(process.pid, 9)
        else:
            process.kill()
        output, _ = process.communicate()
        state = "out of time"
    lines = [line for line in output.splitlines() if line.strip()]
    return Outcome(part.name, state, round(time.monotonic() - begin, 1), lines[-SHOWN_LINES:])


def gpu_name() -> str | None:
    """Return the name of the GPU, None where there is none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=9.0, help="longest time of all parts")
    parser.add_argument("--parts", default=",".join(part.name for part in PARTS))
    parser.add_argument("--camvid", type=Path, help="folder of CamVid, for the time left")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, tiny, no figures")
    parser.add_argument("--out", type=Path, help="JSON file  [default: benchmarks/results/gpu]")
    asked = parser.parse_args()
    known = {part.name: part for part in PARTS}
    unknown = set(asked.parts.split(",")) - set(known)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; parts are {', '.join(known)}")
    name = gpu_name()
    if name is None and not asked.rehearse:
        parser.error("torch finds no GPU with a driver; --rehearse runs the parts on the CPU")
    end = time.monotonic() + 60 * asked.minutes
    outcomes: list[Outcome] = []
    parts = [known[each] for each in asked.parts.split(",")]
    while parts:
        part = parts.pop(0)
        print(f"{part.name} ...", flush=True)
        left = end - time.monotonic()
        outcome = run_part(part, rehearse=asked.rehearse, seconds_left=left)
        outcomes.append(outcome)
        print(f"{part.name}: {outcome.state}, {outcome.seconds:.0f} s", flush=True)
        if outcome.state != "done":
            print("\n".join(f"    {line}" for line in outcome.output), flush=True)
        if not parts and asked.camvid is not None and not part.name.startswith("camvid"):
            parts = camvid_parts(asked.camvid, (end - time.monotonic()) / 60)
    result = {
        "machine": machine(),
        "gpu": name,
        "rehearsal": asked.rehearse,
        "parts": [asdict(outcome) for outcome in outcomes],
    }
    if asked.out is not None:
        asked.out.write_text(json.dumps(result, indent=2) + "\n")
    elif not asked.rehearse:
        save("gpu", result)
        print(f"figures of the parts are in {RESULTS}")
    return 0 if all(outcome.state == "done" for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
