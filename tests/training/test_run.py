"""A training run: its folder, its best epoch, how it ends, and what is refused before it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from training.run_fixtures import same_weights, tiny, train_tiny

from eventseg.dataset.opening import open_dataset
from eventseg.errors import TrainingError
from eventseg.metrics.scores import scores
from eventseg.networks import load_network
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import open_source
from eventseg.training import epoch_files
from eventseg.training.config.config import load_config
from eventseg.training.epoch_tables import (
    EpochCost,
    EpochScores,
    best_of,
    read_metrics,
    read_timing,
    write_metrics,
)
from eventseg.training.parts import pick
from eventseg.training.run import default_run_folder
from eventseg.training.run_folder import read_run
from eventseg.training.state import RunHistory
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("single_thread")


@pytest.mark.drawn
def test_folder_holds_everything_and_equal_runs_are_equal(
    data: Path, plain: Path, tmp_path: Path
) -> None:
    made = train_tiny(data, tmp_path / "a")
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        "config.toml", "run.json", "metrics.csv", "timing.csv", "best.pt", "last.pt", "curves.png",
        "samples.png",
    }  # fmt: skip
    for name in ("curves.png", "samples.png"):
        with Image.open(tmp_path / "a" / name) as picture:
            assert min(picture.size) > 100
    assert (tmp_path / "a/metrics.csv").read_bytes() == (plain / "metrics.csv").read_bytes()
    assert same_weights(tmp_path / "a/best.pt", plain / "best.pt")
    assert same_weights(tmp_path / "a/last.pt", plain / "last.pt")
    history, names = read_metrics(tmp_path / "a")
    assert tuple(repr(row) for row in history) == tuple(repr(row) for row in made.history)
    assert len(names) == 19
    assert made.stop_reason == "length"
    assert best_of(history, min_delta=0).epoch == made.best.epoch
    assert [cost.epoch for cost in read_timing(tmp_path / "a")] == [1, 2]
    run = read_run(tmp_path / "a/run.json")
    with open_dataset(data) as dataset:
        entries = dataset.manifest.recordings
        assert run["inputs"].items() >= {entry.name: entry.sha256 for entry in entries}.items()
        assert run["inputs"]["drive truth"] == dataset.manifest.recording("drive").truth_sha256
        whole = dataset.covered("50ms") == 1
        for part in ("train", "val"):
            count = int((whole & (np.array(dataset.samples.split) == part)).sum())
            assert run["parts"][part]["samples"] == count > 0
    assert run["command"] == ["tiny"]
    assert (run["device"], run["threads"], run["seed"]) == ("cpu", 1, 0)
    assert run["config"] == (tmp_path / "a/config.toml").read_text()
    trained = load_network(tmp_path / "a/best.pt")
    assert (trained.inputs.kind, trained.inputs.windows) == ("events", ("50ms",))
    assert run["parameters"] == sum(p.numel() for p in trained.network.parameters())


@pytest.mark.usefixtures("blind")
def test_loss_that_is_no_number_stops_and_says_where(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source(data)
    bad = int(pick(source, tiny(), split="train")[5])
    read = EventSource.events

    def broken(self: EventSource, i: int, *args: Any, **kwargs: Any) -> Any:
        tensor = read(self, i, *args, **kwargs)
        return tensor * np.float32("nan") if i == bad else tensor

    monkeypatch.setattr(EventSource, "events", broken)
    with pytest.raises(TrainingError) as caught:
        train_tiny(data, tmp_path / "out")
    message = str(caught.value)
    assert re.search(r"the loss is nan at update \d+, epoch [12], samples ", message)
    assert source.ids[bad] in message
    held = torch.load(tmp_path / "out/failed.pt", weights_only=True)
    assert bad in held["samples"]
    assert len(held["samples"]) == 4
    assert load_network(tmp_path / "out/failed.pt").blueprint.name == "fastscnn"


def test_a_stray_pixel_does_not_choose_the_best_epoch(tmp_path: Path) -> None:
    # Five perfect classes; then the same but one pixel that is taken for the absent sixth.
    perfect = np.diag([100, 100, 100, 100, 100, 0])
    stray = perfect.copy()
    stray[0, 0], stray[0, 5] = 99, 1
    worse = perfect.copy()
    worse[0, 0], worse[0, 1] = 90, 10
    history, config = RunHistory(), tiny(min_delta=0.0)
    cost = EpochCost(1, 1.0, 1.0, 1.0, 1.0)
    chosen = []
    for epoch, matrix in enumerate((worse, stray, worse, perfect)):
        found = scores(matrix)
        row = EpochScores(
            epoch + 1, 1, 0.1, 1.0, 0.0, 0.0, 1.0, 0.0, 100 * found.miou_present,
            tuple(100 * iou for iou in found.iou), 100 * found.miou_truth, 100 * found.miou_all,
        )  # fmt: skip
        chosen.append(history.add(row, cost, config))
    assert chosen == [True, True, False, True]
    present = [row.val_miou for row in history.scores]
    assert present[1] == pytest.approx(83.17, abs=0.01)
    assert present[1] < present[0]
    assert history.scores[1].val_miou_truth == pytest.approx(99.8)
    write_metrics(tmp_path, history.scores, classes="abcdef")
    read, _ = read_metrics(tmp_path)
    assert repr(read) == repr(history.scores)
    assert best_of(read[:3], min_delta=0).epoch == 2
    # Tables of earlier versions have neither of the other means.
    header, *lines = (tmp_path / "metrics.csv").read_text().splitlines()
    few = [i for i, name in enumerate(header.split(",")) if name[8:] not in ("_truth", "_all")]
    old = [",".join(line.split(",")[i] for i in few) for line in (header, *lines)]
    (tmp_path / "metrics.csv").write_text("\n".join(old) + "\n")
    read, _ = read_metrics(tmp_path)
    assert [row.selection_score for row in read] == present
    assert best_of(read[:3], min_delta=0).epoch == 1


@pytest.mark.drawn
@pytest.mark.parametrize("age_s", [pytest.param(0.0, marks=pytest.mark.slow), 1000.0])
def test_short_epochs_do_not_wait_for_the_curves(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float
) -> None:
    monkeypatch.setattr(epoch_files, "CURVES_AGE_S", age_s)
    monkeypatch.setattr(epoch_files, "picture_samples", lambda *_a, **_k: None)
    out, seen = tmp_path / "out", []
    train_tiny(data, out, epochs=3, callbacks=[lambda end: seen.append(drawn(end.path))])
    drawings = [*seen, drawn(out)]
    # At the end the curves hold all epochs, drawn after the last or not.
    assert len(set(drawings)) == (2 if age_s else 3)
    assert drawings[1] == drawings[2] or not age_s
    assert drawings[2] == drawings[3] or age_s


def drawn(run: Path) -> bytes:
    return (run / "curves.png").read_bytes()


@pytest.mark.usefixtures("blind")
def test_patience_ends_a_run(data: Path, tmp_path: Path) -> None:
    made = train_tiny(
        data, tmp_path / "out", epochs=9, patience=1, min_delta=1.0, optimiser__learning_rate=1e-12
    )
    assert (made.stop_reason, len(made.history)) == ("patience", 2)


@pytest.mark.usefixtures("blind")
def test_iterations_end_in_the_middle_of_an_epoch(data: Path, tmp_path: Path) -> None:
    made = train_tiny(data, tmp_path / "out", iterations=4, epochs=0)
    assert [row.iteration for row in made.history] == [3, 4]


def test_checks_come_before_notes_folders_and_work(data: Path, plain: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("precious")
    for more, words in (
        (["--labels", "nope"], "nope"),
        (["--classes", "nope"], "no class table 'nope'"),
        (["--window", "9s"], "take shorter windows"),
        (["--out", str(tmp_path / "full")], "holds files but no run"),
        (["--out", str(plain)], "holds a run"),
        (["--set", "lr=0.1"], "optimiser.learning_rate"),
        (["--set", "network.options.outputstride=8"], "no option 'outputstride'"),
        (["--amp", "fp16"], "needs a CUDA device"),
        (["--device", "gpu"], "cpu, cuda, cuda:N or auto"),
        (["--init", "imagenet:gone.pth"], "gone.pth"),
        (["--batch-size", "0"], "batch_size must be 1 or more, got 0"),
    ):
        called = ["train", str(data), "--device", "cpu", "--workers", "0", "--network", "fastscnn"]
        out = [] if "--out" in more else ["--out", str(tmp_path / "new")]
        if "--init" in more:
            called[-1] = "segnet"
        result = CliRunner().invoke(main, [*called, *out, *more])
        assert result.exit_code == 1, (more, result.output)
        assert words in result.stderr, (more, result.stderr)
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert not (tmp_path / "new").exists(), more
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_runs_of_several_seeds_have_folders_of_their_own() -> None:
    names = [
        default_run_folder(load_config(overrides={"seed": seed, "network.name": "fastscnn"})).name
        for seed in (0, 1, 12)
    ]
    assert [name.removeprefix("fastscnn-events-50ms") for name in names] == [
        "",
        "-seed1",
        "-seed12",
    ]
