"""CGNet, Fast-SCNN and DenseASPP, and the trunk DenseNet."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from eventseg.errors import CheckpointError, NetworkError
from eventseg.networks import denseaspp
from eventseg.networks.blocks import densenet
from eventseg.networks.blocks.densenet import DenseNet
from eventseg.networks.cgnet import CGNet
from eventseg.networks.cost import cost
from eventseg.networks.denseaspp import DenseASPP
from eventseg.networks.fastscnn import Enlarge, FastSCNN
from eventseg.networks.network import SegmentationNetwork, parameter_count

AUX = {"auxiliary": True}
MMSEG = {"pyramid_exit": "3x3", "fusion_bias": False}
TRAMAC = {"stem_padding": 0, "depthwise_activation": True, "align_corners": True}
TRANSPOSED = {"upsampling": "transposed"}
M3N15 = {"blocks_stage3": 15}
FEW = {"blocks_stage2": 2, "blocks_stage3": 2}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Exact equality needs the same order of sums; two threads gain little here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    yield
    torch.set_num_threads(before)


def on_meta(make: Any, *sizes: int, **options: Any) -> Any:
    with torch.device("meta"):
        return make(*sizes, **options)


def small_denseaspp(in_channels: int, classes: int, **options: Any) -> DenseASPP:
    """Return a DenseASPP with two layers a block and few channels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(densenet.DEPTHS, 121, densenet.Widths(16, 8, (2, 2, 2, 2)))
        patch.setitem(denseaspp.HEADS, 121, (8, 4))
        return DenseASPP(in_channels, classes, **options)


# (class, options, parameters at 3 channels and 19 classes, at 3 and 6, at 6 and 6).
COUNTS = [
    (CGNet, {}, 496_306, 492_978, 499_044),
    (CGNet, M3N15, 423_682, 420_354, 426_420),
    (FastSCNN, {}, 1_138_051, 1_136_374, 1_137_238),
    (FastSCNN, AUX, 1_157_174, 1_155_068, 1_155_932),
    (FastSCNN, TRAMAC, 1_138_051, 1_136_374, 1_137_238),
    (FastSCNN, MMSEG, 1_399_939, 1_398_262, 1_399_126),
    (DenseASPP, {}, 8_280_851, 8_270_022, 8_279_430),
    (DenseASPP, {"depth": 161}, 35_395_427, 35_372_742, 35_386_854),
    (DenseASPP, {"depth": 169}, 18_420_675, 18_398_926, 18_408_334),
    (DenseASPP, {"depth": 201}, 28_639_987, 28_611_894, 28_621_302),
]


@pytest.mark.parametrize(("make", "options", "rgb_19", "rgb_6", "events_6"), COUNTS)
def test_parameter_counts_are_those_of_the_references(
    make: Any, options: dict[str, Any], rgb_19: int, rgb_6: int, events_6: int
) -> None:
    def count(in_channels: int, classes: int) -> int:
        return parameter_count(on_meta(make, in_channels, classes, **options))

    assert (count(3, 19), count(3, 6), count(6, 6)) == (rgb_19, rgb_6, events_6)


@pytest.mark.parametrize(
    ("make", "options", "per_class", "per_channel"),
    [
        (CGNet, {}, 256, 2022),
        (CGNet, M3N15, 256, 2022),
        (FastSCNN, {}, 129, 288),
        (FastSCNN, AUX, 162, 288),
        (FastSCNN, MMSEG, 129, 288),
        (DenseASPP, {}, 833, 3136),
        (DenseASPP, {"depth": 161}, 1745, 4704),
        (DenseASPP, {"depth": 169}, 1673, 3136),
        (DenseASPP, {"depth": 201}, 2161, 3136),
    ],
)
def test_each_class_and_channel_adds_what_it_adds_to_the_references(
    make: Any, options: dict[str, Any], per_class: int, per_channel: int
) -> None:
    def count(in_channels: int, classes: int) -> int:
        return parameter_count(on_meta(make, in_channels, classes, **options))

    base = count(3, 19)
    assert (count(3, 20) - base, count(4, 19) - base) == (per_class, per_channel)
    assert count(7, 6) == base + 4 * per_channel - 13 * per_class


@pytest.mark.parametrize(
    ("make", "options", "in_channels", "classes", "parameters"),
    [
        (CGNet, {}, 1, 6, 488_934),
        (CGNet, {}, 7, 6, 501_066),
        (CGNet, {"logits_bias": True}, 3, 19, 496_325),
        (FastSCNN, {**MMSEG, **AUX, "auxiliary_at": "stem+global"}, 3, 19, 1_456_617),
        # Kernels of 8x8 for 128 channels, of 16x16 for each class.
        (FastSCNN, TRANSPOSED, 3, 19, 1_138_051 + 128 * 64 + 19 * 256),
    ],
)
def test_parameter_counts_of_variants(
    make: Any, options: dict[str, Any], in_channels: int, classes: int, parameters: int
) -> None:
    assert parameter_count(on_meta(make, in_channels, classes, **options)) == parameters


