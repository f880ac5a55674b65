"""Compare the files that two checkouts write for the same small jobs with the same seeds.

    git worktree add /tmp/before HEAD~1 && (cd /tmp/before && uv sync)
    uv run python benchmarks/compare_checkouts.py /tmp/before .

Each checkout runs its own commands by the Python of its own ``.venv``: simulated drives and
images, data sets of every anchor, representation and store, training, evaluation and labels by a
teacher. The bytes of recordings, truth files, tensors, frames, label maps, ``samples.csv``,
``metrics.csv`` and ``scores.csv`` must be equal. Files that state versions, paths or times are
not compared, and counted. Options that were renamed are taken by the name that each checkout's
``--help`` shows.

Prints one line for each difference and exits with 1 where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

COMPARED = (".npy", ".npz", ".png", ".hdf5", ".h5", ".csv")
WITH_TIMES = ("timing.csv", "skipped.csv")
DRAWN_PICTURES = ("runs/", "report/")
"""Folders whose pictures are figures: their bytes follow from the version of matplotlib too."""

SMALL = ("--sensor", "64x48", "--threads", "1")
TINY_RUN = (
    *("--batch-size", "4", "--epochs", "2", "--workers", "0", "--seed", "3"),
    *("--device", "cpu", "--protocol", "clean"),
)
LABELLED = ("sets/frame", "--teacher", "runs/teacher/best.pt", "--device", "cpu")

Option = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One command line; a tuple among the arguments lists the names that an option has had."""

    command: tuple[str, ...]
    arguments: tuple[str | Option, ...]

    def __str__(self) -> str:
        words = [word if isinstance(word, str) else word[0] for word in self.arguments]
        return " ".join(("eventseg", *self.command, *words))


def street(name: str, *, seed: int, duration: str, scenario: str = "day") -> Job:
    """Return the job of simulating a drive."""
    arguments = (f"{name}.hdf5", "--seed", str(seed), "--duration", duration)
    return Job(("simulate", "street"), (*arguments, "--scenario", scenario, *SMALL))


def encoded(out: str, *options: str | Option) -> Job:
    """Return the job of encoding the two drives into a data set."""
    drives = ("drive.hdf5", "other.hdf5", "--test", "other", "--workers", "1")
    return Job(("encode",), (*drives, "--out", f"sets/{out}", *options))


def trained(out: str, *options: str | Option, data: str = "frame") -> Job:
    """Return the job of a training of two epochs."""
    return Job(("train",), (f"sets/{data}", "--out", f"runs/{out}", *TINY_RUN, *options))


