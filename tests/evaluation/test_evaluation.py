"""Evaluation: matrices as counted by hand, baselines, reports, and the two commands in a row."""

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
import torch
from click.testing import CliRunner
from PIL import Image
from torch.nn import functional
from training_fixtures import TINY, one_thread, street_dataset, tiny, train_tiny

from eventseg.dataset.manifest import Manifest
from eventseg.encoding import encode
from eventseg.errors import LabelError, TrainingError
from eventseg.evaluation.baselines import (
    NEAREST_FRAME,
    POSITION_PRIOR,
    TUNED_PRIOR,
    baseline_rows,
    teacher_row,
)
from eventseg.evaluation.evaluate import Protocol, evaluate
from eventseg.evaluation.late_clock import late_clock_rows
from eventseg.evaluation.position_prior import tuned_weights
from eventseg.evaluation.request import EvaluationRequest, evaluation_key, folder_name
from eventseg.evaluation.rows import Row
from eventseg.evaluation.run_evaluation import evaluate_run
from eventseg.evaluation.sample_scores import read_sample_scores
from eventseg.events import SensorSize
from eventseg.labels.maps import ClassTable, load_class_table, merge_labels, merge_of
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, load_network
from eventseg.plots.figure_files import FigureFiles
from eventseg.prediction.predictor import (
    PUBLISHED,
    network_input,
    probabilities,
)
from eventseg.prediction.predictor import (
    TestTimeAugmentation as Views,
)
from eventseg.sources.source import open_source
from eventseg.training import epoch_files
from eventseg.training.epoch_tables import read_metrics
from eventseg_cli.main import main


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Leave pictures of runs and reports out: they are most of the time here."""
    patch.setattr(epoch_files, "picture_curves", lambda *_a, **_k: None)
    patch.setattr(epoch_files, "picture_samples", lambda *_a, **_k: None)
    patch.setattr(FigureFiles, "embed", lambda *_a, **_k: "")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return street_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt labels of two label sets: truth, and a teacher's."""
    root = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        train_tiny(data, root)
    return root


@pytest.fixture
def taught(data: Path, tmp_path: Path) -> Path:
    """A copy of the data set with a teacher that leaves the left half out."""
    for path in data.parent.glob("*.h*5"):
        shutil.copy(path, tmp_path)
    copied = Path(shutil.copytree(data, tmp_path / "streets"))
    manifest = Manifest.read(copied / "manifest.toml")
    labels = {**manifest.labels, "guess": manifest.labels["truth"]}
    replace(manifest, labels=labels).write(copied / "manifest.toml")
    (copied / "labels/guess").mkdir()
    for path in (copied / "labels/truth").iterdir():
        values = np.array(Image.open(path))
        values[:, :32] = 255
        Image.fromarray(values).save(copied / "labels/guess" / path.name)
    return copied


def random_network(kind: str = "events", *, classes: ClassTable | None = None) -> TrainedNetwork:
    torch.manual_seed(1)
    table = classes or load_class_table("cityscapes19")
    channels = {"events": 6, "gray": 1, "both": 7}[kind]
    blueprint = Blueprint("fastscnn", channels, len(table))
    inputs: Any = InputSpec(kind, channels, tiny().input.scaling, ("50ms",))  # type: ignore[arg-type]
    return TrainedNetwork(blueprint.build().eval(), blueprint, inputs, table)