@pytest.mark.parametrize(
    ("make", "options", "height", "width", "gmac"),
    [
        (CGNet, {}, 360, 640, 2.97),
        (CGNet, {}, 1024, 2048, 27.0),
        (FastSCNN, {}, 1024, 2048, 6.71),
        (DenseASPP, {}, 256, 512, 19.3),
        (DenseASPP, {"depth": 161}, 256, 512, 77.5),
    ],
)
def test_multiply_accumulates_are_those_of_the_references(
    make: Any, options: dict[str, Any], height: int, width: int, gmac: float
) -> None:
    network = on_meta(make, 3, 19, **options)
    assert cost(network, height=height, width=width).gmac == pytest.approx(gmac, rel=0.01)


ALL_HEADS = {**MMSEG, **AUX, "auxiliary_at": "stem+global"}
VARIANTS: list[tuple[Any, dict[str, Any], int]] = [
    (CGNet, FEW, 1),
    (CGNet, {"blocks_stage2": 1, "blocks_stage3": 1, "logits_bias": True}, 1),
    (FastSCNN, {}, 1),
    (FastSCNN, {**TRAMAC, **AUX}, 2),
    (FastSCNN, ALL_HEADS, 3),
    (FastSCNN, TRANSPOSED, 1),
    (FastSCNN, {**TRANSPOSED, **TRAMAC, **AUX}, 2),
    (small_denseaspp, {}, 1),
]


def all_logits(network: SegmentationNetwork, x: Tensor) -> tuple[Tensor, ...]:
    made = network(x)
    return made if isinstance(made, tuple) else (made,)


@pytest.mark.parametrize(("make", "options", "heads"), VARIANTS)
def test_logits_have_the_size_of_any_input(make: Any, options: dict[str, Any], heads: int) -> None:
    network = make(6, 5, **options)
    for height, width in ((32, 32), (65, 97), (200, 346), (260, 346)):
        x = torch.randn(1, 6, height, width)
        with torch.no_grad():
            assert network.eval()(x).shape == (1, 5, height, width)
            shapes = [logits.shape for logits in all_logits(network.train(), x)]
        assert shapes == heads * [(1, 5, height, width)]


@pytest.mark.parametrize(("make", "options", "heads"), VARIANTS)
def test_one_image_trains_every_parameter(make: Any, options: dict[str, Any], heads: int) -> None:
    network = make(2, 3, **options).train()
    logits = all_logits(network, torch.randn(1, 2, 65, 97))
    sum(made.square().mean() for made in logits).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_fastscnn_trains_on_one_image_whose_deepest_map_is_a_pixel() -> None:
    network = FastSCNN(2, 3, **ALL_HEADS).train()
    for logits in network(torch.randn(1, 2, 32, 32)):
        assert logits.isfinite().all()