JOBS: tuple[Job, ...] = (
    street("drive", seed=7, duration="600ms"),
    street("other", seed=2, duration="300ms"),
    street("night", seed=4, duration="200ms", scenario="night"),
    street("reset", seed=5, duration="300ms", scenario="clock-reset"),
    street("wrap", seed=6, duration="300ms", scenario="wrap"),
    street("faulty", seed=8, duration="200ms", scenario="faulty-pixels"),
    Job(
        ("simulate", "images"),
        ("pictures", "from_images", "--layout", "pairs", "--seed", "3", "--shot", "60ms", *SMALL),
    ),
    encoded("frame", "--window", "10ms,50ms"),
    encoded("centre", "--anchor", "centre", "--ddof", "0"),
    encoded("stride", "--anchor", "stride:20ms", "--crop", "4:40"),
    encoded("count", "--anchor", "count:500"),
    encoded("evsegnet", "--anchor", "evsegnet", "--window", "10ms,50ms"),
    encoded("normalised", "--normalise", "evsegnet", "--store", "npz"),
    encoded("live", "--store", "none"),
    *(
        encoded(name.replace(":", "-"), "--representation", name)
        for name in ("count", "count-latest", "voxel:5", "stack:3", "time-surface:30ms")
    ),
    encoded("filtered", "--filter", "hot,refractory,background"),
    Job(("encode",), ("reset.hdf5", "--out", "sets/reset", "--anchor", "stride:50ms")),
    Job(("encode",), ("wrap.hdf5", "--out", "sets/wrap")),
    Job(("encode",), ("faulty.hdf5", "--out", "sets/faulty", "--rotate180")),
    trained("events", "--network", "enet", "--window", "10ms,50ms"),
    trained("both", "--network", "fastscnn", "--input", "both", "--fusion", "late"),
    trained("teacher", "--network", "enet", "--input", "gray"),
    trained("live", "--network", "enet", ("--encode", "--source"), "live", data="live"),
    trained("cut", "--network", "cgnet", "--set", "augmentation.drop=0.2"),
    trained("paper", "--recipe", "evsegnet-code", "--network", "enet"),
    *(
        Job(
            ("evaluate",),
            (
                *(f"runs/{run}", f"sets/{data}", "--out", f"report/{run}-{protocol}"),
                *("--protocol", protocol, "--device", "cpu"),
            ),
        )
        for run, data, protocol in (
            ("events", "frame", "clean"),
            ("both", "frame", "clean"),
            ("live", "live", "clean"),
            ("events", "frame", "paper"),
        )
    ),
    Job(
        ("pseudolabel",),
        (*LABELLED, ("--labels", "--set"), "plain", "--scales", "1", "--no-flip"),
    ),
    Job(
        ("pseudolabel",),
        (
            *(*LABELLED, ("--labels", "--set"), "sure", "--scales", "1,1.5", "--flip"),
            *("--threshold", "0.2", "--quantile", "0.1", "--agreement", "0.5"),
            *("--temporal", "2", "--ego", "40:48"),
        ),
    ),
    trained("student", "--network", "enet", "--labels", "sure"),
)


DRIVER = """
import json, re, sys
from click.testing import CliRunner
from eventseg_cli.main import main

for number, (command, arguments) in enumerate(json.load(sys.stdin)):
    known = re.findall("--[a-z0-9-]+", CliRunner().invoke(main, [*command, "--help"]).output)
    words = [
        next((name for name in argument if name in known), argument[0])
        if isinstance(argument, list)
        else argument
        for argument in arguments
    ]
    result = CliRunner().invoke(main, [*command, *words])
    if result.exit_code:
        print(number, result.output.strip().splitlines()[-1:] or repr(result.exception))
"""
"""Runs jobs in one process, so that torch is loaded once a checkout."""


