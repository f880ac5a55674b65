"""Damage to a prediction folder and to a run folder is found, and each finding has its cure."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from prediction_fixtures import random_network
from training_fixtures import street_dataset, train_tiny

import eventseg
from eventseg.errors import EventsegError
from eventseg.prediction.check import check_predictions
from eventseg.training.check import check_run
from eventseg_cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a data set, predictions and a run."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("made")
    street_dataset(root)
    random_network(root / "gray.pt", "gray")
    eventseg.predict_into(
        root / "gray.pt", root / "other.hdf5", root / "maps", probabilities=True, device="cpu"
    )
    train_tiny(root / "streets", root / "run", epochs=1)
    return root


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


MAP, NEXT = "labels/other_f000001.png", "labels/other_f000002.png"
PREDICTIONS = {
    "map gone": (lambda d: (d / MAP).unlink(), f"{MAP} is missing: run the same predict again"),
    "map cut": (lambda d: (d / MAP).write_bytes(b"\x89PNG"), "delete it and run the same predict"),
    "another map": (lambda d: Image.new("P", (64, 48)).save(d / MAP), "predict again with"),
    "map of no sample": (lambda d: shutil.copy(d / MAP, d / "labels/x.png"), "x.png belongs to no"),
    "no table": (lambda d: (d / "samples.csv").unlink(), "cannot read"),
    "table cut": (lambda d: changed(d / "samples.csv", "other_f000001", "../x"), "line 3"),
    "input changed": (
        lambda d: (d / "../other.hdf5").write_bytes(b"other"),
        "has changed since it was predicted",
    ),
    "temporary": (lambda d: (d / "labels/x.png.9.tmp").touch(), "--repair removes it"),
    "not complete": (lambda d: (d / "predictions.toml").rename(d / "unfinished.toml"), "run the"),
    "probabilities cut": (
        lambda d: (d / "probabilities/other_f000001.npz").write_bytes(b"PK"),
        "delete it and run the same predict",
    ),
    "shards": (lambda d: (d / "shards").mkdir(), "run eventseg merge"),
}


@pytest.mark.parametrize("damage", PREDICTIONS)
def test_damage_to_predictions_is_found(made: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "maps"
    shutil.copytree(made / "maps", folder)
    shutil.copy(made / "other.hdf5", tmp_path)
    assert check_predictions(folder) == []
    harm, message = PREDICTIONS[damage]
    harm(folder)
    problems = check_predictions(folder)
    assert any(message in problem for problem in problems), problems


RUNS = {
    "best gone": (lambda d: (d / "best.pt").unlink(), "best.pt is missing"),
    "last cut": (lambda d: (d / "last.pt").write_bytes(b"PK\3\4"), "restore the file, or train"),
    "config changed": (lambda d: changed(d / "config.toml", "epochs = 1", "epochs = 2"), "differs"),
    "config cut": (lambda d: (d / "config.toml").write_text("["), "restore it from"),
    "run.json cut": (lambda d: (d / "run.json").write_text("{"), "train again"),
    "no scores": (lambda d: (d / "metrics.csv").unlink(), "metrics.csv is missing"),
    "scores cut": (lambda d: (d / "metrics.csv").write_text("epoch"), "metrics.csv"),
    "data changed": (
        lambda d: changed(d / "run.json", '"inputs": {', '"inputs": {"x": 1, '),
        "have",
    ),
    "temporary": (lambda d: (d / "last.pt.9.tmp").touch(), "--repair removes it"),
}


def test_a_run_as_it_was_trained_has_no_problem(made: Path) -> None:
    assert check_run(made / "run") == ([], [])


@pytest.mark.parametrize("damage", RUNS)
def test_damage_to_a_run_is_found(made: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "run"
    shutil.copytree(made / "run", folder)
    harm, message = RUNS[damage]
    harm(folder)
    problems, _ = check_run(folder)
    assert any(message in problem for problem in problems), problems


def test_data_that_is_gone_is_a_remark(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(made / "run", folder)
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**run, "data": str(tmp_path / "gone")}))
    problems, warnings = check_run(folder)
    assert problems == []
    assert "no longer at" in warnings[0]


def test_the_command_knows_each_kind_and_repairs(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "maps", tmp_path / "maps")
    (tmp_path / "maps/labels/x.png.9.tmp").touch()
    (tmp_path / "maps/unfinished.toml").touch()
    for place, kind in (
        (made / "streets", "data set"),
        (made / "run", "run"),
        (made / "other.hdf5", "recording"),
        (tmp_path / "maps", "predictions"),
    ):
        shown = CliRunner().invoke(main, ["check", str(place), "--repair", "--json"])
        report = json.loads(shown.stdout)
        assert (report["kind"], report["problems"]) == (kind, [])
    assert len(report["repaired"]) == 2
    refused = CliRunner().invoke(main, ["check", str(made / "run"), "--deep"])
    assert refused.exit_code == 2


def test_colours_that_no_picture_can_have_are_one_error(made: Path, tmp_path: Path) -> None:
    """A finding of benchmarks/fuzz.py: a number of 64 bits and one in a colour."""
    maps = Path(shutil.copytree(made / "maps", tmp_path / "maps"))
    manifest = maps / "predictions.toml"
    text = manifest.read_text()
    before, _, after = text.partition("colour = [\n")
    number, _, rest = after.partition(",")
    for other in ("-9223372036854775809", "256", "-1"):
        manifest.write_text(f"{before}colour = [\n    {other},{rest}")
        with pytest.raises(EventsegError, match="three numbers from 0 to 255"):
            eventseg.open_predictions(maps)
    manifest.write_text(f"{before}colour = [\n{number},{rest}")
    assert len(eventseg.open_predictions(maps))
