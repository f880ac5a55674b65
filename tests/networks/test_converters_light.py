"""Published checkpoints of CGNet, Fast-SCNN and DenseASPP give what their own networks give.

The networks are described here once more, layer by layer, with the names of the published files
and functions of torch only.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from naive_unet_segnet_enet import Weights
from PIL import Image
from torch import Tensor
from torch.nn import functional as f

from eventseg.networks.cgnet import CGNet
from eventseg.networks.converters.cgnet import (
    AUTHORS_CAMVID,
    MMSEG_CGNET,
    WUTIANYIROSUN,
    authors_scaling,
)
from eventseg.networks.converters.denseaspp import DEEPMOTION
from eventseg.networks.converters.fastscnn import MMSEG_FASTSCNN, TRAMAC
from eventseg.networks.converters.layout import Layout
from eventseg.networks.denseaspp import DenseASPP
from eventseg.networks.fastscnn import FastSCNN
from eventseg.networks.weights import read_weights

LAYOUTS = (WUTIANYIROSUN, MMSEG_CGNET, TRAMAC, MMSEG_FASTSCNN, DEEPMOTION)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small maps gain nothing from more threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Layers(Weights):
    """Layers of light networks, each by the names of its tensors."""

    def depthwise(self, x: Tensor, name: str, *, dilation: int = 1, stride: int = 1) -> Tensor:
        channels = x.shape[1]
        weight = self.tensor(f"{name}.weight", channels, 1, 3, 3)
        return f.conv2d(
            x, weight, None, stride, padding=dilation, dilation=dilation, groups=channels
        )

    def linear(self, x: Tensor, name: str, width: int) -> Tensor:
        weight = self.tensor(f"{name}.weight", width, x.shape[1])
        return f.linear(x, weight, self.tensor(f"{name}.bias", width))


def upsampled(x: Tensor, size: torch.Size | tuple[int, int], *, align_corners: bool) -> Tensor:
    return f.interpolate(x, size, mode="bilinear", align_corners=align_corners)


def halved(x: Tensor) -> Tensor:
    return f.avg_pool2d(x, 3, 2, 1)


def cgnet_authors(w: Layers, x: Tensor, classes: int, *, m: int = 3, n: int = 21) -> Tensor:
    """wutianyiRosun/CGNet."""

    def norm_prelu(x, name):
        return w.prelu(w.norm(x, f"{name}.bn", eps=1e-3), f"{name}.act", x.shape[1])

    def conv_norm_prelu(x, name, filters, kernel, stride=1):
        x = w.conv(x, f"{name}.conv", filters, kernel, stride=stride, padding=kernel // 2)
        return norm_prelu(x, name)

    def gate(x, name, reduction):
        channels = x.shape[1]
        y = f.relu(w.linear(x.mean((2, 3)), f"{name}.fc.0", channels // reduction))
        return x * w.linear(y, f"{name}.fc.2", channels).sigmoid()[:, :, None, None]

    def pair(x, name, dilation):
        near = w.depthwise(x, f"{name}.F_loc.conv")
        return torch.cat([near, w.depthwise(x, f"{name}.F_sur.conv", dilation=dilation)], 1)

    def down(x, name, filters, dilation, reduction):
        x = conv_norm_prelu(x, f"{name}.conv1x1", filters, 3, 2)
        x = norm_prelu(pair(x, name, dilation), name)
        return gate(w.conv(x, f"{name}.reduce.conv", filters, 1), f"{name}.F_glo", reduction)

    def block(x, name, dilation, reduction):
        y = conv_norm_prelu(x, f"{name}.conv1x1", x.shape[1] // 2, 1)
        y = norm_prelu(pair(y, name, dilation), f"{name}.bn_prelu")
        return x + gate(y, f"{name}.F_glo", reduction)

    half, quarter = halved(x), halved(halved(x))
    y = conv_norm_prelu(x, "level1_0", 32, 3, 2)
    y = conv_norm_prelu(conv_norm_prelu(y, "level1_1", 32, 3), "level1_2", 32, 3)
    first = y = down(norm_prelu(torch.cat([y, half], 1), "b1"), "level2_0", 64, 2, 8)
    for i in range(m - 1):
        y = block(y, f"level2.{i}", 2, 8)
    y = norm_prelu(torch.cat([y, first, quarter], 1), "bn_prelu_2")
    first = y = down(y, "level3_0", 128, 4, 16)
    for i in range(n - 1):
        y = block(y, f"level3.{i}", 4, 16)
    y = norm_prelu(torch.cat([first, y], 1), "bn_prelu_3")
    y = w.conv(y, "classifier.0.conv", classes, 1)
    return upsampled(y, x.shape[2:], align_corners=False)


def cgnet_mmseg(w: Layers, x: Tensor, classes: int) -> Tensor:
    """mmseg's CGNet, three and four blocks."""

    def module(x, name, filters, kernel, stride=1):
        x = w.conv(x, f"{name}.conv", filters, kernel, stride=stride, padding=kernel // 2)
        return w.prelu(w.norm(x, f"{name}.bn", eps=1e-3), f"{name}.activate", filters)

    def between(x, name):
        return w.prelu(w.norm(x, f"{name}.0", eps=1e-3), f"{name}.1", x.shape[1])

    def block(x, name, filters, dilation, reduction, *, down):
        width = filters if down else filters // 2
        y = module(x, f"{name}.conv1x1", width, 3 if down else 1, 2 if down else 1)
        far = w.depthwise(y, f"{name}.F_sur", dilation=dilation)
        y = torch.cat([w.depthwise(y, f"{name}.F_loc"), far], 1)
        y = w.prelu(w.norm(y, f"{name}.bn", eps=1e-3), f"{name}.activate", 2 * width)
        if down:
            y = w.conv(y, f"{name}.bottleneck", filters, 1)
        z = f.relu(w.linear(y.mean((2, 3)), f"{name}.F_glo.fc.0", filters // reduction))
        y = y * w.linear(z, f"{name}.F_glo.fc.2", filters).sigmoid()[:, :, None, None]
        return y if down else x + y

    y = x
    for i in range(3):
        y = module(y, f"backbone.stem.{i}", 32, 3, 1 if i else 2)
    y = between(torch.cat([y, halved(x)], 1), "backbone.bn_prelu_0")
    first = y = block(y, "backbone.level1.0", 64, 2, 8, down=True)
    for i in (1, 2):
        y = block(y, f"backbone.level1.{i}", 64, 2, 8, down=False)
    y = between(torch.cat([y, first, halved(halved(x))], 1), "backbone.bn_prelu_1")
    first = y = block(y, "backbone.level2.0", 128, 4, 16, down=True)
    for i in (1, 2, 3):
        y = block(y, f"backbone.level2.{i}", 128, 4, 16, down=False)
    y = between(torch.cat([first, y], 1), "backbone.bn_prelu_2")
    y = w.conv(y, "decode_head.conv_seg", classes, 1, bias=True)
    return upsampled(y, x.shape[2:], align_corners=False)


GROUPS = ((64, 2), (96, 2), (128, 1))


def fastscnn_tramac(w: Layers, x: Tensor, classes: int, *, auxiliary: bool) -> tuple[Tensor, ...]:
    """Tramac/Fast-SCNN-pytorch, for maps that are multiples of 4 at 1/8."""

    def conv(x, name, filters, kernel, **options):
        x = w.conv(x, f"{name}.conv.0", filters, kernel, **options)
        return f.relu(w.norm(x, f"{name}.conv.1"))

    def separable(x, name, filters, stride=1):
        x = f.relu(w.norm(w.depthwise(x, f"{name}.conv.0", stride=stride), f"{name}.conv.1"))
        return f.relu(w.norm(w.conv(x, f"{name}.conv.3", filters, 1), f"{name}.conv.4"))

    def bottleneck(x, name, filters, stride):
        y = conv(x, f"{name}.block.0", 6 * x.shape[1], 1)
        y = w.depthwise(y, f"{name}.block.1.conv.0", stride=stride)
        y = f.relu(w.norm(y, f"{name}.block.1.conv.1"))
        y = w.norm(w.conv(y, f"{name}.block.2", filters, 1), f"{name}.block.3")
        return x + y if stride == 1 and x.shape[1] == filters else y

    high = conv(x, "learning_to_downsample.conv", 32, 3, stride=2)
    high = separable(high, "learning_to_downsample.dsconv1", 48, 2)
    high = separable(high, "learning_to_downsample.dsconv2", 64, 2)
    y = high
    for group, (filters, stride) in enumerate(GROUPS, 1):
        for i in range(3):
            name = f"global_feature_extractor.bottleneck{group}.{i}"
            y = bottleneck(y, name, filters, 1 if i else stride)
    maps = [y]
    for i, cells in enumerate((1, 2, 3, 6), 1):
        pooled = f.adaptive_avg_pool2d(y, cells)
        pooled = conv(pooled, f"global_feature_extractor.ppm.conv{i}", 32, 1)
        maps.append(upsampled(pooled, y.shape[2:], align_corners=True))
    low = conv(torch.cat(maps, 1), "global_feature_extractor.ppm.out", 128, 1)
    low = f.interpolate(low, scale_factor=4, mode="bilinear", align_corners=True)
    low = w.depthwise(low, "feature_fusion.dwconv.conv.0")
    low = f.relu(w.norm(low, "feature_fusion.dwconv.conv.1"))
    low = w.conv(low, "feature_fusion.conv_lower_res.0", 128, 1, bias=True)
    y = w.conv(high, "feature_fusion.conv_higher_res.0", 128, 1, bias=True)
    y = f.relu(
        w.norm(y, "feature_fusion.conv_higher_res.1")
        + w.norm(low, "feature_fusion.conv_lower_res.1")
    )
    y = separable(separable(y, "classifier.dsconv1", 128), "classifier.dsconv2", 128)
    made = [w.conv(y, "classifier.conv.1", classes, 1, bias=True)]
    if auxiliary:
        y = f.relu(w.norm(w.conv(high, "auxlayer.0", 32, 3, padding=1), "auxlayer.1"))
        made.append(w.conv(y, "auxlayer.4", classes, 1, bias=True))
    return tuple(upsampled(y, x.shape[2:], align_corners=True) for y in made)


def fastscnn_mmseg(w: Layers, x: Tensor, classes: int, *, auxiliary: bool) -> tuple[Tensor, ...]:
    """mmseg's Fast-SCNN."""

    def norm(x, name, *, relu=True):
        x = w.norm(x, f"{name}.bn")
        return f.relu(x) if relu else x

    def conv(x, name, filters, kernel, *, relu=True, stride=1):
        y = w.conv(x, f"{name}.conv", filters, kernel, stride=stride, padding=kernel // 2)
        return norm(y, name, relu=relu)

    def separable(x, name, filters, stride=1):
        x = w.depthwise(x, f"{name}.depthwise_conv.conv", stride=stride)
        return conv(
            norm(x, f"{name}.depthwise_conv", relu=False), f"{name}.pointwise_conv", filters, 1
        )

    def bottleneck(x, name, filters, stride):
        y = conv(x, f"{name}.conv.0", 6 * x.shape[1], 1)
        y = norm(w.depthwise(y, f"{name}.conv.1.conv", stride=stride), f"{name}.conv.1")
        y = conv(y, f"{name}.conv.2", filters, 1, relu=False)
        return x + y if stride == 1 and x.shape[1] == filters else y

    high = conv(x, "backbone.learning_to_downsample.conv", 32, 3, stride=2)
    high = separable(high, "backbone.learning_to_downsample.dsconv1", 48, 2)
    high = separable(high, "backbone.learning_to_downsample.dsconv2", 64, 2)
    y, deep = high, "backbone.global_feature_extractor"
    for group, (filters, stride) in enumerate(GROUPS, 1):
        for i in range(3):
            y = bottleneck(y, f"{deep}.bottleneck{group}.{i}", filters, 1 if i else stride)
    maps = [y]
    for i, cells in enumerate((1, 2, 3, 6)):
        pooled = conv(f.adaptive_avg_pool2d(y, cells), f"{deep}.ppm.{i}.1", 32, 1)
        maps.append(upsampled(pooled, y.shape[2:], align_corners=False))
    low = conv(torch.cat(maps, 1), f"{deep}.out", 128, 3)
    y = upsampled(low, high.shape[2:], align_corners=False)
    fusion = "backbone.feature_fusion"
    y = norm(w.depthwise(y, f"{fusion}.dwconv.conv"), f"{fusion}.dwconv")
    y = conv(y, f"{fusion}.conv_lower_res", 128, 1, relu=False)
    y = f.relu(y + conv(high, f"{fusion}.conv_higher_res", 128, 1, relu=False))
    y = separable(separable(y, "decode_head.convs.0", 128), "decode_head.convs.1", 128)
    made = [w.conv(y, "decode_head.conv_seg", classes, 1, bias=True)]
    if auxiliary:
        for i, seen in ((1, high), (0, low)):
            y = conv(seen, f"auxiliary_head.{i}.convs.0", 32, 3)
            made.append(w.conv(y, f"auxiliary_head.{i}.conv_seg", classes, 1, bias=True))
    return tuple(upsampled(y, x.shape[2:], align_corners=False) for y in made)


def denseaspp(w: Layers, x: Tensor, classes: int) -> Tensor:
    """DeepMotionAIResearch/DenseASPP with DenseNet-121, at multiples of 8."""

    def transition(x, name):
        y = f.relu(w.norm(x, f"{name}.norm"))
        return w.conv(y, f"{name}.conv", x.shape[1] // 2, 1)

    y = w.conv(x, "features.conv0", 64, 7, stride=2, padding=3)
    y = f.max_pool2d(f.relu(w.norm(y, "features.norm0")), 3, 2, 1)
    for block, (layers, dilation) in enumerate(((6, 1), (12, 1), (24, 2), (16, 4)), 1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            z = w.conv(f.relu(w.norm(y, f"{name}.norm.1")), f"{name}.conv.1", 128, 1)
            z = f.relu(w.norm(z, f"{name}.norm.2"))
            z = w.conv(z, f"{name}.conv.2", 32, 3, padding=dilation, dilation=dilation)
            y = torch.cat([y, z], 1)
        y = transition(y, f"features.transition{block}")
        if block == 1:
            y = f.avg_pool2d(y, 2)
    y = f.relu(w.norm(y, "features.norm5"))
    for rate in (3, 6, 12, 18, 24):
        name = f"ASPP_{rate}"
        z = y if rate == 3 else f.relu(w.norm(y, f"{name}.norm.1"))
        z = w.conv(z, f"{name}.conv.1", 128, 1, bias=True)
        z = f.relu(w.norm(z, f"{name}.norm.2"))
        z = w.conv(z, f"{name}.conv.2", 64, 3, bias=True, padding=rate, dilation=rate)
        y = torch.cat([z, y], 1)
    y = w.conv(y, "classification.1", classes, 1, bias=True)
    return f.interpolate(y, scale_factor=8, mode="bilinear", align_corners=True)


def loaded(made, layout: Layout, weights: Weights, *, classes: int):
    """Return our network with foreign weights, in evaluation mode and without dropout."""
    assert [other for other in LAYOUTS if other.recognise(frozenset(weights.state))] == [layout]
    options = dict(layout.options)
    if layout.options_of:
        options |= layout.options_of(weights.state)
    network = made(3, classes, dropout=0.0, **options)
    # Strict: nothing is missing, nothing left over.
    network.load_state_dict(layout.convert(weights.state))
    return network.eval()


def assert_same(made: Tensor, expected: Tensor) -> None:
    """Compare, up to rounding, logits that are neither tiny nor alike."""
    spread = float(expected.std())
    assert spread > 0
    torch.testing.assert_close(made / spread, expected / spread, rtol=1e-3, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize(("m", "n"), [(3, 21), (1, 4)])
def test_cgnet_of_its_authors(m: int, n: int) -> None:
    weights, x = Layers(), torch.randn(2, 3, 45, 61)
    expected = cgnet_authors(weights, x, 5, m=m, n=n)
    assert_same(loaded(CGNet, WUTIANYIROSUN, weights, classes=5)(x), expected)


@torch.no_grad()
def test_cgnet_of_its_authors_with_dropout_before_the_logits() -> None:
    weights, x = Layers(), torch.randn(2, 3, 45, 61)
    expected = cgnet_authors(weights, x, 5, n=2)
    weights.state["classifier.1.conv.weight"] = weights.state.pop("classifier.0.conv.weight")
    assert_same(loaded(CGNet, WUTIANYIROSUN, weights, classes=5)(x), expected)


def test_cgnet_of_its_authors_saw_camvid_where_it_has_its_classes() -> None:
    def scaling(classes: int):
        weights = Layers()
        cgnet_authors(weights, torch.zeros(1, 3, 32, 32), classes, m=1, n=1)
        return authors_scaling(weights.state)

    assert scaling(11) == AUTHORS_CAMVID
    # Read blue first and subtracted from red first; mmseg's own is the right way round.
    assert scaling(19) == WUTIANYIROSUN.scaling
    assert scaling(19).mean == MMSEG_CGNET.scaling.mean[::-1]


@torch.no_grad()
def test_cgnet_of_mmseg() -> None:
    weights, x = Layers(), torch.randn(2, 3, 45, 61)
    expected = cgnet_mmseg(weights, x, 5)
    network = loaded(CGNet, MMSEG_CGNET, weights, classes=5)
    assert_same(network(x), expected)
    assert len(network.stage3) == 3  # and the one that halves the size


@torch.no_grad()
@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize(
    ("layout", "naive", "size"),
    # The first convolution of Tramac's is not padded, and its fusion enlarges by 4.
    [(TRAMAC, fastscnn_tramac, (65, 97)), (MMSEG_FASTSCNN, fastscnn_mmseg, (75, 83))],
)
def test_fastscnn(layout: Layout, naive, size: tuple[int, int], auxiliary: bool) -> None:
    weights, x = Layers(), torch.randn(2, 3, *size)
    expected = naive(weights, x, 5, auxiliary=auxiliary)
    network = loaded(FastSCNN, layout, weights, classes=5)
    assert_same(network(x), expected[0])
    # Auxiliary heads run in training mode only; batch norms then keep their statistics.
    made = network.freeze_batch_norm().train()(x)
    made = made if isinstance(made, tuple) else (made,)
    assert len(made) == len(expected)
    for ours, theirs in zip(made, expected, strict=True):
        assert_same(ours, theirs)


@torch.no_grad()
def test_denseaspp_of_its_authors() -> None:
    weights, x = Layers(), torch.randn(1, 3, 64, 96)
    expected = denseaspp(weights, x, 5)
    assert_same(loaded(DenseASPP, DEEPMOTION, weights, classes=5)(x), expected)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.networks}{layout.name}")
def test_unknown_tensors_are_kept_and_so_reported(layout: Layout) -> None:
    extra = torch.ones(1)
    assert layout.convert({"extra.weight": extra}) == {"extra.weight": extra}


def test_subnormal_numbers_of_cgnets_authors_become_zero() -> None:
    given = torch.tensor([1e-39, -1e-39, 2e-38, -0.5, 0.0])
    made = WUTIANYIROSUN.convert(
        {"b1.bn.weight": given, "b1.bn.num_batches_tracked": torch.ones(())}
    )
    assert torch.equal(made["inject1.bn.weight"], torch.tensor([0.0, 0.0, 2e-38, -0.5, 0.0]))
    assert made["inject1.bn.num_batches_tracked"] == 1


def camvid_images(folder: Path, count: int | None) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Yield test pictures as the authors' network takes them, with their annotations."""
    for path in sorted((folder / "camvid" / "test").iterdir())[:count]:
        rgb = np.array(Image.open(path).convert("RGB"), np.float32)
        # From red, green and blue each: the authors' own order, see the layout.
        rgb -= np.array([105.658, 103.330, 99.625], np.float32)
        truth = np.array(Image.open(folder / "camvid" / "testannot" / f"{path.stem}.png"))
        yield torch.from_numpy(rgb).permute(2, 0, 1)[None], truth


def camvid_network(folder: Path) -> tuple[CGNet, Layers]:
    weights = Layers()
    weights.state = read_weights(folder / "weights" / "cgnet_m3n21_camvid_trainval.pth")
    assert authors_scaling(weights.state) == AUTHORS_CAMVID
    return loaded(CGNet, WUTIANYIROSUN, weights, classes=11), weights


@torch.no_grad()
def test_published_cgnet_on_some_camvid_images(shared_data: Path) -> None:
    network, weights = camvid_network(shared_data)
    right = labelled = 0
    for i, (x, truth) in enumerate(camvid_images(shared_data, 6)):
        logits = network(x)
        if i == 0:
            # A crop, as the subnormal numbers in the file take their time.
            crop = x[..., 100:196, 200:328]
            assert_same(network(crop), cgnet_authors(weights, crop, 11))
        known = truth < 11
        right += (logits.argmax(1)[0].numpy() == truth)[known].sum()
        labelled += known.sum()
    assert right / labelled > 0.85


@pytest.mark.slow
@torch.no_grad()
def test_published_cgnet_scores_on_camvid_as_its_authors_network(shared_data: Path) -> None:
    network, _ = camvid_network(shared_data)
    counts = np.zeros((11, 11), np.int64)
    images = 0
    for x, truth in camvid_images(shared_data, None):
        predicted = network(x).argmax(1)[0].numpy()
        np.add.at(counts, (truth[truth < 11], predicted[truth < 11]), 1)
        images += 1
    iou = np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))
    assert images == 233
    assert 100 * np.trace(counts) / counts.sum() == pytest.approx(90.28, abs=0.3)
    assert 100 * iou.mean() == pytest.approx(65.34, abs=0.3)
    published = [0.911, 0.793, 0.277, 0.945, 0.817, 0.746, 0.402, 0.351, 0.841, 0.527, 0.577]
    np.testing.assert_allclose(iou, published, atol=0.01)
