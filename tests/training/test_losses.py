"""Losses and class weights against loops, PyTorch, scikit-learn and segmentation_models_pytorch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from segmentation_models_pytorch import losses as peer
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from eventseg.errors import TrainingError
from eventseg.training.config.optimisation import TERMS
from eventseg.training.losses.class_weights import count_labels, enet_weights, median_frequency
from eventseg.training.losses.losses import (
    LossSpec,
    cross_entropy,
    dice_loss,
    focal_loss,
    ohem_cross_entropy,
    segmentation_loss,
)
from eventseg.training.losses.region_mutual_information import RIDGE, region_mutual_information_loss

IGNORED = 255
SMALL = {"region_pool": 1, "ohem_min_kept": 7}


def batch(n=2, classes=4, height=9, width=11, *, seed=0, dtype=torch.float64, ignored=0.2):
    """Return random logits and labels, a share of them ignored."""
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, classes, height, width, generator=random, dtype=dtype)
    labels = torch.randint(0, classes, (n, height, width), generator=random)
    labels[torch.rand(labels.shape, generator=random) < ignored] = IGNORED
    return logits, labels


def pixels(logits, labels):
    """Return (class, probability of it, image, row, column) of every pixel not ignored."""
    p = logits.softmax(1)
    return [
        (int(c), float(p[n, c, i, j]), n, i, j)
        for n in range(len(labels))
        for i in range(labels.shape[1])
        for j in range(labels.shape[2])
        if (c := labels[n, i, j]) != IGNORED
    ]


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_that_of_pytorch(weighted):
    logits, labels = batch()
    weights = torch.tensor([0.5, 0.0, 2.0, 1.0], dtype=torch.float64) if weighted else None
    expected = functional.cross_entropy(logits, labels, weight=weights, ignore_index=IGNORED)
    assert cross_entropy(logits, labels, class_weights=weights).item() == pytest.approx(
        expected.item(), rel=1e-12
    )


def test_pixel_and_class_weights_are_those_of_a_weighted_mean():
    logits, labels = batch()
    of_class = [0.5, 1.0, 2.0, 0.25]
    of_pixel = torch.rand(labels.shape, dtype=torch.float64)
    found = pixels(logits, labels)
    for gamma in (0.0, 2.0, 1.5):
        weights = [of_class[c] * float(of_pixel[n, i, j]) for c, _, n, i, j in found]
        losses = [-((1 - p) ** gamma) * math.log(p) for _, p, *_ in found]
        expected = np.average(losses, weights=weights)
        made = focal_loss(
            logits, labels, gamma=gamma,
            class_weights=torch.tensor(of_class), pixel_weights=of_pixel,
        )  # fmt: skip
        assert made.item() == pytest.approx(expected, rel=1e-9)
    plain = cross_entropy(
        logits, labels, class_weights=torch.tensor(of_class), pixel_weights=of_pixel
    )
    without = focal_loss(
        logits, labels, gamma=0.0, class_weights=torch.tensor(of_class), pixel_weights=of_pixel
    )
    torch.testing.assert_close(plain, without)


def test_a_pixel_of_weight_0_is_as_if_ignored():
    logits, labels = batch(ignored=0)
    weights = (torch.rand(labels.shape) < 0.5).double()
    ignored = labels.where(weights > 0, IGNORED)
    for loss in (cross_entropy, focal_loss, dice_loss):
        torch.testing.assert_close(
            loss(logits, labels, pixel_weights=weights), loss(logits, ignored)
        )


def test_focal_loss_of_two_classes_is_the_peers_binary_one():
    # A softmax over two classes is a sigmoid of the difference of their logits.
    logits, labels = batch(classes=2)
    expected = peer.FocalLoss("binary", gamma=2.0, ignore_index=IGNORED)(
        logits[:, 1] - logits[:, 0], labels
    )
    assert focal_loss(logits, labels).item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("threshold", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("min_kept", [1, 30, 10_000])
def test_ohem_keeps_what_a_sorted_list_keeps(threshold, min_kept):
    logits, labels = batch()
    ordered = sorted(p for _, p, *_ in pixels(logits, labels))
    below = sum(p < threshold for p in ordered)
    kept = ordered[: max(below, min(min_kept, len(ordered)))]
    made = ohem_cross_entropy(logits, labels, threshold=threshold, min_kept=min_kept)
    assert made.item() == pytest.approx(-np.log(kept).mean(), rel=1e-9)


@pytest.mark.parametrize("share", [0.001, 0.0625, 0.3, 1.0])
def test_ohem_keeps_a_share_of_the_batch(share):
    logits, labels = batch()
    ordered = sorted(p for _, p, *_ in pixels(logits, labels))
    kept = ordered[: max(sum(p < 0.1 for p in ordered), math.ceil(share * labels.numel()))]
    made = ohem_cross_entropy(logits, labels, threshold=0.1, min_share=share)
    assert made.item() == pytest.approx(-np.log(kept).mean(), rel=1e-9)
    spec = LossSpec(terms=(("ohem", 1.0),), ohem_threshold=0.1, ohem_min_share=share)
    torch.testing.assert_close(segmentation_loss(logits, labels, spec=spec), made)


def test_dice_is_the_peers_over_the_classes_that_occur():
    logits, labels = batch(classes=5)
    labels[labels == 3] = 1
    expected = peer.DiceLoss("multiclass", ignore_index=IGNORED)(logits, labels)
    # The peer divides by all five classes, one of which does not occur.
    assert dice_loss(logits, labels).item() == pytest.approx(expected.item() * 5 / 4, rel=1e-6)


def test_dice_weighs_pixels_as_a_loop_does():
    logits, labels = batch(classes=3)
    weights = torch.rand(labels.shape, dtype=torch.float64)
    shared, ours, theirs = (np.zeros(3) for _ in range(3))
    for c, p, n, i, j in pixels(logits, labels):
        w = float(weights[n, i, j])
        shared[c] += w * p
        theirs[c] += w
        ours += w * logits[n, :, i, j].softmax(0).numpy()
    expected = np.mean(1 - 2 * shared / (ours + theirs))
    made = dice_loss(logits, labels, pixel_weights=weights)
    assert made.item() == pytest.approx(expected, rel=1e-9)


def rmi_by_numpy(logits, labels, *, radius, pool):
    """Return the region mutual information loss by NumPy's covariance, inverse and determinant."""
    probability = logits.softmax(1).numpy()
    total = 0.0
    for p, y in zip(probability, labels.numpy(), strict=True):
        for c in range(len(p)):
            maps = []
            for whole in (p[c] * (y != IGNORED), (y == c).astype(float)):
                rows = range(0, whole.shape[0], pool)
                columns = range(0, whole.shape[1], pool)
                maps.append(
                    np.array([[whole[i : i + pool, j : j + pool].mean() for j in columns]
                              for i in rows])
                )  # fmt: skip
            vectors = [
                [
                    m[i : i + radius, j : j + radius].ravel()
                    for i in range(m.shape[0] - radius + 1)
                    for j in range(m.shape[1] - radius + 1)
                ]
                for m in maps
            ]
            d = radius**2
            joint = np.cov(np.hstack(vectors).T, bias=True)
            pp, py, yy = joint[:d, :d], joint[:d, d:], joint[d:, d:]
            left = yy - py.T @ np.linalg.inv(pp + RIDGE * np.eye(d)) @ py
            total += np.linalg.slogdet(left / RIDGE + np.eye(d))[1] / (2 * d)
    return total / len(labels)


