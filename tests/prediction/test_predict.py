"""A run as an object: trained by one call, scored, and predicting to the bits of training."""

from __future__ import annotations

import math
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from training_fixtures import EXACT, SENSOR, street_dataset, tiny

import eventseg
from eventseg.encoding import Encoding
from eventseg.encoding.settings import encoding_of
from eventseg.errors import CheckpointError, EventsegError, NetworkError, TrainingError, WindowError
from eventseg.labels.files import read_labels
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, save_network
from eventseg.networks.inputs import Scaling
from eventseg.prediction import network_input
from eventseg.recordings import DDD17Writer
from eventseg_cli.main import main

ROWS = (4, 40)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("predict")
    street_dataset(folder, crop=ROWS, filters=eventseg.parse_filters("refractory:1ms"))
    return folder


@pytest.fixture(scope="module")
def run(root: Path):
    return eventseg.train(
        root / "streets", root / "run", network="enet", epochs=2, batch_size=4, workers=0,
        window="50ms", device="cpu",
        **{**EXACT, "augmentation.flip": 0.0, "optimiser.learning_rate": 1e-3},
    )  # fmt: skip


def frame_network(path: Path, kind: str) -> Path:
    """A random network of gray frames, pictures or frames and events."""
    channels = {"gray": 1, "rgb": 3, "both": 7}[kind]
    blueprint = Blueprint("enet", channels, 3)
    torch.manual_seed(0)
    scaling = Scaling(
        255.0, (10.0,) * (3 if kind == "rgb" else 1), (3.0,) * (3 if kind == "rgb" else 1)
    )
    inputs = InputSpec(kind, channels, scaling, ("50ms",))
    table = eventseg.ClassTable(("a", "b", "c"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    save_network(path, TrainedNetwork(blueprint.build().eval(), blueprint, inputs, table))
    return path


@pytest.mark.slow
def test_train_by_keywords_is_the_configured_training(root, run):
    assert [row.epoch for row in run.history] == [1, 2]
    assert run.best in run.history
    config = tiny(augmentation__flip=0.0, optimiser__learning_rate=1e-3, input__windows=["50ms"])
    again = eventseg.train(root / "streets", root / "again", config=config, device="cpu")
    files = [(folder / "metrics.csv").read_bytes() for folder in (run.path, again.path)]
    assert files[0] == files[1]
    with pytest.raises(TrainingError, match="epochs beside a complete configuration"):
        eventseg.train(root / "streets", root / "more", config=config, epochs=3)
    with pytest.raises(TrainingError, match="unknown setting 'networc'"):
        eventseg.train(root / "streets", root / "more", networc="enet")
    assert not (root / "more").exists()


def test_train_takes_a_source_and_leaves_it_open(root):
    source = eventseg.open_source(root / "streets")
    made = eventseg.train(
        source, root / "of source", network="enet", epochs=1, batch_size=4, workers=0, device="cpu"
    )
    assert source.labels(0).shape == (ROWS[1] - ROWS[0], SENSOR.width)
    source.close()
    assert len(made.history) == 1


def test_open_run_reads_what_train_returned(run, tmp_path):
    opened = eventseg.open_run(run.path)
    assert (opened.history, opened.config, opened.data) == (run.history, run.config, run.data)
    assert len(repr(opened)) < 300
    assert "best" in opened._repr_html_()
    assert opened.plot().axes
    assert pickle.loads(pickle.dumps(opened)).history == run.history
    with pytest.raises(TrainingError, match=r"is no run folder: it has no config\.toml"):
        eventseg.open_run(tmp_path)


@pytest.mark.slow
def test_evaluate(run):
    evaluation = run.evaluate(device="cpu", baselines=False, window="10ms,50ms")
    page, rows = evaluation
    assert page.is_file()
    assert [row.window for row in rows] == ["10ms", "50ms"]
    assert evaluation.scores is rows[0].scores
    assert "<table" in evaluation._repr_html_()
    assert "mean of those present" in evaluation.scores._repr_html_()
    assert len(repr(evaluation)) < 400
    with pytest.raises(TrainingError, match="unknown setting 'splitt'"):
        run.evaluate(splitt="val")


def test_predictions_have_the_bits_that_training_saw(root, run):
    source = eventseg.open_source(root / "streets")
    predictions = run.predict(root / "other.hdf5", device="cpu")
    assert len(predictions) == len(predictions.recording.frames) > 3
    for prediction in predictions:
        i = source.ids.index(prediction.id)
        seen = network_input(source, i, inputs=run.network.inputs, window="50ms").numpy()
        assert np.array_equal(prediction.input, seen)
        assert prediction.labels.shape == tuple(source.size)
        assert prediction.covered == source.covered("50ms")[i]
        assert np.array_equal(prediction.labels, prediction.probabilities.argmax(0))
        assert prediction.probabilities.sum(0) == pytest.approx(1, abs=1e-5)
        assert prediction.classes == run.network.classes
    source.close()


@pytest.mark.parametrize("kind", ["gray", "rgb", "both"])
def test_networks_of_frames(root, tmp_path, kind):
    path = frame_network(tmp_path / "net.pt", kind)
    source = eventseg.open_source(root / "streets")
    encoding = Encoding(
        sensor=SENSOR, rows=ROWS, normalise="evsegnet", ddof=1,
        representation=eventseg.parse_representation("mean-std"), filters=("refractory:1ms",),
    )  # fmt: skip
    made = eventseg.predict(path, root / "other.hdf5", encoding=encoding, device="cpu")
    network = eventseg.load_network(path)
    for prediction in made:
        i = source.ids.index(prediction.id)
        seen = network_input(source, i, inputs=network.inputs, window="50ms").numpy()
        assert np.array_equal(prediction.input, seen)
    before_any = eventseg.predict(
        path, root / "other.hdf5", every="5ms", window="5ms", device="cpu", encoding=encoding
    )
    first_us = int(before_any.recording.frames.t_us[0]) - before_any.recording.t_first_us
    assert before_any.skipped == (first_us - 1) // 5_000 >= 0 or first_us <= 0
    source.close()


def test_given_times_and_equal_distances_agree(root, run):
    stride = run.predict(root / "other.hdf5", every="50ms", device="cpu")
    times = [prediction.t_us for prediction in stride]
    assert np.diff(times).tolist() == [50_000] * (len(times) - 1)
    given = run.predict(root / "other.hdf5", times_us=times, device="cpu")
    assert given.ids == stride.ids
    for one, other in zip(stride, given, strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)
    again = run.predict(root / "other.hdf5", every=50_000, device="cpu")
    assert again.ids == stride.ids


def test_out_writes_indexed_label_maps_of_each_instant(root, run, tmp_path):
    predictions = run.predict(root / "other.hdf5", out=tmp_path / "maps", device="cpu")
    written = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert written == sorted(f"{name}.png" for name in predictions.ids)
    for prediction in predictions:
        path = tmp_path / "maps" / f"{prediction.id}.png"
        assert np.array_equal(read_labels(path, table=prediction.classes), prediction.labels)
        with Image.open(path) as image:
            assert image.mode == "P"
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EventsegError, match="cannot write"):
        run.predict(root / "other.hdf5", out=tmp_path / "file", device="cpu")


def test_a_prediction_can_be_looked_at(root, run):
    prediction = next(iter(run.predict(root / "other.hdf5", device="cpu")))
    assert prediction.plot().axes
    assert "<img" in prediction._repr_html_()
    assert len(repr(prediction)) < 200
    assert prediction.confidence.max() <= 1


@pytest.mark.slow
def test_a_long_recording_is_predicted_in_constant_memory(run, root):
    few, many = (
        run.predict(root / "drive.hdf5", every=step, device="cpu") for step in ("50ms", "4ms")
    )
    peaks = []
    for _ in few:  # loads and compiles all there is
        pass
    for predictions in (few, many):
        tracemalloc.start()
        for _ in predictions:
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    one = next(iter(many))
    assert len(many) > 10 * len(few)
    # All predictions together would be a hundred times what a batch of tensors takes.
    assert peaks[1] < len(many) * (one.probabilities.nbytes + one.input.nbytes) / 2


def test_predictor_takes_one_input(root, run):
    predict_one = eventseg.predictor(run.path / "best.pt", device="cpu")
    prediction = next(iter(run.predict(root / "other.hdf5", device="cpu")))
    assert np.array_equal(predict_one(prediction.input), prediction.probabilities)
    assert len(repr(predict_one)) < 200
    with pytest.raises(NetworkError, match="for a network of 6 channels"):
        predict_one(prediction.input[:3])


def test_logits_that_are_no_numbers_are_one_error(root, run, tmp_path):
    trained = eventseg.load_network(run.path / "best.pt")
    with torch.no_grad():
        next(trained.network.parameters()).fill_(math.nan)
    with pytest.raises(NetworkError, match="returns logits that are no numbers"):
        next(iter(eventseg.predict(trained, root / "other.hdf5", device="cpu")))
    save_network(tmp_path / "nan.pt", trained)
    command = ["evaluate", str(tmp_path / "nan.pt"), str(root / "streets"), "--calibration"]
    refused = CliRunner().invoke(main, [*command, "--device", "cpu", "--out", str(tmp_path / "e")])
    assert refused.exit_code == 1
    assert "its weights are damaged or its training diverged" in refused.stderr
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize(
    ("asked", "error", "match"),
    [
        ({"every": "0ms"}, WindowError, "positive"),
        ({"every": -5}, WindowError, "positive"),
        ({"every": 2.5}, WindowError, "whole microseconds"),
        ({"every": "soon"}, WindowError, "a number and a unit"),
        ({"window": 0}, WindowError, "positive"),
        ({"window": "3h"}, WindowError, "a number and a unit"),
        ({"window": "40s"}, WindowError, "is longer than other"),
        ({"times_us": []}, WindowError, "no instant"),
        ({"times_us": [0.5]}, WindowError, "whole microseconds"),
        ({"times_us": [[1]]}, WindowError, "whole microseconds"),
        ({"times_us": [10**12]}, WindowError, "lies outside other"),
        ({"times_us": [-(10**12)]}, WindowError, "lies outside other"),
        ({"times_us": [11_100_000, 11_000_000 + 50_000]}, WindowError, "must not decrease"),
    ],
)
def test_instants_that_make_no_sense(root, run, asked, error, match):
    with pytest.raises(error, match=match) as caught:
        run.predict(root / "other.hdf5", device="cpu", **asked)
    assert "\n" not in str(caught.value)


def test_another_sensor_and_unknown_channels_are_refused(root, run, tmp_path):
    with (
        eventseg.open_recording(root / "other.hdf5", sensor=eventseg.SensorSize(64, 80)) as rec,
        pytest.raises(NetworkError, match="sensor of 80x64 and the network was trained on 64x48"),
    ):
        run.predict(rec, device="cpu")
    blueprint = Blueprint("enet", 5, 2)
    table = eventseg.ClassTable(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    made = TrainedNetwork(
        blueprint.build().eval(), blueprint, InputSpec("events", 5, windows=("50ms",)), table
    )
    save_network(tmp_path / "net.pt", made)
    with pytest.raises(CheckpointError, match="does not say what its 5 event channels are"):
        eventseg.predict(tmp_path / "net.pt", root / "other.hdf5", device="cpu")


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events from 0 to 0.2 s and from 3 to 3.2 s, and one frame, whose exposure ends at 0.1 s."""
    path = tmp_path_factory.mktemp("paused") / "paused.hdf5"
    t = np.r_[np.arange(1, 201), np.arange(3_000, 3_201)] * 1_000
    x, y = np.arange(len(t)) % SENSOR.width, np.arange(len(t)) % SENSOR.height
    stream = eventseg.EventStream.from_arrays(t, x, y, np.arange(len(t)) % 2, sensor=SENSOR)
    with DDD17Writer(path, sensor=SENSOR, reorder_us=10_000_000) as writer:
        writer.add_events(stream)
        writer.add_frame(
            np.full(SENSOR, 90, np.uint8),
            t_start_us=90_000,
            exposure_start_us=91_000,
            exposure_end_us=100_000,
            t_end_us=105_000,
        )
    return path


TIMES_US = [50_000, 150_000, 3_020_000, 3_100_000, 3_200_000]


@pytest.mark.parametrize(
    ("age_us", "frames"),
    [
        (1_000_000, [-1, 0, -1, -1, -1]),
        (3_000_000, [-1, 0, 0, 0, -1]),
        (2_999_999, [-1, 0, 0, -1, -1]),
        (None, [-1, 0, 0, 0, 0]),
    ],
)
def test_frames_older_than_the_age_are_none(tmp_path, paused, age_us, frames):
    path, encoding = frame_network(tmp_path / "net.pt", "gray"), encoding_of(SENSOR)
    asked = {"times_us": TIMES_US, "encoding": encoding, "device": "cpu"}
    made = eventseg.predict(path, paused, max_frame_age_us=age_us, **asked)
    assert [each.t_us for each in made] == [
        t for t, f in zip(TIMES_US, frames, strict=True) if f >= 0
    ]
    assert made.skipped == frames.count(-1)
    # Strides follow the same rule.
    stride = eventseg.predict(
        path, paused, every="50ms", max_frame_age_us=age_us, encoding=encoding, device="cpu"
    )
    ages = [each.t_us - 100_000 for each in stride]
    assert max(ages) <= (10**9 if age_us is None else age_us)
    assert len(ages) == {1_000_000: 3, 3_000_000: 5, 2_999_999: 5, None: 8}[age_us]


def test_given_instants_have_the_age_of_encode_by_default(tmp_path, paused):
    path, encoding = frame_network(tmp_path / "net.pt", "gray"), encoding_of(SENSOR)
    with pytest.raises(WindowError, match="the network sees frames, and none is at most 1s old"):
        eventseg.predict(path, paused, times_us=[3_100_000], encoding=encoding, device="cpu")
    with pytest.raises(WindowError, match=r"must be 0 or more, or None for any age, got -1"):
        eventseg.predict(path, paused, max_frame_age_us=-1, encoding=encoding, device="cpu")


def test_covered_share_of_predictions_counts_gaps(tmp_path, paused):
    path, encoding = frame_network(tmp_path / "net.pt", "gray"), encoding_of(SENSOR)
    made = eventseg.predict(
        path, paused, times_us=TIMES_US[1:4], max_frame_age_us=None, encoding=encoding, device="cpu"
    )
    # The second window of 50 ms begins in the gap, which ends at 3 s.
    assert [each.covered for each in made] == [1.0, pytest.approx(0.4), 1.0]
