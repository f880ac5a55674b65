"""Sweeps: combinations of settings and seeds, each a run, skipped where it is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from eventseg.errors import TrainingError
from eventseg.training.sweep import parse_sweep, sweep_runs
from eventseg_cli.main import main


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ("lr=1e-3,5e-4", "optimiser.learning_rate", [1e-3, 5e-4]),
        ("network=enet,my_nets.py:Net", "network.name", ["enet", "my_nets.py:Net"]),
        ("augmentation.scale=[0.75,1.5],[1,1]", "augmentation.scale", [[0.75, 1.5], [1, 1]]),
        ("loss.terms={dice=1},{focal=2}", "loss.terms", [{"dice": 1}, {"focal": 2}]),
        ("batch_size=4", "batch_size", [4]),
        ("window=10ms,50ms", "input.windows", [["10ms"], ["50ms"]]),
        ("input.windows=['10ms','50ms'],['50ms']", "input.windows", [["10ms", "50ms"], ["50ms"]]),
        ("window=10000,50000", "input.windows", [["10ms"], ["50ms"]]),
        ("val=one,two", "split.val", [["one"], ["two"]]),
    ],
)
def test_a_sweep_is_read(text: str, path: str, values: list[object]) -> None:
    assert parse_sweep(text) == (path, values)


@pytest.mark.parametrize("text", ["lr", "=1,2", "lr=", "lr=1,1", "network=enet,,fastscnn"])
def test_what_is_no_sweep_is_refused(text: str) -> None:
    with pytest.raises(TrainingError):
        parse_sweep(text)


def test_all_combinations_have_all_seeds_and_a_name_each() -> None:
    runs = sweep_runs(["lr=1e-3,1e-2", "network=enet,smp:Unet/resnet18"], seeds=2, first_seed=5)
    assert len({run.name for run in runs}) == len(runs) == 8
    assert runs[0].name == "learning_rate=0.001-network=enet-seed5"
    assert runs[-1].name == "learning_rate=0.01-network=smp_Unet_resnet18-seed6"
    assert runs[-1].overrides == {
        "optimiser.learning_rate": 0.01,
        "network.name": "smp:Unet/resnet18",
        "seed": 6,
    }
    assert [run.name for run in sweep_runs(["window=10ms,50ms"])] == [
        "window=10ms-seed0",
        "window=50ms-seed0",
    ]
    for wrong in (["lr=1", "learning_rate=2"], ["seed=1,2"]):
        with pytest.raises(TrainingError, match="must be given once"):
            sweep_runs(wrong)
    with pytest.raises(TrainingError, match="would have one folder"):
        sweep_runs(["network=smp:Unet/resnet18,smp_Unet_resnet18"])
    with pytest.raises(TrainingError, match="seeds must be 1 or more"):
        sweep_runs(["lr=1"], seeds=0)


@pytest.mark.usefixtures("blind")
def test_the_command_trains_each_run_once_and_compares_them(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "rates"
    called = [
        "train", str(data), "--device", "cpu", "--workers", "0", "--network", "enet", "--epochs",
        "1", "--batch-size", "4", "--sweep", "lr=1e-3,5e-3", "--out", str(out), "--json", "--quiet",
    ]  # fmt: skip
    made = CliRunner().invoke(main, called)
    assert made.exit_code == 0, made.output
    runs = json.loads(made.stdout)["runs"]
    names = ["learning_rate=0.001-seed0", "learning_rate=0.005-seed0"]
    assert [Path(run["run"]).name for run in runs] == names
    checkpoints = [(out / name / "last.pt").stat().st_mtime_ns for name in names]
    called.remove("--json")
    again = CliRunner().invoke(main, called)
    assert again.exit_code == 0, again.output
    assert [(out / name / "last.pt").stat().st_mtime_ns for name in names] == checkpoints
    assert (out / "comparison" / "compare.html").is_file()
    assert "0.005" in (out / "comparison" / "compare.md").read_text()
    wrong = CliRunner().invoke(main, [*called, "--sweep", "batchsize=2,4"])
    assert wrong.exit_code == 1
    assert "batch_size" in wrong.output
