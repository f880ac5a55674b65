"""Training runs: equal to the bit, resumed, refused; and what samples are made of."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import training_fixtures as fixtures
from click.testing import CliRunner
from PIL import Image
from training_fixtures import draw_nothing, one_thread

from eventseg.dataset.manifest import Manifest
from eventseg.dataset.reader import open_dataset
from eventseg.errors import CheckpointError, OutputError, TrainingError
from eventseg.files.whole import write_whole
from eventseg.labels.maps import load_class_table, merge_labels, merge_of
from eventseg.metrics.scores import scores
from eventseg.networks import load_network
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import open_source
from eventseg.training import epoch_files, trainer
from eventseg.training.config.config import load_config
from eventseg.training.epoch_tables import (
    EpochCost,
    EpochScores,
    best_of,
    read_metrics,
    read_timing,
    write_metrics,
)
from eventseg.training.loading import EpochBatches, load_batches
from eventseg.training.parts import pick
from eventseg.training.progress import TrainingProgress
from eventseg.training.reproduce import first_difference, reproduce
from eventseg.training.run import default_run_folder
from eventseg.training.run_folder import read_run, resume_notes
from eventseg.training.samples import EpochSample, Samples, draw_window
from eventseg.training.state import RunHistory
from eventseg_cli.main import main

QUICK: dict[str, Any] = {"network__name": "fastscnn"}
"""A network whose update takes less than half the time of the one of other tiny runs."""

tiny, train_tiny = partial(fixtures.tiny, **QUICK), partial(fixtures.train_tiny, **QUICK)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def plain(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "run"
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        train_tiny(data, out)
    return out


class Stop(Exception):
    """What a test stops a run with."""


def state(path: Path, key: str = "state_dict") -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)[key]


def same_weights(one: Path, other: Path) -> bool:
    first, second = state(one), state(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


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


RESUMED: dict[str, Any] = {
    **QUICK, "batch_norm_batches": 2,
    "epochs": 3, "ema_decay": 0.9, "schedule__kind": "plateau", "schedule__patience": 0,
    "input__windows": ["10ms", "50ms"], "augmentation__drop": 0.2, "accumulation": 2,
    "loss__class_weights": "enet", "gradient_clip": 1.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def straight(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("straight") / "run"
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        train_tiny(data, out, **RESUMED)
    return out


def assert_same_run(one: Path, other: Path) -> None:
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    for name in ("last.pt", "best.pt"):
        assert same_weights(one / name, other / name)
    first, second = state(one / "last.pt", "training"), state(other / "last.pt", "training")
    for name, tensor in first["network"].items():
        assert torch.equal(tensor, second["network"][name])
    assert first["plateau"] == second["plateau"]


@pytest.mark.usefixtures("blind")
def test_stopped_run_resumes_to_the_same_bits(data: Path, tmp_path: Path, straight: Path) -> None:
    after = 1

    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == after + 1 and progress.images:
            raise Stop

    with pytest.raises(Stop):
        train_tiny(data, tmp_path / "out", progress=stop, **RESUMED)
    assert len(read_metrics(tmp_path / "out")[0]) == after
    trained = train_tiny(data, tmp_path / "out", resume=True, **RESUMED)
    assert len(trained.history) == 3
    assert_same_run(straight, tmp_path / "out")
    assert len(read_run(tmp_path / "out/run.json")["resumed"]) == 1
    # A run that is done is left as it is.
    before = (tmp_path / "out/last.pt").read_bytes()
    train_tiny(data, tmp_path / "out", resume=True, **RESUMED)
    assert (tmp_path / "out/last.pt").read_bytes() == before


IN_A_BATCH = """
def kill(progress):
    if progress.epoch == 2 and progress.images:
        os.kill(os.getpid(), signal.SIGKILL)
"""
IN_A_SAVE = """
write = checkpoints.write_whole
def half(path, fill):
    def part(file):
        file.write(b"half of it")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, part if path.name == "last.pt" and path.is_file() else fill)
