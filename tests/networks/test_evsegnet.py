"""EV-SegNet: against Keras's numbers, timm's trunk, and the released tensor names."""

from __future__ import annotations

import hashlib

import naive_tf1 as naive
import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from eventseg.errors import NetworkError
from eventseg.networks.blocks.xception import Xception, pool_same
from eventseg.networks.converters.evsegnet import LAYOUT_EVSEGNET, convert_evsegnet, keras_names
from eventseg.networks.converters.tensorflow1 import read_tf1_checkpoint
from eventseg.networks.evsegnet import EvSegNet, enlarge
from eventseg.networks.network import parameter_count

NARROW = 0.125


def counted(in_channels, classes, **options):
    with torch.device("meta"):
        return EvSegNet(in_channels, classes, **options)


@pytest.mark.parametrize(
    ("in_channels", "classes", "expected"),
    [(6, 6, 22_863_406), (3, 19, 22_862_971), (1, 6, 22_861_966), (7, 6, 22_863_694)],
)
def test_parameters_are_those_of_the_released_network(in_channels, classes, expected):
    assert parameter_count(counted(in_channels, classes)) == expected


def test_parameters_of_each_part():
    network = counted(6, 6)
    assert {name: parameter_count(part) for name, part in network.named_children()} == {
        "encoder": 20_807_816,
        "adapt14": 466_560,
        "adapt13": 335_488,
        "adapt4": 297_600,
        "adapt3": 69_440,
        "adapt2": 18_336,
        "generate16": 629_120,
        "generate8": 167_104,
        "generate4": 44_640,
        "generate2": 15_264,
        "pyramid": 11_840,
        "logits": 198,
    }
    floats = [t for t in network.state_dict().values() if t.is_floating_point()]
    assert len(floats) == 679
    assert sum(t.numel() for t in floats) == 22_936_558


@pytest.mark.parametrize(
    ("height", "width", "tap_sizes"),
    [
        (224, 352, [(109, 173), (55, 87), (28, 44), (14, 22), (7, 11)]),
        (32, 64, [(13, 29), (7, 15), (4, 8), (2, 4), (1, 2)]),
    ],
)
def test_trunk_gives_the_released_sizes(height, width, tap_sizes):
    with torch.device("meta"):
        trunk = Xception(6)
        taps = trunk(torch.empty(1, 6, height, width))
    assert [tap.shape[-2:] for tap in taps] == tap_sizes
    assert tuple(tap.shape[1] for tap in taps) == trunk.channels == (128, 256, 728, 1024, 2048)


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 99),
)
def test_pooling_is_padded_as_tensorflow_pads(height, width, seed):
    x = np.random.default_rng(seed).standard_normal((height, width))

    def starts(size):
        """Return first and last row of each window, by TensorFlow's rule for ``same``."""
        made = -(-size // 2)
        before = max((made - 1) * 2 + 3 - size, 0) // 2
        return [(max(2 * i - before, 0), 2 * i - before + 3) for i in range(made)]

    expected = [[x[a:b, c:d].max() for c, d in starts(width)] for a, b in starts(height)]
    pooled = pool_same(torch.from_numpy(x)[None, None])
    np.testing.assert_array_equal(pooled[0, 0].numpy(), expected)


def _drawn_norms(network):
    """Give batch norms statistics, scales and shifts other than 0 and 1."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.7, 1.3)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.2, 0.2)


def test_trunk_is_timms_xception():
    # Equal where all pooled maps have odd sizes: timm pads even ones at both sides, Keras behind.
    torch.manual_seed(0)
    ours = Xception(3).eval()
    _drawn_norms(ours)
    theirs = timm.create_model("legacy_xception", pretrained=False, num_classes=0).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3  # 1e-5 in timm
    # Both register their layers in the same order; load_state_dict compares the shapes.
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    seen = []
    hooked = [theirs.block1.rep[4], theirs.block2.rep[5], theirs.block3.rep[5]]
    for layer in [*hooked, theirs.block12.rep[5], theirs.bn4]:
        layer.register_forward_hook(lambda module, given, made: seen.append(made.clone()))
    x = torch.rand(1, 3, 71, 39)
    with torch.no_grad():
        theirs.forward_features(x)
        taps = ours(x)
    assert [tap.shape for tap in taps] == [tap.shape for tap in seen]
    for tap, expected in zip(taps, seen, strict=True):
        torch.testing.assert_close(tap, expected, atol=1e-4, rtol=1e-4)


# Logits of TensorFlow 2.15.1 at every 21st row and 31st column of a 64 x 96 input, for a Keras
# model with the released code's layers, the weights of naive_tf1.evsegnet_values, and the input of
# the test below.
KERAS_LOGITS = """
3.97839  0.30323 -1.23957 -1.67996 -0.25700 -0.58026
4.42222  0.72785  0.84307 -2.44331 -0.85781 -0.31049
4.54238  0.79237  1.02466 -2.43833 -1.36648 -0.56846
2.69796  0.70172  0.30099 -1.51157 -0.01903  0.27516
4.11155  2.05634 -0.88326 -2.18342 -1.45535 -0.40616
6.33143  2.01250  0.72939 -3.29732 -0.26076 -0.76336
6.30945  1.95982  1.00560 -3.36972 -0.76929 -0.88843
3.23008  0.93207  0.30469 -2.63947  1.14874  0.76027
4.83063  2.61401  0.82023 -2.79202 -1.27669 -2.11231
6.33210  2.37961  0.98214 -2.69587  0.61063 -2.03874
6.51707  2.76099  0.88662 -2.71161  0.08239 -2.46110
3.16808  1.58140 -0.16443 -2.05873  1.58590 -0.28191
2.75044  3.61314 -0.26172 -1.14500 -0.03828 -2.07100
4.67372  3.24129 -0.12320 -1.06459  2.30635 -3.54722
4.94014  3.39919 -0.32651 -1.12474  1.96984 -3.59223
2.59247  1.67068 -0.83275 -1.01403  1.74395 -1.42799
"""

# Of "name shape" lines, sorted, of that model's variables without the model's own name.
KERAS_NAMES_SHA256 = "d93b708401cd2a49945b2efb2014dd3a3ce3fbda2b25b564f4640e225b91daf9"


def load(network, state):
    """Load tensors of Keras's names; only the counters of batch norms may be missing."""
    result = network.load_state_dict(convert_evsegnet(state), strict=False)
    assert not result.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in result.missing_keys)
    return network.eval()


