"""Checkpoints of semseg, mmseg, VainF and torchvision in our PSPNet, DeepLabV3 and DeepLabV3+.

The foreign files are fabricated: trunks by timm and torchvision under the project's names, heads
by the description of their names and shapes below, which is also evaluated under those names.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from eventseg.networks.converters import mmseg_resnet, semseg, torchvision_deeplabv3, vainf
from eventseg.networks.converters.layout import Layout, State
from eventseg.networks.deeplabv3 import DeepLabV3
from eventseg.networks.deeplabv3plus import DeepLabV3Plus
from eventseg.networks.pspnet import PSPNet

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # timm's own deprecations
    import timm

CLASSES = 5
LAYOUTS = (
    semseg.PSPNET,
    mmseg_resnet.PSPNET,
    mmseg_resnet.DEEPLABV3PLUS,
    vainf.DEEPLABV3,
    vainf.DEEPLABV3PLUS,
    torchvision_deeplabv3.DEEPLABV3,
)
Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(11)
    yield
    torch.set_num_threads(before)


def conv(name: str, out: int, of: int, kernel: int, *, bias: bool = False) -> Shapes:
    shapes: Shapes = {f"{name}.weight": (out, of, kernel, kernel)}
    return {**shapes, f"{name}.bias": (out,)} if bias else shapes


def norm(name: str, width: int) -> Shapes:
    tensors = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{t}": (width,) for t in tensors}, f"{name}.num_batches_tracked": ()}


def fabricated(shapes: Shapes) -> State:
    state = {}
    for name, shape in shapes.items():
        if len(shape) == 4:
            state[name] = torch.randn(shape) * (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(3)
        elif name.endswith("running_var") or (name.endswith("weight")):
            state[name] = torch.rand(shape) + 0.5
        else:
            state[name] = torch.randn(shape) * 0.2
    return state


def scrambled(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
            nn.init.uniform_(part.weight, 0.2, 0.8)
            nn.init.normal_(part.bias, std=0.1)
    return module.eval()


def named(state: State, names: list[str]) -> State:
    """Return tensors under other names, by their order."""
    return dict(zip(names, state.values(), strict=True))


def deep_stemmed(width: int, *, prefix: str, stem: str, contracted: bool) -> tuple[Any, State]:
    """Return timm's trunk and its tensors: stem.0, 1, 3, 4, 6, 7, then the layers."""
    trunk = scrambled(
        timm.create_model("resnet50", stem_type="deep", stem_width=width, output_stride=8)
    )
    if not contracted:
        for stage, dilation in ((trunk.layer3, 2), (trunk.layer4, 4)):
            stage[0].conv2.dilation = stage[0].conv2.padding = (dilation, dilation)
    state = {n: t for n, t in trunk.state_dict().items() if not n.startswith("fc.")}
    names: list[str] = []
    for i in (0, 3, 6):
        names += [*conv(f"{stem}.{i}", 1, 1, 1), *norm(f"{stem}.{i + 1}", 1)]
    names += [prefix + name for name in state if name.startswith("layer")]
    return trunk, named(state, names)


