"""Augmentation: everything moves together, draws are pure, and neutral settings change no bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn import functional
from torchvision.transforms.v2 import functional as peer

from eventseg.augmentation.image import change_image
from eventseg.augmentation.sample import EMPTY, Sample, augment, warp
from eventseg.augmentation.settings import Augmentation, Draw, draw
from eventseg.encoding.tensors import encode
from eventseg.errors import TrainingError
from eventseg.events import EventStream, SensorSize

WILD = Augmentation(
    flip=0.5, scale=(0.5, 2.0), shift=0.2, rotation_deg=15.0, placement="random",
    add=0.1, multiply=(0.9, 1.1), contrast=(0.8, 1.2), saturation=(0.5, 1.5), blur_px=(0.0, 1.0),
)  # fmt: skip
DRAWS = st.builds(
    Draw,
    flip=st.booleans(),
    scale=st.floats(0.3, 3),
    shift=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
    rotation_deg=st.floats(-40, 40),
    place=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
)
SIZES = st.builds(SensorSize, st.integers(3, 40), st.integers(3, 40))


def sample(height=20, width=31, *, colours=1, seed=0):
    """Return a sample of random values; its labels are 0 to 5."""
    rng = np.random.default_rng(seed)
    return Sample(
        labels=rng.integers(0, 6, (height, width), dtype=np.uint8),
        events=rng.random((6, height, width), dtype=np.float32),
        image=rng.random((colours, height, width), dtype=np.float32),
        confidence=rng.integers(1, 256, (height, width), dtype=np.uint8),
    )


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("labels", "events", "image", "confidence")
    )


@given(DRAWS, st.one_of(st.none(), SIZES), st.one_of(st.none(), SIZES))
def test_labels_events_and_confidence_stay_together(happens, resize, crop):
    # Each pixel's number is painted into labels, events and confidence.
    number = np.arange(14 * 17, dtype=np.uint8).reshape(14, 17)
    painted = Sample(
        labels=number,
        events=np.repeat(number[None].astype(np.float32), 6, axis=0),
        confidence=number,
    )
    moved = warp(painted, happens, event_border=(-7,) * 6, resize=resize, crop=crop)
    size = crop or resize or SensorSize(14, 17)
    assert moved.labels.shape == tuple(size)
    outside = moved.events[0] == -7
    assert (moved.labels[outside] == 255).all()
    assert (moved.confidence[outside] == 0).all()
    for channel in moved.events:
        np.testing.assert_array_equal(channel[~outside], moved.labels[~outside])
    np.testing.assert_array_equal(moved.confidence[~outside], moved.labels[~outside])


@given(DRAWS)
def test_the_image_moves_with_the_labels(happens):
    # A linear picture is its own bilinear interpolation, so it tells where each pixel came from.
    height, width = 40, 50
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([rows / height, columns / width, 0 * rows])
    near = Sample(
        labels=np.zeros((height, width), np.uint8),
        events=np.stack([rows, columns, *[0 * rows] * 4]),
        image=image,
    )
    moved = warp(near, happens, event_border=(-1,) * 6, image_border="zero")
    inside = moved.labels == 0
    # Within half a pixel of the nearest; grid_sample's coordinates are good to about 1e-4.
    for k, side in enumerate((height, width)):
        off = np.abs(moved.image[k] * side - moved.events[k])
        # The weights of a low-pass lie a little off its centre between pixels, and on one side
        # only at the edge of the picture.
        reach, near = 2 / min(1, happens.scale), 0.501 if happens.scale >= 1 else 0.6
        edge = (moved.events[k] < reach) | (moved.events[k] > side - 1 - reach)
        for part, most in ((inside & ~edge, near), (inside & edge, reach)):
            assert off[part].max(initial=0) < most
    assert (moved.image[:, ~inside] == 0).all()


def test_neutral_settings_return_the_same_bits():
    given_ = sample()
    made = augment(given_, augmentation=Augmentation(), seed=1, epoch=2, index=3)
    assert same(made, given_)
    # And so does the full path of a map, by a crop to the size there is.
    again = warp(given_, Draw(), crop=SensorSize(20, 31), resize=SensorSize(20, 31))
    assert same(again, given_)


@given(st.integers(2, 30), st.integers(2, 30), st.sampled_from([1, 3]))
def test_flipping_mirrors_columns_only_and_twice_is_nothing(height, width, colours):
    given_ = sample(height, width, colours=colours)
    once = warp(given_, Draw(flip=True))
    for name in ("labels", "events", "image", "confidence"):
        expected = getattr(given_, name)[..., ::-1]
        np.testing.assert_array_equal(getattr(once, name), expected)
    assert same(warp(once, Draw(flip=True)), given_)


@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.sampled_from(["zero", "reflect", "mean"]))
def test_shifts_are_whole_pixels_with_the_borders_asked_for(down, right, border):
    given_ = sample()
    dy, dx = round(down * 20), round(right * 31)
    moved = warp(given_, Draw(shift=(down, right)), event_border=EMPTY["evsegnet"],
                 image_border=border)  # fmt: skip

    def shifted(array, **fill):
        rows = slice(20 - dy, 40 - dy)
        columns = slice(31 - dx, 62 - dx)
        return np.pad(array, ((20, 20), (31, 31)), **fill)[rows, columns]

    np.testing.assert_array_equal(moved.labels, shifted(given_.labels, constant_values=255))
    np.testing.assert_array_equal(moved.confidence, shifted(given_.confidence))
    for k, value in enumerate((-1, -1, 0, 0, 0, 0)):
        expected = shifted(given_.events[k], constant_values=value)
        np.testing.assert_array_equal(moved.events[k], expected)
    image = given_.image[0]
    if border == "reflect":
        np.testing.assert_allclose(moved.image[0], shifted(image, mode="reflect"), atol=1e-5)
    else:
        value = image.mean() if border == "mean" else 0
        np.testing.assert_array_equal(moved.image[0], shifted(image, constant_values=value))


@pytest.mark.parametrize(
    ("settings", "normalise", "border"),
    [
        ({}, "evsegnet", (-1, -1, 0, 0, 0, 0)),
        ({}, "raw", (0, 0, 0, 0, 0, 0)),
        ({"event_border": "zero"}, "evsegnet", (0, 0, 0, 0, 0, 0)),
    ],
)
def test_events_from_outside_are_empty_pixels_or_zero(settings, normalise, border):
    shrunk = augment(
        sample(), augmentation=Augmentation(scale=(0.5, 0.5), **settings),
        seed=0, epoch=0, index=0, normalise=normalise,
    )  # fmt: skip
    outside = shrunk.labels == 255
    # Half of either side is covered, up to a pixel.
    assert 0.7 < outside.mean() < 0.8
    for channel, value in zip(shrunk.events, border, strict=True):
        assert (channel[outside] == value).all()


def test_other_representations_have_any_number_of_channels():
    labels = np.zeros((8, 9), np.uint8)
    voxels = Sample(labels=labels, events=np.ones((5, 8, 9), np.float32))
    shrunk = augment(
        voxels, augmentation=Augmentation(scale=(0.5, 0.5)),
        seed=0, epoch=0, index=0, normalise="raw",
    )  # fmt: skip
    np.testing.assert_array_equal(shrunk.events == 0, np.stack([shrunk.labels == 255] * 5))
    for moves in ({}, {"scale": (0.5, 0.5)}):
        changes = Augmentation(**moves)
        with pytest.raises(TrainingError, match="six channels of mean-std; these events have 5"):
            augment(voxels, augmentation=changes, seed=0, epoch=0, index=0)
    zero = Augmentation(scale=(0.5, 0.5), event_border="zero")
    same = augment(voxels, augmentation=zero, seed=0, epoch=0, index=0)
    np.testing.assert_array_equal(same.events, shrunk.events)


def test_an_empty_window_is_the_border():
    nothing = encode(
        EventStream.from_arrays([], [], [], np.empty(0, int), sensor=(4, 5), t0_us=0, t1_us=10),
        normalise="evsegnet",
    )
    np.testing.assert_array_equal(nothing, np.broadcast_to(
        np.array(EMPTY["evsegnet"], np.float32)[:, None, None], (6, 4, 5)
    ))  # fmt: skip


@pytest.mark.parametrize("size", [(7, 9), (20, 62), (40, 31), (33, 50)])
def test_resizing_is_that_of_pytorch(size):
    given_ = sample(colours=3)
    made = warp(given_, Draw(), resize=SensorSize(*size))
    nearest = functional.interpolate(
        torch.from_numpy(given_.events)[None], size, mode="nearest-exact"
    )
    bilinear = functional.interpolate(
        torch.from_numpy(given_.image)[None], size, mode="bilinear", antialias=True
    )
    np.testing.assert_array_equal(made.events, nearest[0].numpy())
    np.testing.assert_allclose(made.image, bilinear[0].numpy(), atol=2e-5)


@pytest.mark.parametrize("degrees", [90.0, 180.0, -90.0])
def test_a_quarter_turn_is_clockwise_and_takes_every_pixel(degrees):
    given_ = sample(21, 21)
    made = warp(given_, Draw(rotation_deg=degrees))
    # NumPy turns counterclockwise, as seen with rows downwards.
    expected = np.rot90(given_.labels, -round(degrees / 90))
    np.testing.assert_array_equal(made.labels, expected)


@pytest.mark.parametrize(("degrees", "scale"), [(10.0, 1.0), (-33.0, 1.5), (0.0, 1.3)])
def test_rotation_and_scale_are_torchvisions(degrees, scale):
    image = ndimage.gaussian_filter(np.random.default_rng(0).random((1, 40, 40)), (0, 2, 2))
    given_ = Sample(labels=np.zeros((40, 40), np.uint8), image=image.astype(np.float32))
    made = warp(given_, Draw(rotation_deg=degrees, scale=scale), image_border="zero")
    expected = peer.affine(
        torch.from_numpy(given_.image), angle=degrees, translate=[0, 0], scale=scale,
        shear=[0.0, 0.0], interpolation=peer.InterpolationMode.BILINEAR,
    )  # fmt: skip
    # At the border torchvision mixes with black, ours ends sharply with the labels.
    inner = ndimage.binary_erosion(made.labels == 0, iterations=2)
    np.testing.assert_allclose(made.image[0][inner], expected[0].numpy()[inner], atol=1e-4)


def test_crops_of_unscaled_pictures_are_cut_out_anywhere_to_the_bit():
    given_ = sample(height=30, width=40, colours=3)
    random = Augmentation(placement="random")
    places = set()
    for index in range(60):
        made = augment(
            given_, augmentation=random, seed=0, epoch=0, index=index, crop=SensorSize(27, 36)
        )
        found = [
            (i, j)
            for i in range(4)
            for j in range(5)
            if np.array_equal(made.labels, given_.labels[i : i + 27, j : j + 36])
            and np.array_equal(made.image, given_.image[:, i : i + 27, j : j + 36])
        ]
        places.update(found)
        assert len(found) == 1
    assert {i for i, _ in places} == set(range(4))
    assert {j for _, j in places} == set(range(5))


def test_pictures_smaller_than_the_crop_are_padded_about_them():
    given_ = sample(height=10, width=12)
    made = warp(given_, Draw(), crop=SensorSize(16, 18), image_border="zero")
    np.testing.assert_array_equal(made.labels[3:13, 3:15], given_.labels)
    np.testing.assert_array_equal(made.image[0, 3:13, 3:15], given_.image[0])
    assert (made.labels == 255).sum() == 16 * 18 - 10 * 12


def test_arrays_of_the_caller_are_left_alone():
    given_, again = sample(colours=3), sample(colours=3)
    for index in range(10):
        augment(given_, augmentation=WILD, seed=0, epoch=0, index=index)
    assert same(given_, again)


@given(st.integers(0, 2**63), st.integers(0, 1000), st.integers(0, 10**6))
def test_draws_are_pure_functions_of_seed_epoch_and_index(seed, epoch, index):
    def drawn(seed, epoch, index):
        return draw(WILD, seed=seed, epoch=epoch, index=index)

    first = drawn(seed, epoch, index)
    assert first == drawn(seed, epoch, index)
    others = [(seed + 1, epoch, index), (seed, epoch + 1, index), (seed, epoch, index + 1)]
    assert first not in [drawn(*other) for other in others]


def test_draws_fill_their_ranges_evenly():
    drawn = [draw(WILD, seed=0, epoch=0, index=index) for index in range(4000)]
    assert np.mean([d.flip for d in drawn]) == pytest.approx(0.5, abs=0.03)
    for name, low, high in (("scale", 0.5, 2.0), ("rotation_deg", -15, 15)):
        values = np.sort([getattr(d, name) for d in drawn])
        even = np.linspace(low, high, len(values))
        # Kolmogorov and Smirnov: 0.031 would be beyond one in a thousand.
        assert np.abs(values - even).max() < 0.031 * (high - low)
    changed = np.mean([d.contrast != 1 for d in drawn])
    assert changed == pytest.approx(0.5, abs=0.03)


def test_switching_one_property_off_leaves_the_others():
    with_flip = Augmentation(flip=0.5, scale=(0.5, 2.0))
    without = Augmentation(scale=(0.5, 2.0))
    for index in range(20):
        a = draw(with_flip, seed=0, epoch=0, index=index)
        b = draw(without, seed=0, epoch=0, index=index)
        assert a.scale == b.scale
        assert not b.flip


def test_scales_in_steps():
    steps = Augmentation(scale=(0.5, 2.0), scale_step=0.25)
    found = {draw(steps, seed=0, epoch=0, index=index).scale for index in range(200)}
    assert found == {0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0}


@given(st.floats(-0.2, 0.2), st.floats(0.5, 1.5), st.floats(0.5, 1.5), st.floats(0, 2))
def test_photometric_changes_are_their_formulas(add, multiply, contrast, saturation):
    image = 0.35 + 0.3 * np.random.default_rng(0).random((3, 5, 6), dtype=np.float32)
    made = change_image(
        image, Draw(add=add, multiply=multiply, contrast=contrast, saturation=saturation)
    )
    expected = np.clip(((image.astype(float) + add) * multiply - 0.5) * contrast + 0.5, 0, 1)
    gray = 0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2]
    expected = np.clip(gray + saturation * (expected - gray), 0, 1)
    np.testing.assert_allclose(made, expected, atol=2e-6)
    assert made.dtype == np.float32


def test_contrast_and_saturation_of_one_is_nothing_and_blur_is_scipys():
    image = sample(colours=3).image
    assert change_image(image, Draw()) is image
    blurred = change_image(image, Draw(blur_px=1.2))
    for channel, made in zip(image, blurred, strict=True):
        expected = ndimage.gaussian_filter(channel, 1.2, mode="nearest")
        np.testing.assert_allclose(made, expected, atol=1e-6)


def test_samples_of_different_sizes_are_refused():
    with pytest.raises(TrainingError, match="image of 5x4 and labels of 4x4"):
        Sample(labels=np.zeros((4, 4), np.uint8), image=np.zeros((1, 4, 5), np.float32))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"flip": 1.5}, "flip"),
        ({"scale": (0.0, 2.0)}, "scale"),
        ({"scale": (2.0, 1.0)}, "scale"),
        ({"contrast": (math.nan, 1.0)}, "contrast"),
        ({"rotation_deg": math.inf}, "rotation_deg"),
        ({"window_jitter": 1.0}, "window_jitter"),
        ({"time_jitter_us": -1}, "time_jitter_us"),
        ({"placement": "corner"}, "corner"),
        ({"event_border": "reflect"}, "reflect"),
        ({"image_border": "wrap"}, "wrap"),
    ],
)
def test_wrong_settings_are_refused(settings, word):
    with pytest.raises(TrainingError, match=word):
        Augmentation(**settings)
