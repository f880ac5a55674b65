"""Resizing: each rule against a loop over pixels, and the low-pass of frames that shrink."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from eventseg.augmentation.sample import Sample, warp
from eventseg.augmentation.settings import Draw
from eventseg.events import SensorSize
from eventseg.networks import build_network
from eventseg.networks.resizing import (
    enlarge_by_products,
    nearest,
    nearest_positions,
    resize_inputs,
    resize_nearest,
    resize_pictures,
    resize_views,
)

EVSEGNET_SIZE = (224, 352)
DDD17_SIZE = (200, 346)


def area_average(row: np.ndarray, target: int) -> list[float]:
    """Average a row over the places that each pixel of the result covers, in small steps."""
    source, steps = len(row), 64
    return [
        float(np.mean([row[(d * steps + k) * source // (target * steps)] for k in range(steps)]))
        for d in range(target)
    ]


@given(source=st.integers(1, 60), target=st.integers(1, 60))
def test_positions_are_those_of_a_loop(source: int, target: int) -> None:
    floors = [math.floor(d * source / target + 1e-9) for d in range(target)]
    assert nearest_positions(source, target, rule="evsegnet").tolist() == floors
    centres = [math.floor((2 * d + 1) * source / (2 * target) + 1e-9) for d in range(target)]
    assert nearest_positions(source, target, rule="centres").tolist() == centres


def test_the_two_rules_differ_by_up_to_a_pixel_on_the_way_to_352x224() -> None:
    rows, columns = (
        nearest_positions(a, b, rule="centres") - nearest_positions(a, b, rule="evsegnet")
        for a, b in zip(DDD17_SIZE, EVSEGNET_SIZE, strict=True)
    )
    assert set(rows) == set(columns) == {0, 1}
    # Row 1 of 224 begins at 0.89 of 200, in row 0; its centre lies at 1.34, in row 1.
    assert nearest_positions(200, 224, rule="evsegnet")[1] == 0
    assert nearest_positions(200, 224, rule="centres")[1] == 1


@pytest.mark.parametrize("rule", ["centres", "evsegnet"])
def test_labels_keep_their_ids_and_arrays_equal_tensors(rule) -> None:
    labels = np.random.default_rng(0).integers(0, 7, DDD17_SIZE).astype(np.uint8)
    made = resize_nearest(labels, EVSEGNET_SIZE, rule=rule)
    assert made.dtype == np.uint8
    for y, x in [(0, 0), (223, 351), (100, 200)]:
        shift = 0.0 if rule == "evsegnet" else 0.5
        assert made[y, x] == labels[int((y + shift) * 200 / 224), int((x + shift) * 346 / 352)]
    as_tensor = nearest(torch.from_numpy(labels), EVSEGNET_SIZE, rule=rule)
    np.testing.assert_array_equal(as_tensor.numpy(), made)


@pytest.mark.parametrize(("source", "target"), [(10, 7), (7, 10), (9, 3), (5, 5), (20, 1)])
def test_the_area_rule_is_the_average_over_covered_places(source: int, target: int) -> None:
    row = np.random.default_rng(source).random(source)
    picture = torch.from_numpy(np.tile(row, (4, 1)).astype(np.float32))[None, None]
    made = resize_pictures(picture, (2, target), rule="evsegnet")[0, 0]
    expected = area_average(row, target)
    np.testing.assert_allclose(made.numpy(), [expected] * 2, atol=0.02)
    np.testing.assert_allclose(float(made.mean()), row.mean(), rtol=1e-5)


def test_views_of_the_original_interpolate_events_with_aligned_corners() -> None:
    x = torch.rand(1, 7, 6, 9)
    view = resize_views(x, (9, 14), kind="both", rule="evsegnet")
    for y, column in [(0, 0), (8, 13), (4, 5)]:
        r, c = y * 5 / 8, column * 8 / 13
        r0, c0 = min(int(r), 4), min(int(c), 7)
        fr, fc = r - r0, c - c0
        expected = (
            x[0, :, r0, c0] * (1 - fr) * (1 - fc)
            + x[0, :, r0 + 1, c0] * fr * (1 - fc)
            + x[0, :, r0, c0 + 1] * (1 - fr) * fc
            + x[0, :, r0 + 1, c0 + 1] * fr * fc
        )
        torch.testing.assert_close(view[0, :, y, column], expected)
    ours = resize_views(x, (9, 14), kind="both", rule="centres")
    assert set(ours[0, 3].flatten().tolist()) <= set(x[0, 3].flatten().tolist())


def stripes(width: int) -> np.ndarray:
    """Return columns of 1 and 0, each two pixels wide and off the pairs that halving joins."""
    return np.tile((((np.arange(width) + 1) // 2) % 2).astype(np.float32), (32, 1))


@pytest.mark.parametrize("rule", ["centres", "evsegnet"])
def test_frames_that_shrink_are_smoothed(rule) -> None:
    picture = stripes(64)
    made = resize_pictures(torch.from_numpy(picture)[None, None], (16, 32), rule=rule)
    assert float(picture.std()) == 0.5
    assert float(made[..., 2:-2].std()) <= 0.25


@pytest.mark.parametrize(("resize", "scale"), [(SensorSize(16, 32), 1.0), (None, 0.5)])
def test_training_shows_what_prediction_shows_of_a_smaller_frame(resize, scale) -> None:
    given_ = Sample(labels=np.zeros((32, 64), np.uint8), image=stripes(64)[None])
    happens, crop = Draw(scale=scale), SensorSize(16, 32)
    made = warp(given_, happens, resize=resize, crop=crop).image
    expected = resize_inputs(
        torch.from_numpy(given_.image)[None], (16, 32), kind="gray", rule="centres"
    )
    np.testing.assert_allclose(made, expected[0].numpy(), atol=1e-5)


def test_the_rule_of_the_original_resizes_a_sample_before_it_is_moved() -> None:
    rng = np.random.default_rng(1)
    given_ = Sample(
        labels=rng.integers(0, 6, DDD17_SIZE).astype(np.uint8),
        events=rng.random((6, *DDD17_SIZE)).astype(np.float32),
        image=rng.random((1, *DDD17_SIZE)).astype(np.float32),
        confidence=rng.integers(0, 255, DDD17_SIZE).astype(np.uint8),
    )
    size = SensorSize(*EVSEGNET_SIZE)
    made = warp(given_, Draw(), resize=size, rule="evsegnet")
    np.testing.assert_array_equal(
        made.events, resize_nearest(given_.events, EVSEGNET_SIZE, rule="evsegnet")
    )
    mirrored = warp(given_, Draw(flip=True), resize=size, rule="evsegnet")
    for name in ("labels", "events", "image", "confidence"):
        np.testing.assert_array_equal(getattr(mirrored, name), getattr(made, name)[..., ::-1])
    together = torch.from_numpy(np.concatenate([given_.image, given_.events]))[None]
    shown = resize_inputs(together, EVSEGNET_SIZE, kind="both", rule="evsegnet")[0].numpy()
    np.testing.assert_allclose(shown, np.concatenate([made.image, made.events]), atol=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("source", "target"), [((3, 5), (24, 31)), ((1, 1), (4, 7)), ((6, 4), (5, 16))]
)
def test_products_enlarge_as_torch_does_forward_and_backward(
    source: tuple[int, int], target: tuple[int, int], align_corners: bool
) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, *source, generator=random, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(2, 3, *target, generator=random, dtype=torch.float64)
    own = enlarge_by_products(x, target, align_corners=align_corners)
    peer = functional.interpolate(x, target, mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(own, peer)
    torch.testing.assert_close(
        *(torch.autograd.grad(y, x, grad, retain_graph=True) for y in (own, peer))
    )


def test_logits_of_a_training_in_bfloat16_are_enlarged_in_float32() -> None:
    torch.manual_seed(0)
    network = build_network("fastscnn", in_channels=2, classes=3, dropout=0.0)
    x = torch.randn(2, 2, 64, 96)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trained = network(x)
        small = network.heads(x)[0]
    assert (small.dtype, trained.dtype) == (torch.bfloat16, torch.float32)
    known = functional.interpolate(small.float(), x.shape[-2:], mode="bilinear")
    torch.testing.assert_close(trained, known)
