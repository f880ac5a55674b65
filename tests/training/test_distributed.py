"""Two processes that train together: one network, one run folder, the gradients of one batch."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from training.process_fixtures import (
    NET,
    SGD,
    SPARE,
    TOGETHER,
    Ended,
    losses_in_float64,
    losses_of_training,
    settings_of,
)
from training_fixtures import one_thread, random_batch, tiny, train_tiny, training_of

from eventseg.device import choose_device
from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.metrics.scores import scores
from eventseg.networks import build_network, load_network
from eventseg.sources.source import open_source
from eventseg.training.config.config import load_config, to_toml
from eventseg.training.distributed import has_unused_parameters
from eventseg.training.epoch_tables import read_metrics
from eventseg.training.loading import EpochBatches, each_batch, load_batches
from eventseg.training.losses.losses import segmentation_loss
from eventseg.training.parts import parts_of
from eventseg.training.passes import train_pass, validation_pass
from eventseg.training.run_folder import read_run
from eventseg.training.samples import Samples


@pytest.fixture(scope="module")
def run_together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Ended]]:
    """Run a function of process_fixtures in processes that belong together."""
    server = subprocess.Popen(
        [sys.executable, "-c", "from training.process_fixtures import serve; serve()"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    given, answers = server.stdin, server.stdout
    assert given is not None
    assert answers is not None

    def run(function: str, *arguments: str, processes: int = 2, **variables: str) -> Ended:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        group = {
            "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), **variables,
        }  # fmt: skip
        folder = tmp_path_factory.mktemp("errors")
        jobs = [
            {
                "function": function,
                "arguments": arguments,
                "variables": {**group, "RANK": str(k), "LOCAL_RANK": str(k)},
                "errors": str(folder / str(k)),
            }
            for k in range(processes)
        ]
        timer = threading.Timer(900, os.killpg, (server.pid, signal.SIGKILL))
        timer.start()
        given.write(json.dumps(jobs) + "\n")
        given.flush()
        answer = answers.readline()
        timer.cancel()
        errors = [(folder / str(k)).read_text() for k in range(processes)]
        assert answer, errors
        return list(zip(json.loads(answer), errors, strict=True))

    yield run
    given.close()
    answers.close()
    server.wait()


@pytest.fixture(scope="module")
def done(
    data: Path, run_together: Callable[..., Ended], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """The folder that two processes leave, and what each of them told."""
    out = tmp_path_factory.mktemp("two")
    found = run_together("child", str(data), str(out))
    assert [code for code, _ in found] == [0, 0], found
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


def test_parameters_without_gradient_are_waited_for_by_no_process(
    done: tuple[Path, list[dict[str, Any]]],
) -> None:
    assert [told["spare"] for told in done[1]] == [1, 1]


def test_only_parameters_without_gradient_are_looked_for(tmp_path: Path) -> None:
    def unused(network: str, auxiliary_weight: float, **options: Any) -> bool:
        built = build_network(network, in_channels=6, classes=4, **options)
        before = deepcopy(built.state_dict())
        state = torch.get_rng_state()
        found = has_unused_parameters(
            built, size=SensorSize(32, 32), auxiliary_weight=auxiliary_weight
        )
        assert torch.equal(torch.get_rng_state(), state)
        assert all(torch.equal(value, before[key]) for key, value in built.state_dict().items())
        assert all(each.grad is None for each in built.parameters())
        return found

    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "spare.py").write_text(NET + SPARE)
    assert not unused(f"{tmp_path / 'net.py'}:Net", 0.0)
    assert unused(f"{tmp_path / 'spare.py'}:Net", 0.4)
    assert not unused("fastscnn", 0.4, auxiliary=True)
    assert unused("fastscnn", 0.0, auxiliary=True)
    assert not unused("fastscnn", 0.0)


def test_two_processes_have_the_losses_of_one(
    data: Path, done: tuple[Path, list[dict[str, Any]]], tmp_path: Path, blind: None
) -> None:
    out, (first, second) = done
    one_thread()
    alone = losses_of_training(data, tmp_path)
    assert len(alone) == len(first["curve"]) == 30
    assert second["curve"] == []
    assert first["curve"] == pytest.approx(alone, rel=1e-5)
    assert min(alone) < 0.7 * alone[0], "nothing was learnt"
    histories = (read_metrics(folder)[0] for folder in (tmp_path / "curve", out / "curve"))
    for row, other in zip(*histories, strict=True):
        assert (other.iteration, other.learning_rate) == (row.iteration, row.learning_rate)
        assert other.val_loss == pytest.approx(row.val_loss, rel=1e-5)
    assert first["float64"] == second["float64"]
    assert first["float64"] == pytest.approx(losses_in_float64(tmp_path), rel=1e-10)


def test_a_synchronised_batch_norm_is_that_of_the_whole_batch(
    done: tuple[Path, list[dict[str, Any]]],
) -> None:
    for told in done[1]:
        assert max(told["norm"].values()) < 1e-10, told["norm"]


def test_shares_of_the_validation_add_up(
    data: Path, done: tuple[Path, list[dict[str, Any]]]
) -> None:
    out, (first, _) = done
    source, config = open_source(data), tiny(**settings_of(out, **TOGETHER))
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


@pytest.fixture(scope="module")
def killed(
    data: Path, run_together: Callable[..., Ended], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[str, ...]]:
    """A run of which one process was killed, and the command that begins and resumes it."""
    out = tmp_path_factory.mktemp("killed")
    config = tiny(**settings_of(out, epochs=3))
    (out / "train.toml").write_text(to_toml(config))
    words = ("train", str(data), "--recipe", str(out / "train.toml"), "--device", "cpu", "--resume")
    (code, told), (other, _) = run_together(
        "command_killed_in_one", *words, "--out", str(out / "run")
    )
    assert (code, other) == (1, -signal.SIGKILL)
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "ended without a message" in errors[0]
    assert "go on with --resume (process 0 of 2" in errors[0]
    assert "Traceback" not in told
    assert len(read_metrics(out / "run")[0]) == 1
    return out, words


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_goes_on_with_any_number_of_processes(
    data: Path,
    killed: tuple[Path, tuple[str, ...]],
    run_together: Callable[..., Ended],
    processes: int,
    tmp_path: Path,
    blind: None,
) -> None:
    out, words = killed
    shutil.copytree(out / "run", tmp_path / "run")
    found = run_together("command", *words, "--out", str(tmp_path / "run"), processes=processes)
    assert [code for code, _ in found] == [0] * processes, found
    assert ("processes were 2 and are 1" in found[0][1]) == (processes == 1)
    if processes == 2:
        assert found[1][1] == ""
    one_thread()
    train_tiny(data, tmp_path / "alone", config=load_config(out / "train.toml"))
    histories = (read_metrics(tmp_path / name)[0] for name in ("run", "alone"))
    for row, expected in zip(*histories, strict=True):
        assert row.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
        assert row.val_loss == pytest.approx(expected.val_loss, rel=1e-5)


def test_an_error_in_one_process_ends_all_with_one_line(
    data: Path, run_together: Callable[..., Ended], tmp_path: Path
) -> None:
    (tmp_path / "train.toml").write_text(to_toml(tiny(**settings_of(tmp_path))))
    words = ("train", str(data), "--recipe", str(tmp_path / "train.toml"), "--device", "cpu")
    found = run_together("command_that_fails_in_one", *words, "--out", str(tmp_path / "run"))
    assert [code for code, _ in found] == [1, 1]
    assert re.fullmatch(
        r"error: sample drive_f\d+: cannot read image x\.png: damaged \(process 1 of 2\)\n",
        found[1][1],
    )
    assert "error:" not in found[0][1]


@pytest.mark.gpu
def test_a_process_that_joined_by_nccl_has_the_losses_of_one_alone(
    data: Path, run_together: Callable[..., Ended], tmp_path: Path
) -> None:
    config = tiny(**settings_of(tmp_path, epochs=2))
    (tmp_path / "train.toml").write_text(to_toml(config))
    words = ("train", str(data), "--recipe", str(tmp_path / "train.toml"), "--device", "cuda")
    for name, variables in (("joined", {"TORCHELASTIC_RUN_ID": "1"}), ("alone", {})):
        found = run_together(
            "command", *words, "--out", str(tmp_path / name), processes=1, **variables
        )
        assert found[0][0] == 0, found
    histories = (read_metrics(tmp_path / name)[0] for name in ("joined", "alone"))
    for row, expected in zip(*histories, strict=True):
        assert row.train_loss == pytest.approx(expected.train_loss, rel=1e-4)


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
