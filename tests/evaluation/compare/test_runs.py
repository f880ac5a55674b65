"""Runs side by side: seeds as one row, and the evaluation that fits them all."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation.compare.compare_fixtures import (
    CITYSCAPES_19,
    EVSEGNET_6,
    row,
    score,
    summary,
    write_scores,
)

import eventseg
from eventseg.errors import TrainingError
from eventseg.evaluation.compare.encodings import align_encodings
from eventseg.evaluation.compare.evaluations import evaluation_names, pick_evaluation
from eventseg.evaluation.compare.runs import Evaluation, group_seeds, read_run_summary
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("single_thread")

HOSTILE = "[a] <b>&%|_\\$x$ ü"
"""Name of a run with what HTML, Markdown, LaTeX and Matplotlib each take for theirs."""


def test_runs_that_differ_in_their_seed_are_one_row(runs: Path, tmp_path: Path) -> None:
    write_scores(runs / "first", "a", [row("50ms", 0.25), row("-", 0.9, "position prior")])
    write_scores(runs / "second", "a", [row("50ms", 0.35)])
    one, two = (read_run_summary(runs / name) for name in ("first", "second"))
    (group,) = group_seeds([one, two])
    assert group.val_miou == (*one.val_miou, *two.val_miou)
    assert [len(one.val_miou) for one in group_seeds([one, two, one])] == [2, 1]
    ((_, windows),) = group.scored.items()
    assert [score.miou for score in windows["50ms"]] == [25.0, 35.0]
    out = tmp_path / "c"
    paths = [str(runs / name) for name in ("first", "second", "gray")]
    result = CliRunner().invoke(main, ["compare", *paths, "--out", str(out)])
    assert result.exit_code == 0, result.output
    mean, deviation = np.mean(group.val_miou), np.std(group.val_miou, ddof=1)
    assert f"| {mean:.2f} ± {deviation:.2f} | 30.00 ± {np.std([25, 35], ddof=1):.2f} |" in (
        result.stdout
    )
    assert "| first, second | 2 | enet | events | 50ms | truth |" in result.stdout
    assert "| gray | 1 | enet | gray | - | truth |" in result.stdout
    assert "90.00" not in result.stdout  # baselines are no runs
    assert "accuracy 89.76, mIoU 54.81, accuracy 10ms 86.46, mIoU 10ms 45.85," in result.stdout
    assert "| not comparable |" in result.stdout
    assert "same data" not in result.stdout
    # Scores that are missing are null: JSON has no NaN.
    held = json.loads((out / "compare.json").read_text(), parse_constant=pytest.fail)
    assert held["runs"][0]["evaluations"][0]["scores"][0]["miou_all"] is None
    page = (out / "compare.html").read_text()
    # The samples that judged all of them, in one picture though classes and inputs differ.
    assert page.count("<img") == 2
    assert page.count("predictions of each run") == page.count("learning curves") == 1
    assert (out / "compare.md").read_text() == result.stdout.rpartition(f"{out}")[0]


def test_evaluations_are_told_apart_and_one_is_picked(runs: Path, tmp_path: Path) -> None:
    first = runs / "first"
    write_scores(first, "a", [row("50ms", 0.25)])
    write_scores(first, "b", [row("10ms", 0.21), row("50ms", 0.22)], names=EVSEGNET_6)
    write_scores(first, "c", [row("250ms", 0.23)], names=EVSEGNET_6)
    write_scores(first, "d", [row("50ms", 0.31)], how="guess-test-clean", names=EVSEGNET_6)
    write_scores(runs / "gray", "a", [row("-", 0.41)], names=EVSEGNET_6)
    both = [read_run_summary(runs / name) for name in ("first", "gray")]
    chosen = pick_evaluation(both)
    assert chosen is not None
    assert evaluation_names(both)[chosen] == "streets-truth-test-clean, evsegnet6"
    # What differs only in its windows is one evaluation.
    assert {w: s[0].miou for w, s in both[0].scored[chosen].items()} == {
        "10ms": 21.0, "50ms": 22.0, "250ms": 23.0
    }  # fmt: skip
    result = CliRunner().invoke(
        main, ["compare", str(first), str(runs / "gray"), "--out", str(tmp_path / "c")]
    )
    assert result.exit_code == 0, result.output
    words = " ".join(result.stdout.split())
    assert "that of the evaluation streets-truth-test-clean, evsegnet6: the one that most" in words
    assert "| mIoU | mIoU 10ms | mIoU 50ms | mIoU 250ms |" in result.stdout
    assert "| - | 21.00 | 22.00 | 23.00 |" in result.stdout
    assert "| 41.00 | - | - | - |" in result.stdout
    assert (
        "| first | 1 | streets-guess-test-clean, evsegnet6 | 50ms | 9 | 50.00 | 31.00 "
        "| 21.00 to 41.00 | - |" in result.stdout
    )


def test_evaluations_in_other_splits_stay_apart(
    runs: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventseg.evaluation.report.write.report_page", lambda *_a, **_k: "")
    (tmp_path / "split.csv").write_text("recording,split\ndrive,test\nother,train\n")
    asked = {"baselines": False, "device": "cpu", "classes": "evsegnet6"}
    pages = [
        evaluate_run(runs / "gray", data, **asked, **more).page
        for more in ({}, {"split_file": tmp_path / "split.csv"})
    ]
    plain, other = (json.loads(page.with_name("scores.json").read_text()) for page in pages)
    word = pages[1].parent.name[-len("split@123456") :]
    assert word.startswith("split@")
    assert other["about"]["scored as"] == f"truth-test-clean-{word}"

    def scored() -> dict[str, float]:
        found = read_run_summary(runs / "gray").scored
        return {one.how: windows["-"][0].miou / 100 for one, windows in found.items()}

    mious = [one["rows"][0]["scores"]["miou_present"] for one in (plain, other)]
    names = ["streets-truth-test-clean", f"streets-truth-test-clean-{word}"]
    assert scored() == pytest.approx(dict(zip(names, mious, strict=True)))
    # Reports of earlier versions name the split file in the name of their folder, if anywhere.
    other["about"]["scored as"] = "truth-test-clean"
    pages[1].with_name("scores.json").write_text(json.dumps(other))
    assert scored() == pytest.approx(dict(zip(names, mious, strict=True)))
    pages[1].parent.rename(runs / "gray" / "evaluation-z")
    names[1] = f"{names[0]}-samples@{other['rows'][0]['sample_set']}"
    assert scored() == pytest.approx(dict(zip(names, mious, strict=True)))


def test_rule_of_the_picked_evaluation() -> None:
    def made(how: str, labels: str = "truth", split: str = "test", data: str = "x") -> Evaluation:
        return Evaluation(how, "evsegnet6", data, labels, split)

    at_one, at_two = {"50ms": score(1)}, {"50ms": score(1), "10ms": score(2)}
    guess, val, test = made("a", labels="guess"), made("b", split="val"), made("c")
    assert pick_evaluation([summary()]) is None
    assert pick_evaluation([summary({guess: at_two, val: at_two, test: at_one})]) == test
    assert pick_evaluation([summary({guess: at_two, val: at_one})]) == val
    assert pick_evaluation([summary({guess: at_two, test: at_one})], split="val") is None
    assert pick_evaluation([summary({made("z"): at_two, test: at_one})]) == made("z")
    assert pick_evaluation([summary({made("z"): at_one, test: at_one})]) == test
    assert pick_evaluation([summary({guess: at_one}), summary({guess: at_one, test: at_two})]) == (
        guess
    )
    # Data of one name that differs is told by its digest.
    names = evaluation_names([summary({test: at_one, made("c", data="y"): at_one, val: at_one})])
    assert sorted(names.values()) == [
        "b, evsegnet6", "c, evsegnet6 (data x)", "c, evsegnet6 (data y)"
    ]  # fmt: skip


def test_scores_that_cannot_be_read_are_one_line(runs: Path, tmp_path: Path) -> None:
    path = write_scores(runs / "first", "a", [row("50ms", 0.25)])
    for text in ("{}", "", json.dumps({"rows": []})):
        path.write_text(text)
        refused = CliRunner().invoke(main, ["compare", str(runs / "first")])
        assert refused.exit_code == 1
        assert "run eventseg evaluate again" in refused.stderr
    with pytest.raises(TrainingError, match=r"it has no run\.json"):
        read_run_summary(tmp_path)


def test_evaluations_of_one_run_on_two_encodings_stay_apart() -> None:
    def made(how: str, source: str = "s") -> Evaluation:
        return Evaluation(how, "evsegnet6", how, "truth", "test", source)

    at_one = {"50ms": score(1)}
    one, two, other = made("a"), made("b"), made("c", "t")
    aligned = align_encodings([summary({one: at_one}), summary({two: at_one, other: at_one})])
    (together,) = aligned[0].scored
    assert together.how == "a and b"
    assert together in aligned[1].scored
    assert other in aligned[1].scored
    apart = align_encodings([summary({one: at_one, two: at_one}), summary({two: at_one})])
    assert [set(run.scored) for run in apart] == [{one, two}, {two}]


def test_tables_as_csv_and_latex(runs: Path, tmp_path: Path) -> None:
    write_scores(runs / "first", "a", [row("50ms", 0.25)])
    out = tmp_path / "c"
    hostile = (runs / "first").rename(runs / HOSTILE)
    given = ["compare", str(hostile), "--out", str(out), "--format"]
    result = CliRunner().invoke(main, [*given, "csv,latex"])
    assert result.exit_code == 0, result.output
    text = (out / "compare.csv").read_text()
    assert result.stdout.startswith(text)
    lines = list(csv.reader(io.StringIO(text)))
    assert lines[0][:3] == ["table", "run", "seeds"]
    assert lines[1][:3] == ["Runs", HOSTILE, "1"]
    latex = (out / "compare.tex").read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") > 1
    for line in latex.splitlines():
        if line.endswith(r"\\"):
            assert not re.search(r"(?<!\\)[%_#&$]", line.replace(" & ", " ").replace(r"$\pm$", ""))
            assert not line.startswith(("[", "*"))
    tables = (out / "compare.md").read_text().split("\n\n")
    for table in (part.splitlines() for part in tables if part.startswith("|")):
        # As GitHub splits a line: a sign behind a backslash parts nothing.
        columns = {len(re.findall(r"(?:\\.|[^\\|])*\|", line)) for line in table}
        assert len(columns) == 1
    assert r"| [a] \<b>&%\|_\\$x$ ü |" in (out / "compare.md").read_text()
    assert "<b>" not in (out / "compare.html").read_text()
    again = CliRunner().invoke(main, [*given, "latex", str(hostile), f"{hostile}/../{HOSTILE}"])
    assert again.exit_code == 0, again.output
    assert (out / "compare.tex").read_text() == latex  # a run that is given thrice is one
    assert {path.suffix for path in out.iterdir()} == {".html", ".json", ".md", ".tex", ""}
    refused = CliRunner().invoke(main, [*given, "word"])
    assert refused.exit_code == 2
    assert "'word' is none of md, csv, latex" in refused.output


def test_own_evaluations_are_on_the_data_and_classes_that_were_learnt(runs: Path) -> None:
    first = runs / "first"
    inputs = json.loads((first / "run.json").read_text())["inputs"]
    for folder, digests, names in (
        ("a", {**inputs, "labels guess": "g"}, CITYSCAPES_19),
        ("b", {**inputs, "settings": "other"}, CITYSCAPES_19),
        ("c", inputs, ("a", "b")),
    ):
        path = write_scores(first, folder, [row("0.05s", 0.25)], names=names)
        held = json.loads(path.read_text())
        held["about"] |= {"data digests": digests, "data": folder}
        path.write_text(json.dumps(held))
    found = read_run_summary(first)
    assert {one.how for one in found.own} == {"a-truth-test-clean"}
    assert {window for windows in found.scored.values() for window in windows} == {"50ms"}


def test_scores_of_a_checkpoint_that_is_no_more_are_refused(runs: Path) -> None:
    first = runs / "first"
    write_scores(first, "a", [row("50ms", 0.25)])
    assert read_run_summary(first).scored
    best = first / "best.pt"
    best.write_bytes(best.read_bytes() + b"trained on")
    with pytest.raises(TrainingError, match=r"scores best\.pt as it was .* evaluate again"):
        read_run_summary(first)


def test_what_the_package_writes_among_runs_is_no_run(runs: Path, tmp_path: Path) -> None:
    sweep = runs / "folds"
    sweep.mkdir()
    (runs / "second").rename(sweep / "fold=1_2-seed3")
    for comparison in (runs / "table", sweep / "comparison"):
        comparison.mkdir()
        (comparison / "compare.json").write_text("{}")
    (runs / "street-fastscnn" / "evaluation-streets-truth-test-clean").mkdir(parents=True)
    (runs / "street-fastscnn" / "evaluation-streets-truth-test-clean" / "scores.json").touch()

    def compared(*folders: Path) -> Any:
        words = ["compare", *map(str, folders), "--out", str(tmp_path / "out"), "--json"]
        return CliRunner().invoke(main, words)

    result = compared(*sorted(runs.iterdir()))
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [run["name"] for run in report["runs"]] == ["first, fold=1_2-seed3", "gray"]
    assert report["left_out"] == [
        f"{runs}/street-fastscnn is left out: it has the reports of a network without a run "
        "folder.",
        f"{runs}/table is left out: it is a comparison.",
    ]
    assert all(line in (tmp_path / "out" / "compare.md").read_text() for line in report["left_out"])
    again = compared(*sorted(sweep.iterdir()), sweep)
    assert [run["name"] for run in json.loads(again.stdout)["runs"]] == ["fold=1_2-seed3"]
    found = {record["run"] for record in eventseg.results(str(runs / "*"))}
    assert found == {"first", "fold=1_2-seed3", "gray"}
    assert {record["run"] for record in eventseg.results(sweep)} == {"fold=1_2-seed3"}

    alone = compared(runs / "table")
    assert alone.exit_code == 1
    assert "give one or more run folders" in alone.stderr
    (runs / "other").mkdir()
    other = compared(*sorted(runs.iterdir()))
    assert other.exit_code == 1
    assert f"{runs}/other is no run folder" in other.stderr
