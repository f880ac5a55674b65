"""U-Net, SegNet and ENet: published sizes, any input, ablations, ImageNet weights, export."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive_unet_segnet_enet import Weights, enet_lua
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import vgg16, vgg16_bn

from eventseg.errors import CheckpointError, NetworkError
from eventseg.networks.blocks.enet_bottlenecks import Bottleneck, stem_filters
from eventseg.networks.cost import cost
from eventseg.networks.enet import ENet
from eventseg.networks.network import SegmentationNetwork, parameter_count
from eventseg.networks.segnet import SegNet, max_unpool
from eventseg.networks.unet import UNet

VARIANTS: list[tuple[type[SegmentationNetwork], dict[str, Any]]] = [
    (UNet, {}),
    (UNet, {"upsampling": "bilinear"}),
    (SegNet, {}),
    (SegNet, {"logits": "normalised"}),
    (ENet, {}),
    (ENet, {"definition": "lua"}),
    (ENet, {"pooling_branch": False}),
    (ENet, {"regular": False, "dilation": False, "definition": "lua"}),
]
"""Every form that a network has."""

SMALL: list[tuple[type[SegmentationNetwork], dict[str, Any]]] = [
    (UNet, {"base_width": 4}),
    (UNet, {"base_width": 4, "upsampling": "bilinear"}),
    (SegNet, {}),
    (ENet, {"auxiliary": "encoder"}),
    (ENet, {"definition": "lua", "auxiliary": "encoder"}),
]
"""What can be run on a small machine."""


def names(variants: list[Any]) -> list[str]:
    return ["-".join([made.__name__, *map(str, options.values())]) for made, options in variants]


def on_meta(made: type[SegmentationNetwork], *sizes: int, **options: Any) -> SegmentationNetwork:
    with torch.device("meta"):
        return made(*sizes, **options)


def logits(network: SegmentationNetwork, x: Tensor) -> Tensor:
    made = network(x)
    assert isinstance(made, Tensor)
    return made


@pytest.mark.parametrize(
    ("made", "options", "counts"),
    [
        # Counts at (channels, classes) = (3, 19), (3, 20), (3, 6), (6, 6).
        (UNet, {}, (31_038_803, 31_038_868, 31_037_958, 31_039_686)),
        (UNet, {"upsampling": "bilinear"}, (17_264_147, 17_264_212, 17_263_302, 17_265_030)),
        (SegNet, {}, (29_453_971, 29_454_548, 29_446_470, 29_448_198)),
        (SegNet, {"logits": "normalised"}, (29_454_009, 29_454_588, 29_446_482, 29_448_210)),
        (ENet, {}, (351_660, 351_804, 349_788, 349_977)),
        (ENet, {"definition": "lua"}, (364_311, 364_376, 363_466, 363_652)),
    ],
)
def test_parameter_counts(
    made: type[SegmentationNetwork], options: dict[str, Any], counts: tuple[int, ...]
) -> None:
    sizes = ((3, 19), (3, 20), (3, 6), (6, 6))
    assert tuple(parameter_count(on_meta(made, *size, **options)) for size in sizes) == counts


def test_enet_with_other_channels_than_three() -> None:
    rgb = parameter_count(on_meta(ENet, 3, 6))
    assert parameter_count(on_meta(ENet, 7, 6)) == rgb + 216
    assert parameter_count(on_meta(ENet, 1, 6)) == rgb - 216


@pytest.mark.parametrize(
    ("made", "options", "width", "height", "gmac"),
    [
        (UNet, {}, 352, 256, 66.3),
        (SegNet, {}, 640, 360, 142.8),
        (ENet, {}, 640, 360, 1.77),
        (ENet, {"definition": "lua"}, 640, 360, 1.72),
    ],
)
def test_multiply_accumulates(
    made: type[SegmentationNetwork], options: dict[str, Any], width: int, height: int, gmac: float
) -> None:
    network = on_meta(made, 3, 19, **options)
    assert cost(network, height=height, width=width).gmac == pytest.approx(gmac, rel=0.01)


@pytest.mark.parametrize(("made", "options"), VARIANTS, ids=names(VARIANTS))
@pytest.mark.parametrize("size", [(32, 32), (65, 97), (200, 346), (63, 62)])
def test_logits_have_the_size_of_the_input(
    made: type[SegmentationNetwork], options: dict[str, Any], size: tuple[int, int]
) -> None:
    network = on_meta(made, 6, 5, **options).eval()
    # Before the base resizes anything.
    (main,) = network.heads(torch.empty(2, 6, *size, device="meta"))
    assert main.shape == (2, 5, *size)


@pytest.mark.parametrize(("made", "options"), SMALL, ids=names(SMALL))
def test_trains_at_batch_one_with_a_gradient_for_every_parameter(
    made: type[SegmentationNetwork], options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = made(6, 5, **options)
    heads = network(torch.randn(1, 6, 41, 51))
    heads = (heads,) if isinstance(heads, Tensor) else heads
    assert len(heads) == (2 if "auxiliary" in options else 1)
    assert {head.shape for head in heads} == {(1, 5, 41, 51)}
    truth = torch.randint(5, (1, 41, 51))
    sum(functional.cross_entropy(head, truth) for head in heads).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if parameter.dim() == 4:
            assert parameter.grad.any(), name


@torch.no_grad()
@pytest.mark.parametrize(("made", "options"), SMALL, ids=names(SMALL))
def test_training_and_evaluation_differ_in_dropout_and_batch_norm_alone(
    made: type[SegmentationNetwork], options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    options = {key: value for key, value in options.items() if key != "auxiliary"}
    x = torch.randn(1, 3, 40, 50)
    dropping = {"dropout": 0.0} if made is ENet else {}
    network = made(3, 4, **options, **dropping).freeze_batch_norm()
    torch.testing.assert_close(network.train()(x), network.eval()(x), rtol=0, atol=0)
    if made is ENet:
        network = made(3, 4, **options, dropout=0.5).freeze_batch_norm()
        assert not torch.equal(logits(network.train(), x), logits(network.eval(), x))


@torch.no_grad()
@pytest.mark.parametrize("channels", [1, 3, 6])
def test_enet_lua_equals_its_description(channels: int) -> None:
    weights, x = Weights(), torch.randn(2, channels, 48, 64)
    expected = enet_lua(weights, x, 7)
    network = ENet(channels, 7, definition="lua")
    network.load_state_dict(weights.state)
    torch.testing.assert_close(network.eval()(x), expected, rtol=1e-3, atol=1e-3)
    assert expected.std() > 0.05


@pytest.mark.parametrize(
    ("definition", "in_stage_1", "in_stage_2", "in_decoder"),
    [("port", 0.01, 0.1, 0.1), ("lua", 0.01, 0.1, 0.0)],
)
def test_enet_dropout(
    definition: str, in_stage_1: float, in_stage_2: float, in_decoder: float
) -> None:
    network = on_meta(ENet, 3, 19, definition=definition)
    expected = {"down1": in_stage_1, "stage1": in_stage_1, "up": in_decoder, "stage4": in_decoder}
    expected |= {"stage5": in_decoder}
    found = [
        (name, module.p) for name, module in network.named_modules() if type(module) is nn.Dropout2d
    ]
    assert len(found) == 27
    for name, p in found:
        wanted = [value for key, value in expected.items() if name.startswith(key)] or [in_stage_2]
        assert p == pytest.approx(wanted[0]), name


@pytest.mark.parametrize("definition", ["port", "lua"])
def test_enet_without_dilation_has_the_same_parameters(definition: str) -> None:
    def dilations(network: nn.Module) -> set[Any]:
        return {m.dilation for m in network.modules() if isinstance(m, nn.Conv2d)}

    full = on_meta(ENet, 3, 19, definition=definition)
    plain = on_meta(ENet, 3, 19, definition=definition, dilation=False)
    assert dilations(full) == {(n, n) for n in (1, 2, 4, 8, 16)}
    assert dilations(plain) == {(1, 1)}
    assert {n: t.shape for n, t in full.state_dict().items()} == {
        n: t.shape for n, t in plain.state_dict().items()
    }


def test_enet_without_regular_bottlenecks_keeps_the_dilated_and_asymmetric_ones() -> None:
    def bottlenecks(**options: bool) -> int:
        network = on_meta(ENet, 3, 19, **options)
        return sum(isinstance(module, Bottleneck) for module in network.modules())

    # 4 and 2 x 2 in the encoder, 3 in the decoder.
    assert bottlenecks() - bottlenecks(regular=False) == 11
    assert bottlenecks(regular=False) == 12
    assert bottlenecks(regular=False, dilation=False) == 12


def test_enet_without_pooling_branch() -> None:
    full = on_meta(ENet, 3, 19)
    without = on_meta(ENet, 3, 19, pooling_branch=False)
    # A 1x1 convolution and a batch norm for each of the two upsampling bottlenecks.
    shortcuts = (128 * 64 + 2 * 64) + (64 * 16 + 2 * 16)
    assert parameter_count(full) - parameter_count(without) == shortcuts
    pools = [name for name, m in without.named_modules() if isinstance(m, nn.MaxPool2d)]
    assert pools == ["stem.pool"]


@torch.no_grad()
@pytest.mark.parametrize("definition", ["port", "lua"])
def test_enet_without_decoder_gives_the_logits_of_its_encoder(definition: str) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"definition": definition, "dropout": 0.0}
    alone = ENet(3, 5, decoder=False, **options).eval()
    both = ENet(3, 5, auxiliary="encoder", **options)
    missing, unexpected = both.load_state_dict(alone.state_dict(), strict=False)
    assert not unexpected
    assert {name.partition(".")[0] for name in missing} == {
        "up4", "stage4", "up5", "stage5", "logits"
    }  # fmt: skip
    x = torch.randn(2, 3, 49, 67)
    # In training mode, as only there the network with a decoder has its encoder's logits.
    _, expected = both.train()(x)
    got = alone.train()(x)
    assert got.shape == (2, 5, 49, 67)
    assert torch.equal(got, expected)
    assert alone.eval()(x).shape == (2, 5, 49, 67)
    with pytest.raises(NetworkError, match="without a decoder"):
        ENet(3, 5, decoder=False, auxiliary="encoder")


def test_enet_auxiliary_head_is_one_convolution_on_the_encoder() -> None:
    plain, trained = on_meta(ENet, 3, 19), on_meta(ENet, 3, 19, auxiliary="encoder")
    assert parameter_count(trained) - parameter_count(plain) == 128 * 19 + 19
    x = torch.empty(1, 3, 64, 96, device="meta")
    assert [head.shape[-2:] for head in trained.heads(x)] == [(64, 96), (8, 12)]
    assert len(trained.eval().heads(x)) == 1


def test_enet_stem_of_many_channels() -> None:
    assert [stem_filters(n) for n in (1, 3, 6, 15, 16, 20)] == [15, 13, 10, 1, 13, 13]
    network = ENet(20, 3).eval()
    assert network.stem.width == 33
    assert logits(network, torch.randn(1, 20, 37, 45)).shape == (1, 3, 37, 45)


@pytest.mark.parametrize(
    ("made", "options", "allowed"),
    [
        (UNet, {"upsampling": "nearest"}, "transposed, bilinear"),
        (UNet, {"base_width": 0}, "at least 1"),
        (SegNet, {"logits": "relu"}, "plain, normalised"),
        (SegNet, {"vgg": "vgg19"}, "vgg16_bn, vgg16"),
        (ENet, {"definition": "paper"}, "port, lua"),
        (ENet, {"auxiliary": True}, "none, encoder"),
        (ENet, {"dropout": 1.0}, r"\[0, 1\)"),
    ],
)
def test_options_that_do_not_exist(
    made: type[SegmentationNetwork], options: dict[str, Any], allowed: str
) -> None:
    with pytest.raises(NetworkError, match=allowed):
        on_meta(made, 3, 2, **options)


@given(st.integers(1, 2), st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.booleans())
def test_max_unpool_is_torchs(n: int, c: int, height: int, width: int, last: bool) -> None:
    layout = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(n, c, height, width).contiguous(memory_format=layout)
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    expected = functional.max_unpool2d(pooled, indices, 2, output_size=(height, width))
    assert torch.equal(max_unpool(pooled, indices, size=(height, width)), expected)


def test_max_unpool_is_deterministic() -> None:
    pooled, indices = functional.max_pool2d(torch.randn(1, 2, 5, 7), 2, return_indices=True)
    torch.use_deterministic_algorithms(True)
    try:
        assert max_unpool(pooled, indices, size=(5, 7)).shape == (1, 2, 5, 7)
    finally:
        torch.use_deterministic_algorithms(False)


def imagenet_like(model: Any) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return torchvision's VGG16 with random weights, without memory for its classifier."""
    with torch.device("meta"):
        network = model()
    torch.manual_seed(0)
    state = {}
    for name, tensor in network.features.state_dict().items():
        if tensor.dim() == 4:
            made = torch.randn(tensor.shape) * (2 / tensor[0].numel()) ** 0.5
        elif tensor.dim() == 1:
            made = torch.rand(tensor.shape) + 0.5
        else:
            made = torch.tensor(3)
        state[f"features.{name}"] = made
    features = network.features.to_empty(device="cpu")
    features.load_state_dict({n.removeprefix("features."): t for n, t in state.items()})
    return features.eval(), {**state, "classifier.0.weight": torch.zeros(1)}


