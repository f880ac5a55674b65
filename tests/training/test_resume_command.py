"""``train --resume`` where there is no run, and an interrupt before one begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from eventseg.training import prepare, trainer
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("blind")


def train(data: Path, out: Path, *more: str) -> Any:
    short = ["--network", "enet", "--epochs", "1", "--batch-size", "4", "--workers", "0"]
    return CliRunner().invoke(
        main, ["train", str(data), "--out", str(out), *short, "--device", "cpu", *more]
    )


def test_resume_says_where_it_finds_no_run_and_begins_one(data: Path, tmp_path: Path) -> None:
    for begins in (True, False):
        done = train(data, tmp_path / "run", "--resume")
        assert done.exit_code == 0, done.output
        note = f"{tmp_path / 'run'} holds no run to go on with: a new one begins"
        assert (note in done.stderr) == begins


@pytest.mark.parametrize("begun", [False, True])
def test_an_interrupt_names_resume_where_there_is_a_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    def stop(*_args: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    module, name = (trainer, "_train_epoch") if begun else (prepare, "class_weights")
    monkeypatch.setattr(module, name, stop)
    ended = train(data, tmp_path / "run")
    assert ended.exit_code == 130, ended.output
    assert ("go on with --resume --out" in ended.stderr) == begun
    assert ("no run has begun: give the same command" in ended.stderr) != begun
