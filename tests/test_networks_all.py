"""What holds for every network by name: counts, errors, files, the table; slow: training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from eventseg.errors import CheckpointError, MissingExtraError, NetworkError
from eventseg.labels import ClassTable, load_class_table
from eventseg.networks import (
    ARCHITECTURES,
    Blueprint,
    InputSpec,
    SegmentationNetwork,
    TrainedNetwork,
    architecture,
    build,
    cost,
    load_network,
    load_published,
    parameter_count,
    save_network,
)
from eventseg.networks.converters.layout import Scaling
from eventseg.networks.cost import layers, smallest_stride
from eventseg.networks.late_fusion import LateFusion
from eventseg.networks.network import batch_norms
from eventseg_cli.main import main

# Parameters at 3 channels and 19 classes, and at 6 and 6, of the reference implementations.
COUNTS = {
    "evsegnet": (22_862_971, 22_863_406),
    "pspnet101": (65_707_475, 65_702_534),
    "pspnet50": (46_715_347, 46_710_406),
    "deeplabv3_resnet50": (39_638_355, 39_644_422),
    "deeplabv3_resnet101": (58_630_483, 58_636_550),
    "deeplabv3plus_resnet50": (39_761_331, 39_767_398),
    "deeplabv3plus_resnet101": (58_753_459, 58_759_526),
    "deeplabv3plus_xception": (37_050_011, 37_047_534),
    "deeplabv3plus_mobilenetv2": (5_225_203, 5_222_726),
    "unet": (31_038_803, 31_039_686),
    "denseaspp121": (8_280_851, 8_279_430),
    "denseaspp161": (35_395_427, 35_386_854),
    "denseaspp169": (18_420_675, 18_408_334),
    "denseaspp201": (28_639_987, 28_621_302),
    "enet": (351_660, 349_977),
    "segnet": (29_453_971, 29_448_198),
    "cgnet": (496_306, 499_044),
    "fastscnn": (1_138_051, 1_137_238),
}

DEEPER = {"pspnet101", "deeplabv3_resnet101", "deeplabv3plus_resnet101"} | {
    f"denseaspp{depth}" for depth in (161, 169, 201)
}
"""More layers of a kind that a shallower network by the same code has."""
DISTINCT = [name for name in ARCHITECTURES if name not in DEEPER]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    yield
    torch.set_num_threads(before)


@cache
def on_meta(name: str, in_channels: int, classes: int, **options: Any) -> SegmentationNetwork:
    """Return a network of shapes only; built once, so that no test may change it."""
    with torch.device("meta"):
        return build(name, in_channels=in_channels, classes=classes, **options)


def logits(network: nn.Module, x: Tensor) -> Tensor:
    found = network(x)
    assert isinstance(found, Tensor)
    return found


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["networks", *map(str, arguments)])


# Counts and shapes.


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_those_of_the_acceptance_table(name: str) -> None:
    rgb, events = COUNTS[name]
    assert parameter_count(on_meta(name, 3, 19)) == rgb
    assert parameter_count(on_meta(name, 6, 6)) == events


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_late_fusion_has_both_networks_and_the_inputs_size(name: str) -> None:
    fused = on_meta(name, 7, 6, fusion="late", frame_channels=1)
    assert fused.in_channels == 7
    assert parameter_count(fused) == sum(parameter_count(on_meta(name, n, 6)) for n in (1, 6))
    assert logits(fused.eval(), torch.empty(1, 7, 65, 97, device="meta")).shape == (1, 6, 65, 97)


@torch.no_grad()
def test_late_fusion_is_the_mean_of_the_logits() -> None:
    fused = build("fastscnn", in_channels=7, classes=4, fusion="late", frame_channels=3).eval()
    assert isinstance(fused, LateFusion)
    x = torch.randn(2, 7, 65, 97)
    expected = (logits(fused.of_frame, x[:, :3]) + logits(fused.of_events, x[:, 3:])) / 2
    torch.testing.assert_close(logits(fused, x), expected)


def test_late_fusion_fuses_auxiliary_heads_too() -> None:
    fused = build("fastscnn", in_channels=7, classes=4, fusion="late", auxiliary=True)
    assert [head.shape for head in fused(torch.randn(2, 7, 65, 97))] == [(2, 4, 65, 97)] * 2


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (65, 97), (33, 70)])
def test_library_networks_take_any_size(size: tuple[int, int]) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    network = build("smp:Unet/resnet18", in_channels=6, classes=5).eval()
    x = torch.randn(2, 6, *size)
    found = logits(network, x)
    assert found.shape == (2, 5, *size)
    if size == (32, 32):  # no padding: the library's own result
        assert torch.equal(found, network.network(x))


def test_cost_is_what_a_hand_counts() -> None:
    class Tiny(SegmentationNetwork):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
            self.apart = nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False)
            self.up = nn.ConvTranspose2d(8, 2, 2, stride=2)

        def heads(self, x: Tensor) -> list[Tensor]:
            return [self.up(self.apart(self.down(x)))]

    found = cost(Tiny(), height=32, width=64)
    pixels = 16 * 32
    assert found.parameters == (3 * 8 * 9 + 8) + 8 * 25 + (8 * 2 * 4 + 2)
    assert found.gmac * 1e9 == pytest.approx(pixels * (3 * 8 * 9 + 8 * 25 + 8 * 2 * 4))
    assert smallest_stride(Tiny()) == 2
    assert [line.split() for line in layers(Tiny(), height=32, width=64)] == [
        ["down", "Conv2d", "8x16x32", "224"],
        ["apart", "Conv2d", "8x16x32", "200"],
        ["up", "ConvTranspose2d", "2x32x64", "66"],
    ]


# Errors of building.


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NetworkError, match="unknown network 'fastscn'") as raised:
        build("fastscn", in_channels=6, classes=6)
    assert "did you mean fastscnn?" in str(raised.value)
    for name in ARCHITECTURES:
        assert name in str(raised.value)


@pytest.mark.parametrize("name", ["smp:", "smp:Unet", "smp:Unet/", "smp:/resnet18"])
def test_a_library_network_needs_both_parts_of_its_name(name: str) -> None:
    with pytest.raises(NetworkError, match="such as smp:Unet/resnet34"):
        architecture(name)


@pytest.mark.parametrize("name", ["smp:Net/resnet18", "smp:Unet/resnet19"])
def test_what_the_library_does_not_have_is_refused(name: str) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    with pytest.raises(NetworkError, match=f"{name} cannot be built"):
        build(name, in_channels=3, classes=2)


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eventseg\[smp\]'"):
        build("smp:Unet/resnet18", in_channels=3, classes=2)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_unknown_option_is_named(name: str) -> None:
    with pytest.raises(NetworkError, match=f"{name} cannot be built.*'colour'"):
        on_meta(name, 3, 2, colour="red")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_another_number_of_channels_says_what_the_network_was_built_for(name: str) -> None:
    network = on_meta(name, 6, 2)
    for shape in ((1, 3, 64, 64), (6, 64, 64)):
        with pytest.raises(NetworkError) as raised:
            network(torch.empty(shape, device="meta"))
        assert f"built for inputs (N, 6, H, W), got {shape}" in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "at least one input channel and one class, got 0 channels"),
        ({"classes": 0}, "and 0 classes"),
        ({"fusion": "middle"}, "fusion must be early or late, got 'middle'"),
        ({"fusion": "late", "frame_channels": 6}, "got 6 with 6 of the frame"),
        ({"fusion": "late", "frame_channels": 0}, "got 6 with 0 of the frame"),
        ({"init": "coco"}, "init must be random, imagenet or imagenet:PATH, got 'coco'"),
    ],
)
def test_arguments_that_are_not_allowed(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        build("fastscnn", **{"in_channels": 6, "classes": 6, **arguments})


def test_late_fusion_refuses_unequal_classes() -> None:
    with pytest.raises(NetworkError, match="equal classes, got 2 and 3"):
        LateFusion(on_meta("fastscnn", 1, 2), on_meta("fastscnn", 6, 3))


# Initial weights, frozen batch norms.


@pytest.fixture(scope="module")
def imagenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as torchvision publishes them, of random numbers."""
    path = tmp_path_factory.mktemp("imagenet") / "resnet50.pth"
    torch.save(models.resnet50(weights=None).state_dict(), path)
    return path


