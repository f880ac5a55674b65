"""Runs side by side: seeds, evaluations that fit, published rows, the same samples."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from matplotlib.figure import Figure
from PIL import Image
from training_fixtures import draw_nothing, one_thread, street_dataset, tiny, train_tiny

import eventseg
from eventseg.dataset.manifest import Manifest
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import TrainingError
from eventseg.evaluation.compare import picture
from eventseg.evaluation.compare.classes import class_rows, same_data_note
from eventseg.evaluation.compare.encodings import align_encodings
from eventseg.evaluation.compare.picture import same_samples
from eventseg.evaluation.compare.published import (
    CAMVID,
    CITYSCAPES,
    DDD17,
    PUBLISHED_ON,
    published_data,
)
from eventseg.evaluation.compare.published_rows import PUBLISHED_HEADER, published_rows
from eventseg.evaluation.compare.runs import (
    Evaluation,
    RunSummary,
    Score,
    evaluation_names,
    group_seeds,
    other_samples,
    pick_evaluation,
    read_run_summary,
)
from eventseg.evaluation.rows import Row
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.sample_scores import write_sample_scores
from eventseg.files.digests import digest_of
from eventseg.labels.maps import load_class_table
from eventseg.sources.source import Source, open_source
from eventseg.splits import EVSEGNET_ROWS, SplitRule
from eventseg.training import epoch_files
from eventseg.training.config.config import TrainConfig, recipe_names, to_toml
from eventseg.windows import parse_anchor
from eventseg_cli.main import main

NAN = math.nan
CITYSCAPES_19, EVSEGNET_6 = (load_class_table(n).names for n in ("cityscapes19", "evsegnet6"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a run, and one on frames in six classes."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(epoch_files, "picture_curves", lambda *_a, **_k: None)
        patch.setattr(epoch_files, "picture_samples", lambda *_a, **_k: None)
        train_tiny(data, root / "first", epochs=1)
        train_tiny(data, root / "second", epochs=1, seed=3)
        train_tiny(data, root / "gray", epochs=1, input__kind="gray", labels__classes="evsegnet6")
    return root


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs"))


def row(window: str, miou: float, name: str = "net") -> dict[str, Any]:
    scores = {"pixel_accuracy": 0.5, "miou_present": miou, "miou_all": None}
    return {"name": name, "window": window, "samples": 9, "scores": scores,
            "interval_95": [miou - 0.1, miou + 0.1]}  # fmt: skip


def write_scores(
    run: Path,
    folder: str,
    rows: list[dict[str, Any]],
    *,
    how: str = "truth-test-clean",
    data: str = "x",
    names: tuple[str, ...] = CITYSCAPES_19,
) -> Path:
    labels, split, _ = how.split("-", 2)
    checkpoint = run / "best.pt"
    about = {"checkpoint": checkpoint.name, "checkpoint digest": digest_of(checkpoint)}
    about |= {"data": "streets", "scored as": how, "data digests": {"drive": data},
             "label set": labels}  # fmt: skip
    path = run / f"evaluation-{folder}" / "scores.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"about": about, "split": split, "classes": names, "rows": rows}))
    return path


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


def summary(scored: Any = None, **changes: Any) -> RunSummary:
    made = RunSummary("net", TrainConfig(), 1, "1", (50.0,), scored or {}, 1.0, 1.0, "d", "")
    return replace(made, **changes)


def score(miou: float) -> tuple[Score, ...]:
    return (Score(9, 50.0, miou, NAN, NAN, NAN),)


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


def test_runs_of_other_data_have_no_common_picture(runs: Path, tmp_path: Path) -> None:
    path = runs / "second/run.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "inputs": {**held["inputs"], "drive": "other"}}))
    paths = [str(runs / name) for name in ("first", "second")]
    for moved, reason in ((False, "other recordings"), (True, "no longer at")):
        if moved:
            for name in ("first", "second"):
                gone = {**held, "data": str(tmp_path / "gone")}
                (runs / name / "run.json").write_text(json.dumps(gone))
        result = CliRunner().invoke(main, ["compare", *paths, "--out", str(tmp_path / "c")])
        assert result.exit_code == 0, result.output
        page = (tmp_path / "c/compare.html").read_text()
        assert "predictions of each run" not in page
        assert reason in page


def test_data_that_a_file_names_is_not_gone(
    data: Path, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    league = tmp_path / "league.toml"
    league.touch()
    paths = [runs / name for name in ("first", "second")]
    for path in paths:
        record = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**record, "data": str(league)}))
    opened: list[Path] = []

    def open_instead(place: Path, *, label_set: str) -> Source:
        opened.append(place)
        return open_source(data, label_set=label_set)

    monkeypatch.setattr(picture, "open_source", open_instead)
    figure, _ = same_samples(paths, [read_run_summary(path) for path in paths])
    assert opened == [league, league]
    assert figure is not None


def test_the_common_picture_takes_the_split_that_the_runs_hold(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    with eventseg.open_dataset(data) as dataset:
        ids = dataset.ids
    lines = [f"{name},{'val' if k in (4, 7) else 'train'}" for k, name in enumerate(ids)]
    paths = [runs / name for name in ("first", "second")]
    for path in paths:
        summary = read_run_summary(path)
        gone = replace(summary.config, split=SplitRule(file=str(tmp_path / "gone.csv")))
        record = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**record, "config": to_toml(gone)}))
        (path / "split.csv").write_text("\n".join(["id,split", *lines]))
    summaries = [read_run_summary(path) for path in paths]
    figure, _ = same_samples(paths, summaries)
    assert figure is not None
    shown = {text.get_text() for text in figure.axes[0].texts if text.get_rotation() == 90}
    assert shown == {ids[4], ids[7]}
    (paths[0] / "split.csv").unlink()
    figure, reason = same_samples(paths, summaries)
    assert figure is None
    assert reason.startswith("No sample is shown: cannot read the split file")


@pytest.mark.slow
@pytest.mark.drawn
def test_runs_of_other_encodings_are_compared_each_on_its_own_input(
    data: Path, runs: Path, tmp_path: Path
) -> None:
    recordings = [data.parent / f"{name}.hdf5" for name in ("drive", "other")]
    voxels = tmp_path / "voxels"
    encode_dataset(
        recordings, voxels, held_out=["other"], windows_us=[50_000], representation="voxel:2",
        filters="refractory:1ms",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        drawn = Figure.savefig
        patch.setattr(
            Figure, "savefig", lambda _figure, *a, **k: drawn(Figure((0.2, 0.2)), *a, **k)
        )
        train_tiny(voxels, runs / "voxel", epochs=1, input__normalise="raw")
        for name, folder in (("first", data), ("voxel", voxels), ("gray", data)):
            evaluate_run(runs / name, folder, device="cpu", baselines=False, classes="evsegnet6")
    out = tmp_path / "c"
    result = CliRunner().invoke(
        main, ["compare", *(str(runs / n) for n in ("first", "voxel", "gray")), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    table = result.stdout.partition("## Runs")[2].splitlines()
    header, lines = table[2], table[4:7]
    names = [cell.strip() for cell in header.split("|")]
    cells = [dict(zip(names, map(str.strip, line.split("|")), strict=True)) for line in lines]
    assert [cell["representation"] for cell in cells] == ["mean-std sqrt", "voxel:2 raw", "-"]
    assert [cell["filters"] for cell in cells] == ["none", "refractory:1ms", "-"]
    assert [cell["data"] for cell in cells] == ["streets", "voxels", "streets"]
    assert [cell["sensor"] for cell in cells] == ["64x48", "64x48", "-"]
    # One column for the scores of all, though their data sets differ.
    assert all(cell["mIoU 50ms"] != "-" for cell in cells[:2])
    assert cells[2]["mIoU"] != "-"
    # A network of frames needs no window, hence counts the samples at the begin too.
    assert result.stdout.count("other samples than the first row of this evaluation") == 1
    page = (out / "compare.html").read_text()
    assert "predictions of each run" in page
    assert "each run on its own data set" in page
    for name in ("same-samples", "learning-curves"):
        with Image.open(out / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 100
        assert (out / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert "| class | first 50ms | voxel 50ms | gray |" in result.stdout
    described = json.loads((out / "compare.json").read_text())["runs"]
    assert described[1]["encoding"]["representation"] == "voxel:2"
    assert set(described[0]["evaluations"][0]["scores"][0]["per_class"]) <= set(EVSEGNET_6)

    records = eventseg.results(str(runs / "*"))
    by_run = {record["run"]: record for record in records if record.get("is_network")}
    assert [by_run[name]["representation"] for name in ("first", "voxel")] == [
        "mean-std", "voxel:2"
    ]  # fmt: skip
    shown = float(cells[1]["mIoU 50ms"])
    assert by_run["voxel"]["miou"] == pytest.approx(shown, abs=0.005)
    assert by_run["voxel"]["window"] == "50ms"
    assert by_run["voxel"]["split"] == "test"
    assert "iou_flat" in by_run["gray"]
    unscored = [record for record in records if record["run"] == "second"]
    assert [record["seed"] for record in unscored] == [3]
    assert "evaluation" not in unscored[0]
    with pytest.raises(TrainingError, match="names no run folder"):
        eventseg.results(str(tmp_path / "none*"))


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


def test_label_maps_of_other_pixels_are_noted() -> None:
    test = Evaluation("a", "evsegnet6", "x", "truth", "test")
    rows = [(Score(9, 50.0, 1.0, NAN, NAN, NAN, "", "set", "", (), n),) for n in (100, 80)]
    notes = other_samples([summary({test: {"50ms": row}}) for row in rows], test)
    assert notes == {
        (1, "50ms"): "other pixels (rows or size) than the first row of this evaluation"
    }


def test_tables_as_csv_and_latex(runs: Path, tmp_path: Path) -> None:
    write_scores(runs / "first", "a", [row("50ms", 0.25)])
    out = tmp_path / "c"
    given = ["compare", str(runs / "first"), "--out", str(out), "--format"]
    result = CliRunner().invoke(main, [*given, "csv,latex"])
    assert result.exit_code == 0, result.output
    text = (out / "compare.csv").read_text()
    assert result.stdout.startswith(text)
    lines = list(csv.reader(io.StringIO(text)))
    assert lines[0][:3] == ["table", "run", "seeds"]
    assert lines[1][:3] == ["Runs", "first", "1"]
    latex = (out / "compare.tex").read_text()
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") > 1
    for line in latex.splitlines():
        if line.endswith(r"\\"):
            assert not re.search(r"(?<!\\)[%_#]", line)
    assert (out / "compare.md").is_file()
    refused = CliRunner().invoke(main, [*given, "word"])
    assert refused.exit_code == 2
    assert "'word' is none of md, csv, latex" in refused.output


def test_published_class_rows_stand_beside_ours() -> None:
    config = tiny(network__name="deeplabv3_resnet50", input__kind="rgb")
    test = Evaluation("h", "cityscapes19", "x", "truth", "val")
    scored = (Score(9, 50.0, 1.0, NAN, NAN, NAN, per_class=(("car", 61.25), ("road", 70.0))),)
    ours = summary({test: {"-": scored}}, name="ours", config=config)
    header, lines = class_rows([ours], test)
    assert header[:2] == ("class", "ours")
    assert header[2].startswith("published: ")
    cells = {line[0]: line[1:] for line in lines}
    assert cells["car"] == ["61.25", "88"]
    assert cells["truck"] == ["-", "11"]
    assert "not of the same data" in same_data_note([ours])[0]
    same = same_data_note([replace(ours, published_data=CITYSCAPES)])
    assert "of the same data: DeepLabV3" in same[0]
    assert same_data_note([summary()]) == []
    # Seeds are mean and deviation; classes of other names have no published column.
    two = scored[0]._replace(per_class=(("flat", 50.0),))
    header, lines = class_rows([replace(ours, scored={test: {"-": (two, two)}})], test)
    assert header == ("class", "ours")
    assert lines == [["flat", "50.00 ± 0.00"]]


def test_published_data_is_known_by_recordings_and_anchor(data: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(data / "manifest.toml")
    assert published_data(data, classes=EVSEGNET_6) == ""
    assert published_data(tmp_path / "gone", classes=EVSEGNET_6) == ""
    entries = tuple(replace(manifest.recordings[0], name=name) for name in EVSEGNET_ROWS)
    settings = replace(manifest.settings, anchor=parse_anchor("evsegnet"))
    replace(manifest, recordings=entries, settings=settings).write(tmp_path / "manifest.toml")
    assert published_data(tmp_path, classes=EVSEGNET_6) == DDD17
    assert published_data(tmp_path, classes=CITYSCAPES_19) == ""
    replace(manifest, recordings=entries[1:], settings=settings).write(tmp_path / "manifest.toml")
    assert published_data(tmp_path, classes=EVSEGNET_6) == ""


def test_camvid_is_known_by_its_drives_and_counts(tmp_path: Path) -> None:
    classes = load_class_table("camvid11").names
    drives = ("0001TP", "0006R0", "0016E5", "Seq05VD")
    tiny_picture = tmp_path / "picture.png"
    Image.new("L", (4, 3)).save(tiny_picture)
    root = tmp_path / "CamVid"
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        for folder in (root / split, root / f"{split}annot"):
            folder.mkdir(parents=True)
            for k in range(count):
                (folder / f"{drives[k % 4]}_{split}{k}.png").hardlink_to(tiny_picture)
    assert published_data(root, classes=classes) == CAMVID
    assert published_data(root, classes=EVSEGNET_6) == ""
    for folder in (root / "val", root / "valannot"):
        (folder / "0001TP_val0.png").unlink()
    assert published_data(root, classes=classes) == ""
    (root / "valannot/0006R0_val1.png").unlink()  # damaged: labels are missing
    assert published_data(root, classes=classes) == ""


def test_published_rows_stand_beside_ours_where_the_data_is_the_same() -> None:
    assert set(PUBLISHED_ON) < set(recipe_names())
    config = tiny(network__name="enet", input__kind="rgb", batch_size=10)

    def made(data: str, classes: str, split: str = "test") -> Evaluation:
        return Evaluation("h", classes, data, "truth", split)

    test, val = (made("x", "camvid11", split) for split in ("test", "val"))
    elsewhere, merged = made("y", "camvid11"), made("x", "evsegnet6")
    ours = summary(
        {test: {"-": score(51.5)}, elsewhere: {"-": score(1), "50ms": score(2)},
         merged: {"-": score(3), "50ms": score(4)}},
        name="ours", config=config, published_data=CAMVID, own=frozenset({test}),
    )  # fmt: skip
    away = replace(ours, name="away", published_data="")
    gray = replace(ours, name="gray", config=replace(config, input=tiny(input__kind="gray").input))
    rows = [
        dict(zip(PUBLISHED_HEADER, line, strict=True))
        for line in published_rows([ours, away, gray])
    ]
    of_camvid = [line for line in rows if line["published"] == "ENet on CamVid"]
    assert {line["comparable"] for line in of_camvid} == {"same data"}
    shown = {(line["split"], line["ours, mIoU %"]) for line in of_camvid}
    rate = f"{config.optimiser.learning_rate:g}"
    assert shown == {
        ("val", f"ours: 50.00 (batch 10, rate {rate})"),
        ("test", f"ours: 51.50 (batch 10, rate {rate})"),
    }
    others = [line for line in rows if line not in of_camvid]
    assert {line["comparable"] for line in others} == {"not comparable"}
    assert {line["ours, mIoU %"] for line in others} == {"-"}
    # An evaluation of the part is better than the last validation.
    (better, *_) = published_rows(
        [replace(ours, scored={val: {"-": score(49.0)}}, own=frozenset({val}))]
    )
    assert better[6].startswith("ours: 49.00 (")
    for changed in ({"protocol": "paper"}, {"validation_share": 0.1}):
        unlike = replace(ours, scored={}, own=frozenset(), config=replace(config, **changed))
        shown = {line[3]: line[6] for line in published_rows([unlike]) if "CamVid" in line[0]}
        judged = "ours: 50.00" if "protocol" in changed else "-"
        assert shown["val"] == "-"
        assert shown["test"].startswith(judged)
    network = tiny(network__name="evsegnet")
    windows = {"250ms": score(3), "10ms": score(1), "50ms": score(2)}
    ours = summary(
        {test: windows}, name="a", config=network, published_data=DDD17, own=frozenset({test})
    )
    rows = [dict(zip(PUBLISHED_HEADER, line, strict=True)) for line in published_rows([ours])]
    events, *others = (line for line in rows if line["published"].startswith("EV-SegNet, settings"))
    assert events["comparable"] == "same data, labels of another teacher"
    assert events["ours, mIoU %"].startswith("a: 10ms 1.00, 50ms 2.00, 250ms 3.00 (batch ")
    assert events["ours, mIoU %"].endswith(", without the validation rows)")
    as_published = replace(ours, config=replace(network, protocol="paper"))
    lines = [
        dict(zip(PUBLISHED_HEADER, line, strict=True)) for line in published_rows([as_published])
    ]
    assert not any("validation rows" in line["ours, mIoU %"] for line in lines)
    assert {line["ours, mIoU %"] for line in others[:2]} == {"-"}  # gray and both


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


def scored_rows(quality: float, *, seed: int, samples: int = 40, first: int = 0) -> list[Row]:
    """Return rows of a network at two windows, of one truth and right with a chance."""
    table, rng = load_class_table("evsegnet6"), np.random.default_rng(seed)
    truth = np.random.default_rng(0).integers(20, 90, (60, 6))[first : first + samples]
    ids = tuple(f"drive-{i:03}" for i in range(first, first + samples))
    times_us = np.arange(first, first + samples) * 5_000_000
    rows = []
    for window in ("10ms", "50ms"):
        matrices = np.array([
            [rng.multinomial(n, np.where(np.arange(6) == k, quality, (1 - quality) / 5))
             for k, n in enumerate(counts)]
            for counts in truth
        ])  # fmt: skip
        rows.append(
            Row("net", window, ids, ("drive",) * samples, matrices, table, "", None, times_us)
        )
    return rows


def write_kept(run: Path, rows: list[Row], *, folder: str = "a", **how: Any) -> Path:
    """Write scores.json and scores.npz of a run as `evaluate` does."""
    names = rows[0].classes.names
    path = write_scores(run, folder, [row.to_dict() for row in rows], names=names, **how)
    write_sample_scores(path.parent, rows)
    return path.parent


def compare_test(runs: Path, pair: tuple[str, str], *more: str) -> Any:
    named = [str(runs / name) for name in pair]
    out = str(runs / "out")
    return CliRunner().invoke(main, ["compare", *more, "--test", *named, "--out", out])


def test_pairs_are_tested_with_all_their_seeds(runs: Path) -> None:
    write_kept(runs / "first", scored_rows(0.6, seed=1))
    write_kept(runs / "second", scored_rows(0.62, seed=2))
    write_kept(runs / "gray", scored_rows(0.5, seed=3)[1:])
    seeds = [str(runs / name) for name in ("first", "second")]
    result = compare_test(runs, ("second", "gray"), *seeds)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("## Test: first, second 50ms against gray 50ms") == 1
    assert "40 samples; seeds: 2 and 1; 2,000 draws of 20 blocks of 10 s of the recording" in (
        result.stdout
    )
    assert "interval speaks for the recording drive only" in result.stdout
    assert "one training of gray: another seed may differ" in result.stdout
    (test,) = json.loads((runs / "out/compare.json").read_text())["tests"]
    rows = [scored_rows(q, seed=s)[1] for q, s in ((0.6, 1), (0.62, 2), (0.5, 3))]
    first, second, gray = (row.scores.miou_truth for row in rows)
    miou = test["miou_truth"]
    assert miou["difference"] == pytest.approx((first + second) / 2 - gray)
    assert miou["low"] < miou["difference"] < miou["high"]
    assert miou["p_value"] < 0.01
    assert set(test["iou"]) == set(EVSEGNET_6)
    line = (
        f"| mIoU | {100 * miou['first']:.2f} | {100 * miou['second']:.2f} "
        f"| +{100 * miou['difference']:.2f} | +{100 * miou['low']:.2f} to "
        f"+{100 * miou['high']:.2f} | {miou['p_value']:.3f} |"
    )
    assert line in result.stdout
    page = (runs / "out/compare.html").read_text()
    assert "Test: first, second 50ms against gray 50ms" in page
    assert "20 blocks of 10 s" in page


def test_pairs_on_other_samples_use_those_in_common_and_say_so(runs: Path) -> None:
    write_kept(runs / "first", scored_rows(0.6, seed=1))
    write_kept(runs / "gray", scored_rows(0.5, seed=3, first=10)[::-1])
    result = compare_test(runs, ("first", "gray"))
    assert result.exit_code == 0, result.output
    assert "only the 30 samples in common are used (40 of first, 40 of gray)" in result.stdout
    assert result.stdout.count("other samples than the first row of this evaluation") == 2
    assert "not all of the same samples: see the notes" in result.stdout
    tests = json.loads((runs / "out/compare.json").read_text())["tests"]
    assert [test["windows"] for test in tests] == [["10ms"] * 2, ["50ms"] * 2]
    assert {test["samples"] for test in tests} == {30}


def test_pairs_that_cannot_be_tested_are_one_line_and_write_nothing(runs: Path) -> None:
    first, gray = runs / "first", runs / "gray"

    def refused(words: str, pair: tuple[str, str] = ("first", "gray")) -> None:
        result = compare_test(runs, pair, str(runs / "second"))
        assert result.exit_code == 1, result.output
        assert words in result.stderr, result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not (runs / "out").exists()

    refused("these are seeds of one run", ("first", "second"))
    refused("has no evaluation: run eventseg evaluate RUN DATA")
    kept = write_kept(first, scored_rows(0.6, seed=1))
    refused("gray has no evaluation")
    for rows, words in (
        (scored_rows(0.6, seed=2, first=40, samples=20), "no sample is common to all of them"),
        (scored_rows(0.6, seed=2, samples=1), "1 blocks with scored pixels; a test needs 6"),
        ([replace(row, matrices=2 * row.matrices) for row in scored_rows(0.5, seed=2)],
         "the true pixels of 40 of 40 samples differ, first of drive-000"),
        ([replace(row, window=w) for row, w in
          zip(scored_rows(0.5, seed=2), ("1ms", "2ms"), strict=True)],
         "was scored at 10ms, 50ms, gray at 1ms, 2ms"),
        ([replace(row, matrices=np.pad(row.matrices, ((0, 0), (0, 13), (0, 13))),
                  classes=load_class_table("cityscapes19")) for row in scored_rows(0.5, seed=2)],
         "evaluate both with the same --classes"),
    ):  # fmt: skip
        report = write_kept(gray, rows)
        refused(words)
        shutil.rmtree(report)
    report = write_kept(gray, scored_rows(0.5, seed=2))
    matrices, plain = (report / "scores.npz").read_bytes(), io.BytesIO()
    np.save(plain, np.zeros(3))
    for content, words in (
        (b"", "cannot read"),
        (b"no archive", "cannot read"),
        (plain.getvalue(), "cannot read"),
        (matrices[: len(matrices) // 2], "cannot read"),
        ((kept / "scores.npz").read_bytes(), "are of two evaluations"),
        (None, "has no scores.npz, the confusion matrix of every sample: run eventseg evaluate"),
    ):
        (report / "scores.npz").unlink()
        if content is not None:
            (report / "scores.npz").write_bytes(content)
        refused(words)
    # A report of an earlier version is still compared.
    result = CliRunner().invoke(main, ["compare", str(first), str(gray), "--out", str(runs / "c")])
    assert result.exit_code == 0, result.output
    for arguments in ([], ["--test", str(first)], ["--test", str(first), str(runs / "none")]):
        assert CliRunner().invoke(main, ["compare", *arguments]).exit_code == 2
