"""Files of weights: our own and published ones, whole, damaged and hostile."""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks_fixtures import logits, one_thread  # noqa: F401 - a fixture
from torchvision import models

from eventseg.errors import CheckpointError, NetworkError
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.labels.tables import Merge
from eventseg.networks import (
    Blueprint,
    InputSpec,
    TrainedNetwork,
    build_network,
    load_network,
    load_published,
    parameter_count,
    save_network,
)
from eventseg.networks.checkpoints import load_without_values
from eventseg.networks.initial_weights import read_initial
from eventseg.networks.inputs import Scaling
from eventseg.networks.published import sizes_of
from eventseg.networks.transfer import transfer

pytestmark = pytest.mark.usefixtures("one_thread")

# Our own files.


def trained(classes: ClassTable) -> TrainedNetwork:
    blueprint = Blueprint(
        "fastscnn",
        7,
        len(classes),
        fusion="late",
        frozen_batch_norm=True,
        options={"pyramid_exit": "3x3", "fusion_bias": False},
    )
    inputs = InputSpec("both", 7, Scaling(1.0, (0.5,), (0.25,)), ("50ms",), "raw", (64, 96))
    return TrainedNetwork(blueprint.build().eval(), blueprint, inputs, classes, "a test")


OWN_TABLE = ClassTable(("road", "all else"), ((1, 2, 3), (4, 5, 6)))


@torch.no_grad()
@pytest.mark.parametrize("table", ["evsegnet6", "cityscapes19", None])
def test_a_saved_network_comes_back_with_all_that_it_needs(
    tmp_path: Path, table: str | None
) -> None:
    classes = OWN_TABLE if table is None else load_class_table(table)
    saved = trained(classes)
    save_network(tmp_path / "best.pt", saved, epoch=3)
    loaded = load_network(tmp_path / "best.pt")
    assert loaded.blueprint == saved.blueprint
    assert loaded.inputs == saved.inputs
    assert (loaded.source, loaded.classes) == ("a test", classes)
    assert loaded.classes.merges == classes.merges
    assert bool(classes.merges) == (table is not None)
    assert not loaded.network.training
    assert loaded.network.frozen_batch_norm
    x = torch.randn(1, 7, 65, 97)
    assert torch.equal(logits(loaded.network, x), logits(saved.network, x))
    assert torch.load(tmp_path / "best.pt")["epoch"] == 3
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["best.pt"]


def test_a_table_of_a_users_own_comes_back_with_its_name_and_merges(tmp_path: Path) -> None:
    merges = (Merge("cityscapes19", "", (("a", ("road", "sidewalk")), ("ignored", ("sky",)))),)
    classes = replace(OWN_TABLE, name="mine", merges=merges)
    save_network(tmp_path / "best.pt", trained(classes))
    loaded = load_network(tmp_path / "best.pt").classes
    assert (loaded, loaded.name, loaded.merges) == (classes, "mine", merges)


@pytest.fixture(scope="module")
def saved_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "best.pt"
    save_network(path, trained(OWN_TABLE))
    return path


def test_a_library_network_is_described_and_initialised_from_without_values(
    tmp_path: Path,
) -> None:
    # Its encoder computes with numbers when it is built, and takes three channels alone.
    smp = pytest.importorskip("segmentation_models_pytorch")
    assert "mit_b0" in smp.encoders.get_encoder_names()
    table = load_class_table("evsegnet6")
    blueprint = Blueprint("smp:Segformer/mit_b0", 3, len(table))
    network = blueprint.build().eval()
    path = tmp_path / "mit.pt"
    save_network(path, TrainedNetwork(network, blueprint, InputSpec("rgb", 3), table, "a test"))
    stated = load_without_values(path)
    assert (stated.blueprint, stated.classes) == (blueprint, table)
    assert parameter_count(stated.network) == parameter_count(network)
    weights = read_initial(str(path), network=blueprint.name, options={})
    other = blueprint.build()
    report = transfer(
        other, weights, blueprint=blueprint, inputs=InputSpec("rgb", 3), classes=table.names
    )
    assert report.share == 1.0
    assert sizes_of(blueprint.name, network.state_dict(), {}) == (3, len(table))