checkpoints.write_whole = half
kill = print
"""


@pytest.mark.slow
@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(
    "when", [pytest.param(IN_A_BATCH, id="batch"), pytest.param(IN_A_SAVE, id="save")]
)
def test_killed_run_resumes_to_the_same_bits(
    data: Path, tmp_path: Path, straight: Path, when: str
) -> None:
    code = f"""
import os, signal
from pathlib import Path
from training_fixtures import one_thread, train_tiny
from eventseg.networks import checkpoints
from eventseg.training import epoch_files, trainer
epoch_files.picture_curves = epoch_files.picture_samples = lambda *a, **k: None
one_thread()
{when}
train_tiny(Path({str(data)!r}), Path({str(tmp_path / "out")!r}), progress=kill, **{RESUMED!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1], timeout=300, check=False, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    held = json.loads(state(tmp_path / "out/last.pt", "training")["history"])
    assert [row["epoch"] for row in held] == [1]
    train_tiny(data, tmp_path / "out", resume=True, **RESUMED)
    assert_same_run(straight, tmp_path / "out")


@pytest.mark.usefixtures("blind")
def test_file_that_the_system_refuses_keeps_the_previous_checkpoint(
    data: Path, plain: Path, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up(progress: TrainingProgress) -> None:
        if not progress.images:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))

    try:
        with pytest.raises(OutputError, match=r"^cannot write .*\.pt: File too large$"):
            train_tiny(data, tmp_path / "out", progress=fill_up)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "out").glob("*.tmp")) == []
    held = json.loads(state(tmp_path / "out/last.pt", "training")["history"])
    assert [row["epoch"] for row in held] == [1]
    train_tiny(data, tmp_path / "out", resume=True)
    assert same_weights(tmp_path / "out/last.pt", plain / "last.pt")


@pytest.mark.usefixtures("blind")
def test_save_that_fails_keeps_the_previous_checkpoint(
    data: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[bytes] = []

    write = write_whole

    def full(path: Path, fill: Any) -> None:
        def part(file: Any) -> None:
            file.write(b"half of it")
            raise OSError(28, "No space left on device")

        if path.name == "last.pt" and path.is_file():
            kept.append(path.read_bytes())
            write(path, part)
        write(path, fill)

    monkeypatch.setattr("eventseg.networks.checkpoints.write_whole", full)
    with pytest.raises(OutputError, match=r"cannot write .*last\.pt: No space left"):
        train_tiny(data, tmp_path / "out")
    monkeypatch.setattr("eventseg.networks.checkpoints.write_whole", write)
    assert [(tmp_path / "out/last.pt").read_bytes()] == kept
    assert list((tmp_path / "out").glob("*.tmp")) == []
    train_tiny(data, tmp_path / "out", resume=True)
    assert same_weights(tmp_path / "out/last.pt", plain / "last.pt")


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


@dataclass
class Spy:
    """Note every sample that is read of a source."""

    source: Any
    read: set[int] = field(default_factory=set)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.source, name)
        if name not in ("labels", "events", "image", "confidence"):
            return value

        def noted(i: int, *args: Any, **kwargs: Any) -> Any:
            self.read.add(i)
            return value(i, *args, **kwargs)

        return noted


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(("protocol", "allowed"), [("clean", "val"), ("paper", "test")])
def test_no_sample_is_read_that_the_protocol_forbids(
    data: Path, tmp_path: Path, protocol: str, allowed: str
) -> None:
    spy = Spy(open_source(data))
    config = tiny(
        protocol=protocol, loss__class_weights="median_frequency", epochs=1, input__kind="both"
    )
    trainer.train(spy, tmp_path / "out", config=config)
    assert {spy.splits[i] for i in spy.read} == {"train", allowed}
    assert "gap" in spy.splits
    assert "val" in spy.splits


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ({"input__kind": "gray"}, 1),
        ({"input__kind": "rgb"}, 3),
        ({"input__kind": "both"}, 7),
        ({"input__kind": "both", "input__fusion": "late"}, 7),
    ],
)
def test_inputs(data: Path, tmp_path: Path, settings: dict[str, Any], channels: int) -> None:
    if settings["input__kind"] == "rgb":
        settings = {**settings, "input__scaling.mean": [0.5] * 3, "input__scaling.std": [0.25] * 3}
    trained = train_tiny(data, tmp_path / "out", epochs=1, **settings)
    network = load_network(tmp_path / "out/best.pt")
    assert network.inputs.channels == network.blueprint.in_channels == channels
    assert np.isfinite(trained.best.val_loss)