@pytest.mark.parametrize("channels", [3, 6])
def test_imagenet_weights_of_a_file_start_the_trunk(imagenet_file: Path, channels: int) -> None:
    network = build(
        "deeplabv3_resnet50", in_channels=channels, classes=2, init=f"imagenet:{imagenet_file}"
    )
    given = torch.load(imagenet_file)
    own = network.backbone.state_dict()
    assert set(own) == {name for name in given if not name.startswith("fc.")}
    first = own.pop("conv1.weight")
    for name, tensor in own.items():
        assert torch.equal(tensor, given[name]), name
    if channels == 3:
        assert torch.equal(first, given["conv1.weight"])
    else:  # a gray picture in all channels is seen as before
        torch.testing.assert_close(first.sum(1), given["conv1.weight"].sum(1))


def test_imagenet_weights_start_both_networks_of_late_fusion(imagenet_file: Path) -> None:
    fused = build(
        "deeplabv3_resnet50",
        in_channels=7,
        classes=2,
        fusion="late",
        init=f"imagenet:{imagenet_file}",
    )
    assert isinstance(fused, LateFusion)
    name = "backbone.layer4.2.conv3.weight"
    frame, events = fused.of_frame.state_dict()[name], fused.of_events.state_dict()[name]
    assert torch.equal(frame, events)


