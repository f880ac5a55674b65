"""Evaluations of a run: its report, its folder, and what is refused before the scoring."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation.evaluation_fixtures import random_network
from training_fixtures import TINY, train_tiny

from eventseg.dataset.manifest import Manifest
from eventseg.evaluation.baselines import NEAREST_FRAME, POSITION_PRIOR, TUNED_PRIOR
from eventseg.evaluation.evaluate import Protocol, evaluate
from eventseg.evaluation.request import EvaluationRequest, evaluation_key, folder_name
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.sample_scores import read_sample_scores
from eventseg.events import SensorSize
from eventseg.labels.maps import ClassTable, load_class_table, merge_labels, merge_of
from eventseg.networks import load_network
from eventseg.plots.figure_files import FigureFiles
from eventseg.sources.source import open_source
from eventseg.training import epoch_files
from eventseg.training.epoch_tables import read_metrics
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("single_thread")


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Leave pictures of runs and reports out: they are most of the time here."""
    patch.setattr(epoch_files, "picture_curves", lambda *_a, **_k: None)
    patch.setattr(epoch_files, "picture_samples", lambda *_a, **_k: None)
    patch.setattr(FigureFiles, "embed", lambda *_a, **_k: "")


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt labels of two label sets: truth, and a teacher's."""
    root = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        train_tiny(data, root)
    return root


def test_validation_of_the_run_equals_its_evaluation(data: Path, run: Path) -> None:
    source, trained = open_source(data), load_network(run / "best.pt")
    (row,) = evaluate(
        trained, source, windows=trained.inputs.windows, protocol=Protocol(split="val"), workers=1
    )
    best = max(read_metrics(run)[0], key=lambda epoch: epoch.val_miou_truth)
    assert 100 * row.scores.miou_present == pytest.approx(best.val_miou, abs=1e-9)
    assert 100 * row.scores.pixel_accuracy == pytest.approx(best.val_accuracy, abs=1e-9)


