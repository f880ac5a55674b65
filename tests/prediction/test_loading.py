"""Prediction by exported files, published checkpoints and measured arithmetic."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from prediction_fixtures import SMALL_NETWORK, random_network
from recording_fixtures import write_recording
from torch.nn import functional

import eventseg
from eventseg.encoding import encoding_of
from eventseg.errors import CheckpointError, DatasetError, LabelError, NetworkError
from eventseg.events import SensorSize
from eventseg.labels.maps import load_class_table
from eventseg.networks import build_network, load_network, save_network
from eventseg.networks.inputs import IMAGENET, scaled
from eventseg.prediction import export
from eventseg.prediction.bench import bench
from eventseg.prediction.fast import FastSetting
from eventseg.prediction.predictor import predictor
from eventseg_cli.main import main

SENSOR = SensorSize(41, 55)
CAMVID = load_class_table("camvid11")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return write_recording(tmp_path_factory.mktemp("rec") / "rec.hdf5", sensor=SENSOR)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, recording):
    """An untrained network on events of the recording's sensor."""
    path = tmp_path_factory.mktemp("network") / "net.pt"
    code = path.with_name("small.py")
    code.write_text(SMALL_NETWORK)
    random_network(path, "events", name=f"{code}:Small")
    trained = load_network(path)
    inputs = replace(trained.inputs, encoding=encoding_of(SENSOR, normalise="evsegnet"))
    save_network(path, replace(trained, inputs=inputs))
    return path


@pytest.fixture(scope="module")
def exported(checkpoint):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    return export(checkpoint, checkpoint.with_name("net.onnx")).path


def test_an_exported_file_predicts_as_its_checkpoint(checkpoint, exported, recording, tmp_path):
    asked = {"every": "200ms", "probabilities": True, "device": "cpu"}
    plain = eventseg.predict_into(checkpoint, recording, tmp_path / "plain", **asked).folder
    onnx = eventseg.predict_into(exported, recording, tmp_path / "onnx", **asked).folder
    assert plain.ids == onnx.ids
    assert onnx.manifest.classes == plain.manifest.classes
    assert onnx.manifest.encoding == plain.manifest.encoding
    for name in plain.ids:
        np.testing.assert_allclose(
            onnx.probabilities(name), plain.probabilities(name), rtol=0, atol=2e-3
        )
        assert (onnx.labels(name) == plain.labels(name)).mean() > 0.999


def test_an_exported_file_keeps_inputs_and_classes(checkpoint, exported):
    trained, own = predictor(exported, device="cpu").trained, load_network(checkpoint)
    assert trained.inputs == own.inputs
    assert trained.classes == own.classes
    assert trained.blueprint == own.blueprint


@pytest.mark.slow
def test_exported_files_that_cannot_predict(checkpoint, exported, tmp_path):
    # Of one size, which is exported in a fraction of the time.
    labels = export(checkpoint, tmp_path / "labels.onnx", argmax=True, size=(41, 55)).path
    with pytest.raises(CheckpointError, match="returns labels, and logits are needed"):
        predictor(labels)
    fixed = export(checkpoint, tmp_path / "fixed.onnx", size=(41, 55)).path
    predict_one = predictor(fixed, device="cpu")
    assert predict_one(np.zeros((6, 41, 55), np.float32)).shape == (3, 41, 55)
    with pytest.raises(NetworkError, match="exported for inputs of 55x41, this one has 64x48"):
        predict_one(np.zeros((6, 48, 64), np.float32))
    program = export(checkpoint, tmp_path / "net.pt2", format="torch", size=(41, 55)).path
    with pytest.raises(CheckpointError, match="may run any code when it is loaded"):
        predictor(program)
    with pytest.raises(CheckpointError, match="is exported: export needs the run folder"):
        export(exported)
    with pytest.raises(CheckpointError, match="is exported: bench needs the run folder"):
        bench(exported)


