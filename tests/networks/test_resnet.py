"""PSPNet, DeepLabV3 and DeepLabV3+, and their trunks."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from eventseg.errors import CheckpointError, NetworkError
from eventseg.networks.blocks.deeplab_xception import Xception
from eventseg.networks.blocks.inflate import inflate
from eventseg.networks.blocks.mobilenetv2 import MobileNetV2
from eventseg.networks.blocks.resnet import ResNet
from eventseg.networks.cost import cost
from eventseg.networks.deeplabv3 import DeepLabV3
from eventseg.networks.deeplabv3plus import DeepLabV3Plus
from eventseg.networks.network import parameter_count
from eventseg.networks.pspnet import PSPNet

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # timm's own deprecations
    import timm

V1C = (32, 32, 64)
MMSEG_PLUS = {"separable": True, "decoder_convs": 2, "output_stride": 8, "stem": V1C}
XCEPTION = {"trunk": "xception"}
MOBILE = {"trunk": "mobilenetv2"}
RESNET101 = {"trunk": "resnet101"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Exact equality needs the same order of sums; two threads gain little here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    yield
    torch.set_num_threads(before)


def on_meta(make: Callable[..., Any], *sizes: int, **options: Any) -> Any:
    with torch.device("meta"):
        return make(*sizes, **options)


def scramble(module: nn.Module) -> nn.Module:
    """Give batch norms statistics, scales and shifts that show if one is mixed up."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, std=0.1)
            nn.init.uniform_(norm.running_var, 0.5, 1.5)
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
    return module.eval()


def assert_alike(made: Tensor, expected: Tensor) -> None:
    """Compare in units of the largest value: maps of random networks are tiny or huge."""
    scale = expected.abs().max()
    torch.testing.assert_close(made / scale, expected / scale, rtol=0, atol=1e-5)


# (class, channels, classes, options, trainable parameters of the reference).
COUNTS = [
    (PSPNet, 3, 19, {}, 65_707_475),
    (PSPNet, 6, 6, {}, 65_702_534),
    (PSPNet, 3, 19, {"auxiliary": True}, 68_072_166),
    (PSPNet, 6, 6, {"auxiliary": True}, 68_063_884),
    (PSPNet, 3, 19, {"depth": 50}, 46_715_347),
    (PSPNet, 6, 6, {"depth": 50}, 46_710_406),
    (PSPNet, 3, 19, {"stem": V1C}, 65_602_931),
    (PSPNet, 3, 19, {"stem": V1C, "auxiliary": True}, 67_967_622),
    (DeepLabV3, 3, 19, {}, 39_638_355),
    (DeepLabV3, 6, 6, {}, 39_644_422),
    (DeepLabV3, 3, 19, {"auxiliary": True}, 42_003_046),
    (DeepLabV3, 6, 6, {"auxiliary": True}, 42_005_772),
    (DeepLabV3, 3, 21, {"auxiliary": True}, 42_004_074),
    (DeepLabV3, 3, 21, {"auxiliary": True, "depth": 101}, 60_996_202),
    (DeepLabV3Plus, 3, 19, {}, 39_761_331),
    (DeepLabV3Plus, 3, 6, {}, 39_757_990),
    (DeepLabV3Plus, 6, 6, {}, 39_767_398),
    (DeepLabV3Plus, 3, 19, {"decoder_convs": 2}, 40_351_667),
    (DeepLabV3Plus, 6, 6, {"decoder_convs": 2}, 40_357_734),
    (DeepLabV3Plus, 3, 19, RESNET101, 58_753_459),
    (DeepLabV3Plus, 6, 6, RESNET101, 58_759_526),
    (DeepLabV3Plus, 3, 19, XCEPTION, 37_050_011),
    (DeepLabV3Plus, 6, 6, XCEPTION, 37_047_534),
    (DeepLabV3Plus, 3, 19, MOBILE, 5_225_203),
    (DeepLabV3Plus, 6, 6, MOBILE, 5_222_726),
    (DeepLabV3Plus, 3, 19, MMSEG_PLUS, 41_225_187),
    # 192 fewer low-level channels, each with 48 weights.
    (DeepLabV3Plus, 3, 19, {"low_level": "stem"}, 39_761_331 - 192 * 48),
]


@pytest.mark.parametrize(("make", "channels", "classes", "options", "parameters"), COUNTS)
def test_parameter_counts_are_those_of_the_references(
    make: Any, channels: int, classes: int, options: dict[str, Any], parameters: int
) -> None:
    assert parameter_count(on_meta(make, channels, classes, **options)) == parameters