def stages(trunk: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the first, third and fourth stage of timm's or torchvision's trunk."""
    activation = trunk.relu if hasattr(trunk, "relu") else trunk.act1
    first = trunk.layer1(trunk.maxpool(activation(trunk.bn1(trunk.conv1(x)))))
    third = trunk.layer3(trunk.layer2(first))
    return first, third, trunk.layer4(third)


class Evaluated:
    """Convolutions and batch norms of a state by their foreign names."""

    def __init__(self, state: State, *, align_corners: bool = False) -> None:
        self.state = state
        self.align_corners = align_corners

    def conv(self, x: Tensor, name: str, *, dilation: int = 1, groups: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        padding = weight.shape[-1] // 2 * dilation
        bias = self.state.get(f"{name}.bias")
        return functional.conv2d(x, weight, bias, 1, padding, dilation, groups)

    def unit(self, x: Tensor, conv: str, norm: str, **options: int) -> Tensor:
        of = [self.state[f"{norm}.{t}"] for t in ("running_mean", "running_var", "weight", "bias")]
        return functional.relu(functional.batch_norm(self.conv(x, conv, **options), *of))

    def module(self, x: Tensor, name: str, **options: int) -> Tensor:
        """mmseg's convolution module."""
        return self.unit(x, f"{name}.conv", f"{name}.bn", **options)

    def separable(self, x: Tensor, name: str, dilation: int = 1) -> Tensor:
        """mmseg's depthwise separable module."""
        y = self.module(x, f"{name}.depthwise_conv", dilation=dilation, groups=x.shape[1])
        return self.module(y, f"{name}.pointwise_conv")

    def to(self, x: Tensor, like: Tensor) -> Tensor:
        return functional.interpolate(
            x, like.shape[-2:], mode="bilinear", align_corners=self.align_corners
        )


def loaded(layout: Layout, make: Any, state: State, **options: Any) -> Any:
    """Return our network with a foreign state, and check that the layout alone is recognised."""
    assert [known for known in LAYOUTS if known.recognise(frozenset(state))] == [layout]
    found = layout.options_of(state) if layout.options_of else {}
    with torch.device("meta"):
        network = make(3, CLASSES, **{**layout.options, **found, **options})
    # Strict: nothing missing, nothing unexpected.
    network.load_state_dict(layout.convert(state), assign=True)
    network.eval()
    network.training = True  # the auxiliary head too, but neither dropout nor statistics
    return network


def assert_alike(made: Tensor, expected: Tensor) -> None:
    scale = expected.abs().max()
    assert expected.std() > 0.05 * scale
    torch.testing.assert_close(made / scale, expected / scale, rtol=0, atol=2e-5)


X = torch.rand(1, 3, 49, 65, generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_pspnet_of_semseg() -> None:
    trunk, state = deep_stemmed(64, prefix="", stem="layer0", contracted=False)
    shapes: Shapes = {}
    for i in range(4):
        shapes |= conv(f"ppm.features.{i}.1", 512, 2048, 1) | norm(f"ppm.features.{i}.2", 512)
    for head, of, width in (("cls", 4096, 512), ("aux", 1024, 256)):
        shapes |= conv(f"{head}.0", width, of, 3) | norm(f"{head}.1", width)
        shapes |= conv(f"{head}.4", CLASSES, width, 1, bias=True)
    state |= fabricated(shapes)

    foreign = Evaluated(state, align_corners=True)
    _, third, deep = stages(trunk, X)
    joined = [deep]
    for i, cells in enumerate((1, 2, 3, 6)):
        pooled = functional.adaptive_avg_pool2d(deep, cells)
        name = f"ppm.features.{i}"
        joined.append(foreign.to(foreign.unit(pooled, f"{name}.1", f"{name}.2"), deep))
    main = foreign.conv(foreign.unit(torch.cat(joined, 1), "cls.0", "cls.1"), "cls.4")
    auxiliary = foreign.conv(foreign.unit(third, "aux.0", "aux.1"), "aux.4")

    made = loaded(semseg.PSPNET, PSPNet, state, depth=50)(X)
    assert_alike(made[0], foreign.to(main, X))
    assert_alike(made[1], foreign.to(auxiliary, X))


MMSEG_AUXILIARY = {
    **conv("auxiliary_head.conv_seg", CLASSES, 256, 1, bias=True),
    **conv("auxiliary_head.convs.0.conv", 256, 1024, 3),
    **norm("auxiliary_head.convs.0.bn", 256),
}


def mmseg_auxiliary(foreign: Evaluated, third: Tensor) -> Tensor:
    y = foreign.module(third, "auxiliary_head.convs.0")
    return foreign.to(foreign.conv(y, "auxiliary_head.conv_seg"), X)


@torch.no_grad()
def test_pspnet_of_mmseg() -> None:
    trunk, state = deep_stemmed(32, prefix="backbone.", stem="backbone.stem", contracted=True)
    shapes = conv("decode_head.conv_seg", CLASSES, 512, 1, bias=True)
    for i in range(4):
        name = f"decode_head.psp_modules.{i}.1"
        shapes |= conv(f"{name}.conv", 512, 2048, 1) | norm(f"{name}.bn", 512)
    shapes |= conv("decode_head.bottleneck.conv", 512, 4096, 3)
    shapes |= norm("decode_head.bottleneck.bn", 512)
    state |= fabricated(shapes | MMSEG_AUXILIARY)

    foreign = Evaluated(state)
    _, third, deep = stages(trunk, X)
    joined = [deep]
    for i, cells in enumerate((1, 2, 3, 6)):
        pooled = functional.adaptive_avg_pool2d(deep, cells)
        joined.append(foreign.to(foreign.module(pooled, f"decode_head.psp_modules.{i}.1"), deep))
    main = foreign.conv(
        foreign.module(torch.cat(joined, 1), "decode_head.bottleneck"), "decode_head.conv_seg"
    )

    made = loaded(mmseg_resnet.PSPNET, PSPNet, state, depth=50)(X)
    assert_alike(made[0], foreign.to(main, X))
    assert_alike(made[1], mmseg_auxiliary(foreign, third))


def separable(name: str, of: int, out: int) -> Shapes:
    return {
        **conv(f"{name}.depthwise_conv.conv", of, 1, 3),
        **norm(f"{name}.depthwise_conv.bn", of),
        **conv(f"{name}.pointwise_conv.conv", out, of, 1),
        **norm(f"{name}.pointwise_conv.bn", out),
    }


@torch.no_grad()
def test_deeplabv3plus_of_mmseg() -> None:
    trunk, state = deep_stemmed(32, prefix="backbone.", stem="backbone.stem", contracted=True)
    head = "decode_head"
    shapes = conv(f"{head}.conv_seg", CLASSES, 512, 1, bias=True)
    for name, of, width, kernel in (
        ("image_pool.1", 2048, 512, 1),
        ("aspp_modules.0", 2048, 512, 1),
        ("bottleneck", 2560, 512, 3),
        ("c1_bottleneck", 256, 48, 1),
    ):
        shapes |= conv(f"{head}.{name}.conv", width, of, kernel)
        shapes |= norm(f"{head}.{name}.bn", width)
    for i in (1, 2, 3):
        shapes |= separable(f"{head}.aspp_modules.{i}", 2048, 512)
    shapes |= separable(f"{head}.sep_bottleneck.0", 560, 512)
    shapes |= separable(f"{head}.sep_bottleneck.1", 512, 512)
    state |= fabricated(shapes | MMSEG_AUXILIARY)

    foreign = Evaluated(state)
    first, third, deep = stages(trunk, X)
    mean = foreign.module(deep.mean((2, 3), keepdim=True), f"{head}.image_pool.1")
    pyramid = [foreign.to(mean, deep), foreign.module(deep, f"{head}.aspp_modules.0")]
    pyramid += [
        foreign.separable(deep, f"{head}.aspp_modules.{i}", dilation=12 * i) for i in (1, 2, 3)
    ]
    y = foreign.module(torch.cat(pyramid, 1), f"{head}.bottleneck")
    y = torch.cat([foreign.to(y, first), foreign.module(first, f"{head}.c1_bottleneck")], 1)
    y = foreign.separable(
        foreign.separable(y, f"{head}.sep_bottleneck.0"), f"{head}.sep_bottleneck.1"
    )
    main = foreign.conv(y, f"{head}.conv_seg")

    made = loaded(mmseg_resnet.DEEPLABV3PLUS, DeepLabV3Plus, state, trunk="resnet50")(X)
    assert_alike(made[0], foreign.to(main, X))
    assert_alike(made[1], mmseg_auxiliary(foreign, third))


def vainf_pyramid(name: str, of: int) -> Shapes:
    shapes: Shapes = {}
    for i, kernel in enumerate((1, 3, 3, 3)):
        shapes |= conv(f"{name}.convs.{i}.0", 256, of, kernel)
        shapes |= norm(f"{name}.convs.{i}.1", 256)
    shapes |= conv(f"{name}.convs.4.1", 256, of, 1) | norm(f"{name}.convs.4.2", 256)
    return shapes | conv(f"{name}.project.0", 256, 1280, 1) | norm(f"{name}.project.1", 256)


def vainf_decoder(low: int, deep: int) -> Shapes:
    return {
        **conv("classifier.project.0", 48, low, 1),
        **norm("classifier.project.1", 48),
        **vainf_pyramid("classifier.aspp", deep),
        **conv("classifier.classifier.0", 256, 304, 3),
        **norm("classifier.classifier.1", 256),
        **conv("classifier.classifier.3", CLASSES, 256, 1, bias=True),
    }


@torch.no_grad()
def test_deeplabv3_of_vainf_and_of_torchvision() -> None:
    theirs = scrambled(
        models.segmentation.deeplabv3_resnet50(
            weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True
        )
    )
    state = theirs.state_dict()
    bare = {name: t for name, t in state.items() if not name.startswith("aux_classifier.")}
    described = {
        **vainf_pyramid("classifier.classifier.0", 2048),
        **conv("classifier.classifier.1", 256, 256, 3),
        **norm("classifier.classifier.2", 256),
        **conv("classifier.classifier.4", CLASSES, 256, 1, bias=True),
    }
    names = [name for name in bare if name.startswith("backbone.")] + list(described)
    foreign = named(bare, names)
    assert {name: tuple(foreign[name].shape) for name in described} == described
    expected = theirs(X)
    assert torch.equal(loaded(vainf.DEEPLABV3, DeepLabV3, foreign)(X), expected["out"])
    layout = torchvision_deeplabv3.DEEPLABV3
    assert torch.equal(loaded(layout, DeepLabV3, bare)(X), expected["out"])
    both = loaded(layout, DeepLabV3, state)(X)
    assert torch.equal(both[0], expected["out"])
    assert torch.equal(both[1], expected["aux"])


@torch.no_grad()
def test_deeplabv3plus_of_vainf_on_a_resnet() -> None:
    trunk = scrambled(
        models.resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
    )
    state = {
        f"backbone.{name}": tensor
        for name, tensor in trunk.state_dict().items()
        if not name.startswith("fc.")
    } | fabricated(vainf_decoder(256, 2048))

    foreign = Evaluated(state)
    first, _, deep = stages(trunk, X)
    pyramid = [
        foreign.unit(
            deep, f"classifier.aspp.convs.{i}.0", f"classifier.aspp.convs.{i}.1", **options
        )
        for i, options in enumerate(({}, {"dilation": 6}, {"dilation": 12}, {"dilation": 18}))
    ]
    mean = deep.mean((2, 3), keepdim=True)
    mean = foreign.unit(mean, "classifier.aspp.convs.4.1", "classifier.aspp.convs.4.2")
    pyramid.append(foreign.to(mean, deep))
    y = foreign.unit(
        torch.cat(pyramid, 1), "classifier.aspp.project.0", "classifier.aspp.project.1"
    )
    low = foreign.unit(first, "classifier.project.0", "classifier.project.1")
    y = torch.cat([low, foreign.to(y, first)], 1)
    y = foreign.unit(y, "classifier.classifier.0", "classifier.classifier.1")
    main = foreign.conv(y, "classifier.classifier.3")

    made = loaded(vainf.DEEPLABV3PLUS, DeepLabV3Plus, state, trunk="resnet50")(X)
    assert_alike(made, foreign.to(main, X))


def test_deeplabv3plus_of_vainf_on_mobilenet() -> None:
    theirs = scrambled(models.mobilenet_v2(weights=None)).state_dict()
    trunk = {}
    for name, tensor in theirs.items():
        part, _, rest = name.removeprefix("features.").partition(".")
        if name.startswith("features.") and part != "18":
            sequence = "low_level_features" if int(part) < 4 else "high_level_features"
            trunk[f"backbone.{sequence}.{part}.{rest}"] = tensor
    state = trunk | fabricated(vainf_decoder(24, 320))
    network = loaded(vainf.DEEPLABV3PLUS, DeepLabV3Plus, state, trunk="mobilenetv2")
    own = network.backbone.state_dict()
    assert len(own) == len(trunk)
    assert [name for name, tensor in own.items() if not torch.equal(tensor, theirs[name])] == []
    for name, tensor in network.classifier.state_dict().items():
        assert torch.equal(tensor, state[f"classifier.{name}"])


def test_deeplabv3plus_of_vainf_on_xception() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = timm.create_model("legacy_xception").state_dict()
    # VainF stops at the last convolution, before its batch norm.
    trunk = {
        f"backbone.{name}": tensor
        for name, tensor in theirs.items()
        if not name.startswith(("bn4.", "fc."))
    }
    state = trunk | fabricated(vainf_decoder(128, 2048))
    network = loaded(vainf.DEEPLABV3PLUS, DeepLabV3Plus, state, trunk="xception")
    assert all(torch.equal(t, state[name]) for name, t in network.state_dict().items())


def test_a_deeper_trunk_has_the_same_names() -> None:
    with torch.device("meta"):
        theirs = models.resnet101(weights=None).state_dict()
        ours = DeepLabV3Plus(3, 19, trunk="resnet101", **mmseg_resnet.DEEPLABV3PLUS.options)
    layers = {f"backbone.{n}": t for n, t in theirs.items() if n.startswith("layer")}
    own = {n: t.shape for n, t in ours.state_dict().items() if n.startswith("backbone.layer")}
    # With mmseg's stem of 64 channels the layers are torchvision's.
    assert own == {n: t.shape for n, t in mmseg_resnet.DEEPLABV3PLUS.convert(layers).items()}


@pytest.mark.parametrize(
    "layout", LAYOUTS, ids=lambda layout: f"{layout.name}-{layout.networks[0]}"
)
def test_unknown_names_stay_to_be_reported(layout: Layout) -> None:
    stray = {"decode_head.strange.weight": torch.ones(1), "optimiser": torch.zeros(2)}
    assert layout.convert(stray).keys() == stray.keys()
    assert not layout.recognise(frozenset(stray))
