"""Predictions that are refused by name: hostile folders, functions that fail, wrong options."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation.scoring.score_fixtures import PLAIN, same_scores, truths, written
from PIL import Image
from training_fixtures import SENSOR

import eventseg
from eventseg.errors import DatasetError, ExtensionError, LabelError, TrainingError
from eventseg.labels.maps import CITYSCAPES_19, paint_labels
from eventseg_cli.main import main


def test_a_teacher_that_is_not_there_is_refused_before_the_scoring(root, tmp_path, monkeypatch):
    data, maps = root / "streets", truths(root / "streets")
    given = written(tmp_path / "given", maps)
    monkeypatch.setattr("eventseg.evaluation.scoring.score.score_contender", None)
    with pytest.raises(TrainingError, match="has no label set 'guess'; it has truth"):
        eventseg.score_predictions(given, data, out=tmp_path / "out", teacher="guess")
    assert not (tmp_path / "out").exists()


def test_hostile_folders_are_refused_by_name(no_page, root, tmp_path):
    data, maps = root / "streets", truths(root / "streets")
    names = list(maps)
    given = written(tmp_path / "given", maps)

    def score(**asked):
        return eventseg.score_predictions(given, data, out=tmp_path / "out", **{**PLAIN, **asked})

    def put(labels, name=names[0], folder=given):
        Image.fromarray(labels).save(folder / f"{name}.png")

    put(paint_labels(maps[names[0]], CITYSCAPES_19))
    assert score().notes == ["1 label maps of given hold colours of cityscapes19 instead of ids"]
    put(np.stack([maps[names[0]]] * 3, axis=-1))
    assert score().rows[0].scores.pixel_accuracy == 1
    put(np.full((*SENSOR, 3), (17, 18, 17), np.uint8))
    with pytest.raises(
        LabelError, match=r"the colour \(17, 18, 17\) .* of no class.* table cityscapes19"
    ):
        score()
    put(maps[names[0]].astype(np.uint16))
    assert score().rows[0].scores.pixel_accuracy == 1
    put(np.full(SENSOR, 26_000, np.uint16))
    with pytest.raises(LabelError, match=r"16-bit gray and hold 26000"):
        score()
    Image.fromarray(maps[names[0]].astype(np.float32)).save(tmp_path / "float.tiff")
    shutil.copy(tmp_path / "float.tiff", given / f"{names[0]}.png")
    with pytest.raises(LabelError, match="are no PNG"):
        score()
    high = (np.clip(maps[names[0]], 0, 18) + 1).astype(np.uint8)
    high[0, 0] = 19
    put(high)
    with pytest.raises(LabelError, match=r"hold 19.* ids seem to be one too high"):
        score()
    put(truths(root / "streets")[names[0]][:40])
    with pytest.raises(DatasetError, match=f"prediction of {names[0]} is 64x40, its labels"):
        score()
    put(maps[names[0]])
    (given / "more").mkdir()
    put(maps[names[0]], folder=given / "more")
    with pytest.raises(DatasetError, match=f"both predictions of {names[0]}; keep one"):
        score()
    shutil.rmtree(given / "more")
    for name in names[::2]:
        (given / f"{name}.png").unlink()
    with pytest.raises(DatasetError, match=rf"5 of the 9 samples have no prediction .*{names[0]}"):
        score()
    part = score(allow_missing=True)
    assert part.rows[0].ids == tuple(names[1::2])
    assert "Only 4 of the 9 samples" in part.page.with_name("scores.md").read_text()
    shutil.rmtree(given)
    given.mkdir()
    with pytest.raises(DatasetError, match=r"neither predictions\.toml nor \.png or \.npy"):
        score()
    put(maps[names[0]], name="unknown")
    with pytest.raises(DatasetError, match=r"none of the 1 predictions .* are named unknown"):
        score()
    put(maps[names[0]][:, :40])
    cropped = truths(root / "cropped")
    whole = written(tmp_path / "whole", {n: maps[n] for n in cropped})
    with pytest.raises(DatasetError, match="rows are not cropped; keep rows 0 to 35"):
        eventseg.score_predictions(whole, root / "cropped", out=tmp_path / "out", **PLAIN)


def test_samples_that_the_window_leaves_out_are_not_missing(no_page, root, tmp_path):
    data, maps = root / "streets", truths(root / "streets")
    given = written(tmp_path / "given", maps)
    asked = {"out": tmp_path / "out", "window": "150ms", "allow_missing": True, **PLAIN}
    found = eventseg.score_predictions(given, data, **asked)
    assert 0 < len(found.rows[0].ids) < len(maps)
    assert "samples of the part are scored" not in (tmp_path / "out/scores.md").read_text()


def test_functions_that_fail_are_named(no_page, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "import numpy as np\n"
        "def fails(sample):\n    raise KeyError(sample.id)\n"
        "def black(sample):\n    return np.zeros(sample.size, np.int64)\n"
        "def scores(sample):\n    return np.zeros((3, *sample.size))\n"
        "number = 5\n"
    )
    data = root / "streets"

    def score(spec):
        return eventseg.score_predictions(spec, data, out="out", **PLAIN)

    by_module, by_file = score("python:mine:black"), score("mine.py:black")
    same_scores(by_module.rows[0], by_file.rows[0])
    about = json.loads(Path("out/scores.json").read_text())["about"]
    assert about["file"] == "mine.py"
    assert len(about["sha256"]) == 64
    with pytest.raises(ExtensionError, match=r"mine:fails fails on sample other_f00000\d: KeyErr"):
        score("python:mine:fails")
    with pytest.raises(LabelError, match=r"has the shape \(3, 48, 64\); scores of 19 classes"):
        score("python:mine:scores")
    for spec, words in (
        ("python:mine", "names no function"),
        ("python:nowhere:f", "cannot load nowhere"),
        ("python:mine:other", "has no 'other'"),
        ("python:mine:number", "is int, not a function"),
    ):
        with pytest.raises(ExtensionError, match=words):
            score(spec)
    with pytest.raises(DatasetError, match="no folder of predictions nothing"):
        score("nothing")


def test_the_command(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, maps = root / "streets", truths(root / "streets")
    written(tmp_path / "maps", {name: m[:, ::-1] for name, m in maps.items()})

    def call(*arguments):
        return CliRunner().invoke(main, ["score", *map(str, arguments)])

    made = call("maps", data, "--no-baselines", "--workers", "1")
    assert made.exit_code == 0, made.output
    assert "x is mirrored; mirror the predictions left to right" in made.stdout
    assert Path("scores/maps-streets-truth-test-nobaselines/report.html").is_file()
    found = json.loads(call("maps", data, "--no-baselines", "--json").stdout)
    assert found["mistakes"] == ["x-mirrored"]
    for wrong, code, words in (
        (("maps",), 2, "give PREDICTIONS and DATA"),
        (("maps", "nowhere"), 2, "no folder 'nowhere'"),
        (("maps", data, "--boundary", "0"), 2, "must be pixels from 1"),
        (("maps", data, "--split", "tset"), 1, "no labelled samples of split tset"),
        (("a,,b", data), 1, "nothing between two commas"),
    ):
        refused = call(*wrong)
        assert refused.exit_code == code, refused.output
        assert words in refused.output
    with pytest.raises(TrainingError, match="unknown setting 'windows' of a score"):
        eventseg.score_predictions("maps", data, windows="50ms")