def test_encoder_weights_are_fetched_for_a_new_network_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch")
    create = smp.create_model
    asked: list[str | None] = []

    def create_offline(*names: Any, encoder_weights: str | None, **options: Any) -> Any:
        asked.append(encoder_weights)
        if encoder_weights is not None:
            raise FileNotFoundError("no outgoing traffic\nand more of it")
        return create(*names, encoder_weights=None, **options)

    monkeypatch.setattr(smp, "create_model", create_offline)
    table = load_class_table("evsegnet6")
    blueprint = Blueprint("smp:Unet/resnet18", 3, len(table), options={"weights": "imagenet"})
    network = blueprint.build(weights_follow=True).eval()
    path = tmp_path / "unet.pt"
    save_network(path, TrainedNetwork(network, blueprint, InputSpec("rgb", 3), table, "a test"))
    assert load_network(path).blueprint == blueprint
    load_without_values(path)
    torch.save(network.state_dict(), tmp_path / "bare.pth")
    read_initial(str(tmp_path / "bare.pth"), network=blueprint.name, options=blueprint.options)
    assert set(asked) == {None}
    with pytest.raises(
        CheckpointError,
        match=r"fetch the weights 'imagenet' of encoder resnet18: no outgoing traffic; leave",
    ):
        blueprint.build()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(saved_file: Path, tmp_path: Path, share: float) -> None:
    content = saved_file.read_bytes()
    path = tmp_path / "cut.pt"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"cut\.pt") as raised:
        load_network(path)
    assert len(str(raised.value).splitlines()) == 1


def other_table(held: dict[str, Any]) -> None:
    held["classes"]["colours"] = held["classes"]["colours"][:1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda held: held.update(format="eventseg network 9"), "this version reads"),
        (lambda held: held.pop("format"), "was not written by eventseg"),
        (lambda held: held.pop("classes"), "damaged or of another version"),
        (lambda held: held["blueprint"].update(name="gone"), "damaged.*unknown network 'gone'"),
        (lambda held: held["blueprint"].update(classes=3), "damaged or of another version"),
        (lambda held: held["inputs"].pop("kind"), "damaged or of another version"),
        (lambda held: held["state_dict"].popitem(), "damaged or of another version"),
        (other_table, "damaged or of another version"),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(
    saved_file: Path, tmp_path: Path, change: Any, message: str
) -> None:
    held = torch.load(saved_file)
    change(held)
    path = tmp_path / "changed.pt"
    torch.save(held, path)
    with pytest.raises(CheckpointError, match=message) as raised:
        load_network(path)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("held", [{"weight": torch.zeros(2)}, [1, 2], 3])
def test_a_file_of_another_project_is_no_network_of_ours(tmp_path: Path, held: object) -> None:
    torch.save(held, tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match="name its network, as in pspnet101:PATH"):
        load_network(tmp_path / "foreign.pt")


# Published checkpoints.


class RunsCode:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_with_code_is_refused_unless_it_is_trusted(tmp_path: Path) -> None:
    network = build_network("fastscnn", in_channels=3, classes=19).eval()
    path, mark = tmp_path / "code.pth", tmp_path / "code_ran"
    torch.save({"state_dict": network.state_dict(), "hook": RunsCode(mark)}, path)
    with pytest.raises(CheckpointError, match=r"--unsafe-pickle \(unsafe_pickle=True\)"):
        load_published("fastscnn", path)
    assert not mark.exists()
    loaded = load_published("fastscnn", path, unsafe_pickle=True)
    assert mark.exists()
    found = loaded.network.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(found[name], tensor), name


PUBLISHED_EXTRAS = {
    "epoch": 3,
    "best_miou": np.float64(0.5),
    "iou": np.arange(3, dtype=np.float32),
    "args": argparse.Namespace(lr=0.1, data=Path("data"), started=datetime(2020, 1, 2)),
    "history": defaultdict(list, {"loss": [np.float32(1.5)]}),
}
"""What training scripts leave beside the tensors."""


def optimiser_state() -> dict[str, Any]:
    layer = torch.nn.Linear(2, 2)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    return optimiser.state_dict()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", ["state_dict", "model", "ema_state_dict"])
