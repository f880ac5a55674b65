"""What a checkpoint states about its network, read without the values of its weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from eventseg.encoding.settings import Encoding
from eventseg.errors import CheckpointError
from eventseg.events import SensorSize
from eventseg.labels.maps import load_class_table
from eventseg.networks import (
    Blueprint,
    InputSpec,
    TrainedNetwork,
    load_network,
    parameter_count,
    save_network,
)
from eventseg.networks.checkpoints import load_without_values, read_inputs
from eventseg.networks.inputs import Scaling
from eventseg.networks.zoo import ARCHITECTURES

CLASSES = load_class_table("evsegnet6")
ENCODING = Encoding(SensorSize(64, 96), rows=(0, 48))
INPUTS = InputSpec("events", 6, Scaling(1.0, (0.5,), (0.25,)), ("50ms",), "raw", None, ENCODING)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stated") / "best.pt"
    blueprint = Blueprint("cgnet", 6, len(CLASSES))
    save_network(path, TrainedNetwork(blueprint.build(), blueprint, INPUTS, CLASSES, "a test"))
    return path


def test_statements_are_those_of_the_loaded_network(saved: Path) -> None:
    loaded, stated = load_network(saved), load_without_values(saved)
    assert read_inputs(saved) == stated.inputs == loaded.inputs == INPUTS
    assert (stated.blueprint, stated.classes, stated.source) == (
        loaded.blueprint,
        loaded.classes,
        loaded.source,
    )
    assert parameter_count(stated.network) == parameter_count(loaded.network)
    shapes = {name: tensor.shape for name, tensor in loaded.network.state_dict().items()}
    assert {name: t.shape for name, t in stated.network.state_dict().items()} == shapes


def test_no_value_of_a_weight_is_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    load = torch.load

    def watched(*arguments: Any, **settings: Any) -> Any:
        loaded = load(*arguments, **settings)
        read.extend(loaded["state_dict"].values())
        return loaded

    monkeypatch.setattr(torch, "load", watched)
    read_inputs(saved)
    stated = load_without_values(saved)
    assert read
    assert all(tensor.is_meta for tensor in (*read, *stated.network.state_dict().values()))


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_every_network_is_built_without_values(name: str) -> None:
    with torch.device("meta"):
        network = Blueprint(name, 6, 6).build()
    assert all(tensor.is_meta for tensor in network.state_dict().values())


@pytest.mark.parametrize("read", [read_inputs, load_without_values])
def test_files_that_state_nothing_are_refused(
    read: Callable[[Path], object], saved: Path, tmp_path: Path
) -> None:
    content = torch.load(saved)
    bad = tmp_path / "bad.pt"
    bad.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut short or damaged"):
        read(bad)
    torch.save(content["state_dict"], bad)
    with pytest.raises(CheckpointError, match="not written by eventseg"):
        read(bad)
    torch.save({**content, "inputs": {"kind": "events"}}, bad)
    with pytest.raises(CheckpointError, match="damaged or of another version"):
        read(bad)
    with pytest.raises(CheckpointError, match="no file of weights"):
        read(tmp_path / "none.pt")