@torch.no_grad()
@pytest.mark.parametrize("vgg", ["vgg16_bn", "vgg16"])
def test_segnet_encoder_with_imagenet_weights_is_torchvisions(vgg: str) -> None:
    features, state = imagenet_like({"vgg16_bn": vgg16_bn, "vgg16": vgg16}[vgg])
    # As in old files.
    state = {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}
    network = SegNet(3, 2, vgg=vgg).eval()
    assert network.imagenet_trunk() == vgg
    network.load_trunk(state)
    if vgg == "vgg16":
        # Batch norms are untouched: without their tiny epsilon they do nothing.
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    x = y = torch.randn(1, 3, 64, 64)
    for layer in network.features:
        y = layer(y)[0] if isinstance(layer, nn.MaxPool2d) else layer(y)
    torch.testing.assert_close(y, features(x), rtol=1e-3, atol=1e-4)


def test_segnet_weights_that_do_not_fit_are_refused_whole() -> None:
    _, state = imagenet_like(vgg16)
    network = SegNet(3, 2, vgg="vgg16")
    before = network.features[0].weight.clone()
    lacking = {n: t for n, t in state.items() if n != "features.28.bias"}
    reshaped = state | {"features.28.bias": torch.zeros(3)}
    more = state | {"features.99.bias": torch.zeros(3)}
    for wrong in (lacking, reshaped, more):
        with pytest.raises(CheckpointError, match="vgg16"):
            network.load_trunk(wrong)
    with pytest.raises(CheckpointError, match="vgg16_bn"):
        SegNet(3, 2).load_trunk(state)
    assert torch.equal(network.features[0].weight, before)
    # Six channels that are alike give what three such channels give.
    network.load_trunk(state)
    wide = SegNet(6, 2, vgg="vgg16")
    wide.load_trunk(state)
    gray = torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(
        wide.features[0](gray.expand(1, 6, 8, 8)),
        network.features[0](gray.expand(1, 3, 8, 8)),
        rtol=1e-4,
        atol=1e-5,
    )