@pytest.mark.parametrize("name", ["pspnet50", "fastscnn"])
def test_a_network_without_such_a_trunk_names_those_that_have_one(name: str) -> None:
    with pytest.raises(NetworkError, match=f"no ImageNet weights for the trunk of {name}") as e:
        on_meta(name, 3, 2, init="imagenet")
    having = str(e.value).partition("it has them for ")[2].split(", ")
    assert having == [
        n
        for n in ARCHITECTURES
        if n.startswith(("deeplabv3", "denseaspp", "segnet")) and "xception" not in n
    ]


def test_imagenet_weights_of_another_trunk_are_refused(tmp_path: Path, imagenet_file: Path) -> None:
    with pytest.raises(CheckpointError):
        on_meta("deeplabv3_resnet101", 3, 2, init=f"imagenet:{imagenet_file}")
    with pytest.raises(CheckpointError, match="no file of weights"):
        on_meta("deeplabv3_resnet50", 3, 2, init=f"imagenet:{tmp_path / 'gone.pth'}")


@pytest.mark.parametrize("fusion", ["early", "late"])
def test_frozen_batch_norms_keep_everything_in_training(fusion: Any) -> None:
    network = build("cgnet", in_channels=7, classes=3, fusion=fusion, frozen_batch_norm=True)
    network.train()
    norms = list(batch_norms(network))
    before = [{n: t.clone() for n, t in norm.state_dict().items()} for norm in norms]
    optimiser = torch.optim.SGD((p for p in network.parameters() if p.requires_grad), lr=0.1)
    network(torch.randn(2, 7, 40, 56)).square().mean().backward()
    optimiser.step()
    assert len(norms) >= 54
    for norm, kept in zip(norms, before, strict=True):
        assert not norm.training
        for name, tensor in norm.state_dict().items():
            assert torch.equal(tensor, kept[name])
    assert any(p.grad is not None for p in network.parameters())


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