def test_files_of_onnx_that_are_damaged_or_of_another_program(exported, tmp_path):
    import onnx

    content = exported.read_bytes()
    for name, damaged in {
        "empty": b"",
        "short": content[: len(content) // 2],
        "text": b"no network",
    }.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"\.onnx (is no ONNX file|does not say)"):
            predictor(path)
    model = onnx.load(exported)
    onnx.helper.set_model_props(model, {})
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(CheckpointError, match="only files that eventseg export wrote"):
        predictor(tmp_path / "other.onnx")
    onnx.helper.set_model_props(model, {"eventseg": '{"format": 1}'})
    onnx.save(model, tmp_path / "old.onnx")
    with pytest.raises(CheckpointError, match="another version of eventseg: export it again"):
        predictor(tmp_path / "old.onnx")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Weights of ENet with our tensor names, pictures, and what they should become."""
    root = tmp_path_factory.mktemp("published")
    torch.manual_seed(1)
    network = build_network("enet", in_channels=3, classes=11).eval()
    torch.save(network.state_dict(), root / "enet.pth")
    (root / "pictures").mkdir()
    expected = {}
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (24, 40, 3), np.uint8)
        Image.fromarray(pixels).save(root / "pictures" / f"{k}.png")
        x = scaled(pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(255), IMAGENET)
        with torch.inference_mode():
            logits = network(torch.from_numpy(x)[None])
        expected[str(k)] = functional.softmax(logits, 1)[0].argmax(0).numpy()
    return root, expected


def test_a_published_checkpoint_labels_pictures(published, tmp_path):
    root, expected = published
    arguments = ["predict", f"enet:{root / 'enet.pth'}", str(root / "pictures"), "--device", "cpu",
                 "--out", str(tmp_path / "out"), "--network-classes", "camvid11"]  # fmt: skip
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    folder = eventseg.open_predictions(tmp_path / "out")
    assert folder.manifest.classes == CAMVID
    assert folder.manifest.network["name"] == "enet-enet"
    assert set(folder.ids) == set(expected)
    for name, labels in expected.items():
        assert np.array_equal(folder.labels(name), labels)


def test_published_checkpoints_that_cannot_predict(published, checkpoint, tmp_path):
    root, _ = published
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        eventseg.predict_into(f"enet:{root / 'none.pth'}", root / "pictures", tmp_path / "a")
    with pytest.raises(LabelError, match="--network-classes"):
        eventseg.predict_into(
            f"enet:{root / 'enet.pth'}", root / "pictures", tmp_path / "b",
            network_classes="cityscapes19",
        )  # fmt: skip
    with pytest.raises(CheckpointError, match="states its classes"):
        eventseg.predict_into(
            checkpoint, root / "pictures", tmp_path / "c", network_classes="camvid11"
        )
    assert not list(tmp_path.iterdir())


def test_measured_arithmetic_is_part_of_the_settings(checkpoint, recording, tmp_path, monkeypatch):
    asked = {"every": "200ms", "device": "cpu"}
    with pytest.raises(CheckpointError, match="measure it first: eventseg bench"):
        eventseg.predict_into(checkpoint, recording, tmp_path / "fast", fast=True, **asked)
    setting = FastSetting("eager", "channels_last", "float32", 1)
    module = import_module("eventseg.prediction.bench")
    monkeypatch.setattr(module, "candidates", lambda *_a, **_k: [setting])
    bench(checkpoint, repetitions=1, batch=1, threads=(1,), device="cpu", most_changed=1.0)
    made = eventseg.predict_into(checkpoint, recording, tmp_path / "fast", fast=True, **asked)
    assert made.folder.manifest.settings["arithmetic"] == str(setting)
    plain = eventseg.predict_into(checkpoint, recording, tmp_path / "plain", **asked)
    assert "arithmetic" not in plain.folder.manifest.settings
    for name in plain.folder.ids:
        assert (plain.folder.labels(name) == made.folder.labels(name)).mean() > 0.999
    with pytest.raises(DatasetError, match="arithmetic was"):
        eventseg.predict_into(checkpoint, recording, tmp_path / "fast", **asked)
    with pytest.raises(DatasetError, match="jobs must be 1"):
        eventseg.predict_into(checkpoint, recording, tmp_path / "x", fast=True, jobs=2, **asked)
    refused = CliRunner().invoke(
        main, ["predict", str(checkpoint), str(recording), "--fast", "--threads", "1"]
    )
    assert refused.exit_code == 2
    assert "leave --jobs and --threads out" in refused.output


def test_an_exported_file_streams(exported, recording):
    live = eventseg.stream(exported, recording, every="200ms", speed=float("inf"), device="cpu")
    labels = [label.labels for label in live]
    expected = list(eventseg.predict(exported, recording, every="200ms", device="cpu"))
    assert len(labels) == len(expected) > 1
    for found, each in zip(labels, expected, strict=True):
        assert np.array_equal(found, each.labels)
