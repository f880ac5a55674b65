"""Functions that run in processes which train together, and the server that forks these."""

from __future__ import annotations

import importlib
import json
import math
import os
import signal
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_fixtures import draw_nothing, one_thread, random_batch, tiny, train_tiny, training_of

from eventseg.errors import DatasetError, TrainingError
from eventseg.files.whole import write_whole
from eventseg.sources.source import EventSource
from eventseg.training import passes
from eventseg.training.distributed import rank, summed, world
from eventseg.training.passes import train_pass
from eventseg.training.progress import TrainingProgress
from eventseg.training.state import NetworkInTraining
from eventseg.training.synced_batch_norm import SyncedBatchNorm2d
from eventseg_cli.main import main

SGD: dict[str, Any] = {
    "network__frozen_batch_norm": True, "network__options": {"dropout": 0.0},
    "optimiser__kind": "sgd", "optimiser__learning_rate": 10.0,
}  # fmt: skip
"""Without what looks at a process's own samples only, or at random numbers."""

TOGETHER: dict[str, Any] = {
    "epochs": 1, "ema_decay": 0.9, "validation_share": 0.25, "batch_size": 4,
}  # fmt: skip

NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, classes):
        super().__init__(
            nn.Conv2d(in_channels, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8),
            nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, classes, 1),
        )
"""
"""A network of a second for fifty updates."""

SPARE = """
        self.spare = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return nn.Sequential(*list(self)[:7])(x)