class Tags(HTMLParser):
    """Checks that every tag is closed in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [str(value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked_page(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    return text


def test_report_of_a_run_on_a_teachers_labels(
    taught: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = EvaluationRequest(
        windows=("10ms", "50ms"), labels="guess", teacher="truth", classes="evsegnet6",
        device="cpu",
    )  # fmt: skip
    page, rows = evaluate_run(run, taught, request=request)
    name = "evaluation-streets-guess-test-clean-evsegnet6-10ms+50ms-teacher-truth"
    assert page == run / name / "report.html"
    names = [row.name for row in rows]
    assert names[:2] == ["tiny", "tiny"]
    assert names[2].startswith("majority class (")
    assert names[3:] == [
        POSITION_PRIOR, TUNED_PRIOR, NEAREST_FRAME, "tiny, clock 50 ms late",
        "tiny, clock 50 ms late", "frame teacher",
    ]  # fmt: skip
    assert [row.window for row in rows] == ["10ms", "50ms"] + ["-"] * 4 + ["10ms", "50ms", "-"]
    text = checked_page(page)
    assert "a score measures agreement with it" in text
    assert text.count("<img") == 5  # bars, two matrices, curves, samples
    held = json.loads((page.parent / "scores.json").read_text())
    assert [row["name"] for row in held["rows"]] == names
    assert held["rows"][0]["scores"]["miou_present"] == rows[0].scores.miou_present
    assert held["rows"][0]["confusion"] == rows[0].matrices.sum(0).tolist()
    assert held["about"]["data digests"] == open_source(taught, label_set="guess").digests
    source = open_source(taught, label_set="guess")
    merge = merge_of(source.classes, load_class_table("evsegnet6"))
    for row, kept in zip(held["rows"], rows, strict=True):
        maps = [merge_labels(source.labels(source.ids.index(name)), merge) for name in kept.ids]
        assert row["ignored_share"] == np.mean([labels == 255 for labels in maps]) >= 0.5
    for row, kept in zip(rows, read_sample_scores(page.parent), strict=True):
        assert (kept.name, kept.window, kept.ids) == (row.name, row.window, row.ids)
        np.testing.assert_array_equal(kept.matrices, row.matrices)
        times = dict(zip(source.ids, source.dataset.samples.t_us.tolist(), strict=True))
        assert kept.times_us.tolist() == [times[name] for name in row.ids]
    with (page.parent / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["miou_present"]) for line in lines] == [
        row.scores.miou_present for row in rows
    ]
    assert [float(line["ignored_share"]) for line in lines] == [row.ignored_share for row in rows]
    words = (page.parent / "scores.md").read_text()
    assert f"| {100 * rows[0].ignored_share:.2f} | " in words
    assert words.startswith("# Evaluation of tiny\n\n**The labels are those of the teacher guess")
    assert "optimistic" not in words
    draw_nothing(monkeypatch)
    request = EvaluationRequest(split="val", baselines=False, device="cpu")
    page, (row,) = evaluate_run(run, taught, request=request)
    assert row.name == "tiny"
    assert "was chosen by its score on the part val" in checked_page(page)
    assert "| position prior |" in words


def test_recordings_that_have_moved_cost_the_late_clock_only(
    taught: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    (taught.parent / "other.hdf5").rename(taught.parent / "moved.hdf5")
    called = ["evaluate", str(run), str(taught), "--device", "cpu", "--workers", "0"]
    result = CliRunner().invoke(main, called)
    assert result.exit_code == 0, result.output
    note = (
        "tiny, clock 50 ms late, is not scored, since it needs events of the recordings: recording "
        f"other is gone from {taught.parent / 'other.hdf5'}"
    )
    assert note in result.stderr
    folder = Path(result.stdout.splitlines()[-1]).parent
    assert f"- {note}" in (folder / "scores.md").read_text()
    held = json.loads((folder / "scores.json").read_text())
    assert held["notes"][0].startswith(note)
    assert "clock 50 ms late, is not scored" in checked_page(folder / "report.html")
    names = [row["name"] for row in held["rows"]]
    assert names[0] == "tiny"
    assert names[2:] == [POSITION_PRIOR, TUNED_PRIOR, NEAREST_FRAME]


def test_train_then_evaluate(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)
    # A JSON object is an inline table of TOML but for its colons.
    values = {name: json.dumps(value).replace('": ', '" = ') for name, value in TINY.items()}
    settings = [f"--set={name}={value}" for name, value in values.items() if name != "epochs"]
    out = tmp_path / "run"
    called = ["train", str(data), *settings, "--protocol", "paper", "--epochs", "1", "--device",
              "cpu", "--out", str(out)]  # fmt: skip
    trained = CliRunner().invoke(main, called)
    assert trained.exit_code == 0, trained.output
    assert "best epoch 1 of 1: mIoU" in trained.stdout
    assert trained.stdout.endswith(f"{out}/best.pt\n")
    # What the run was made with need not be said again.
    resumed = CliRunner().invoke(
        main, ["train", str(data), "--out", str(out), "--resume", "-q", "--device", "cpu"]
    )
    assert resumed.exit_code == 0, resumed.output
    refused = CliRunner().invoke(
        main,
        ["train", str(data), "--out", str(out), "--resume", "--seed", "9", "--device", "cpu"],
    )
    assert refused.exit_code == 1
    assert "error: " in refused.stderr
    assert "other settings" in refused.stderr
    scored = CliRunner().invoke(
        main,
        ["evaluate", str(out), str(data), "--classes", "evsegnet6", "--scales", "1,0.75", "--flip",
         "--size", "80x60", "--workers", "0", "--device", "cpu", "--out", str(tmp_path / "report")],
    )  # fmt: skip
    assert scored.exit_code == 0, scored.output
    text = checked_page(tmp_path / "report/report.html")
    assert "chosen by its score on the test part" in text
    held = json.loads((tmp_path / "report/scores.json").read_text())
    assert held["size"] == [60, 80]
    assert held["passes"] == "scales 1, 0.75 and flip"
    assert held["classes"] == list(load_class_table("evsegnet6").names)
    assert "| run | 50ms |" in scored.stdout
    wrong = CliRunner().invoke(main, ["evaluate", str(out), str(data), "--split", "nothing"])
    assert wrong.exit_code == 1
    assert "no labelled samples of split nothing" in wrong.stderr


def test_what_can_be_refused_is_refused_before_anything_is_scored(
    data: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package's name `evaluate` is the function.
    module = importlib.import_module("eventseg.evaluation.evaluate")
    monkeypatch.setattr(module, "probabilities", lambda *_a, **_k: pytest.fail("scored"))
    table = tmp_path / "two.toml"
    table.write_text('name = "two"\nclasses = [{ id = 0, name = "a", colour = [1, 2, 3] }]\n')
    (tmp_path / "file").write_text("")
    for more, words in (
        (["--teacher", "nope"], "no label set 'nope'"),
        (["--labels", "nope"], "no label set 'nope'"),
        (["--classes", str(table)], "two"),
        (["--classes", "nope"], "no class table 'nope'"),
        (["--window", "50ms,9s"], "of its window 9s within its recording: the best has"),
        (["--out", str(tmp_path / "file")], "is a file"),
        (["--out", str(tmp_path / "file/report")], "is a file"),
        (["--device", "gpu"], "cpu, cuda, cuda:N or auto"),
    ):
        before = sorted(path.name for path in run.iterdir())
        called = ["evaluate", str(run), str(data), "--workers", "0", "--device", "cpu", *more]
        result = CliRunner().invoke(main, called)
        assert result.exit_code == 1, (more, result.output)
        assert words in result.stderr, (more, result.stderr)
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert (result.stdout, sorted(path.name for path in run.iterdir())) == ("", before)


def test_folder_names_tell_requests_apart_and_stay_short(
    data: Path, taught: Path, tmp_path: Path
) -> None:
    own = open_source(data).digests
    table = load_class_table("cityscapes19")

    def name(
        path: Path = taught,
        *,
        labels: str = "truth",
        checkpoint: str = "best.pt",
        classes: ClassTable = table,
        kind: str = "events",
        own: dict[str, str] | None = own,
        **changes: Any,
    ) -> str:
        request = EvaluationRequest(**changes)
        source = open_source(path, label_set=labels)
        return folder_name(
            request, evaluation_key(request, labels=labels, checkpoint=checkpoint), source=source,
            trained=random_network(kind), classes=classes, own=own,
            windows=request.windows or ("50ms",),
        )  # fmt: skip

    plain = "evaluation-streets-truth-test-clean"
    # The same data elsewhere, the usual in other words, how it is computed: the same request.
    assert name() == name(data) == name(windows=("0.05s",)) == plain
    assert name(device="cpu", batch_size=9, workers=3, size=None, flip=False) == plain
    assert name(kind="gray", windows=("10ms",)) == plain
    six, user = load_class_table("evsegnet6"), ClassTable(("a",), ((0, 0, 0),))
    other = shutil.copytree(taught, tmp_path / "elsewhere/streets")
    manifest = Manifest.read(other / "manifest.toml")
    changed = tuple(replace(entry, sha256="0" * 64) for entry in manifest.recordings)
    replace(manifest, recordings=changed).write(other / "manifest.toml")
    wanted = {
        name(labels="guess"): "evaluation-streets-guess-test-clean",
        name(split="val"): "evaluation-streets-truth-val-clean",
        name(protocol="paper"): "evaluation-streets-truth-test-paper",
        name(windows=("10ms", "50ms")): f"{plain}-10ms+50ms",
        name(classes=six): f"{plain}-evsegnet6",
        name(scales=(1.0, 0.5)): f"{plain}-scales1+0.5",
        name(flip=True): f"{plain}-flip",
        name(protocol="paper", flip=False): "evaluation-streets-truth-test-paper-noflip",
        name(size=SensorSize(60, 80)): f"{plain}-80x60",
        name(checkpoint="last.pt"): f"{plain}-last",
        name(baselines=False): f"{plain}-nobaselines",
        name(teacher="guess"): f"{plain}-teacher-guess",
    }
    assert list(wanted) == list(wanted.values())
    digested = [name(other), name(own=None), name(classes=user)]
    assert [re.sub("@[0-9a-f]{6}", "@", found) for found in digested] == [
        plain.replace("streets", "streets@"), plain.replace("streets", "streets@"),
        f"{plain}-1classes@",
    ]  # fmt: skip
    assert len({*wanted, *digested, plain}) == len(wanted) + 4
