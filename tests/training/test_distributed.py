"""Two processes that train together: one network, one run folder, the gradients of one batch."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from training_fixtures import (
    one_thread,
    random_batch,
    tiny,
    train_tiny,
    training_of,
)

from eventseg.device import choose_device
from eventseg.errors import TrainingError
from eventseg.metrics.scores import scores
from eventseg.networks import load_network
from eventseg.sources.source import EventSource, open_source
from eventseg.training import epoch_files
from eventseg.training.distributed import rank, world
from eventseg.training.epoch_tables import read_metrics
from eventseg.training.loading import EpochBatches, each_batch, load_batches
from eventseg.training.losses.losses import segmentation_loss
from eventseg.training.parts import parts_of
from eventseg.training.passes import train_pass, validation_pass
from eventseg.training.progress import TrainingProgress
from eventseg.training.run_folder import read_run
from eventseg.training.samples import Samples

SGD: dict[str, Any] = {
    "network__frozen_batch_norm": True, "network__options": {"dropout": 0.0},
    "optimiser__kind": "sgd", "optimiser__learning_rate": 10.0,
}  # fmt: skip
"""Without what looks at a process's own samples only, or at random numbers."""

TOGETHER: dict[str, Any] = {"epochs": 1, "ema_decay": 0.9, "validation_share": 0.25}


def child(data: Path, out: Path) -> None:
    """What each of the two processes does."""
    one_thread()
    epoch_files.picture_curves = epoch_files.picture_samples = lambda *_a, **_k: None  # type: ignore[assignment]
    told: dict[str, Any] = {"images": 0}

    def tell(now: TrainingProgress) -> None:
        told["images"] += now.images

    made = train_tiny(data, out / "run", progress=tell, **TOGETHER)
    told |= {"val_miou": [row.val_miou for row in made.history], "best": made.best.epoch}
    resumed = train_tiny(data, out / "run", resume=True, **TOGETHER)
    told["same history"] = repr(resumed.history) == repr(made.history)

    training = training_of(tiny(**SGD, accumulation=2))
    shares = [
        {name: tensor[rank() :: world()] for name, tensor in random_batch(size).items()}
        for size in (4, 6)
    ]
    found = train_pass(training, shares, updates=1)
    told |= {"loss": found.loss, "pixels": int(found.confusion.sum())}
    torch.save(training.network.state_dict(), out / f"updated{rank()}.pt")

    if rank() == 1:
        read = EventSource.events
        EventSource.events = lambda *a, **k: read(*a, **k) * math.nan  # type: ignore[method-assign]
    try:
        train_tiny(data, out / "bad", workers=0)
    except TrainingError as error:
        told["error"] = str(error)
    (out / f"told{rank()}.json").write_text(json.dumps(told))


@pytest.fixture(scope="module")
def done(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder that two processes leave, and what each of them told."""
    out = tmp_path_factory.mktemp("two")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        "from pathlib import Path; from test_distributed import child;"
        f"child(Path({str(data)!r}), Path({str(out)!r}))"
    )
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    group["PYTHONPATH"] = str(Path(__file__).parents[1])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            env={
                **os.environ,
                **group,
                "PYTHONPATH": str(Path(__file__).parents[1]),
                "RANK": str(k),
                "LOCAL_RANK": str(k),
            },
        )
        for k in range(2)
    ]
    try:
        assert [process.wait(timeout=300) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    return out, [json.loads((out / f"told{k}.json").read_text()) for k in range(2)]


def test_processes_train_one_network_in_one_folder(
    data: Path, done: tuple[Path, list[dict[str, Any]]]
) -> None:
    out, (first, second) = done
    assert {path.name for path in (out / "run").iterdir()} == {
        "config.toml", "run.json", "metrics.csv", "timing.csv", "best.pt", "last.pt",
    }  # fmt: skip
    assert (
        first["val_miou"]
        == second["val_miou"]
        == [row.val_miou for row in read_metrics(out / "run")[0]]
    )
    assert first["same history"]
    assert second["same history"]
    run = read_run(out / "run/run.json")
    assert (run["processes"], len(run["resumed"])) == (2, 1)
    # Only the first one reports, and it counts the images of both.
    batches = len(
        EpochBatches(parts_of(open_source(data), tiny(**TOGETHER))["train"], batch_size=4, seed=0)
    )
    assert (first["images"], second["images"]) == (4 * batches, 0)


def test_shares_of_the_validation_add_up(
    data: Path, done: tuple[Path, list[dict[str, Any]]]
) -> None:
    out, (first, _) = done
    source, config = open_source(data), tiny(**TOGETHER)
    judging = parts_of(source, config)["val"]
    assert len(judging) % 2 == 1, "shares of two sizes"
    loader = load_batches(
        Samples(source, config, 19, training=False), EpochBatches(judging, batch_size=4), workers=0
    )
    found = validation_pass(
        load_network(out / "run/best.pt").network, each_batch(loader), config=config,
        device=torch.device("cpu"), classes=19, loss=partial(segmentation_loss, spec=config.loss),
    )  # fmt: skip
    row = read_metrics(out / "run")[0][first["best"] - 1]
    assert 100 * scores(found.confusion).miou_present == row.val_miou
    assert found.loss == pytest.approx(row.val_loss, rel=1e-6)


def test_an_update_is_that_of_the_whole_batch(done: tuple[Path, list[dict[str, Any]]]) -> None:
    out, told = done
    training = training_of(tiny(**SGD, accumulation=2))
    before = {name: weight.clone() for name, weight in training.network.state_dict().items()}
    batches = [random_batch(size) for size in (4, 6)]
    found = train_pass(training, batches, updates=1)
    after = training.network.state_dict()
    moved = max(float((after[name] - before[name]).abs().max()) for name in after)
    assert moved > 1e-3
    for k in range(2):
        updated = torch.load(out / f"updated{k}.pt", weights_only=True)
        for name, weight in after.items():
            torch.testing.assert_close(updated[name], weight, rtol=0, atol=1e-9)
        assert told[k]["loss"] == pytest.approx(found.loss, rel=1e-12)
        assert told[k]["pixels"] == found.confusion.sum() == 10 * 16 * 24


def test_a_loss_that_is_no_number_in_one_process_stops_both(
    data: Path, done: tuple[Path, list[dict[str, Any]]]
) -> None:
    out, told = done
    assert told[0]["error"] == told[1]["error"]
    assert "the loss is nan at update 0, epoch 1, samples" in told[0]["error"]
    held = torch.load(out / "bad/failed.pt", weights_only=True)
    ids = open_source(data).ids
    assert len(held["samples"]) == 4
    assert all(ids[i] in told[0]["error"] for i in held["samples"])


def test_a_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    assert choose_device("cuda:0") == torch.device("cuda:0")
    assert choose_device("cpu") == torch.device("cpu")


def test_processes_that_cannot_meet_are_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(TrainingError, match=r"process 0 of 2 cannot join the others: .*torchrun"):
        train_tiny(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_torchrun_runs_the_command(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("--no-python", str(Path(sys.executable).with_name("eventseg")), "train", str(data)),
        *("--network", "enet", "--epochs", "1", "--batch-size", "4", "--workers", "0"),
        *("--device", "cpu", "--out", str(out)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.count("best epoch 1 of 1") == 1
    assert read_run(out / "run.json")["processes"] == 2
