"""Scores of anyone's predictions: equal to evaluate's, calibrated, and written as tables."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from evaluation.scoring.score_fixtures import PLAIN, nearly, same_scores, truths, written
from prediction_fixtures import random_network
from training_fixtures import SENSOR

import eventseg
from eventseg.errors import LabelError
from eventseg.evaluation.scoring.latex import latex_tables
from eventseg.sources.recorded import EventSource


@pytest.mark.parametrize("network", ["events", pytest.param("gray", marks=pytest.mark.slow)])
def test_a_folder_of_png_has_the_scores_of_the_run_to_the_last_digit(
    no_page, root, tmp_path, network
):
    run, data = root / f"{network}.pt", root / "streets"
    made = eventseg.evaluate_run(
        run, data, out=tmp_path / "report", device="cpu", predictions=tmp_path / "maps"
    )
    foreign = tmp_path / "foreign"
    shutil.copytree(tmp_path / "maps/labels", foreign)
    window = "50ms" if network == "events" else None
    scored = {
        "folder": eventseg.score_predictions(tmp_path / "maps", data, out=tmp_path / "a"),
        "png": eventseg.score_predictions(foreign, data, out=tmp_path / "b", window=window),
        "run": eventseg.score_predictions(run, data, out=tmp_path / "c", device="cpu"),
    }
    by_name = {row.name: row for row in made.rows}
    for found in scored.values():
        same_scores(found.rows[0], made.rows[0])
        for row in found.rows[1:]:
            same_scores(row, by_name[row.name])
    assert len(scored["run"].rows) == len(made.rows)
    sections = [{one.key: one for one in found.sections} for found in scored.values()]
    for key in ("boundary", "boundary_f", "by_class"):
        lines = [json.dumps(found[key].to_dict()) for found in sections]
        assert lines[0] == lines[2], key
    assert "calibration" in sections[2]
    assert {line["samples"] for line in sections[0]["protocol_paper"].lines} == {
        len(made.rows[0].ids)
    }


def test_the_report_has_every_table_and_the_digest_of_every_file(root, tmp_path):
    data, maps = root / "streets", truths(root / "streets")
    given = written(tmp_path / "given", {name: nearly(m) for name, m in maps.items()})
    found = eventseg.score_predictions(given, data, out=tmp_path / "out")
    files = json.loads((tmp_path / "out/files.json").read_text())
    assert set(files) == {f"{kind} of {n}" for kind in ("labels", "prediction") for n in maps}
    scores = json.loads((tmp_path / "out/scores.json").read_text())
    assert scores["about"]["files.json"]
    assert scores["about"]["joined by"] == "names are sample ids"
    assert set(scores["measures"]) >= {"by_class", "boundary", "boundary_f", "protocol_paper"}
    page = found.page.read_text()
    for words in ("Worst and best samples", "Diagnosis", "Protocol paper", "Boundary F"):
        assert words in page
    assert eventseg.evaluation.read_sample_scores(tmp_path / "out")[0].ids == tuple(maps)


def test_a_run_is_scored_where_val_cannot_calibrate_it(no_page, root, tmp_path, monkeypatch):
    def covered(source, _window):
        return np.where(np.array(source.splits) == "val", 0.5, 1.0)

    monkeypatch.setattr(EventSource, "covered", covered)
    asked = {"out": tmp_path / "out", "device": "cpu", **PLAIN}
    found = eventseg.score_predictions(root / "events.pt", root / "streets", **asked)
    section = {one.key: one for one in found.sections}["calibration"]
    assert "; no temperature: none of the " in section.note
    assert "of split val in" in section.note
    assert [line["temperature"] for line in section.lines] == [1.0]


def test_a_part_val_without_scored_pixels_gives_no_temperature(no_page, tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        labels = (
            np.full((16, 16), 255, np.uint8) if split == "val" else rng.integers(0, 2, (16, 16))
        )
        for kind, picture in (("images", rng.integers(0, 255, (16, 16))), ("labels", labels)):
            written(tmp_path / "data" / kind / split, {f"{split}_0": picture.astype(np.uint8)})
    (tmp_path / "data/classes.toml").write_text(
        'classes = [\n    { id = 0, name = "a", colour = [1, 2, 3] },\n'
        '    { id = 1, name = "b", colour = [4, 5, 6] },\n]\n'
    )
    table = eventseg.ClassTable(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    run = random_network(tmp_path / "gray.pt", "gray", table=table)
    asked = {"out": tmp_path / "out", "device": "cpu", **PLAIN}
    found = eventseg.score_predictions(run, tmp_path / "data", **asked)
    section = {one.key: one for one in found.sections}["calibration"]
    assert section.note.endswith("no temperature: no pixel of part val has a class that is scored")


def test_latex_is_whole(no_page, root, tmp_path):
    maps = {name: nearly(m) for name, m in truths(root / "streets").items()}
    given = written(tmp_path / "50%_of&all#", maps)
    found = eventseg.score_predictions(given, root / "streets", out=tmp_path / "out")
    text = (tmp_path / "out/scores.tex").read_text()
    assert text == latex_tables(found.rows, caption="streets, labels truth, split test, clean.")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert r"50\%\_of\&all\#" in text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    for table in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", body, re.S):
        lines = [line for line in table[1].splitlines() if line.endswith(r"\\")]
        assert len(lines) >= 2
        for line in lines:
            assert len(re.split(r"(?<!\\)&", line)) == len(table[0])
    assert not re.search(r"(?<!\\)[_#$]", body)
    depth = 0
    for sign in re.sub(r"\\[{}]", "", body):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
    assert depth == 0
    compiler = shutil.which("pdflatex")
    if compiler is not None:  # TeX is no package of Python: tested where it is installed
        document = tmp_path / "document.tex"
        document.write_text(
            "\\documentclass{article}\\usepackage{booktabs}\\begin{document}"
            "\\input{out/scores.tex}\\end{document}"
        )
        command = [compiler, "-interaction=nonstopmode", "-halt-on-error", document.name]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
        assert ended.returncode == 0, ended.stdout[-800:]
        assert (tmp_path / "document.pdf").stat().st_size > 1_000


def test_arrays_of_scores_are_calibrated_and_those_that_sum_to_nothing_refused(
    no_page, root, tmp_path
):
    data, maps = root / "streets", truths(root / "streets")
    for name in ("logits", "probabilities", "wrong"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for name, labels in maps.items():
        logits = rng.normal(size=(19, *labels.shape)).astype(np.float32)
        logits += 3 * (np.arange(19)[:, None, None] == labels)
        shares = np.exp(logits) / np.exp(logits).sum(0)
        np.save(tmp_path / f"logits/{name}.npy", np.moveaxis(logits, 0, -1))
        np.save(tmp_path / f"probabilities/{name}.npy", shares.astype(np.float16))
        np.save(tmp_path / f"wrong/{name}.npy", (shares * 0.7).astype(np.float32))
    rows = {}
    for name in ("logits", "probabilities"):
        found = eventseg.score_predictions(
            tmp_path / name, data, out=tmp_path / f"{name}-out", **{**PLAIN, "boundary": (1,)}
        )
        rows[name] = found.rows[0].matrices
        calibration = {s.key: s for s in found.sections}["calibration"].lines[0]
        assert 0 < calibration["ece"] < 0.6
        assert calibration["accuracy"] == pytest.approx(found.rows[0].scores.pixel_accuracy)
    assert abs(rows["logits"] - rows["probabilities"]).sum() < 0.001 * rows["logits"].sum()
    with pytest.raises(LabelError, match=r"do not sum to 1: the sum of a pixel is 0\.7"):
        eventseg.score_predictions(tmp_path / "wrong", data, out=tmp_path / "w", **PLAIN)
    taken = eventseg.score_predictions(
        tmp_path / "wrong", data, out=tmp_path / "w", values="logits", **PLAIN
    )
    assert np.array_equal(taken.rows[0].matrices.sum(0), rows["logits"].sum(0))
    first = tmp_path / "logits" / f"{next(iter(maps))}.npy"
    first.write_bytes(first.read_bytes()[:-4])
    with pytest.raises(LabelError, match=r"bytes of values, its header says"):
        eventseg.score_predictions(tmp_path / "logits", data, out=tmp_path / "w", **PLAIN)
    np.save(first, np.full((19, *SENSOR), np.nan, np.float32))
    with pytest.raises(LabelError, match="numbers that are not finite"):
        eventseg.score_predictions(tmp_path / "logits", data, out=tmp_path / "w", **PLAIN)