def counted(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    matrix = np.zeros((classes, classes), np.int64)
    for row, column in zip(truth.ravel().tolist(), guess.ravel().tolist(), strict=True):
        if row != 255:
            matrix[row, column] += 1
    return matrix


def scored_samples(source: Any, window: str) -> list[int]:
    of_test = np.array(source.splits) == "test"
    return np.flatnonzero(of_test & (source.covered(window) == 1)).tolist()


def soft(network: TrainedNetwork, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits = network.network(x)
    assert isinstance(logits, torch.Tensor)
    return logits.softmax(1)


def test_matrices_equal_a_loop(data: Path) -> None:
    source, network = open_source(data), random_network()
    rows = evaluate(network, source, windows=("10ms", "50ms"), batch_size=3)
    assert [row.window for row in rows] == ["10ms", "50ms"]
    for row in rows:
        indices = scored_samples(source, row.window)
        assert row.ids == tuple(source.ids[i] for i in indices)
        for i, matrix in zip(indices, row.matrices, strict=True):
            x = torch.from_numpy(source.events(i, row.window, normalise="evsegnet"))
            guess = soft(network, x[None]).argmax(1)[0].numpy()
            np.testing.assert_array_equal(matrix, counted(source.labels(i), guess, 19))
    assert not np.array_equal(rows[0].matrices.sum(0), rows[1].matrices.sum(0))


def test_probabilities_are_merged_before_the_best_is_taken(data: Path) -> None:
    source, network = open_source(data), random_network("both")
    table = load_class_table("evsegnet6")
    (row,) = evaluate(network, source, windows=("50ms",), classes=table)
    merge = merge_of(source.classes, table)
    differs = 0
    for i, matrix in zip(scored_samples(source, "50ms"), row.matrices, strict=True):
        gray = source.image(i, colour=False) * np.float32(network.inputs.scaling.top)
        x = np.concatenate([gray, source.events(i, "50ms", normalise="evsegnet")])
        single = soft(network, torch.from_numpy(x)[None])[0].numpy()
        summed = np.zeros((6, 48, 64))
        for old, new in enumerate(merge):
            if new != 255:
                summed[new] += single[old]
        truth = merge_labels(source.labels(i), merge)
        np.testing.assert_array_equal(matrix, counted(truth, summed.argmax(0), 6))
        naive = np.array(merge)[single.argmax(0)]
        differs += int((naive != summed.argmax(0)).sum())
    assert differs > 0


def test_six_passes_equal_a_loop(data: Path) -> None:
    source, network = open_source(data), random_network("both")
    i = scored_samples(source, "50ms")[0]
    x = network_input(source, i, inputs=network.inputs, window="50ms")[None]
    total = torch.zeros(1, 19, 40, 72)
    for scale in (1.0, 0.75, 1.5):
        size = (int(48 * scale), int(64 * scale))
        # The released code takes events and frame alike, with corners aligned.
        seen = functional.interpolate(x, size=size, mode="bilinear", align_corners=True)
        for mirrored in (False, True):
            with torch.inference_mode():
                logits = network.network(seen.flip(-1) if mirrored else seen)
            assert isinstance(logits, torch.Tensor)
            logits = logits.flip(-1) if mirrored else logits
            total += functional.interpolate(
                logits, size=(40, 72), mode="bilinear", align_corners=True
            ).softmax(1)
    got = probabilities(network, x, size=(40, 72), test_time=PUBLISHED)
    torch.testing.assert_close(got, total / 6)
    torch.testing.assert_close(got.sum(1), torch.ones(1, 40, 72))
    with pytest.raises(TrainingError, match="above 0"):
        Views((1.0, -1.0))


def test_paper_protocol_scores_at_352x224(data: Path) -> None:
    source, network = open_source(data), random_network("gray")
    protocol = Protocol.named("paper")
    assert (protocol.test_time, protocol.size) == (PUBLISHED, (224, 352))
    (row,) = evaluate(
        network,
        source,
        windows=("50ms",),
        protocol=replace(protocol, test_time=Views()),
    )
    i = scored_samples(source, "50ms")[0]
    where = row.ids.index(source.ids[i])
    # The released code takes the pixel in which the corner of each lies.
    row_of_row, column = (np.arange(n) * size // n for n, size in ((224, 48), (352, 64)))
    labels = source.labels(i)[row_of_row][:, column]
    matrix = row.matrices[where]
    np.testing.assert_array_equal(matrix.sum(1), np.bincount(labels.ravel(), minlength=256)[:19])


def test_validation_of_the_run_equals_its_evaluation(data: Path, run: Path) -> None:
    source, trained = open_source(data), load_network(run / "best.pt")
    (row,) = evaluate(
        trained, source, windows=trained.inputs.windows, protocol=Protocol(split="val"), workers=1
    )
    best = max(read_metrics(run)[0], key=lambda epoch: epoch.val_miou_truth)
    assert 100 * row.scores.miou_present == pytest.approx(best.val_miou, abs=1e-9)
    assert 100 * row.scores.pixel_accuracy == pytest.approx(best.val_accuracy, abs=1e-9)


def test_samples_that_are_not_covered_are_left_out(data: Path) -> None:
    source, network = open_source(data), random_network()
    counts = [
        len(evaluate(network, source, windows=("100ms",), protocol=protocol)[0].ids)
        for protocol in (Protocol(), Protocol(min_covered=0.0))
    ]
    assert counts == [len(scored_samples(source, "100ms")), source.splits.count("test")]
    assert counts[0] < counts[1]
    with pytest.raises(TrainingError, match="no labelled samples of split other"):
        evaluate(network, source, windows=("50ms",), protocol=Protocol(split="other"))


def test_baselines_equal_counts_by_hand(data: Path) -> None:
    source = open_source(data)
    majority, prior, tuned, _ = baseline_rows(
        source, protocol=Protocol(), classes=source.classes, window="50ms"
    )
    assert (prior.name, tuned.name) == (POSITION_PRIOR, TUNED_PRIOR)
    maps = [source.labels(i) for i, split in enumerate(source.splits) if split == "train"]
    counts = np.array([[(labels == k) for labels in maps] for k in range(19)]).sum(1)
    often = int(counts.sum((1, 2)).argmax())
    weighted = (counts * tuned_weights(counts)[:, None, None]).argmax(0)
    assert (weighted != counts.argmax(0)).any()
    assert majority.name == f"majority class ({source.classes.names[often]})"
    for k, i in enumerate(scored_samples(source, "50ms")):
        truth = source.labels(i)
        everywhere = np.full_like(truth, often)
        np.testing.assert_array_equal(majority.matrices[k], counted(truth, everywhere, 19))
        np.testing.assert_array_equal(prior.matrices[k], counted(truth, counts.argmax(0), 19))
        np.testing.assert_array_equal(tuned.matrices[k], counted(truth, weighted, 19))


def test_labels_of_the_nearest_training_frame_are_copied(data: Path) -> None:
    source = open_source(data)
    train = [i for i, split in enumerate(source.splits) if split == "train"]
    t_us = source.dataset.samples.t_us
    row = baseline_rows(
        source, protocol=Protocol(split="val"), classes=source.classes, window="50ms"
    )[-1]
    assert row.name == NEAREST_FRAME
    away_us = []
    for name, matrix in zip(row.ids, row.matrices, strict=True):
        i = source.ids.index(name)
        nearest = min(train, key=lambda j: abs(t_us[j] - t_us[i]))
        away_us.append(abs(t_us[nearest] - t_us[i]))
        expected = counted(source.labels(i), source.labels(nearest), 19)
        np.testing.assert_array_equal(matrix, expected)
    median_s = np.median(away_us) / 1e6
    assert row.note == (
        f"labels of the same recording for {len(row.ids)} samples, {median_s:.3g} s away at the "
        "median"
    )
    test = baseline_rows(source, protocol=Protocol(), classes=source.classes, window="50ms")[-1]
    assert test.note == f"labels of other recordings for {len(test.ids)} samples"
    first, last = train[0], train[-1]
    for matrix, name, copied in ((test.matrices[0], test.ids[0], first),
                                 (test.matrices[-1], test.ids[-1], last)):  # fmt: skip
        truth = source.labels(source.ids.index(name))
        np.testing.assert_array_equal(matrix, counted(truth, source.labels(copied), 19))


def test_late_clock_sees_the_events_of_50_ms_before_at_each_window(data: Path) -> None:
    source, network = open_source(data), random_network()
    encoding = source.encoding.normalised("evsegnet")
    indices = scored_samples(source, "50ms")[:3]

    def score(label: str, windows: tuple[str, ...], **changes: Any) -> list[Row]:
        return evaluate(network, source, windows=windows, name=label, **changes)

    parts = {"10ms": np.array(indices), "50ms": np.array(indices)}
    rows, notes = late_clock_rows(score, source, name="net", parts=parts)
    assert notes == []
    assert [(row.name, row.window) for row in rows] == [
        ("net, clock 50 ms late", "10ms"), ("net, clock 50 ms late", "50ms")
    ]  # fmt: skip
    for row in rows:
        for i in indices:
            t0_us, t1_us = source.dataset.window_of(i, row.window)
            earlier = (t0_us - 50_000, t1_us - 50_000)
            x = encode(source.dataset.events_of(i, earlier), window=earlier, encoding=encoding)
            guess = soft(network, torch.from_numpy(x)[None]).argmax(1)[0].numpy()
            matrix = row.matrices[row.ids.index(source.ids[i])]
            np.testing.assert_array_equal(matrix, counted(source.labels(i), guess, 19))
    source.close()


def test_baselines_are_scored_at_the_size_of_the_network(data: Path) -> None:
    source, protocol = open_source(data), Protocol(size=(24, 32))
    _, prior, *_ = baseline_rows(source, protocol=protocol, classes=source.classes, window="50ms")
    _, native, *_ = baseline_rows(
        source, protocol=Protocol(), classes=source.classes, window="50ms"
    )
    (row,) = evaluate(random_network(), source, windows=("50ms",), protocol=protocol)
    # Half the size: the nearest of four pixels is the one below and to the right.
    truth = source.labels(scored_samples(source, "50ms")[0])[1::2, 1::2]
    np.testing.assert_array_equal(prior.matrices.sum(2), row.matrices.sum(2))
    assert prior.matrices[0].sum() == (truth != 255).sum() < native.matrices[0].sum()


def test_teacher_is_scored_where_it_says_something(taught: Path) -> None:
    truth, teacher = open_source(taught), open_source(taught, label_set="guess")
    row = teacher_row(truth, teacher, protocol=Protocol(), classes=truth.classes, window="50ms")
    assert row.scores.pixel_accuracy == 1
    assert row.matrices[0].sum() == int(
        (truth.labels(scored_samples(truth, "50ms")[0])[:, 32:] < 255).sum()
    )
    left = [truth.labels(i) for i in scored_samples(truth, "50ms")]
    share = sum((x[:, :32] < 255).sum() for x in left) / sum((x < 255).sum() for x in left)
    assert row.note.startswith(f"{100 * share:.2f} %")


def test_labels_outside_the_classes_are_one_line(taught: Path) -> None:
    source = open_source(taught)
    i = scored_samples(source, "50ms")[0]
    Image.new("L", (64, 48), 77).save(taught / "labels/truth" / f"{source.ids[i]}.png")
    for workers in (0, 1):
        with pytest.raises(
            LabelError,
            match=rf"^labels of {source.ids[i]} hold 77; class table cityscapes19 has 0 road",
        ):
            evaluate(random_network(), source, windows=("50ms",), workers=workers)


def row_of(matrices: list[list[list[int]]], sequences: str) -> Row:
    table = ClassTable(("a", "b"), ((0, 0, 0), (255, 255, 255)))
    ids = tuple(f"s{i}" for i in range(len(matrices)))
    return Row("net", "50ms", ids, tuple(sequences), np.array(matrices), table)


def test_interval_needs_two_blocks_with_pixels() -> None:
    right, none = [[5, 1], [2, 9]], [[0, 0], [0, 0]]
    assert row_of([right], "x").interval() is None
    assert row_of([right, none], "xy").interval() is None
    found = row_of([right, right], "xy").interval()
    assert found is not None
    assert found.low == found.high == pytest.approx((5 / 8 + 9 / 12) / 2)
    assert np.isnan(row_of([right, none], "xy").sample_accuracy).tolist() == [False, True]


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