def test_names_and_shapes_are_those_keras_gives():
    lines = [f"{name} {shape}" for name, shape in sorted(naive.evsegnet_tensors(6, 6).items())]
    assert len(lines) == 679
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == KERAS_NAMES_SHA256


def test_logits_are_those_keras_computes():
    values = naive.evsegnet_values(naive.evsegnet_tensors(6, 6))
    network = load(EvSegNet(6, 6), {name: torch.from_numpy(v) for name, v in values.items()})
    x = np.random.Generator(np.random.PCG64(5)).random((1, 64, 96, 6)).astype(np.float32) * 2 - 1
    with torch.no_grad():
        logits = network(torch.from_numpy(x).permute(0, 3, 1, 2))
    sampled = logits[0, :, ::21, ::31].permute(1, 2, 0).reshape(-1, 6).numpy()
    expected = np.array(KERAS_LOGITS.split(), np.float32).reshape(-1, 6)
    np.testing.assert_allclose(sampled, expected, atol=5e-4)


@pytest.mark.parametrize("scope", ["", "segception_small/"])
def test_a_checkpoint_of_tensorflow_loads_whole(tmp_path, scope):
    shapes = naive.evsegnet_tensors(6, 5, width=NARROW)
    values = naive.evsegnet_values(shapes)
    kept = ("block", "conv2d", "batch_normalization")
    named = {n if n.startswith(kept) else scope + n: v for n, v in values.items()}
    naive.write_bundle(tmp_path / "best", named)
    state = read_tf1_checkpoint(tmp_path / "best")
    assert LAYOUT_EVSEGNET.recognise(frozenset(state))
    network = load(EvSegNet(6, 5, width=NARROW), state)
    assert network.logits.weight.shape == (5, 4, 1, 1)

    def stored(layer):
        (name,) = [n for n in values if n == layer or n.endswith(f"/{layer}")]
        return values[name]

    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    # From Keras's (height, width, in, out) to (out, in, height, width), by hand.
    first = stored("block1_conv1/kernel")
    assert tensors["encoder.block1.conv1.weight"][2, 5, 0, 1] == first[0, 1, 5, 2]
    depthwise = stored("block3_sepconv1/depthwise_kernel")
    assert tensors["encoder.block3.sepconv1.depthwise.weight"][7, 0, 2, 1] == depthwise[2, 1, 7, 0]
    for ours, theirs in {
        "encoder.block13.shortcut_bn.running_var": "batch_normalization_3/moving_variance",
        "adapt14.0.bn.weight": "batch_normalization_4/gamma",
        "generate2.1.conv4.bn.bias": "batch_normalization_72/beta",
        "pyramid.mix.bn.running_mean": "batch_normalization_81/moving_mean",
        "logits.bias": "conv2d_29/bias",
    }.items():
        np.testing.assert_array_equal(tensors[ours], stored(theirs))