def test_several_windows_are_drawn_and_take_turns_in_validation(data: Path) -> None:
    source = open_source(data)
    config = tiny(input__windows=["10ms", "50ms"], augmentation__flip=0)
    config = replace(config, augmentation=type(config.augmentation)())
    samples = Samples(source, config, 19, training=True)
    seen = set()
    for index in pick(source, config, split="train").tolist():
        window = draw_window(
            config.input.windows, training=True, seed=config.seed, epoch=3, index=index
        )
        seen.add(window)
        expected = source.events(index, window, normalise="sqrt")
        np.testing.assert_array_equal(samples[EpochSample(3, index)]["x"].numpy(), expected)
    assert seen == {"10ms", "50ms"}
    validation = Samples(source, config, 19, training=False)
    for index, window in enumerate(("10ms", "50ms", "10ms")):
        expected = source.events(index, window, normalise="sqrt")
        np.testing.assert_array_equal(validation[EpochSample(3, index)]["x"].numpy(), expected)


def test_live_encoding_equals_the_dump_to_the_bit(data: Path) -> None:
    source = open_source(data)
    dumped = Samples(source, tiny(), 19, training=True)
    live = Samples(source, tiny(input__live=True), 19, training=True)
    for index in (1, 5):
        one, other = dumped[EpochSample(0, index)], live[EpochSample(0, index)]
        assert torch.equal(one["x"], other["x"])
        assert torch.equal(one["labels"], other["labels"])
    source.close()


def test_events_are_augmented_before_they_are_encoded(data: Path) -> None:
    source = open_source(data)
    plain = replace(tiny(), augmentation=type(tiny().augmentation)())
    before = Samples(source, plain, 19, training=True)[EpochSample(0, 5)]["x"]
    for change in (
        {"drop": 0.9}, {"noise": 0.9}, {"polarity": 1.0}, {"window_jitter": 0.5},
    ):  # fmt: skip
        config = replace(plain, augmentation=replace(plain.augmentation, **change))
        samples = Samples(source, config, 19, training=True)
        first = samples[EpochSample(0, 5)]["x"]
        assert not torch.equal(first, before), change
        assert torch.equal(first, samples[EpochSample(0, 5)]["x"])
        whole = Samples(source, config, 19, training=False)[EpochSample(0, 5)]["x"]
        assert torch.equal(whole, before)
        if "polarity" in change:
            assert torch.equal(first[0], before[1])
    source.close()


@pytest.mark.usefixtures("blind")
def test_labels_are_merged(data: Path, tmp_path: Path) -> None:
    train_tiny(data, tmp_path / "out", epochs=1, labels__classes="evsegnet6")
    table = load_class_table("evsegnet6")
    assert load_network(tmp_path / "out/best.pt").classes.names == table.names
    source = open_source(data)
    merge = merge_of(source.classes, table)
    config = tiny(labels__classes="evsegnet6")
    got = Samples(source, config, 6, training=False, merge=merge)[EpochSample(0, 2)][
        "labels"
    ].numpy()
    np.testing.assert_array_equal(got, merge_labels(source.labels(2), merge))


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    """A copy of the data set that may be changed, beside its recordings."""
    for path in data.parent.glob("*.h*5"):
        shutil.copy(path, tmp_path)
    return Path(shutil.copytree(data, tmp_path / "streets"))


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("workers", [0, 1])
def test_labels_outside_the_classes_are_one_line(
    copied: Path, tmp_path: Path, workers: int
) -> None:
    source = open_source(copied)
    for i in pick(source, tiny(), split="train").tolist():
        Image.new("L", (64, 48), 77).save(copied / "labels/truth" / f"{source.ids[i]}.png")
    with pytest.raises(
        TrainingError, match=r"^labels of drive_\S+ hold 77; class table cityscapes19 has 0 "
    ):
        train_tiny(copied, tmp_path / "out", workers=workers)