def test_a_checkpoint_as_scripts_leave_it_is_loaded(tmp_path: Path, key: str, zipped: bool) -> None:
    network = build_network("fastscnn", in_channels=3, classes=19).eval()
    held = {**PUBLISHED_EXTRAS, "optimizer": optimiser_state(), key: network.state_dict()}
    torch.save(held, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    loaded = load_published("fastscnn", tmp_path / "a.pth").network.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def compiled(network: torch.nn.Module) -> Any:
    """Wrap a network as ``torch.compile`` does; without the compiler, which takes long to load."""
    return torch.compile(network, backend="eager")


@pytest.mark.parametrize(
    "wrap",
    [
        torch.nn.DataParallel,
        torch.optim.swa_utils.AveragedModel,
        compiled,
        lambda n: torch.nn.DataParallel(compiled(n)),
        *(
            pytest.param(wrap, marks=pytest.mark.slow)
            for wrap in (
                lambda n: compiled(torch.nn.DataParallel(n)),
                lambda n: torch.optim.swa_utils.AveragedModel(torch.nn.DataParallel(n)),
                lambda n: torch.nn.ModuleDict({"model": n}),
            )
        ),
    ],
)
def test_names_of_wrapped_networks_are_those_of_the_bare_one(tmp_path: Path, wrap: Any) -> None:
    network = build_network("fastscnn", in_channels=3, classes=19).eval()
    torch.save(wrap(network).state_dict(), tmp_path / "a.pth")
    loaded = load_published("fastscnn", tmp_path / "a.pth").network.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_a_network_with_one_compiled_part_is_loaded(tmp_path: Path) -> None:
    network = build_network("fastscnn", in_channels=3, classes=19).eval()
    first = next(iter(network.state_dict())).partition(".")[0]
    renamed = {
        name.replace(f"{first}.", f"{first}._orig_mod.", 1): tensor
        for name, tensor in network.state_dict().items()
    }
    torch.save(renamed, tmp_path / "a.pth")
    assert load_published("fastscnn", tmp_path / "a.pth").report.whole
    torch.save({**renamed, **network.state_dict()}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="holds two tensors of the name"):
        load_published("fastscnn", tmp_path / "b.pth")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({"cfg": {"nets": [1, Fraction(1, 2)]}}, r"fractions\.Fraction under cfg\.nets\[1\], "),
        ({"args": argparse.Namespace(head=Fraction(1, 2))}, r"Fraction under args\.head, "),
        ({"hook": Path.touch}, "getattr under hook, "),
    ],
)
def test_the_key_of_an_object_that_could_run_code_is_named(
    tmp_path: Path, held: dict[str, Any], message: str, zipped: bool
) -> None:
    state = build_network("fastscnn", in_channels=3, classes=19).state_dict()
    path = tmp_path / "a.pth"
    torch.save({"state_dict": state, **held}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=f"{message}.*--unsafe-pickle") as raised:
        load_published("fastscnn", path)
    assert len(str(raised.value).splitlines()) == 1
    assert load_published("fastscnn", path, unsafe_pickle=True).report.whole


def test_a_file_of_no_known_layout_shows_how_it_begins(tmp_path: Path) -> None:
    torch.save({f"foreign.{i}.weight": torch.zeros(2) for i in range(9)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no known layout of cgnet") as raised:
        load_published("cgnet", tmp_path / "a.pth")
    for words in ("wutianyirosun", "mmseg", "foreign.0.weight", "foreign.3.weight"):
        assert words in str(raised.value)
    assert "foreign.4.weight" not in str(raised.value)


def test_a_checkpoint_that_fits_in_part_is_refused_with_the_first_mismatches(
    tmp_path: Path,
) -> None:
    state = models.segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=19
    ).state_dict()
    del state["backbone.layer1.0.conv2.weight"]
    state["backbone.layer1.0.extra.weight"] = torch.zeros(1)
    state["backbone.layer1.0.conv1.weight"] = torch.zeros(64, 64, 3, 3)
    torch.save({"model": state}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="does not fit deeplabv3_resnet50") as raised:
        load_published("deeplabv3_resnet50", tmp_path / "a.pth")
    for words in (
        "1 missing: backbone.layer1.0.conv2.weight",
        "1 unexpected: backbone.layer1.0.extra.weight",
        "mismatched: backbone.layer1.0.conv1.weight (64, 64, 3, 3), network (64, 64, 1, 1)",
    ):
        assert words in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no file of weights"), (b"", "a.pth"), (b"no pickle", "a.pth")],
)
def test_files_that_hold_no_weights(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_published("fastscnn", path)
    with pytest.raises(NetworkError, match="unknown network"):
        load_published("gone", path)


def test_a_file_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"epoch": 3}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no tensors by name"):
        load_published("fastscnn", tmp_path / "a.pth")
