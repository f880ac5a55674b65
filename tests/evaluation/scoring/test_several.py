"""Scores of several sets of predictions: comparisons, seeds and missing samples."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluation.scoring.score_fixtures import PLAIN
from PIL import Image

import eventseg


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of labelled pictures of seven drives, and predictions of six quality levels."""
    root = tmp_path_factory.mktemp("many")
    data, rng = root / "data", np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in ("images", "labels"):
            (data / kind / split).mkdir(parents=True)
    (data / "classes.toml").write_text(
        'classes = [\n    { id = 0, name = "a", colour = [1, 2, 3] },\n'
        '    { id = 1, name = "b", colour = [4, 5, 6] },\n]\n'
    )
    for k in range(16):
        name, labels = f"drive{k % 8}_{k}.png", (rng.random((12, 16)) < 0.4).astype(np.uint8)
        split = "train" if k % 8 == 7 else "test"
        Image.fromarray(labels).save(data / "labels" / split / name)
        Image.fromarray(labels * 80).save(data / "images" / split / name)
        for level in range(6 if split == "test" else 0):
            wrong = rng.random(labels.shape) < 0.05 + 0.04 * level
            (root / f"p{level}").mkdir(exist_ok=True)
            Image.fromarray(labels ^ wrong.astype(np.uint8)).save(root / f"p{level}" / name)
    return root, data


def test_two_are_compared_and_seeds_have_a_spread(no_page, many, tmp_path, monkeypatch):
    root, data = many
    monkeypatch.chdir(root)
    asked = {"out": tmp_path / "out", **PLAIN}
    found = eventseg.score_predictions(["p0,p1", "p4,p5"], data, **asked)
    assert [row.name for row in found.rows] == ["p0", "p1", "p4", "p5"]
    sections = {one.key: one for one in found.sections}
    versus = sections["versus"]
    assert versus.note.startswith("p0, p1 is better than p4, p5 by ")
    assert versus.lines[0]["first_better"] > 0.95
    assert versus.lines[0]["interval_low"] > 0
    assert versus.facts["test"]["seeds"] == [2, 2]
    rows = found.rows
    pair = eventseg.evaluation.paired_test(rows[:2], rows[2:])
    assert versus.lines[0]["difference"] == pytest.approx(pair.miou.difference)
    seeds = sections["seeds"].lines
    assert [one["seeds"] for one in seeds] == [2, 2]
    values = [row.scores.miou_truth for row in rows[:2]]
    assert seeds[0]["miou_truth"] == pytest.approx(np.mean(values))
    assert seeds[0]["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert seeds[0]["interval_low"] < seeds[0]["miou_truth"] < seeds[0]["interval_high"]
    swapped = eventseg.score_predictions([["p4"], "p0"], data, **asked)
    words = {one.key: one for one in swapped.sections}["versus"].note
    assert words.startswith("p0 is better than p4 by ")
    same = eventseg.score_predictions(["p0", root / "p0"], data, **asked)
    assert [row.name for row in same.rows] == ["p0 (1)", "p0 (2)"]
    equal = {one.key: one for one in same.sections}["versus"]
    assert "have equal scores" in equal.note
    assert equal.lines[0]["first_better"] == pytest.approx(0.5)


def test_files_and_missing_samples_of_each_of_two_are_said(no_page, many, tmp_path):
    root, data = many
    shutil.copytree(root / "p4", tmp_path / "half")
    gone = sorted((tmp_path / "half").iterdir())[::2]
    for path in gone:
        path.unlink()
    asked = {"out": tmp_path / "out", "allow_missing": True, **PLAIN}
    rows = eventseg.score_predictions([root / "p0", tmp_path / "half"], data, **asked).rows
    assert (len(rows[0].ids), len(rows[1].ids)) == (14, 7)
    files = json.loads((tmp_path / "out/files.json").read_text())
    assert len(files) == 14 + 14 + 7
    for row, folder in zip(rows, (root / "p0", tmp_path / "half"), strict=True):
        for name in row.ids:
            content = (folder / f"{name}.png").read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            assert files[f"{row.name}: prediction of {name}"] == digest
    page = (tmp_path / "out/scores.md").read_text()
    assert "Only 7 of the 14 samples of the part are scored of half: such a score" in page
    assert page.count("samples of the part are scored") == 1


def test_scores_equal_those_of_the_scripts_of_cityscapes(many):
    scripts = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    root, data = many
    rows = eventseg.score_predictions(root / "p3", data, out=root / "out", **PLAIN).rows
    matrix = rows[0].matrices.sum(0)
    scripts.args.evalLabels = [7, 8]  # ids of road and sidewalk
    whole = np.zeros((9, 9), np.ulonglong)
    whole[np.ix_([7, 8], [7, 8])] = matrix
    for k, label in enumerate((7, 8)):
        theirs = scripts.getIouScoreForLabel(label, whole, scripts.args)
        assert rows[0].scores.iou[k] == pytest.approx(theirs)