def run_jobs(root: Path, out: Path) -> list[str]:
    """Run every job by a checkout's own commands in a new folder and return the errors."""
    python = root.resolve() / ".venv" / "bin" / "python"
    if not python.is_file():
        raise SystemExit(f"error: {root} has no .venv/bin/python: run `uv sync` in it")
    out.mkdir(parents=True)
    write_pictures(out / "pictures")
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "EVENTSEG_CACHE": str(out.parent / f"cache-{out.name}"),
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    ended = subprocess.run(
        [str(python), "-c", DRIVER],
        cwd=out,
        env=environment,
        input=json.dumps([(job.command, job.arguments) for job in JOBS]),
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise SystemExit(f"error: the jobs of {root} ended with {ended.stderr.strip()}")
    lines = (line.partition(" ") for line in ended.stdout.splitlines())
    return [f"`{JOBS[int(number)]}` failed: {error}" for number, _, error in lines]


def write_pictures(root: Path) -> None:
    """Write two gray pictures with labels in the layout ``pairs``."""
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    rng = np.random.default_rng(11)
    for name in ("a", "b"):
        blocks = rng.integers(0, 256, (6, 8), np.uint8).repeat(12, 0).repeat(12, 1)
        Image.fromarray(blocks).save(root / "images" / f"{name}.png")
        Image.fromarray(blocks % 19).save(root / "labels" / f"{name}.png")


def is_compared(name: str) -> bool:
    """Return whether a file's bytes follow from the job alone."""
    path = Path(name)
    if path.suffix == ".png" and name.startswith(DRAWN_PICTURES):
        return False
    return path.suffix in COMPARED and path.name not in WITH_TIMES


def files(root: Path) -> set[str]:
    """Return the paths of all files below a folder."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def array_difference(old: np.ndarray, new: np.ndarray) -> str:
    """Describe how two arrays differ."""
    if old.shape != new.shape or old.dtype != new.dtype:
        return f"{old.dtype}{old.shape} is now {new.dtype}{new.shape}"
    if old.dtype.kind not in "biuf":
        return "values differ" if old.tobytes() != new.tobytes() else "equal"
    unequal = ~np.isclose(old, new, rtol=0, atol=0, equal_nan=True)
    if not unequal.any():
        return "equal values in other bytes"
    largest = np.abs(old[unequal].astype(float) - new[unequal]).max()
    return f"{unequal.sum()} of {old.size} values differ, by up to {largest:g}"


def hdf5_differences(old: Path, new: Path) -> Iterator[str]:
    """Describe data sets and attributes that differ between two HDF5 files."""

    def contents(file: h5py.File) -> dict[str, np.ndarray]:
        found = {f"@{key}": np.asarray(value) for key, value in file.attrs.items()}

        def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
                found[name] = item[()]
            for key, value in item.attrs.items():
                found[f"{name}@{key}"] = np.asarray(value)

        file.visititems(visit)
        return found

    with h5py.File(old) as old_file, h5py.File(new) as new_file:
        before, after = contents(old_file), contents(new_file)
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            yield f"{name} only in {'NEW' if name in after else 'OLD'}"
        elif before[name].tobytes() != after[name].tobytes():
            yield f"{name}: {array_difference(before[name], after[name])}"


def describe(old: Path, new: Path) -> str:
    """Return in words how two files differ."""
    if old.suffix == ".npy":
        return array_difference(np.load(old), np.load(new))
    if old.suffix == ".png":
        return array_difference(np.asarray(Image.open(old)), np.asarray(Image.open(new)))
    if old.suffix in (".hdf5", ".h5"):
        return "; ".join(hdf5_differences(old, new)) or "equal data in other bytes"
    if old.suffix == ".csv":
        lines = zip(old.read_text().splitlines(), new.read_text().splitlines(), strict=False)
        for number, (before, after) in enumerate(lines, 1):
            if before != after:
                return f"line {number} was {before!r}, is {after!r}"
        return "one has more lines"
    return "bytes differ"


def differences(old: Path, new: Path) -> Iterator[str]:
    """Describe every compared file that two folders do not share, or not with equal bytes."""
    before, after = files(old), files(new)
    for name in sorted(filter(is_compared, before | after)):
        if name not in before or name not in after:
            yield f"{name}: only in {'NEW' if name in after else 'OLD'}"
        elif (old / name).read_bytes() != (new / name).read_bytes():
            yield f"{name}: {describe(old / name, new / name)}"


def counts(names: Iterable[str]) -> str:
    """Return how many files have each suffix."""
    suffixes = [Path(name).suffix for name in names]
    return ", ".join(f"{suffixes.count(s)} {s}" for s in sorted(set(suffixes)))


def main() -> int:
    """Run the jobs in both checkouts and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path, metavar="OLD", help="Checkout with a .venv.")
    parser.add_argument("new", type=Path, metavar="NEW", help="Checkout to compare with it.")
    parser.add_argument("--keep", type=Path, help="New folder for the files of both.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = (arguments.keep or Path(temporary)) / "files"
        trees = (arguments.old, arguments.new)
        with ThreadPoolExecutor(2) as pool:
            errors = list(pool.map(run_jobs, trees, (root / "old", root / "new")))
        for name, failed in zip(("OLD", "NEW"), errors, strict=True):
            for error in failed:
                print(f"{name}: {error}")
        found = list(differences(root / "old", root / "new"))
        names = files(root / "new")
        print(*found, sep="\n", end="\n" if found else "")
        print(f"compared: {counts(filter(is_compared, names))}")
        print(f"not compared: {counts(name for name in names if not is_compared(name))}")
        print(f"{len(JOBS)} jobs, {len(found)} files differ")
    return 1 if found or any(errors) else 0


if __name__ == "__main__":
    sys.exit(main())