@pytest.mark.parametrize(("radius", "pool"), [(3, 1), (3, 4), (2, 3)])
def test_region_mutual_information_is_that_of_numpy(radius, pool):
    logits, labels = batch(height=18, width=23, classes=3)
    expected = rmi_by_numpy(logits, labels, radius=radius, pool=pool)
    made = region_mutual_information_loss(logits, labels, radius=radius, pool=pool)
    assert made.item() == pytest.approx(expected, rel=1e-6)


def test_region_mutual_information_falls_as_the_prediction_nears_the_labels():
    _, labels = batch(height=24, width=24, classes=3, ignored=0)
    truth = functional.one_hot(labels, 3).permute(0, 3, 1, 2).double()
    losses = [region_mutual_information_loss(k * truth, labels, pool=2) for k in (0.0, 1.0, 5.0)]
    assert losses[0] > losses[1] > losses[2]
    perfect = region_mutual_information_loss(60 * truth, labels, pool=2)
    # All but the variance of the ridge's order is explained: below ln 2 / 2 of each class.
    assert 0 <= perfect < 3 * math.log(2) / 2 < losses[0]


@pytest.mark.parametrize("term", TERMS)
def test_gradients_are_right(term):
    logits, labels = batch(n=2, classes=3, height=4, width=5)
    weights = torch.rand(labels.shape, dtype=torch.float64)
    spec = LossSpec(terms=((term, 1.3),), **SMALL)
    logits.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda x: segmentation_loss(
            (x, 0.5 * x), labels, spec=spec,
            class_weights=torch.tensor([1.0, 0.5, 2.0]), pixel_weights=weights,
        ),
        (logits,),
    )  # fmt: skip


@pytest.mark.parametrize("term", TERMS)
def test_a_batch_of_ignored_pixels_has_loss_0_and_gradient_0(term):
    logits, labels = batch(dtype=torch.float32, ignored=2)
    logits.requires_grad_(True)
    loss = segmentation_loss(logits, labels, spec=LossSpec(terms=((term, 1.0),), **SMALL))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("term", TERMS)