def test_every_tensor_of_ours_has_one_name_of_keras():
    with torch.device("meta"):
        ours = EvSegNet(6, 6).state_dict()
    floats = {name for name, tensor in ours.items() if tensor.is_floating_point()}
    names = keras_names()
    assert set(names.values()) == floats
    assert len(names) == 679


def test_foreign_names_stay_as_they_are():
    tensor = torch.zeros(1, 2, 3, 4)
    assert convert_evsegnet({"a/b": tensor, "Adam": tensor}) == {"a/b": tensor, "Adam": tensor}
    # A second tensor of one layer's name must not replace the first without a word.
    pair = {"a/conv2d_4/kernel": tensor, "b/conv2d_4/kernel": tensor}
    assert list(convert_evsegnet(pair)) == ["adapt14.0.conv.weight", "b/conv2d_4/kernel"]
    with torch.device("meta"):
        assert not LAYOUT_EVSEGNET.recognise(frozenset(EvSegNet(6, 6).state_dict()))


@pytest.mark.parametrize("size", [(200, 346), (65, 97), (32, 33), (224, 352)])
def test_logits_have_the_size_of_the_input(size):
    network = EvSegNet(2, 3, width=NARROW).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 2, *size)).shape == (1, 3, *size)


def test_maps_of_multiples_of_32_are_doubled():
    for size in range(32, 512, 32):
        deepest = size // 32
        for part in (16, 8, 4, 2):
            deepest *= 2
            image = torch.empty(1, 1, size, size, device="meta")
            enlarged = enlarge(torch.empty(1, 1, 1, 1, device="meta"), image, part)
            assert enlarged.shape[-2:] == (deepest, deepest)


@pytest.mark.parametrize("auxiliary", ["none", "head", "copy"])
@pytest.mark.parametrize(
    ("batch", "size"),
    [
        (1, (65, 97)),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((1, (32, 32)), (2, (40, 64)))),
    ],
)
def test_gradients_reach_every_parameter(auxiliary, batch, size):
    torch.manual_seed(0)
    network = EvSegNet(4, 3, width=NARROW, auxiliary=auxiliary).train()
    made = network(torch.randn(batch, 4, *size))
    outputs = [made] if auxiliary == "none" else made
    sum(logits.square().mean() for logits in outputs).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_auxiliary_logits_are_made_in_training_only():
    x = torch.randn(2, 1, 64, 64)
    same = EvSegNet(1, 2, width=NARROW, auxiliary="copy")
    main, auxiliary = same(x)
    assert torch.equal(main, auxiliary)
    head = EvSegNet(1, 2, width=NARROW, auxiliary="head")
    main, auxiliary = head(x)
    assert main.shape == auxiliary.shape == (2, 2, 64, 64)
    assert not torch.equal(main, auxiliary)
    assert parameter_count(head) == parameter_count(same) + 2 * (4 + 1)
    for network in (same, head):
        assert isinstance(network.eval()(x), torch.Tensor)


def test_width_scales_all_channels():
    half = counted(6, 6, width=0.5)
    assert half.encoder.channels == (64, 128, 364, 512, 1024)
    assert 0.24 < parameter_count(half) / parameter_count(counted(6, 6)) < 0.27


@pytest.mark.parametrize("width", [0, -1, float("nan"), float("inf")])
def test_width_must_be_positive(width):
    with pytest.raises(NetworkError, match="width"):
        EvSegNet(6, 6, width=width)


def test_auxiliary_must_be_known():
    with pytest.raises(NetworkError, match="none, head or copy"):
        EvSegNet(6, 6, auxiliary="two")


@pytest.mark.slow
def test_export_computes_the_same():
    torch.manual_seed(0)
    network = EvSegNet(6, 4, width=0.25).eval()
    _drawn_norms(network)
    x = torch.randn(1, 6, 65, 97)
    exported = torch.export.export(network, (x,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(x), network(x), atol=1e-4, rtol=1e-4)
