"""Kills of long commands: each time, the next run must end with the bytes of an undisturbed one.

    uv run python benchmarks/faults.py --times 20
    uv run python benchmarks/faults.py --only train --times 5 --seed 7

Each piece of work of tests/test_faults.py, and a training of two epochs, is run undisturbed once.
Then it is killed by SIGKILL `--times` times, just before or just after one of its files gets its
name, chosen at random by the seed, and run again. All files must then be those of the undisturbed
run; of a training, metrics and weights. Exit code 1 says that one was not. The table is written to
results/faults.json.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from paired import machine, save

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import torch
from fuzz_kinds import NET
from prediction_fixtures import random_network
from recording_fixtures import tree, write_recording
from test_faults import WORK
from training_fixtures import street_dataset

import eventseg
from eventseg.files import whole
from eventseg.recordings import truth_pair
from eventseg.recordings.ddd17 import writer as ddd17_writer

MESSAGE_BYTES = 4096


def train(root: Path, out: Path) -> object:
    """Train two epochs, or go on with a training that was stopped."""
    return eventseg.train(
        root / "streets", out, network=f"{root / 'net.py'}:small", epochs=2, workers=0,
        batch_size=4, device="cpu", resume=True, amp="off", memory_format="contiguous",
    )  # fmt: skip


def state_of(name: str, out: Path) -> dict[str, Any]:
    """Return what must be equal: every file, or of a training its metrics and weights."""
    if name != "train":
        return tree(out)
    weights = torch.load(out / "last.pt", weights_only=True)["state_dict"]
    numbers = {key: tensor.tolist() for key, tensor in weights.items()}
    return {"metrics": (out / "metrics.csv").read_text(), **numbers}


def in_child(run: Callable[[], object]) -> tuple[int, str]:
    """Run a function in a forked process; return how it ended, and its error if it had one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            run()
            os._exit(0)
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode()[:MESSAGE_BYTES])
            os._exit(1)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        return os.waitstatus_to_exitcode(status), pipe.read().decode(errors="replace")


def set_replacing(replace: Callable[[Path, Path], None]) -> None:
    """Let the names of all files be given by a function."""
    for module in (whole, truth_pair, ddd17_writer):
        module.replace_file = replace


def counting(run: Callable[[], object], path: Path) -> Callable[[], None]:
    """Return a run that leaves the number of its writes in a file."""

    def counted() -> None:
        writes, real = 0, whole.replace_file

        def replace(source: Path, target: Path) -> None:
            nonlocal writes
            writes += 1
            real(source, target)

        set_replacing(replace)
        run()
        path.write_text(str(writes))

    return counted


def killed(run: Callable[[], object], moment: int, *, after: bool) -> Callable[[], None]:
    """Return a run that is killed before or after one of its writes, counted from 0."""

    def dying() -> None:
        left, real = moment, whole.replace_file

        def replace(source: Path, target: Path) -> None:
            nonlocal left
            if left == 0 and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            real(source, target)
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        set_replacing(replace)
        run()

    return dying


def try_work(
    name: str, work: Callable[[Path, Path], object], root: Path, times: int, seed: int
) -> dict[str, Any]:
    """Kill a piece of work so many times and count the outcomes."""
    straight, out = root / f"{name}-straight", root / f"{name}-killed"
    ended = in_child(counting(lambda: work(root, straight), root / "writes"))
    assert ended[0] == 0, ended
    writes, expected = int((root / "writes").read_text()), state_of(name, straight)
    chance = random.Random(f"{name} {seed}")
    row: dict[str, Any] = {"work": name, "writes": writes, "killed": 0, "equal": 0, "faults": []}
    for _ in range(times):
        shutil.rmtree(out, ignore_errors=True)
        moment, after = chance.randrange(writes), chance.random() < 0.5
        code, _ = in_child(killed(lambda: work(root, out), moment, after=after))
        assert code == -signal.SIGKILL, code
        row["killed"] += 1
        code, message = in_child(lambda: work(root, out))
        if code == 0 and state_of(name, out) == expected:
            row["equal"] += 1
        else:
            row["faults"].append(f"write {moment}, after {after}: {message or 'other files'}")
    return row


# Click keeps the lines of a paragraph that a backspace begins.
@click.command(help=__doc__.replace("\n\n    ", "\n\n\b\n    "))
@click.option("--times", type=int, default=20, show_default=True, help="Kills of each work.")
@click.option("--only", multiple=True, help="Only this work; may be repeated.")
@click.option("--seed", type=int, default=0, show_default=True)
def command(times: int, only: tuple[str, ...], seed: int) -> None:
    """Try every piece of work and print a row for each."""
    torch.set_num_threads(1)
    every = {**WORK, "train": train}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        street_dataset(root)
        random_network(root / "gray.pt", "gray")
        write_recording(root / "rec.hdf5", frames=40, events=20_000)
        (root / "net.py").write_text(NET)
        click.echo("| work | writes | killed | completed with equal bytes |\n|---|---|---|---|")
        for name in only or tuple(every):
            row = try_work(name, every[name], root, times, seed)
            rows.append(row)
            click.echo(f"| {name} | {row['writes']} | {row['killed']} | {row['equal']} |")
            for fault in row["faults"]:
                click.echo(f"  {fault}", err=True)
    save("faults", {**machine(), "seed": seed, "rows": rows})
    sys.exit(1 if any(row["faults"] for row in rows) else 0)


if __name__ == "__main__":
    command()