def test_sure_predictions_stay_finite(term):
    _, labels = batch(dtype=torch.float32)
    truth = functional.one_hot(labels.where(labels != IGNORED, 0), 4).permute(0, 3, 1, 2).float()
    for scale in (1e4, -1e4):
        logits = (scale * truth).requires_grad_(True)
        loss = segmentation_loss(logits, labels, spec=LossSpec(terms=((term, 1.0),), **SMALL))
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("term", TERMS)
def test_nan_logits_give_a_nan_loss_and_no_error(term):
    logits, labels = batch()
    logits[0, :, 0, 0] = math.nan
    labels[0, 0, 0] = 1
    loss = segmentation_loss(logits, labels, spec=LossSpec(terms=((term, 1.0),), **SMALL))
    assert torch.isnan(loss)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("term", TERMS)
def test_half_precision_logits_are_computed_in_float32(term, dtype):
    logits, labels = batch(height=32, width=32)
    half = logits.to(dtype).requires_grad_(True)
    spec = LossSpec(terms=((term, 1.0),))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = segmentation_loss(half, labels, spec=spec)
    assert loss.dtype == torch.float32
    expected = segmentation_loss(half.detach().float(), labels, spec=spec)
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)
    loss.backward()
    assert torch.isfinite(half.grad).all()


def test_auxiliary_heads_and_terms_add_up():
    logits, labels = batch()
    other, _ = batch(seed=1)
    spec = LossSpec(terms=(("cross_entropy", 0.5), ("dice", 2.0)), auxiliary_weight=0.4)

    def alone(x):
        return 0.5 * cross_entropy(x, labels) + 2 * dice_loss(x, labels)

    made = segmentation_loss((logits, other, logits), labels, spec=spec)
    torch.testing.assert_close(made, 1.4 * alone(logits) + 0.4 * alone(other))


def test_the_released_evsegnet_has_1_8_times_the_cross_entropy():
    logits, labels = batch()
    spec = LossSpec(terms=(("cross_entropy", 1.0),), auxiliary_weight=0.8)
    made = segmentation_loss((logits, logits), labels, spec=spec)
    torch.testing.assert_close(made, 1.8 * cross_entropy(logits, labels))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"terms": ()}, "one or more"),
        ({"terms": (("lovasz", 1.0),)}, "lovasz"),
        ({"terms": (("dice", 1.0), ("dice", 1.0))}, "each once"),
        ({"terms": (("dice", 0.0),)}, "above 0"),
        ({"auxiliary_weight": math.nan}, "auxiliary"),
        ({"class_weights": "median"}, "median_frequency"),
        ({"ohem_threshold": 0.0}, "threshold"),
        ({"ohem_min_share": 0.0}, "share"),
        ({"ohem_min_kept": -1}, "ohem_min_kept"),
        ({"enet_c": 1.0}, "enet_c"),
        ({"region_radius": 0}, "region_radius"),
    ],
)
def test_wrong_settings_are_refused(settings, word):
    with pytest.raises(TrainingError, match=word):
        LossSpec(**settings)


def test_maps_without_a_region_are_refused():
    logits, labels = batch(height=8, width=40)
    with pytest.raises(TrainingError, match="40x8"):
        region_mutual_information_loss(logits, labels)


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=12).filter(any))
def test_class_weights_are_the_formulas(pixels_of_class):
    around = [3 * n + 5 for n in pixels_of_class]
    present = [n / m for n, m in zip(pixels_of_class, around, strict=True) if n]
    by_median = median_frequency(pixels_of_class, pixels_of_images_with_class=around)
    by_share = enet_weights(pixels_of_class, c=1.1)
    for k, n in enumerate(pixels_of_class):
        frequency = n / around[k]
        assert by_median[k] == pytest.approx(np.median(present) / frequency if n else 0)
        share = n / sum(pixels_of_class)
        assert by_share[k] == pytest.approx(1 / math.log(1.1 + share) if n else 0)


def test_median_frequency_of_one_image_is_balanced_up_to_a_factor():
    labels = np.random.default_rng(0).choice(4, 1000, p=[0.6, 0.25, 0.1, 0.05]).astype(np.uint8)
    counts = count_labels([labels.reshape(40, 25)], classes=4)
    ours = median_frequency(
        counts.pixels_of_class, pixels_of_images_with_class=counts.pixels_of_images_with_class
    )
    theirs = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(ours / ours[0], theirs / theirs[0])


def test_labels_are_counted_without_ignored_ones():
    maps = [np.array([[0, 0, 1], [255, 255, 0]], np.uint8), np.array([[2, 255]], np.uint8)]
    counts = count_labels(maps, classes=4)
    assert counts.pixels_of_class.tolist() == [3, 1, 1, 0]
    assert counts.pixels_of_images_with_class.tolist() == [4, 4, 1, 0]
    with pytest.raises(TrainingError, match="class 2; allowed are 0 to 1"):
        count_labels(maps, classes=2)


def test_class_weights_without_labels_are_refused():
    with pytest.raises(TrainingError, match="ignored"):
        enet_weights([0, 0])
    with pytest.raises(TrainingError, match="above 1"):
        enet_weights([1, 0], c=0.9)
