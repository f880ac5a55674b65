"""What holds for every network by name: counts, shapes, errors of building, the table."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from networks_fixtures import logits, on_meta, one_thread  # noqa: F401 - a fixture
from torch import Tensor, nn
from torchvision import models

from eventseg.errors import CheckpointError, MissingExtraError, NetworkError
from eventseg.networks import (
    ARCHITECTURES,
    SegmentationNetwork,
    architecture,
    build_network,
    cost,
    parameter_count,
)
from eventseg.networks.blocks.late_fusion import LateFusion
from eventseg.networks.build import imagenet_source
from eventseg.networks.cost import layers, smallest_stride
from eventseg.networks.network import batch_norms
from eventseg_cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

FEW = {"evsegnet", "fastscnn", "enet", "deeplabv3_resnet50"}
"""Networks for tests of code that all share; the others are among the slow tests."""

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


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["networks", *map(str, arguments)])


# Counts and shapes.


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_those_of_the_acceptance_table(name: str) -> None:
    rgb, events = COUNTS[name]
    assert parameter_count(on_meta(name, 3, 19)) == rgb
    assert parameter_count(on_meta(name, 6, 6)) == events


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in FEW)) for name in ARCHITECTURES],
)
def test_late_fusion_has_both_networks_and_the_inputs_size(name: str) -> None:
    fused = on_meta(name, 7, 6, fusion="late", frame_channels=1)
    assert fused.in_channels == 7
    assert parameter_count(fused) == sum(parameter_count(on_meta(name, n, 6)) for n in (1, 6))
    assert logits(fused.eval(), torch.empty(1, 7, 65, 97, device="meta")).shape == (1, 6, 65, 97)


@torch.no_grad()
def test_late_fusion_is_the_mean_of_the_logits() -> None:
    fused = build_network(
        "fastscnn", in_channels=7, classes=4, fusion="late", frame_channels=3
    ).eval()
    assert isinstance(fused, LateFusion)
    x = torch.randn(2, 7, 65, 97)
    expected = (logits(fused.of_frame, x[:, :3]) + logits(fused.of_events, x[:, 3:])) / 2
    torch.testing.assert_close(logits(fused, x), expected)


def test_late_fusion_fuses_auxiliary_heads_too() -> None:
    fused = build_network("fastscnn", in_channels=7, classes=4, fusion="late", auxiliary=True)
    assert [head.shape for head in fused(torch.randn(2, 7, 65, 97))] == [(2, 4, 65, 97)] * 2


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (65, 97), (33, 70)])
def test_library_networks_take_any_size(size: tuple[int, int]) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    network = build_network("smp:Unet/resnet18", in_channels=6, classes=5).eval()
    x = torch.randn(2, 6, *size)
    found = logits(network, x)
    assert found.shape == (2, 5, *size)
    if size == (32, 32):  # no padding: the library's own result
        assert torch.equal(found, network.network(x))


def test_library_networks_of_one_size_say_so() -> None:
    pytest.importorskip("segmentation_models_pytorch")
    network = build_network("smp:Unet/resnet18", in_channels=3, classes=2).eval()

    def refuse(_: Tensor) -> Tensor:
        raise AssertionError("Input height (64) doesn't match model (224).")

    network.network.encoder.forward = refuse
    with pytest.raises(
        NetworkError, match=r"Unet .* takes no input of 96x64: Input .*size\.resize"
    ):
        network(torch.zeros(1, 3, 64, 96))


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


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_unknown_name_is_told_the_nearest_one_and_what_lists_all(name: str) -> None:
    with pytest.raises(NetworkError, match=f"unknown network '{name[:-1]}'") as raised:
        build_network(name[:-1], in_channels=6, classes=6)
    asked, _, rest = str(raised.value).partition("?")
    assert name in asked
    assert "eventseg networks lists all" in rest


@pytest.mark.parametrize("name", ["smp:", "smp:Unet", "smp:Unet/", "smp:/resnet18"])
def test_a_library_network_needs_both_parts_of_its_name(name: str) -> None:
    with pytest.raises(NetworkError, match="such as smp:Unet/resnet34"):
        architecture(name)


@pytest.mark.parametrize("name", ["smp:Net/resnet18", "smp:Unet/resnet19"])
def test_what_the_library_does_not_have_is_refused(name: str) -> None:
    pytest.importorskip("segmentation_models_pytorch")
    with pytest.raises(NetworkError, match=f"{name} cannot be built"):
        build_network(name, in_channels=3, classes=2)


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MissingExtraError, match=r"uv sync --extra smp"):
        build_network("smp:Unet/resnet18", in_channels=3, classes=2)


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
        build_network("fastscnn", **{"in_channels": 6, "classes": 6, **arguments})


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
    network = build_network(
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
    fused = build_network(
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


@pytest.mark.parametrize("name", [pytest.param("pspnet50", marks=pytest.mark.slow), "fastscnn"])
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


def test_source_of_imagenet_weights_has_the_digest_that_torchvision_checks() -> None:
    named = {name: imagenet_source(on_meta(name, 3, 2)) for name in ("segnet", "cgnet")}
    assert named == {"segnet": "vgg16_bn-6c64b313.pth", "cgnet": ""}
    late = on_meta("deeplabv3_resnet50", 7, 2, fusion="late")
    assert re.fullmatch(r"resnet50-[0-9a-f]{8}\.pth", imagenet_source(late))


@pytest.mark.parametrize("fusion", ["early", "late"])
def test_frozen_batch_norms_keep_everything_in_training(fusion: Any) -> None:
    network = build_network(
        "cgnet", in_channels=7, classes=3, fusion=fusion, frozen_batch_norm=True
    )
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


def test_without_a_name_all_are_listed() -> None:
    assert [row.split()[0] for row in run().stdout.splitlines()[2:]] == list(ARCHITECTURES)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in FEW)) for name in ARCHITECTURES],
)
def test_known_sizes_are_those_of_the_network(name: str) -> None:
    network = on_meta(name, 6, 6)
    computed = cost(network, height=256, width=352)
    size = ARCHITECTURES[name].size
    assert size is not None
    assert size == (computed.parameters, round(computed.gmac, 2), smallest_stride(network))


def test_documented_sizes_are_the_known_ones() -> None:
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text()
    for name, entry in ARCHITECTURES.items():
        assert entry.size is not None
        parameters, gmac, stride = entry.size
        assert f"| `{name}` | {parameters:,} | {gmac:.2f} | {stride} |" in page


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
