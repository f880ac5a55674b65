"""Prediction folders: what they hold, resuming, jobs, inputs of every kind, and bad input."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from prediction_fixtures import TABLE, random_network
from recording_fixtures import tree, write_recording
from training_fixtures import SENSOR, street_dataset

import eventseg
from eventseg.errors import (
    CheckpointError,
    DatasetError,
    EventsegError,
    NetworkError,
    OutputError,
    RecordingError,
    WindowError,
)
from eventseg.events import EventStream
from eventseg.labels.files import read_labels
from eventseg.prediction import part
from eventseg.prediction.checkpoint_file import find_checkpoint
from eventseg.prediction.live.outputs import LabelFolder
from eventseg.recordings import DDD17Writer
from eventseg_cli.main import main


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("into")
    street_dataset(folder)
    random_network(folder / "events.pt", "events", folder / "streets")
    random_network(folder / "gray.pt", "gray")
    random_network(folder / "rgb.pt", "rgb")
    return folder


def test_a_folder_holds_labels_probabilities_samples_and_manifest(root, tmp_path):
    out = tmp_path / "out"
    made = eventseg.predict_into(
        root / "events.pt", root / "other.hdf5", out, probabilities=True, device="cpu"
    )
    folder = eventseg.open_predictions(out)
    expected = list(eventseg.predict(root / "events.pt", root / "other.hdf5", device="cpu"))
    assert folder.ids == tuple(each.id for each in expected)
    for sample, each in zip(folder.samples, expected, strict=True):
        assert (sample.t_us, sample.frame, sample.covered) == (each.t_us, each.frame, each.covered)
        assert sample.events == each.events
        assert np.array_equal(folder.labels(each.id), each.labels)
        stored = folder.probabilities(each.id)
        assert stored.dtype == np.float16
        assert np.array_equal(stored, each.probabilities.astype(np.float16))
        with Image.open(out / "labels" / f"{each.id}.png") as image:
            assert image.mode == "P"
            assert image.getpalette()[:3] == list(TABLE.colours[0])
    recording = eventseg.open_recording(root / "other.hdf5")
    for sample in folder.samples:
        window = recording.events(sample.t_us - 50_000, sample.t_us)
        assert sample.events == len(window)
    assert folder.manifest.input_file("other", out) == (root / "other.hdf5").resolve()
    assert sum(folder.manifest.pixels.values()) == len(folder) * SENSOR.height * SENSOR.width
    shares = folder.class_shares()
    for k, name in enumerate(TABLE.names):
        seen = np.mean([(each.labels == k).mean() for each in expected])
        assert shares[name] == pytest.approx(seen)
    assert made.predicted == len(folder)
    assert not made.notes
    assert "events a window: median" in "\n".join(made.lines())
    assert len(repr(folder)) < 300
    assert "<table" in folder._repr_html_()


class Stopped(Exception):
    """Stands for the end of a killed process."""


@pytest.mark.parametrize("kind", ["recording", pytest.param("data set", marks=pytest.mark.slow)])
def test_a_stopped_run_ends_with_the_same_bytes(root, tmp_path, monkeypatch, kind):
    given = root / ("drive.hdf5" if kind == "recording" else "streets")
    asked = {"probabilities": True, "device": "cpu"}
    eventseg.predict_into(root / "events.pt", given, tmp_path / "whole", **asked)
    written = part.write_labels
    count = 0

    def stop_at_five(*args):
        nonlocal count
        count += 1
        if count > 5:
            raise Stopped
        written(*args)

    monkeypatch.setattr(part, "write_labels", stop_at_five)
    with pytest.raises(Stopped):
        eventseg.predict_into(root / "events.pt", given, tmp_path / "part", **asked)
    monkeypatch.undo()
    (tmp_path / "part" / "labels" / "x.png.1.tmp").write_bytes(b"half")
    with pytest.raises(DatasetError, match="is not complete"):
        eventseg.open_predictions(tmp_path / "part")
    with pytest.raises(DatasetError, match="probabilities was True, now False"):
        eventseg.predict_into(root / "events.pt", given, tmp_path / "part", device="cpu")
    made = eventseg.predict_into(root / "events.pt", given, tmp_path / "part", **asked)
    assert made.predicted == len(made.folder) - 5
    assert "5 of them were there before" in "\n".join(made.lines())
    assert tree(tmp_path / "part") == tree(tmp_path / "whole")
    again = eventseg.predict_into(root / "events.pt", given, tmp_path / "part", **asked)
    assert again.predicted == 0


@pytest.mark.slow
def test_jobs_write_the_same_bytes(root, tmp_path):
    given = [root / "drive.hdf5", root / "other.hdf5"]
    for jobs in (1, 2):
        out = tmp_path / f"jobs{jobs}"
        made = eventseg.predict_into(
            root / "events.pt", given, out, every="100ms", jobs=jobs, threads=2, device="cpu"
        )
        assert [entry["name"] for entry in made.folder.manifest.inputs] == ["drive", "other"]
    assert tree(tmp_path / "jobs1") == tree(tmp_path / "jobs2")


def test_other_settings_are_refused_by_name_and_overwritten_on_demand(root, tmp_path):
    given, out = root / "other.hdf5", tmp_path / "out"
    eventseg.predict_into(root / "events.pt", given, out, device="cpu")
    for asked, differs in (
        ({"every": "50ms"}, "instants was frames, now every 50ms"),
        ({"window": "10ms"}, "window was as trained, now 10ms"),
        ({"probabilities": True}, "probabilities was False, now True"),
        ({"rotate180": True}, "rotate180 was False, now True"),
    ):
        with pytest.raises(DatasetError, match=differs):
            eventseg.predict_into(root / "events.pt", given, out, device="cpu", **asked)
    with pytest.raises(DatasetError, match=r"the network was events \(\w{12}\), now gray"):
        eventseg.predict_into(root / "gray.pt", given, out, device="cpu")
    with pytest.raises(DatasetError, match="inputs were other, now drive"):
        eventseg.predict_into(root / "events.pt", root / "drive.hdf5", out, device="cpu")
    made = eventseg.predict_into(
        root / "events.pt", given, out, every="100ms", device="cpu", overwrite=True
    )
    files = sorted(path.stem for path in (out / "labels").iterdir())
    assert files == sorted(made.folder.ids)
    lost = out / "labels" / f"{made.folder.ids[0]}.png"
    before = lost.read_bytes()
    lost.unlink()
    mended = eventseg.predict_into(root / "events.pt", given, out, every="100ms", device="cpu")
    assert mended.predicted == 1
    assert lost.read_bytes() == before


def test_frames_may_be_shifted(root, tmp_path):
    given, options = root / "other.hdf5", ["--device", "cpu", "--quiet"]
    eventseg.predict_into(root / "events.pt", given, tmp_path / "plain", device="cpu")
    asked = ["predict", str(root / "events.pt"), str(given), "--shift-frames", "-7ms"]
    result = CliRunner().invoke(main, [*asked, "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    plain, moved = (eventseg.open_predictions(tmp_path / name) for name in ("plain", "out"))
    times = {sample.frame: sample.t_us for sample in plain.samples}
    assert {s.frame: s.t_us + 7_000 for s in moved.samples}.items() <= times.items()
    with eventseg.open_recording(given, shift_frames_us=-7_000) as recording:
        expected = list(eventseg.predict(root / "events.pt", recording, device="cpu"))
    assert [each.t_us for each in expected] == [sample.t_us for sample in moved.samples]
    assert np.array_equal(moved.labels(moved.ids[3]), expected[3].labels)
    with pytest.raises(DatasetError, match="shift_frames was -7ms, now"):
        eventseg.predict_into(root / "events.pt", given, tmp_path / "out", device="cpu")
    with pytest.raises(DatasetError, match="leave --shift-frames out"):
        eventseg.predict_into(
            root / "events.pt", root / "streets", tmp_path / "set", shift_frames=5, device="cpu"
        )


def test_given_times_count_from_the_first_event(root, tmp_path):
    made = eventseg.predict_into(
        root / "events.pt", root / "other.hdf5", tmp_path / "at", at=["200ms", "0.1s"], device="cpu"
    )
    first_us = eventseg.open_recording(root / "other.hdf5").t_first_us
    times = [sample.t_us - first_us for sample in made.folder.samples]
    assert times == [100_000, 200_000]


def test_data_sets_are_predicted_at_their_samples(root, tmp_path):
    made = eventseg.predict_into(
        root / "events.pt", root / "streets", tmp_path / "test", split="test", device="cpu"
    )
    with eventseg.open_dataset(root / "streets") as data:
        expected = [n for n, s in zip(data.ids, data.samples.split, strict=True) if s == "test"]
        assert list(made.folder.ids) == expected
        column = data.windows.index("50ms")
        events = {n: int(data.samples.events[i, column]) for i, n in enumerate(data.ids)}
    assert [sample.events for sample in made.folder.samples] == [events[n] for n in expected]
    recorded = eventseg.predict(root / "events.pt", root / "other.hdf5", device="cpu")
    for each in recorded:
        assert np.array_equal(made.folder.labels(each.id), each.labels)
    with pytest.raises(DatasetError, match="no samples of split tset; it has those of"):
        eventseg.predict_into(
            root / "events.pt", root / "streets", tmp_path / "no", split="tset", device="cpu"
        )
    with pytest.raises(WindowError, match="predicted at its samples: leave --every"):
        eventseg.predict_into(
            root / "events.pt", root / "streets", tmp_path / "no", every="1ms", device="cpu"
        )


@pytest.mark.parametrize("kind", ["gray", "rgb"])
def test_pictures_are_predicted_by_networks_of_pictures(root, tmp_path, kind):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    sizes = {"one.png": (40, 56), "two.jpg": (32, 48)}
    for name, (height, width) in sizes.items():
        values = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(values).save(folder / name)
    made = eventseg.predict_into(root / f"{kind}.pt", folder, tmp_path / "out", device="cpu")
    assert made.folder.ids == ("one", "two")
    assert [made.folder.labels(name).shape for name in made.folder.ids] == list(sizes.values())
    one = eventseg.predict_into(
        root / f"{kind}.pt", folder / "one.png", tmp_path / "one", device="cpu"
    )
    assert np.array_equal(one.folder.labels("one"), made.folder.labels("one"))
    with pytest.raises(NetworkError, match="the network sees events, and"):
        eventseg.predict_into(root / "events.pt", folder, tmp_path / "no", device="cpu")


def test_another_sensor_works_and_is_noted(root, tmp_path):
    wide = eventseg.SensorSize(72, 80)
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(1_000, 300_000, 3_000))
    stream = EventStream.from_arrays(
        t, rng.integers(0, 80, 3_000), rng.integers(0, 72, 3_000), rng.integers(0, 2, 3_000),
        sensor=wide,
    )  # fmt: skip
    with DDD17Writer(tmp_path / "wide.hdf5", sensor=wide, reorder_us=10**6) as writer:
        writer.add_events(stream)
    said: list[str] = []
    with pytest.raises(WindowError, match="no frames to predict at; give --every 20ms"):
        eventseg.predict_into(
            root / "events.pt", tmp_path / "wide.hdf5", tmp_path / "no", sensor=wide, device="cpu"
        )
    made = eventseg.predict_into(
        root / "events.pt", tmp_path / "wide.hdf5", tmp_path / "out", every="100ms",
        sensor=wide, device="cpu", say=said.append,
    )  # fmt: skip
    assert made.folder.labels(made.folder.ids[0]).shape == (72, 80)
    assert "sensor of 80x72, the network was trained on rows 0 to 47 of 64x48" in said[0]


def test_single_label_maps_never_lie_among_predictions(root, tmp_path):
    eventseg.predict_into(
        root / "events.pt", root / "other.hdf5", tmp_path / "maps", at=["0.2s"], device="cpu"
    )
    before = tree(tmp_path / "maps")
    predictions = eventseg.predict(root / "events.pt", root / "other.hdf5", device="cpu")
    for write in (predictions.save, LabelFolder):
        with pytest.raises(OutputError, match="maps holds predictions, whose label maps lie in"):
            write(tmp_path / "maps")
    assert tree(tmp_path / "maps") == before


@pytest.mark.parametrize("suffix", ["hdf5", "npz"])
def test_the_sensor_of_the_training_never_replaces_the_recordings_own(root, tmp_path, suffix):
    small = eventseg.SensorSize(24, 32)
    write_recording(tmp_path / "small.hdf5", sensor=small)
    path = tmp_path / f"small.{suffix}"
    if suffix != "hdf5":
        with eventseg.open_recording(tmp_path / "small.hdf5") as recording:
            eventseg.convert(recording, path)
    said: list[str] = []
    made = eventseg.predict_into(
        root / "events.pt", path, tmp_path / "out", every="50ms", device="cpu", say=said.append
    )
    assert made.folder.labels(made.folder.ids[0]).shape == small
    assert "small has a sensor of 32x24, the network was trained on rows 0 to 47" in said[0]


def test_windows_without_events_are_predicted_and_counted(root, tmp_path):
    t = np.r_[np.arange(1, 101), np.arange(161, 261)] * 1_000
    x, y = np.arange(len(t)) % SENSOR.width, np.arange(len(t)) % SENSOR.height
    stream = EventStream.from_arrays(t, x, y, np.arange(len(t)) % 2, sensor=SENSOR)
    with DDD17Writer(tmp_path / "pause.hdf5", sensor=SENSOR, reorder_us=10**6) as writer:
        writer.add_events(stream)
    made = eventseg.predict_into(
        root / "events.pt", tmp_path / "pause.hdf5", tmp_path / "out", every="10ms",
        window="20ms", device="cpu",
    )  # fmt: skip
    empty = [sample for sample in made.folder.samples if sample.events == 0]
    text = "\n".join(made.lines())
    assert empty
    assert f"{len(empty)} windows without an event" in text
    assert made.notes == ("the network was trained on windows of 50ms, not 20ms",)


def test_bad_input_is_one_clear_line(root, tmp_path):
    def refused(error, match, run, *given, **asked):
        with pytest.raises(error, match=match) as caught:
            eventseg.predict_into(run, given, tmp_path / "bad", device="cpu", **asked)
        assert isinstance(caught.value, EventsegError)
        assert "\n" not in str(caught.value)

    events, recording = root / "events.pt", root / "other.hdf5"
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "text.doc").write_text("hello")
    (tmp_path / "cut.hdf5").write_bytes(recording.read_bytes()[:3_000])
    shutil.copy(recording, tmp_path / "other.hdf5")
    (tmp_path / "recordings").mkdir()
    shutil.copy(recording, tmp_path / "recordings" / "a.hdf5")
    refused(CheckpointError, "no run folder or checkpoint 'nothing'", "nothing", recording)
    refused(CheckpointError, r"has no best\.pt; its training", tmp_path / "run", recording)
    shutil.copy(events, tmp_path / "run" / "last.pt")
    refused(CheckpointError, r"it has last\.pt: name one with", tmp_path / "run", recording)
    refused(CheckpointError, "is a data set and no run folder", root / "streets", recording)
    refused(CheckpointError, r"empty is no run folder", tmp_path / "empty", recording)
    refused(DatasetError, "no data set, no image folder", events, tmp_path / "empty")
    refused(DatasetError, r"one by one: .*/\*\.hdf5", events, tmp_path / "recordings")
    refused(RecordingError, r"the suffix '\.doc' is neither", events, tmp_path / "text.doc")
    refused(RecordingError, "no such file", events, tmp_path / "gone.hdf5")
    refused(RecordingError, r"cut\.hdf5", events, tmp_path / "cut.hdf5")
    refused(DatasetError, "are both named other; predict", events, recording,
            tmp_path / "other.hdf5")  # fmt: skip
    refused(DatasetError, "both have a sample other_f000000", events, recording, root / "streets")
    refused(WindowError, r"lasts 0\.\d+ s, no window ends 60\.0", events, recording, at=["1min"])
    refused(DatasetError, "has no split: leave --split out", events, recording, split="test")
    refused(DatasetError, "leave --sensor and --rotate180 out", events, root / "streets",
            rotate180=True)  # fmt: skip
    refused(CheckpointError, "a recording or a picture and no checkpoint", recording, recording)
    refused(WindowError, "is longer than other", events, recording, window="40s")
    assert not (tmp_path / "bad").exists()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "precious").write_text("mine")
    refused(OutputError, "holds files but no predictions", events, recording)


def test_a_checkpoint_lies_in_its_run(root, tmp_path):
    run = tmp_path / "my run"
    run.mkdir()
    shutil.copy(root / "gray.pt", run / "best.pt")
    (run / "run.json").write_text(f'{{"data": "{root / "streets"}"}}')
    by_folder, by_file = find_checkpoint(run), find_checkpoint(run / "best.pt")
    assert by_folder == by_file
    assert (by_file.name, by_file.data) == ("my run", root / "streets")


def test_damaged_folders_are_named(root, tmp_path):
    out = tmp_path / "out"
    eventseg.predict_into(root / "events.pt", root / "other.hdf5", out, every="100ms", device="cpu")
    samples, manifest = out / "samples.csv", out / "predictions.toml"
    table, text = samples.read_text(), manifest.read_text()
    for broken, match in (
        (table.splitlines()[0] + "\n", "has 0 samples, the manifest 3"),
        ("id,other\n", "must begin with the columns id,input,t_us"),
        (table.replace(",1.0,", ",nan,"), "line 2: covered is nan"),
    ):
        samples.write_text(broken)
        with pytest.raises(DatasetError, match=match):
            eventseg.open_predictions(out)
    samples.write_text(table)
    for broken, match in (
        (text.replace("schema = 1", "schema = 9"), "has schema 9, this version reads 1"),
        (text.replace("[network]", "[networc]"), "lacks 'network'"),
        (text[:200] + "=", "cannot read"),
    ):
        manifest.write_text(broken)
        with pytest.raises(DatasetError, match=match):
            eventseg.open_predictions(out)
    manifest.write_text(text)
    with pytest.raises(DatasetError, match="predict with --probabilities"):
        eventseg.open_predictions(out).probabilities("other_t1")
    with pytest.raises(DatasetError, match=r"it has no predictions\.toml"):
        eventseg.open_predictions(tmp_path)
    manifest.write_text("nonsense")
    asked = {"every": "100ms", "device": "cpu", "overwrite": True}
    made = eventseg.predict_into(root / "events.pt", root / "other.hdf5", out, **asked)
    assert made.predicted == len(made.folder) == 3


def test_the_command(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(main, ["predict", *map(str, arguments), "--device", "cpu"])

    made = call(root / "events.pt", root / "other.hdf5", "--at", "0.1s,0.2s")
    assert made.exit_code == 0, made.output
    assert "predictions/events-other: 2 label maps" in made.stdout
    as_json = call(root / "events.pt", root / "other.hdf5", "--at", "0.1s,0.2s", "--json")
    assert '"predicted": 0' in as_json.stdout
    both = call(root / "events.pt", root / "other.hdf5", "--at", "1s", "--every", "1s")
    assert both.exit_code == 2
    assert "exclude each other" in both.output
    wrong = call(root / "events.pt", root / "other.hdf5", "--every", "fast")
    assert wrong.exit_code == 2
    refused = call(tmp_path, root / "other.hdf5")
    assert refused.exit_code == 1
    assert refused.output.count("\n") == 1
    table = tmp_path / "predictions" / "events-other" / "labels"
    for path in table.iterdir():
        assert read_labels(path, table=TABLE).shape == tuple(SENSOR)