@pytest.mark.parametrize(
    ("make", "options", "height", "width", "gmac"),
    [
        (PSPNet, {}, 257, 345, 92.7),
        (DeepLabV3, {}, 256, 512, 81.8),
        (DeepLabV3, {"output_stride": 16}, 256, 512, 24.2),
        (DeepLabV3Plus, {}, 256, 512, 29.8),
    ],
)
def test_multiply_accumulates_are_those_of_the_references(
    make: Any, options: dict[str, Any], height: int, width: int, gmac: float
) -> None:
    network = on_meta(make, 3, 19, **options)
    assert cost(network, height=height, width=width).gmac == pytest.approx(gmac, rel=0.01)


VARIANTS = [
    (PSPNet, {"depth": 50, "auxiliary": True}),
    (PSPNet, {"depth": 50, "stem": None, "first_block_dilation": "previous", "bins": (1, 2)}),
    (DeepLabV3, {"output_stride": 16, "multi_grid": (1, 2, 4)}),
    (DeepLabV3Plus, {"low_level": "stem", "multi_grid": (1, 2, 4), "decoder_convs": 2}),
    (DeepLabV3Plus, {**XCEPTION, "output_stride": 8, "auxiliary": True}),
    (DeepLabV3Plus, {**MOBILE, "output_stride": 8, "auxiliary": True}),
]


@pytest.mark.parametrize(("make", "options"), VARIANTS)
def test_logits_have_the_size_of_any_input(make: Any, options: dict[str, Any]) -> None:
    network = on_meta(make, 6, 5, **options)
    for height, width in ((65, 97), (200, 346)):
        x = torch.empty(2, 6, height, width, device="meta")
        assert network.eval()(x).shape == (2, 5, height, width)
    made = network.train()(x)
    made = made if isinstance(made, tuple) else (made,)
    assert len(made) == 1 + options.get("auxiliary", False)
    assert {m.shape for m in made} == {(2, 5, 200, 346)}


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (PSPNet, {"depth": 50, "auxiliary": True}),
        *(
            pytest.param(make, options, marks=pytest.mark.slow)
            for make, options in (
                (DeepLabV3, {"auxiliary": True}),
                (DeepLabV3Plus, {**XCEPTION, "auxiliary": True}),
                (DeepLabV3Plus, {**MMSEG_PLUS, "auxiliary": True}),
                (DeepLabV3Plus, MOBILE),
            )
        ),
    ],
)
def test_one_picture_trains_every_parameter(make: Any, options: dict[str, Any]) -> None:
    network = make(6, 5, **options).train()
    made = network(torch.rand(1, 6, 33, 49))
    labels = torch.randint(5, (1, 33, 49))
    losses = (
        [functional.cross_entropy(m, labels) for m in made]
        if isinstance(made, tuple)
        else [functional.cross_entropy(made, labels)]
    )
    torch.stack(losses).sum().backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    assert [n for n, g in gradients.items() if g is None or not torch.isfinite(g).all()] == []
    assert [n for n, g in gradients.items() if not g.any()] == []


def test_deeplabv3_equals_torchvision_to_the_bit() -> None:
    theirs = scramble(
        models.segmentation.deeplabv3_resnet50(
            weights=None, weights_backbone=None, num_classes=5, aux_loss=True
        )
    )
    state = theirs.state_dict()
    ours = on_meta(DeepLabV3, 3, 5, auxiliary=True)
    ours.load_state_dict(state, assign=True)
    ours.eval()
    x = torch.rand(2, 3, 65, 97)
    with torch.no_grad():
        expected = theirs(x)
        assert torch.equal(ours(x), expected["out"])
        # Both heads, but neither dropout nor statistics of the batch.
        ours.training = True
        made = ours(x)
    assert torch.equal(made[0], expected["out"])
    assert torch.equal(made[1], expected["aux"])
    bare = on_meta(DeepLabV3, 3, 5)
    bare.load_state_dict(
        {n: t for n, t in state.items() if not n.startswith("aux_classifier.")}, assign=True
    )
    with torch.no_grad():
        assert torch.equal(bare.eval()(x), expected["out"])