@pytest.fixture(scope="module")
def saved_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "best.pt"
    save_network(path, trained(OWN_TABLE))
    return path


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
    network = build("fastscnn", in_channels=3, classes=19).eval()
    path, mark = tmp_path / "code.pth", tmp_path / "code_ran"
    torch.save({"state_dict": network.state_dict(), "hook": RunsCode(mark)}, path)
    with pytest.raises(CheckpointError, match=r"--unsafe-pickle \(unsafe_pickle=True\)"):
        load_published("fastscnn", path)
    assert not mark.exists()
    loaded = load_published("fastscnn", path, unsafe_pickle=True)
    assert mark.exists()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor), name


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


# The command.


def test_table_lists_every_network_with_its_cost() -> None:
    result = run("fastscnn", "cgnet", "--channels", 3, "--classes", 19, "--size", "640x360")
    head, columns, *rows = result.stdout.splitlines()
    assert head == "3 channels, 19 classes, GMAC at 640x360"
    assert columns.split()[:4] == ["name", "parameters", "GMAC", "stride"]
    assert [row.split()[:4] for row in rows] == [
        ["fastscnn", "1,138,051", rows[0].split()[2], "32"],
        ["cgnet", "496,306", "2.97", "8"],
    ]
    assert "Cityscapes test: 64.8" in rows[1]


def test_without_a_name_all_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two stand for all: counting the multiplications of all takes long.
    for name in list(ARCHITECTURES):
        if name not in ("enet", "fastscnn"):
            monkeypatch.delitem(ARCHITECTURES, name)
    assert [row.split()[0] for row in run().stdout.splitlines()[2:]] == ["enet", "fastscnn"]


def test_summary_lists_layers_and_options_reach_the_network() -> None:
    plain = run("fastscnn", "--summary").stdout.splitlines()
    assert "fastscnn: layers of an input 1x6x256x352" in plain
    rows = [line.split() for line in plain[plain.index("") + 2 :]]
    assert ["logits.1", "Conv2d", "6x32x44", "774"] in rows
    counted = sum(int(row[3].replace(",", "")) for row in rows)
    assert counted == COUNTS["fastscnn"][1]
    changed = run("fastscnn", "--option", "pyramid_exit=3x3", "--option", "fusion_bias=false")
    assert "1,399,126" in changed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone"], 1, "error: unknown network 'gone'"),
        (["fastscnn", "--option", "colour=red"], 1, "error: fastscnn cannot be built"),
        (["fastscnn", "--channels", "0"], 1, "error: a network needs at least one"),
        (["fastscnn", "--option", "colour"], 2, "'colour' is not KEY=VALUE"),
        (["fastscnn", "--size", "640"], 2, "WIDTHxHEIGHT"),
    ],
)
def test_errors_of_the_command(arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    if code == 1:
        assert len(result.stderr.splitlines()) == 1


# Slow: every network trains, is exported, compiled and spread.


def pictures(*, classes: int = 4) -> tuple[Tensor, Tensor]:
    """Return four pictures in which every class has a colour, and their labels.

    float32 (4, 3, 64, 96), int64 (4, 64, 96). A slanted line and a level one part each picture.
    """
    made = torch.Generator().manual_seed(0)
    colours = torch.randn(classes, 3, generator=made)
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    truth = torch.stack(
        [
            (2 * (x + slant * y > 48) + (y > level)).roll(shift, dims=1)
            for slant, level, shift in ((0.3, 20, 0), (-0.2, 40, 10), (0.1, 30, 20), (0.0, 25, 5))
        ]
    )
    noise = 0.3 * torch.randn(4, 3, 64, 96, generator=made)
    return colours[truth].permute(0, 3, 1, 2) + noise, truth


@torch.no_grad()
def accuracy(network: SegmentationNetwork, x: Tensor, truth: Tensor) -> float:
    """Return the share of right pixels in evaluation mode, with statistics of these pictures.

    Running statistics follow slowly (by 0.7 % a step in EV-SegNet's decoder), and a few steps
    of training leave them far behind the weights. So batch norms take them from one pass over
    the pictures, without dropout, before the network is used as anyone would.
    """
    network.eval()
    for norm in batch_norms(network):
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean
        norm.train()
    network(x)
    network.eval()
    found = (logits(network, x).argmax(1) == truth).float().mean().item()
    network.train()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTINCT)
