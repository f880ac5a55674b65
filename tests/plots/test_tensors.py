"""Pictures of network inputs: what is drawn follows from the representation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eventseg.encoding import Channel, encode, encoding_of
from eventseg.encoding.normalise import normalise_raw
from eventseg.events import EventStream, SensorSize
from eventseg.networks.inputs import InputSpec, Scaling, scaled
from eventseg.plots.events import OFF_RGB, ON_RGB, render_events
from eventseg.plots.tensors import event_channels, paint_input, paint_tensor

SENSOR = SensorSize(12, 16)
WHITE = (255, 255, 255)


@pytest.fixture(scope="module")
def events() -> EventStream:
    """Events of one polarity at each pixel, in all parts of a window of 10 ms."""
    rng = np.random.default_rng(3)
    t = np.sort(rng.integers(0, 10_000, 150))
    x, y = rng.integers(0, SENSOR.width, 150), rng.integers(0, SENSOR.height, 150)
    stream = EventStream.from_arrays(t, x, y, (x + y) % 2, sensor=SENSOR, t_unit="us")
    return replace(stream, t0_us=0, t1_us=10_000)


def spec_of(name: str, kind: str = "events", **settings: str) -> InputSpec:
    encoding = encoding_of(SENSOR, representation=name, **settings)
    channels = encoding.representation.channels + (kind == "both")
    return InputSpec(kind, channels, normalise=encoding.normalise, encoding=encoding)


@pytest.mark.parametrize(
    "name", ["mean-std", "count", "count-latest", "stack:1", "stack:4", "voxel:2", "voxel:5"]
)
def test_every_representation_shows_the_events(events, name):
    picture = paint_input(encode(events, representation=name), spec_of(name))
    np.testing.assert_array_equal(picture, render_events(events))


@pytest.mark.parametrize("normalise", ["sqrt", "evsegnet"])
def test_so_does_each_normalisation(events, normalise):
    tensor = encode(events)
    normalise_raw(tensor, normalise=normalise)
    expected = render_events(events)
    np.testing.assert_array_equal(
        paint_input(tensor, spec_of("mean-std", normalise=normalise)), expected
    )
    # A checkpoint of before encodings were kept.
    old = InputSpec("events", 6, normalise=normalise)
    np.testing.assert_array_equal(paint_input(tensor, old), expected)
    assert event_channels(InputSpec("events", 5)) == ()


def test_a_pixel_has_the_colour_of_the_majority_over_all_bins():
    t, p = np.array([100, 4_000, 9_000]), np.array([1, 0, 0])
    x = np.zeros(3, np.int64)
    stream = EventStream.from_arrays(t, x, x, p, sensor=SENSOR, t_unit="us")
    stream = replace(stream, t0_us=0, t1_us=10_000)
    for name in ("stack:5", "voxel:5"):
        picture = paint_input(encode(stream, representation=name), spec_of(name))
        assert tuple(picture[0, 0]) == OFF_RGB
        assert tuple(picture[1, 1]) == WHITE


def test_a_time_surface_has_the_latest_polarity_and_fades():
    t, p = np.array([0, 5_000, 9_999]), np.array([1, 0, 1])
    x = np.array([0, 0, 2])
    stream = EventStream.from_arrays(t, x, x * 0, p, sensor=SENSOR, t_unit="us")
    stream = replace(stream, t0_us=0, t1_us=10_000)
    name = "time-surface:5ms"
    picture = paint_input(encode(stream, representation=name), spec_of(name)).astype(int)
    share = np.exp(-4_999 / 5_000)
    np.testing.assert_allclose(picture[0, 0], 255 + share * (np.array(OFF_RGB) - 255), atol=1)
    assert tuple(picture[0, 2]) == ON_RGB
    assert tuple(picture[0, 1]) == WHITE


def test_events_lie_over_the_frame_they_come_with(events):
    frame = np.random.default_rng(0).integers(0, 256, SENSOR, np.uint8)
    scaling = Scaling(1.0, (0.4,), (0.2,))
    gray = scaled((frame / np.float32(255))[np.newaxis], scaling)
    both = np.concatenate([gray, encode(events, representation="voxel:3")])
    inputs = replace(spec_of("voxel:3", "both"), scaling=scaling)
    np.testing.assert_array_equal(paint_input(both, inputs), render_events(events, frame))


def test_without_polarities_larger_values_are_darker_and_nothing_is_red():
    tensor = np.zeros((2, 3, 3), np.float32)
    tensor[0, 0, 0], tensor[0, 1, 1], tensor[1, 1, 1] = 1, -2, 2
    for channels in ((), (Channel("a", "1"), Channel("b", "1"))):
        picture = paint_tensor(tensor, channels=channels)
        assert (picture == picture[:, :, :1]).all()
        assert picture[1, 1, 0] == 0
        assert 0 < picture[0, 0, 0] < 255
        assert (picture[2] == 255).all()
    assert (paint_tensor(tensor * 0, channels=()) == 255).all()