@pytest.mark.parametrize(("first_block", "stem"), [("new", (64, 64, 128)), ("previous", V1C)])
def test_deep_stemmed_trunk_equals_timm_to_the_bit(
    first_block: str, stem: tuple[int, int, int]
) -> None:
    theirs = scramble(
        timm.create_model("resnet50", stem_type="deep", stem_width=stem[0], output_stride=8)
    )
    if first_block == "new":  # timm gives a stage's first block the dilation before
        for stage, dilation in ((theirs.layer3, 2), (theirs.layer4, 4)):
            stage[0].conv2.dilation = stage[0].conv2.padding = (dilation, dilation)
    network = on_meta(PSPNet, 3, 5, depth=50, stem=stem, first_block_dilation=first_block)
    trunk = network.backbone.eval()
    trunk.load_state_dict(
        {name: t for name, t in theirs.state_dict().items() if not name.startswith("fc.")},
        assign=True,
    )
    x = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        assert torch.equal(trunk(x).deep, theirs.forward_features(x))


def test_plain_trunk_equals_torchvision_to_the_bit() -> None:
    theirs = scramble(models.resnet50(weights=None))
    trunk = ResNet(3, depth=50).eval()
    trunk.load_imagenet(theirs.state_dict())
    x = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        stem = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        low = theirs.layer1(stem)
        middle = theirs.layer3(theirs.layer2(low))
        made = trunk(x)
    assert torch.equal(made.low, low)
    assert torch.equal(made.middle, middle)
    assert torch.equal(made.deep, theirs.layer4(middle))
    trunk.low = "stem"
    assert torch.equal(trunk(x).low, stem)


def dilations(stage: nn.Module) -> list[int]:
    return [m.dilation[0] for name, m in stage.named_modules() if name.endswith("conv2")]


def test_dilations_of_the_stages() -> None:
    with torch.device("meta"):
        assert dilations(ResNet(3, output_stride=16).layer4) == [1, 2, 2]
        assert dilations(ResNet(3, output_stride=16, multi_grid=(1, 2, 4)).layer4) == [2, 4, 8]
        torchvision_like = ResNet(3, output_stride=8)
        semseg_like = ResNet(3, output_stride=8, first_block_dilation="new")
    assert dilations(torchvision_like.layer3) == [1, 2, 2, 2, 2, 2]
    assert dilations(torchvision_like.layer4) == [2, 4, 4]
    assert dilations(semseg_like.layer3) == [2] * 6
    assert dilations(semseg_like.layer4) == [4, 4, 4]


def test_mobilenet_equals_a_dilated_torchvision() -> None:
    theirs = models.mobilenet_v2(weights=None).eval()
    parts = theirs.features
    parts[0][0].padding = (0, 0)
    parts[14].conv[1][0].stride = (1, 1)
    for i in (15, 16, 17):
        parts[i].conv[1][0].dilation = parts[i].conv[1][0].padding = (2, 2)
    trunk = MobileNetV2(3, output_stride=16).eval()
    trunk.load_imagenet(theirs.state_dict())
    x = torch.randn(1, 3, 97, 65)
    # Fresh batch norms map 0 to 0, so that padding before the expansion is padding after it.
    with torch.no_grad():
        made = trunk(x)
        assert_alike(made.low, parts[:4](x))
        assert_alike(made.middle, parts[:14](x))
        assert_alike(made.deep, parts[:18](x))
    assert made.deep.shape == (1, 320, 6, 4)


def test_xception_equals_a_dilated_timm() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = scramble(timm.create_model("legacy_xception"))
    theirs.block12.skip.stride = (1, 1)
    theirs.block12.rep = theirs.block12.rep[:-1]  # the max-pool
    for part in (theirs.block12, theirs.conv3, theirs.conv4):
        for conv in part.modules():
            if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3):
                conv.dilation = conv.padding = (2, 2)
    trunk = Xception(3, output_stride=16).eval()
    trunk.load_state_dict(
        {n: t for n, t in theirs.state_dict().items() if not n.startswith(("fc.", "bn4."))}
    )
    seen: dict[str, Tensor] = {}
    for name in ("block1", "block11", "conv4"):
        theirs.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output.clone()})
        )
    x = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        theirs.forward_features(x)
        made = trunk(x)
    for own, other in zip(made, ("block1", "block11", "conv4"), strict=True):
        assert_alike(own, seen[other])


def test_xception_at_stride_8_halves_no_more_than_thrice() -> None:
    with torch.device("meta"):
        made = Xception(3, output_stride=8)(torch.empty(1, 3, 131, 131))
    assert made.deep.shape[-1] == made.middle.shape[-1] == 16
    assert made.low.shape[-1] == 32