def test_four_pictures_are_learnt_by_heart(name: str) -> None:
    x, truth = pictures()
    network = build(name, in_channels=3, classes=4).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=RATES.get(name, 1e-3))
    best = accuracy(network, x, truth)
    assert best < 0.7
    for step in range(1, 241):
        loss = functional.cross_entropy(logits(network, x), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0:
            best = accuracy(network, x, truth)
            if best > 0.95:
                break
    print(f"{name}: {best:.4f} after {step} steps")
    assert best > 0.95


RATES = {"enet": 5e-3, "cgnet": 5e-3, "fastscnn": 5e-3}
"""Learning rates of the small networks; 1e-3 for the others."""


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", DISTINCT)
def test_exported_networks_give_what_the_network_gives(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = build(name, in_channels=6, classes=5).eval()
    x = torch.randn(1, 6, 64, 96)
    expected = logits(network, x)
    tolerance = 1e-4 * expected.abs().max().item()
    exported = torch.export.export(network, (x,))
    torch.testing.assert_close(exported.module()(x), expected, rtol=0, atol=tolerance)
    path = tmp_path / "network.onnx"
    torch.onnx.export(exported, (x,), dynamo=True, verbose=False).save(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=tolerance)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", DISTINCT)
def test_compiled_networks_are_one_graph(name: str) -> None:
    network = build(name, in_channels=6, classes=5).eval()
    x = torch.randn(1, 6, 64, 96)
    torch.compiler.reset()  # all networks share one forward, compiled a limited number of times
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    expected = logits(network, x)
    tolerance = 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(compiled(x), expected, rtol=0, atol=tolerance)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_half_precision_and_channels_last(name: str) -> None:
    network = build(name, in_channels=6, classes=5).eval()
    x = torch.randn(1, 6, 64, 96)
    expected = logits(network, x)
    scale = expected.abs().max().item()
    last = torch.channels_last
    network, x = network.to(memory_format=last), x.to(memory_format=last)
    torch.testing.assert_close(logits(network, x), expected, rtol=0, atol=1e-4 * scale)
    with torch.autocast("cpu", torch.bfloat16):
        found = logits(network, x)
    assert found.shape == expected.shape
    # Eight bits of mantissa a layer: the logits stay close as a whole, not each.
    error = (found.float() - expected).square().mean().sqrt().item()
    assert error < 0.1 * scale


def one_step(rank: int, folder: Path) -> None:
    """Write the gradients of one of two processes; each sees half of the pictures."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    torch.manual_seed(rank)  # other weights: they must come from the first process
    network = build("fastscnn", in_channels=3, classes=4, dropout=0.0)
    x, truth = pictures()
    if rank == 0:
        torch.save(network.state_dict(), folder / "start.pt")
    spread = nn.parallel.DistributedDataParallel(network)
    half = slice(2 * rank, 2 * rank + 2)
    functional.cross_entropy(spread(x[half]), truth[half]).backward()
    torch.save({n: p.grad for n, p in network.named_parameters()}, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_mean_gradient_of_both(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(one_step, (tmp_path,), nprocs=2)
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    x, truth = pictures()
    alone = []
    for rank in (0, 1):
        network = build("fastscnn", in_channels=3, classes=4, dropout=0.0)
        network.load_state_dict(torch.load(tmp_path / "start.pt"))
        half = slice(2 * rank, 2 * rank + 2)
        functional.cross_entropy(logits(network, x[half]), truth[half]).backward()
        alone.append({n: p.grad for n, p in network.named_parameters()})
    for name, gradient in found[0].items():
        assert gradient.any(), name
        assert torch.equal(gradient, found[1][name]), name
        mean = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(gradient, mean, rtol=1e-4, atol=1e-6)
