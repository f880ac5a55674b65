"""Runs that are made again from their run.json."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from eventseg.dataset.manifest import Manifest
from eventseg.errors import TrainingError
from eventseg.training.reproduce import first_difference, reproduce
from eventseg.training.run_folder import read_run
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.mark.usefixtures("blind")
def test_reproduce(copied: Path, plain: Path, tmp_path: Path) -> None:
    made = reproduce(plain / "run.json", data=copied, out=tmp_path / "again")
    assert (made.difference, made.versions) == ("", {})
    run = tmp_path / "run"
    shutil.copytree(plain, run)
    metrics = (run / "metrics.csv").read_text()
    first = metrics.splitlines()[2].split(",")
    first[3] = "0.5"
    lines = metrics.splitlines()
    (run / "metrics.csv").write_text("\n".join([*lines[:2], ",".join(first)]) + "\n")
    found = first_difference(run / "metrics.csv", plain / "metrics.csv")
    assert re.fullmatch(r"epoch 2: train_loss was 0\.5 and is [\d.]+", found)
    (run / "metrics.csv").write_text("\n".join(lines[:2]) + "\n")
    assert first_difference(run / "metrics.csv", plain / "metrics.csv") == (
        "the run had 1 epochs and has 2"
    )
    (run / "metrics.csv").write_text(metrics.rpartition(",")[0])
    for old, out, words in (
        (
            run,
            tmp_path / "no",
            r"metrics.csv is damaged: the line of epoch 2 has \d+ of \d+ values",
        ),
        (plain, tmp_path / "again", "again holds a run; give another folder with --out"),
    ):
        with pytest.raises(TrainingError, match=words):
            reproduce(old, data=copied, out=out)
    (run / "metrics.csv").write_text("\n".join(lines[:2]) + "\n")
    manifest = Manifest.read(copied / "manifest.toml")
    (one, two) = manifest.recordings
    replace(manifest, recordings=(replace(one, truth_sha256="0" * 64), two)).write(
        copied / "manifest.toml"
    )
    called = ["reproduce", str(run), "--data", str(copied), "--out", str(tmp_path / "no"), "-q"]
    refused = CliRunner().invoke(main, called)
    assert refused.exit_code == 1
    assert "digests of the data differ" in refused.stderr
    assert not (tmp_path / "no").exists()


def test_command_says_whether_a_run_is_equal(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package's name `reproduce` is the function.
    module = importlib.import_module("eventseg.training.reproduce")

    for difference, code in (("", 0), ("epoch 1: val_miou was 1 and is 2", 1)):
        made = module.Reproduced(tmp_path, difference, {"torch": ("1", "2")})
        monkeypatch.setattr(module, "reproduce", lambda *_a, made=made, **_k: made)
        result = CliRunner().invoke(main, ["reproduce", str(plain)])
        assert result.exit_code == code
        assert difference in result.stdout
        assert "torch was 1 and is 2" in result.stderr


def test_run_of_several_processes_is_not_made_again_by_one(plain: Path, tmp_path: Path) -> None:
    held = json.loads((plain / "run.json").read_text())
    assert held["processes"] == 1
    (tmp_path / "run.json").write_text(json.dumps({**held, "processes": 2}))
    shutil.copy(plain / "metrics.csv", tmp_path)
    with pytest.raises(TrainingError, match=r"run\.json is of 2 processes and this is one of 1"):
        reproduce(tmp_path / "run.json", out=tmp_path / "again")


def test_run_json_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"data": "here"}))
    with pytest.raises(TrainingError, match=r"is no run\.json"):
        read_run(tmp_path / "run.json")