@given(st.integers(1, 14), st.integers(1, 7))
def test_inflated_convolution_sees_gray_as_before(channels: int, kernel: int) -> None:
    weight = torch.randn(4, 3, kernel, kernel, dtype=torch.float64)
    gray = torch.randn(1, 1, 9, 8, dtype=torch.float64)
    inflated = inflate(weight, in_channels=channels)
    assert inflated.shape == (4, channels, kernel, kernel)
    torch.testing.assert_close(
        functional.conv2d(gray.expand(-1, channels, -1, -1), inflated),
        functional.conv2d(gray.expand(-1, 3, -1, -1), weight),
    )


def test_rgb_is_not_inflated() -> None:
    weight = torch.randn(4, 3, 7, 7)
    assert torch.equal(inflate(weight, in_channels=3), weight)
    with pytest.raises(CheckpointError, match="RGB"):
        inflate(torch.randn(4, 6, 7, 7), in_channels=3)


def test_imagenet_weights_of_torchvision_fit_the_trunk_alone() -> None:
    network = DeepLabV3Plus(6, 5, **MOBILE)
    head = {n: t.clone() for n, t in network.classifier.state_dict().items()}
    state = models.mobilenet_v2(weights=None).state_dict()
    # Files from before batch norms counted have no counters.
    network.load_trunk({n: t for n, t in state.items() if not n.endswith("num_batches_tracked")})
    own = network.backbone.state_dict()
    first = "features.0.0.weight"
    assert torch.equal(own[first], inflate(state[first], in_channels=6))
    assert [n for n in own if n != first and not torch.equal(own[n], state[n])] == []
    assert all(torch.equal(head[n], t) for n, t in network.classifier.state_dict().items())


def test_wrong_imagenet_weights_are_refused_whole() -> None:
    trunk = MobileNetV2(6)
    before = {n: t.clone() for n, t in trunk.state_dict().items()}
    state = models.mobilenet_v2(weights=None).state_dict()
    name = "features.3.conv.2.weight"
    for wrong in (
        {n: t for n, t in state.items() if n != name},
        {**state, name: torch.zeros(1)},
        {**state, "layer1.weight": torch.zeros(1)},
    ):
        with pytest.raises(CheckpointError, match="no ImageNet weights of torchvision's mobilenet"):
            trunk.load_imagenet(wrong)
    assert all(torch.equal(before[n], t) for n, t in trunk.state_dict().items())


@pytest.mark.parametrize(
    ("make", "options", "trunk"),
    [
        (PSPNet, {}, None),
        (PSPNet, {"stem": None}, "resnet101"),
        (DeepLabV3, {}, "resnet50"),
        (DeepLabV3Plus, RESNET101, "resnet101"),
        (DeepLabV3Plus, MMSEG_PLUS, None),
        (DeepLabV3Plus, XCEPTION, None),
        (DeepLabV3Plus, MOBILE, "mobilenet_v2"),
    ],
)
def test_trunk_names_are_torchvisions(make: Any, options: dict[str, Any], trunk: str) -> None:
    network = on_meta(make, 6, 5, **options)
    assert network.imagenet_trunk() == trunk
    if trunk is None:
        with pytest.raises(NetworkError, match="no trunk that torchvision has"):
            network.load_trunk({})
    else:
        shapes = {n: t.shape for n, t in network.backbone.state_dict().items()}
        with torch.device("meta"):
            theirs = models.get_model(trunk, weights=None).state_dict()
        first = network.backbone.first
        assert all(theirs[n].shape == shape for n, shape in shapes.items() if n != first)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (PSPNet, {"depth": 152}, "depth must be one of 50, 101, got 152"),
        (PSPNet, {"bins": (1, 2, 3)}, "a multiple of how many"),
        (PSPNet, {"bins": ()}, "positive"),
        (PSPNet, {"stem": (64, 128)}, "stem must be 3 positive"),
        (PSPNet, {"first_block_dilation": "old"}, "previous, new"),
        (DeepLabV3, {"output_stride": 32}, "output_stride must be one of 8, 16, got 32"),
        (DeepLabV3, {"multi_grid": (1, 2, 0)}, "multi_grid must be 3 positive"),
        (DeepLabV3Plus, {"trunk": "vgg"}, "resnet50, resnet101, xception, mobilenetv2"),
        (DeepLabV3Plus, {"decoder_convs": 3}, "decoder_convs must be one of 1, 2"),
        (DeepLabV3Plus, {"low_level": "layer2"}, "layer1, stem"),
        (DeepLabV3Plus, {**XCEPTION, "low_level": "stem"}, "low_level must be layer1"),
        (DeepLabV3Plus, {**MOBILE, "multi_grid": (1, 2, 4)}, "neither multi_grid nor stem"),
    ],
)
def test_wrong_options_are_named(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        on_meta(make, 6, 5, **options)