@pytest.mark.usefixtures("blind")
def test_labels_that_are_all_ignored_teach_nothing(copied: Path, tmp_path: Path) -> None:
    for path in (copied / "labels/truth").glob("*.png"):
        Image.new("L", (64, 48), 255).save(path)
    with pytest.raises(TrainingError, match="'truth' has no labelled pixel"):
        train_tiny(copied, tmp_path / "out")
    assert not (tmp_path / "out/best.pt").exists()


def test_parts_that_are_empty_are_named(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none of the .* split train .* 5s .*shorter windows"):
        train_tiny(copied, tmp_path / "out", input__windows=["5s"])
    assert not (tmp_path / "out").exists()
    table = copied / "samples.csv"
    assert table.is_file()
    table.write_text(table.read_text().replace(",val,", ",gap,"))
    cures = r"\(--hold-back recordings or --val NAME\)"
    with pytest.raises(
        TrainingError, match=rf"no samples of split val .*{cures}.* set validation_share"
    ):
        train_tiny(copied, tmp_path / "out")
    source = open_source(copied)
    config = tiny(validation_share=0.25)
    train, val = (set(pick(source, config, split=name)) for name in ("train", "val"))
    assert not train & val
    assert {source.splits[i] for i in train | val} == {"train"}
    # As published nothing is held back, and a share of the training part is a share of it all.
    paper = pick(source, tiny(validation_share=0.25, protocol="paper"), split="train")
    assert len(val) == round(len(paper) / 4)
    assert max(train) < min(set(paper) - train - val) < min(val)  # with a gap between them
    assert set(paper) > train | val
    assert len(pick(source, tiny(fraction=0.5), split="train")) == round(len(paper) / 2)


def test_samples_without_labels_are_left_out(data: Path, tmp_path: Path) -> None:
    from recording_fixtures import write_recording

    from eventseg.dataset.writer import encode_dataset
    from eventseg.events import SensorSize
    from eventseg.windows import parse_anchor

    plain = write_recording(tmp_path / "plain.hdf5", sensor=SensorSize(48, 64))
    encode_dataset(
        [data.parent / "drive.hdf5", plain], tmp_path / "out", anchor=parse_anchor("stride:20ms"),
        store="none",
    )  # fmt: skip
    source = open_source(tmp_path / "out")
    picked = pick(source, tiny(), split="train")
    assert 0 < len(picked) < source.splits.count("train")
    for i in picked.tolist():
        assert source.sequences[i] == "drive"
        assert source.labels(i).shape == (48, 64)


@pytest.mark.usefixtures("blind")
def test_runs_that_cannot_go_on_are_refused(data: Path, copied: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train_tiny(data, out, epochs=1)
    with pytest.raises(TrainingError, match=r"other settings \(seed = 0 there, seed = 5 asked\)"):
        train_tiny(data, out, epochs=1, seed=5, resume=True)
    with pytest.raises(TrainingError, match="holds a run; go on with --resume"):
        train_tiny(data, out, epochs=1)
    manifest = Manifest.read(copied / "manifest.toml")
    (first, second) = manifest.recordings
    changed = replace(manifest, recordings=(replace(first, sha256="0" * 64), second))
    changed.write(copied / "manifest.toml")
    with pytest.raises(TrainingError, match="holds a run on other data"):
        train_tiny(copied, out, epochs=1, resume=True)
    shutil.copy(out / "last.pt", tmp_path / "fastscnn.pt")
    other = tmp_path / "other"
    train_tiny(data, other, epochs=1, network__name="cgnet")
    shutil.copy(tmp_path / "fastscnn.pt", other / "last.pt")
    with pytest.raises(CheckpointError, match="of another network or damaged"):
        train_tiny(data, other, epochs=1, network__name="cgnet", resume=True)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/text").write_text("mine")
    with pytest.raises(OutputError, match="holds files but no run"):
        train_tiny(data, tmp_path / "thesis")


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
def test_a_run_continues_with_settings_that_change_nothing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    straight = train_tiny(data, tmp_path / "straight")
    train_tiny(data, out, callbacks=[lambda _: True])
    config = out / "config.toml"
    # A file of an earlier version knows fewer settings; in another order they are the same.
    kept = [line for line in config.read_text().splitlines() if "shuffle_block" not in line]
    config.write_text("\n".join(kept) + "\n")
    before = config.read_bytes()
    for changed in ({"batch_size": 8}, {"accumulation": 2}, {"epochs": 3}, {"amp": "bf16"}):
        ((name, value),) = changed.items()
        with pytest.raises(TrainingError, match=rf"other settings \({name} = .*{value}"):
            train_tiny(data, out, resume=True, **changed)  # type: ignore[arg-type]
    others: dict[str, Any] = {"workers": 1, "input__live": True, "input__encode": "device"}
    notes = resume_notes(out, tiny(**others), device=torch.device("cuda:1"))
    assert notes == [
        "input.live was false and is true",
        'input.encode was "auto" and is "device"',
        "workers was 0 and is 1",
        "device was cpu and is cuda:1",
    ]
    told: list[TrainingProgress] = []
    resumed = train_tiny(
        data, out, resume=True, tensorboard=True, progress=told.append, workers=1,
        input__live=True, input__encode="workers",
    )  # fmt: skip
    assert told
    assert repr(resumed.history) == repr(straight.history)
    assert config.read_bytes() == before
    (again,) = read_run(out / "run.json")["resumed"]
    assert again["settings"] == {
        "input.live": "true", "input.encode": '"workers"', "workers": "1",
    }  # fmt: skip


@pytest.mark.usefixtures("blind")
def test_confidence_weighs(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no confidence for the label set 'truth'"):
        train_tiny(copied, tmp_path / "none", loss__weigh_by_confidence=True)
    source = open_source(copied)
    manifest = Manifest.read(copied / "manifest.toml")
    replace(manifest, labels={**manifest.labels, "guess": source.classes}).write(
        copied / "manifest.toml"
    )
    for name in ("labels/guess", "confidence/guess"):
        (copied / name).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for path in (copied / "labels/truth").iterdir():
        shutil.copy(path, copied / "labels/guess")
        sure = generator.integers(0, 256, (48, 64), dtype=np.uint8)
        Image.fromarray(sure).save(copied / "confidence/guess" / path.name)
    config = tiny(labels__set="guess", loss__weigh_by_confidence=True, augmentation__rotation_deg=0)
    guess = open_source(copied, label_set="guess")
    sample = Samples(guess, config, 19, training=True)[EpochSample(1, 4)]
    labels, sure = sample["labels"], sample["confidence"]
    assert sure.shape == labels.shape
    assert "confidence" not in Samples(guess, config, 19, training=False)[EpochSample(1, 4)]
    weighed = train_tiny(copied, tmp_path / "yes", label_set="guess", config=config)
    plain = train_tiny(
        copied, tmp_path / "no", label_set="guess", labels__set="guess",
        augmentation__rotation_deg=0,
    )  # fmt: skip
    assert weighed.history[0].train_loss != plain.history[0].train_loss


@pytest.mark.usefixtures("blind")
def test_workers_change_nothing(data: Path, tmp_path: Path) -> None:
    # The pass for batch norms ends before its loader does, which then serves the next epoch.
    settings: dict[str, Any] = {"epochs": 3, "input__live": True, "batch_norm_batches": 1}
    train_tiny(data, tmp_path / "none", **settings)
    train_tiny(data, tmp_path / "one", workers=1, **settings)
    assert (tmp_path / "none/metrics.csv").read_bytes() == (
        tmp_path / "one/metrics.csv"
    ).read_bytes()
    assert same_weights(tmp_path / "none/last.pt", tmp_path / "one/last.pt")


def test_loading_draws_nothing_from_torch(data: Path) -> None:
    # A worker's loader stays over epochs: what its first epoch drew a resumed run would not.
    source = open_source(data)
    batches = EpochBatches(np.arange(4), batch_size=2, seed=0)
    loader = load_batches(Samples(source, tiny(), 19, training=True), batches, workers=0)
    torch.manual_seed(3)
    assert len(list(loader)) == 2
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))


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