"""
"""End of NET with parameters that get no gradient."""

TERMS = {"cross_entropy": 1.0, "dice": 1.0, "ohem": 1.0, "focal": 1.0}


def settings_of(root: Path, **changes: Any) -> dict[str, Any]:
    """Return the settings of a training of NET, which is written to a folder."""
    root.mkdir(exist_ok=True)
    if not (root / "net.py").exists():
        write_whole(root / "net.py", lambda file: file.write(NET.encode()))
    return {
        "network__name": f"{root / 'net.py'}:Net", "optimiser__kind": "sgd",
        "optimiser__learning_rate": 0.3, "loss__terms": TERMS, "batch_size": 2, **changes,
    }  # fmt: skip


def losses_of_training(data: Path, root: Path) -> list[float]:
    """Return the loss of each of thirty updates, with everything that processes reduce.

    Gradients of zero but for rounding would be large steps of Adam, so the optimiser is SGD.
    """
    losses: list[float] = []

    def tell(now: TrainingProgress) -> None:
        losses.extend([now.loss] * (now.images > 0))

    settings = settings_of(
        root, epochs=0, iterations=30, ema_decay=0.9, loss__class_weights="enet",
        batch_norm_batches=2, gradient_clip=10.0,
    )  # fmt: skip
    train_tiny(data, root / "curve", progress=tell, **settings)
    return losses


def losses_in_float64(root: Path) -> list[float]:
    """Return the losses of twenty updates in float64, of batches of two sizes."""
    training = training_of(tiny(**settings_of(root, optimiser__kind="adam")))
    losses: list[float] = []
    whole = (random_batch(3 + k % 2) for k in range(20))
    shares = ({name: x[rank() :: world()] for name, x in batch.items()} for batch in whole)
    train_pass(training, shares, updates=20, report=lambda loss, _: losses.append(loss))
    return losses


def norm_differences() -> dict[str, float]:
    """Return how far a batch norm over the processes is from one over the whole batch."""
    torch.manual_seed(3)
    x, g = (torch.randn(5, 3, 4, 6, dtype=torch.float64) * 7 + 30 for _ in range(2))
    whole = nn.BatchNorm2d(3).double()
    nn.init.normal_(whole.weight)
    synced = SyncedBatchNorm2d.of(deepcopy(whole))
    mine = slice(rank(), None, world())
    x_whole, x_share = x.clone().requires_grad_(), x[mine].clone().requires_grad_()
    y_whole, y_share = whole(x_whole), synced(x_share)
    y_whole.backward(g)
    y_share.backward(g[mine])
    assert x_whole.grad is not None
    assert synced.weight.grad is not None
    pairs = {
        "output": (y_share, y_whole[mine]),
        "gradient": (x_share.grad, x_whole.grad[mine]),
        "weight": (summed(synced.weight.grad), whole.weight.grad),
        "mean": (synced.running_mean, whole.running_mean),
        "variance": (synced.running_var, whole.running_var),
    }
    assert int(synced.num_batches_tracked or 0) == 1
    return {name: float((a - b).abs().max()) for name, (a, b) in pairs.items()}  # type: ignore[operator]


def draw_no_pictures() -> None:
    draw_nothing(pytest.MonkeyPatch())


def child(data_folder: str, out_folder: str) -> None:
    """What each of the two processes does."""
    data, out = Path(data_folder), Path(out_folder)
    one_thread()
    draw_no_pictures()
    told: dict[str, Any] = {"images": 0}

    def tell(now: TrainingProgress) -> None:
        told["images"] += now.images

    together = settings_of(out, **TOGETHER)
    made = train_tiny(data, out / "run", progress=tell, **together)
    told |= {"val_miou": [row.val_miou for row in made.history], "best": made.best.epoch}
    resumed = train_tiny(data, out / "run", resume=True, **together)
    told["same history"] = repr(resumed.history) == repr(made.history)

    training = training_of(tiny(**SGD, accumulation=2))
    shares = [
        {name: tensor[rank() :: world()] for name, tensor in random_batch(size).items()}
        for size in (4, 6)
    ]
    found = train_pass(training, shares, updates=1)
    told |= {"loss": found.loss, "pixels": int(found.confusion.sum())}
    torch.save(training.network.state_dict(), out / f"updated{rank()}.pt")

    (out / "spare").mkdir(exist_ok=True)
    write_whole(out / "spare/net.py", lambda file: file.write((NET + SPARE).encode()))
    spared = settings_of(out / "spare", batch_size=4)
    told["spare"] = len(train_tiny(data, out / "spare/run", **spared | {"epochs": 1}).history)

    told["curve"] = losses_of_training(data, out)
    told["float64"] = losses_in_float64(out)
    told["norm"] = norm_differences()

    if rank() == 1:
        read = EventSource.events
        EventSource.events = lambda *a, **k: read(*a, **k) * math.nan  # type: ignore[method-assign]
    try:
        train_tiny(data, out / "bad", **settings_of(out, batch_size=4))
    except TrainingError as error:
        told["error"] = str(error)
    (out / f"told{rank()}.json").write_text(json.dumps(told))


def command(*arguments: str) -> None:
    """Run a command of the command line, without pictures."""
    one_thread()
    draw_no_pictures()
    main(list(arguments))


def command_killed_in_one(*arguments: str) -> None:
    """Run a command whose second process is killed in its second epoch."""
    if rank() == 1:
        update = passes._update

        def update_or_die(training: NetworkInTraining) -> None:
            if training.iteration == 8:
                os.kill(os.getpid(), signal.SIGKILL)
            update(training)

        passes._update = update_or_die
    command(*arguments)


def command_that_fails_in_one(*arguments: str) -> None:
    """Run a command that finds a damaged label map in the second process only."""
    if rank() == 1:

        def labels(*_arguments: Any, **_keywords: Any) -> None:
            raise DatasetError("cannot read image x.png: damaged")

        EventSource.labels = labels  # type: ignore[method-assign,assignment]
    command(*arguments)


def serve() -> None:
    """Fork the processes that each line of standard input describes, and print how they ended.

    They need not import everything again. Nothing is computed before, so that they are as new.
    """
    for module in ("torch._dynamo", "eventseg_cli.train", "eventseg.training.run"):
        importlib.import_module(module)
    for line in sys.stdin:
        forked = []
        for job in json.loads(line):
            process = os.fork()
            if process == 0:
                os.environ.update(job["variables"])
                for stream, path in ((1, os.devnull), (2, job["errors"])):
                    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
                globals()[job["function"]](*job["arguments"])
                return  # and end, as a process that was started for this
            forked.append(process)
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in forked]
        print(json.dumps(codes), flush=True)


Ended = list[tuple[int, str]]
"""Exit code and standard error of each process."""
