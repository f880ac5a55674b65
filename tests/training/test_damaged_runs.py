"""Run folders that are damaged, or have no epoch yet, are described or one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from eventseg.errors import CheckpointError, TrainingError
from eventseg.evaluation.compare.report import compare_runs
from eventseg.evaluation.compare.results import results
from eventseg.evaluation.scored_network import find_network
from eventseg.networks import Blueprint, InputSpec
from eventseg.prediction.checkpoint_file import find_checkpoint
from eventseg.prediction.contact_sheet import contact_sheet
from eventseg.pseudolabel import load_teacher
from eventseg.training import open_run
from eventseg.training.check import check_run
from eventseg.training.check_path import check_path
from eventseg.training.config.config import load_config, to_toml
from eventseg.training.config.settings import NetworkSettings
from eventseg.training.initial import initialise
from eventseg.training.layout import RUN
from eventseg.training.reproduce import reproduce
from eventseg.training.run_record import read_run, recorded_config
from eventseg_cli.main import main

SOUND: dict[str, Any] = {
    "data": "/data/drives", "inputs": {"drive": "ab"}, "parts": {}, "config": "", "seed": 0,
    "device": "cpu", "threads": 1, "parameters": 7, "versions": {}, "command": ["eventseg"],
    "arithmetic": {"amp": "off", "memory_format": "contiguous", "step_ms": {}}, "init": None,
    "resumed": [{"device": "cpu", "processes": 2}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("entry", "value", "named"),
    [
        ("data", 7, "data"),
        ("inputs", [], "inputs"),
        ("config", {}, "config"),
        ("init", "street", "init"),
        ("arithmetic", {"amp": "off"}, "arithmetic"),
        ("arithmetic", {"amp": "no", "memory_format": "contiguous"}, "arithmetic"),
        ("arithmetic", {"amp": "off", "memory_format": "contiguous", "more": 1}, "arithmetic"),
        ("resumed", {}, "resumed"),
        ("resumed", [3], "resumed"),
        ("resumed", [{"device": 3}], "resumed"),
    ],
)
def test_an_entry_of_another_type_is_named(
    tmp_path: Path, entry: str, value: object, named: str
) -> None:
    (tmp_path / RUN).write_text(json.dumps(SOUND))
    assert read_run(tmp_path / RUN) == SOUND
    (tmp_path / RUN).write_text(json.dumps({**SOUND, entry: value}))
    with pytest.raises(TrainingError, match=rf"run\.json is damaged: no valid entry {named};"):
        read_run(tmp_path / RUN)


def test_brackets_without_end_are_one_error(tmp_path: Path) -> None:
    (tmp_path / RUN).write_text("[" * 100_000)
    with pytest.raises(TrainingError, match="cannot read"):
        read_run(tmp_path / RUN)


@pytest.mark.parametrize("text", ['name = "x', "epochs = -1", "nothing = 1", "a = " + "[" * 3_000])
def test_recorded_settings_that_are_damaged_are_one_error(text: str) -> None:
    with pytest.raises(TrainingError, match=r"entry config of .*run\.json is no configuration"):
        recorded_config({**SOUND, "config": text}, Path(RUN))


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run folder as a training leaves it that is killed in its first epoch."""
    config = to_toml(load_config(None, overrides={"network.name": "enet"}))
    root = tmp_path / "begun"
    root.mkdir()
    (root / "config.toml").write_text(config)
    (root / RUN).write_text(json.dumps({**SOUND, "config": config}))
    return root


def test_info_of_a_run_without_an_epoch_says_what_it_has(begun: Path) -> None:
    shown = CliRunner().invoke(main, ["info", str(begun)], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert "enet, 7 parameters, input events, windows 50ms" in shown.stdout
    assert "to be trained on /data/drives, labels truth, seed 0, cpu" in shown.stdout
    assert "no epoch has ended, so that there is no metrics.csv; checkpoints none;" in shown.stdout
    described = json.loads(CliRunner().invoke(main, ["info", str(begun), "--json"]).stdout)
    assert (described["epochs"], described["best_epoch"], described["network"]) == (0, None, "enet")


def test_a_run_that_was_stopped_before_it_began_is_called_one(begun: Path) -> None:
    (begun / RUN).unlink()
    shown = CliRunner().invoke(main, ["info", str(begun)], catch_exceptions=False)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[1:] == [
        "  enet, input events, windows 50ms",
        "  to be trained with labels truth, seed 0",
        "  settings alone: there is no run.json, as the training was stopped before it began; go "
        "on with train --resume",
    ]
    described = json.loads(CliRunner().invoke(main, ["info", str(begun), "--json"]).stdout)
    assert (described["epochs"], described["parameters"]) == (0, None)
    message = "has the settings of a run, config.toml, and no run.json: its training was stopped"
    checked = CliRunner().invoke(main, ["check", str(begun)])
    assert (checked.exit_code, message in checked.stdout) == (1, True)
    with pytest.raises(TrainingError, match=message):
        open_run(begun)
    (begun / "config.toml").write_text("nothing = 1")
    damaged = CliRunner().invoke(main, ["info", str(begun)])
    assert (damaged.exit_code, len(damaged.stderr.splitlines())) == (1, 1)
    assert "config.toml" in damaged.stderr


def test_a_checkpoint_is_checked_as_one(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"none")
    report = check_path(tmp_path / "best.pt")
    assert (report.kind, len(report.problems)) == ("checkpoint", 1)
    assert report.problems[0].endswith("restore the file, or train again")


def test_other_commands_name_the_run_without_an_epoch(begun: Path) -> None:
    missing = "has no metrics.csv, as no epoch of its training has ended; it has config.toml and "
    for call in (open_run, reproduce, lambda run: compare_runs([run], out=begun / "out")):
        with pytest.raises(TrainingError, match=rf"begun {missing}run.json: wait for it"):
            call(begun)
    (record,) = results(str(begun.parent / "*"))
    assert (record["run"], record["best_epoch"], record["val_miou"]) == ("begun", None, None)
    blueprint, inputs = Blueprint("enet", 6, 3), InputSpec("events", 6)
    for call in (
        find_checkpoint,
        contact_sheet,
        lambda run: find_network(run, checkpoint="best.pt"),
        lambda run: load_teacher(str(run), device=torch.device("cpu")),
        lambda run: initialise(
            blueprint.build(), settings=NetworkSettings(name="enet", init=str(run)),
            blueprint=blueprint, inputs=inputs, classes=("a", "b", "c"),
        ),
    ):  # fmt: skip
        with pytest.raises(CheckpointError, match=r"begun has no best\.pt.*not ended an epoch"):
            call(begun)


def test_a_path_of_data_that_cannot_be_is_data_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / RUN).write_text(json.dumps({**SOUND, "data": "x" * 5_000}))
    _, warnings = check_run(tmp_path)
    assert "its data are no longer at" in warnings[0]