@torch.no_grad()
@pytest.mark.parametrize(("made", "options"), SMALL, ids=names(SMALL))
def test_memory_format_and_autocast(
    made: type[SegmentationNetwork], options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = made(3, 4, **options).eval()
    x = torch.randn(1, 3, 41, 50)
    expected = logits(network, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert logits(network, x).isfinite().all()
    last = torch.channels_last
    found = logits(network.to(memory_format=last), x.to(memory_format=last))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@torch.no_grad()
def test_compiles_without_a_graph_break() -> None:
    # Without its repetitions, and traced but not turned into code: either takes minutes.
    network = ENet(3, 4, regular=False).eval()
    x = torch.randn(1, 3, 41, 50)
    traced = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(traced(x), network(x))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(("made", "options"), [(SegNet, {}), (ENet, {"regular": False})])
def test_export_with_any_batch(made: type[SegmentationNetwork], options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = made(3, 4, **options).eval()
    exported = torch.export.export(
        network, (torch.randn(2, 3, 41, 50),), dynamic_shapes=({0: torch.export.Dim("n", min=1)},)
    ).module()
    for n in (1, 3):
        x = torch.randn(n, 3, 41, 50)
        torch.testing.assert_close(exported(x), network(x), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize(("made", "options"), SMALL, ids=names(SMALL))
def test_onnx_with_any_batch(
    made: type[SegmentationNetwork], options: dict[str, Any], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = made(3, 4, **options).eval()
    path = tmp_path / "network.onnx"
    batch = ({0: torch.export.Dim("n", min=1)},)
    program = torch.onnx.export(
        network, (torch.randn(2, 3, 41, 50),), dynamo=True, verbose=False, dynamic_shapes=batch
    )
    program.save(path)
    session = onnxruntime.InferenceSession(path)
    for n in (1, 3):
        x = torch.randn(n, 3, 41, 50)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(found, logits(network, x).numpy(), rtol=1e-3, atol=1e-4)
