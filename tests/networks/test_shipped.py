"""The networks that come with the package work after installation, without any download."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from eventseg.errors import CheckpointError
from eventseg.evaluation.scored_network import find_network
from eventseg.events import EventStream, SensorSize
from eventseg.labels.maps import load_class_table
from eventseg.networks import SHIPPED, Blueprint, InputSpec, load_network
from eventseg.networks.shipped import ALIASES, FOLDER, shipped_file
from eventseg.prediction import predict
from eventseg.recordings import DDD17Writer, open_recording
from eventseg.training.config.config import load_config
from eventseg.training.initial import initialise
from eventseg_cli.main import main


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random events of the sensor that it was trained on."""
    rng = np.random.default_rng(0)
    sensor, n = SensorSize(260, 346), 20_000
    events = EventStream.from_arrays(
        np.sort(rng.integers(0, 300_000, n)),
        rng.integers(0, sensor.width, n),
        rng.integers(0, sensor.height, n),
        rng.integers(0, 2, n),
        sensor=sensor,
    )
    path = tmp_path_factory.mktemp("shipped") / "rec.hdf5"
    with DDD17Writer(path, sensor=sensor) as writer:
        writer.add_events(events)
    return path


def test_files_are_small_and_have_cards() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 5e6
    for name, file in SHIPPED.items():
        card = file.with_suffix(".md").read_text()
        for word in (
            name,
            "simulation only",
            "Where it fails",
            "mIoU",
            "BSD-3-Clause",
            "make_street_fastscnn",
        ):
            assert word in card, word


def test_network_says_what_it_sees() -> None:
    trained = load_network("street-fastscnn")
    assert trained.classes.names == load_class_table("evsegnet6").names
    assert (trained.inputs.kind, trained.inputs.windows[0], trained.inputs.windows[-1]) == (
        "events", "10ms", "250ms",
    )  # fmt: skip
    assert trained.inputs.encoding.sensor == SensorSize(260, 346)
    assert all(value.dtype != torch.float16 for value in trained.network.state_dict().values())
    assert "simulated" in trained.source


@pytest.mark.parametrize("window", ["10ms", "40ms", "250ms"])
def test_predicts_any_window(recording: Path, window: str) -> None:
    with open_recording(recording, sensor=SensorSize(260, 346)) as opened:
        (one,) = predict("street-fastscnn", opened, times_us=[280_000], window=window, device="cpu")
    assert one.labels.shape == (200, 346)  # the rows that DDD17 is cropped to
    np.testing.assert_allclose(one.probabilities.sum(0), 1, atol=1e-5)


def test_commands_know_the_name(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(
        main,
        ["predict", "street-fastscnn", str(recording), "--window=50ms", "--every=100ms",
         "--sensor=346x260", f"--out={out}", "--device=cpu"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert len(list(out.rglob("*.png"))) >= 2
    unknown = CliRunner().invoke(main, ["predict", "street-fastcnn", str(recording)])
    assert unknown.exit_code == 1
    assert "a shipped network: street-fastscnn" in unknown.output


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped_file("street") == shipped_file("street-fastscnn") == SHIPPED["street-fastscnn"]
    assert set(ALIASES.values()) <= SHIPPED.keys()
    assert find_network("street", checkpoint="best.pt").folder == Path("runs/street-fastscnn")
    Path("street-fastscnn").write_text("mine")
    assert shipped_file("street-fastscnn") is None
    with pytest.raises(CheckpointError, match="street-fastscnn"):
        load_network("street-fastscnn")


@pytest.mark.parametrize(("channels", "classes"), [(6, "evsegnet6"), (7, "camvid11")])
def test_training_begins_from_it(channels: int, classes: str) -> None:
    names = load_class_table(classes).names
    blueprint = Blueprint("fastscnn", channels, len(names))
    network = blueprint.build()
    # As the settings of a training are: paths in them are made absolute.
    config = load_config(overrides={"network.name": "fastscnn", "network.init": "street"})
    assert config.network.init == "street"
    made = initialise(
        network,
        settings=config.network,
        blueprint=blueprint,
        inputs=InputSpec("both" if channels == 7 else "events", channels),
        classes=names,
    )
    assert made is not None
    assert made.file == SHIPPED["street-fastscnn"]
    assert made.report.share > 0.9
    shipped = load_network("street").network.state_dict()
    same = [torch.equal(value, shipped[name]) for name, value in network.state_dict().items()]
    assert np.mean(same) > 0.9