@pytest.mark.parametrize(("make", "options", "heads"), VARIANTS)
def test_training_mode_differs_by_dropout_and_batch_norm_only(
    make: Any, options: dict[str, Any], heads: int
) -> None:
    x = torch.randn(1, 2, 64, 96)
    network = make(2, 3, dropout=0.0, **options).freeze_batch_norm()
    with torch.no_grad():
        assert torch.equal(all_logits(network.train(), x)[0], network.eval()(x))
        dropping = make(2, 3, dropout=0.5, **options).freeze_batch_norm().train()
        assert not torch.equal(all_logits(dropping, x)[0], all_logits(dropping, x)[0])


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (FastSCNN, {}),
        (CGNet, FEW),
        (FastSCNN, TRANSPOSED),
        (small_denseaspp, {}),
    ],
)
@pytest.mark.slow
def test_exported_network_gives_what_the_network_gives(make: Any, options: dict[str, Any]) -> None:
    network = make(2, 3, **options).eval()
    batch = {0: torch.export.Dim("batch", min=1, max=8)}
    exported = torch.export.export(
        network, (torch.randn(2, 2, 65, 97),), dynamic_shapes={"x": batch}
    )
    x = torch.randn(3, 2, 65, 97)
    with torch.no_grad():
        expected = network(x)
        spread = expected.std()
        assert spread > 1e-3
        # In units of how much the logits differ, so that small ones are compared as closely.
        torch.testing.assert_close(
            exported.module()(x) / spread, expected / spread, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (CGNet, {"blocks_stage3": 0}, "at least 1, got 3 and 0"),
        (CGNet, {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        (FastSCNN, {"pyramid_exit": "5x5"}, "must be one of 1x1, 3x3, got '5x5'"),
        (FastSCNN, {"upsampling": "nearest"}, "one of bilinear, transposed"),
        (FastSCNN, {"stem_padding": 2}, "stem_padding must be one of 1, 0, got 2"),
        (FastSCNN, {"auxiliary_at": "end"}, r"one of stem, stem\+global"),
        (FastSCNN, {"dropout": -0.1}, "dropout"),
        (DenseASPP, {"depth": 122}, "depth must be one of 121, 161, 169, 201, got 122"),
        (DenseASPP, {"dropout": 2.0}, "dropout"),
    ],
)
def test_options_that_are_not_allowed_are_refused(
    make: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        on_meta(make, 3, 19, **options)


def test_transposed_convolutions_start_as_bilinear_enlarging() -> None:
    for factor in (4, 8):
        x, like = torch.randn(2, 3, 6, 7), torch.empty(1, 1, 6 * factor - 1, 7 * factor - 3)
        with torch.no_grad():
            made = Enlarge(3, factor).enlarged(x, like)
        expected = functional.interpolate(
            x, scale_factor=factor, mode="bilinear", align_corners=False
        )
        assert made.shape[2:] == like.shape[2:]
        # At the border there is zero beyond the map, where interpolation repeats it.
        inner = slice(factor, -factor)
        expected = expected[..., : made.shape[2], : made.shape[3]]
        torch.testing.assert_close(made[..., inner, inner], expected[..., inner, inner])


def test_first_unit_of_denseaspp_passes_on_rectified_features() -> None:
    network = small_denseaspp(3, 2, dropout=0.0).eval()
    seen = []
    network.units[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network(torch.randn(1, 3, 32, 48))
    # What the first unit adds comes in front, and is not rectified.
    added, passed_on = seen[0][:, :4], seen[0][:, 4:]
    assert added.min() < 0 <= passed_on.min()


@pytest.fixture(scope="module")
def torchvision_densenet() -> nn.Module:
    torch.manual_seed(3)
    network = models.densenet121(weights=None).eval()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
    return network


def test_densenet_is_torchvisions_but_for_dilation(torchvision_densenet: nn.Module) -> None:
    trunk = DenseNet(3, depth=121)
    trunk.load_imagenet(torchvision_densenet.state_dict())
    dilated = models.densenet121(weights=None)
    dilated.load_state_dict(torchvision_densenet.state_dict())
    for block, dilation in ((3, 2), (4, 4)):
        dilated.features.get_submodule(f"transition{block - 1}").pool = nn.Identity()
        for layer in dilated.features.get_submodule(f"denseblock{block}").children():
            layer.conv2.dilation = layer.conv2.padding = (dilation, dilation)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(trunk.eval()(x).deep, dilated.eval().features(x), rtol=0, atol=0)


@pytest.mark.parametrize("depth", [161, 169, 201])
def test_tensors_of_other_densenets_are_torchvisions(depth: int) -> None:
    ours = on_meta(DenseNet, 3, depth=depth).state_dict()
    theirs = on_meta(models.get_model, f"densenet{depth}", weights=None).state_dict()
    shapes = {name: t.shape for name, t in theirs.items() if not name.startswith("classifier.")}
    assert {name: tensor.shape for name, tensor in ours.items()} == shapes


@pytest.mark.parametrize("dotted", [False, True])
def test_imagenet_weights_start_the_trunk(torchvision_densenet: nn.Module, dotted: bool) -> None:
    state = torchvision_densenet.state_dict()
    given = dict(state)
    if dotted:
        # As torchvision's own files: "norm.1" for "norm1", and no counters.
        for number in "12":
            for kind in ("norm", "conv"):
                given = {
                    name.replace(f".{kind}{number}.", f".{kind}.{number}."): tensor
                    for name, tensor in given.items()
                    if "num_batches" not in name
                }
        assert "features.denseblock1.denselayer1.norm.1.weight" in given
    network = DenseASPP(6, 2)
    assert network.imagenet_trunk() == "densenet121"
    network.load_trunk(given)
    features = network.backbone.features
    first = state["features.conv0.weight"]
    torch.testing.assert_close(
        features.conv0.weight, first.mean(1, keepdim=True).repeat(1, 6, 1, 1) / 2
    )
    layer = "denseblock3.denselayer7.conv2.weight"
    assert torch.equal(features.state_dict()[layer], state[f"features.{layer}"])
    assert torch.equal(features.norm5.running_var, state["features.norm5.running_var"])


@pytest.mark.parametrize("change", ["missing", "unexpected", "mismatched"])
def test_imagenet_weights_that_do_not_fit_are_refused_whole(
    torchvision_densenet: nn.Module, change: str
) -> None:
    state = torchvision_densenet.state_dict()
    name = "features.denseblock2.denselayer3.norm2.weight"
    if change == "missing":
        del state[name]
    elif change == "unexpected":
        state["features.extra"] = torch.zeros(1)
    else:
        state[name] = torch.zeros(3)
    network = DenseASPP(3, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"densenet121: 1 tensors"):
        network.load_trunk(state)
    assert all(torch.equal(tensor, before[n]) for n, tensor in network.state_dict().items())
