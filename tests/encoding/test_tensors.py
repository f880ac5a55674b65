"""Six-channel tensors against the specification in loops, up to the limits of exact sums."""

from __future__ import annotations

import math
import tracemalloc

import naive
import numpy as np
import pytest
from encoding.tensor_fixtures import SIZE, assert_as_naive, random_stream, windows
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import streams

from eventseg.encoding.normalise import normalise_evsegnet
from eventseg.encoding.tensors import encode, encode_windows
from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels import accumulate, bands, scratch
from eventseg.kernels.accumulate import BLOCK, PACKED_MAX_EVENTS, PACKED_MAX_WINDOW_US
from eventseg.kernels.cells import EXACT_LIMIT


@given(events=streams(), ddof=st.sampled_from([0, 1]))
@settings(max_examples=150)
def test_one_window_is_the_specification(events, ddof):
    made = encode(events, ddof=ddof)
    assert_as_naive(made, naive.tensor(events, events.t0_us, events.t1_us, ddof=ddof))
    assert made[:2].sum() == len(events)


@given(events=streams(), data=st.data())
@settings(max_examples=80)
def test_sliding_and_fresh_windows_are_the_specification(events, data):
    span = events.t1_us - events.t0_us
    width = data.draw(st.integers(1, span))
    starts = sorted(data.draw(st.lists(st.integers(-width, span), min_size=1, max_size=8)))
    t0 = events.t0_us + np.array(starts)
    made = encode_windows(events, windows(t0, t0 + width))
    for tensor, start in zip(made, t0, strict=True):
        assert_as_naive(tensor, naive.tensor(events, int(start), int(start) + width))
        alone = encode_windows(events, windows([start], [start + width]))[0]
        np.testing.assert_array_equal(tensor, alone)


@given(events=streams(), data=st.data())
@settings(max_examples=100)
def test_bands_of_rows_are_the_specification(events, data):
    height, width = events.sensor
    first = data.draw(st.integers(0, height - 1))
    kept = (first, data.draw(st.integers(first + 1, height)))
    span = data.draw(st.integers(1, events.t1_us - events.t0_us))
    t0 = events.t0_us + np.arange(-1, 3) * span
    whole = encode_windows(events, windows(t0, t0 + span), rows=kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bands, "LEAST_BYTES", 0)
        patch.setattr(bands, "BAND_BYTES", 16 * width << data.draw(st.integers(0, 3)))
        assert bands.band_shift(kept[1] - kept[0], width) >= 0
        made = encode_windows(events, windows(t0, t0 + span), rows=kept)
    np.testing.assert_array_equal(made, whole)
    for tensor, begin in zip(made, t0.tolist(), strict=True):
        assert_as_naive(tensor, naive.tensor(events, begin, begin + span)[:, slice(*kept)])


def test_bands_of_common_sensors():
    assert bands.band_shift(260, 346) == 5
    assert bands.band_shift(480, 640) == 5
    assert bands.band_shift(720, 1280) == 4
    assert bands.band_shift(128, 128) == -1  # all sums fit in a cache
    assert bands.band_shift(2**15, 2**15) == -1  # one row does not fit


def test_a_cell_beyond_exact_integers_is_found_in_its_band(monkeypatch):
    n = EXACT_LIMIT // 50_000 + 1_000
    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, 50_000, n))
    x, y = np.full(n, 3), np.full(n, 5)
    x[::500], y[::500] = 1, 6
    events = EventStream.from_arrays(t, x, y, x % 2, sensor=SIZE, t0_us=0, t1_us=50_000)
    whole = encode(events)
    monkeypatch.setattr(bands, "LEAST_BYTES", 0)
    monkeypatch.setattr(bands, "BAND_BYTES", 16 * SIZE.width * 2)
    monkeypatch.setattr(bands, "MOST_EVENTS_A_PIXEL", n)
    np.testing.assert_array_equal(encode(events), whole)
    assert_as_naive(whole, naive.tensor(events, 0, 50_000))


@given(events=streams(max_events=40), data=st.data())
@settings(max_examples=80)
def test_sums_are_exact_integers_in_any_split_and_order(events, data):
    cells = events.sensor.height * events.sensor.width
    edges = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    parts = list(zip([0, *edges], [*edges, len(events)], strict=True))
    shape = (0, events.sensor.height, events.sensor.width)
    columns = (events.t, events.x, events.y, events.p)
    with scratch.packed(cells) as (words, squares, cell, dt), scratch.wide(cells) as four:
        for lo, hi in data.draw(st.permutations(parts)):
            accumulate.add_packed(words, squares, *columns, lo, hi, events.t0_us, *shape, cell, dt)
        accumulate.add_wide(*four, *columns, 0, len(events), events.t0_us, *shape)
        expected = naive.sums(events, events.t0_us, events.t1_us)
        for (p, y, x), (n, s1, s2) in expected.items():
            c = (1 - p) * cells + y * events.sensor.width + x
            assert (words[c] >> 40, words[c] & (1 << 40) - 1, squares[c]) == (n, s1, s2)
            assert (four[0][c], four[1][c], (int(four[2][c]) << 32) + four[3][c]) == (n, s1, s2)
        touched = [(1 - p) * cells + y * events.sensor.width + x for p, y, x in expected]
        assert sorted(np.flatnonzero(words)) == sorted(touched)
        words[:], squares[:] = 0, 0
        for word in four:
            word[:] = 0


def test_bounds_of_a_window_may_be_a_list():
    events = random_stream()
    bounds = [events.t0_us + 10_000, events.t0_us + 50_000]
    np.testing.assert_array_equal(
        encode(events, window=bounds), encode(events, window=(bounds[0], bounds[1]))
    )


def test_every_event_is_in_exactly_one_of_adjoining_windows():
    events = random_stream(9_999, span_us=100_000)
    for width in (1_000, 3_333, 50_000, 99_999):
        t0 = np.arange(events.t0_us, events.t1_us, width)
        made = encode_windows(events, windows(t0, t0 + width))
        assert made[:, :2].sum() == len(events)


def test_rows_outside_are_cut_and_nothing_else():
    events = random_stream()
    np.testing.assert_array_equal(encode(events, rows=(2, 5)), encode(events)[:, 2:5])
    t1 = events.t0_us + np.arange(1, 9) * 40_000
    cut = windows(t1 - 90_000, t1)
    np.testing.assert_array_equal(
        encode_windows(events, cut, rows=(0, 3)), encode_windows(events, cut)[:, :, :3]
    )


def test_std_of_late_bunched_events_keeps_its_digits():
    # 5000 events within 500 us at the end of 250 ms, an hour into the recording: sums of squares
    # in float32 lose 2.8e-3 of the window here.
    rng = np.random.default_rng(0)
    t1_us = 3_600_000_000
    t = np.sort(rng.integers(t1_us - 500, t1_us, 5_000))
    for pixels in (1, 4, 63):
        at = rng.integers(0, pixels, 5_000)
        events = EventStream.from_arrays(
            t, at % 9, at // 9, at % 2, sensor=SIZE, t0_us=t1_us - 250_000, t1_us=t1_us
        )
        made = encode(events)
        for p, channel in ((1, 3), (0, 5)):
            for pixel in range(pixels):
                tau = (t[(at == pixel) & (at % 2 == p)] - events.t0_us).astype(np.float64) / 250_000
                std = np.std(tau, ddof=1) if len(tau) > 1 else 0.0
                assert abs(made[channel, pixel // 9, pixel % 9] - std) < 2e-7


@pytest.mark.parametrize(
    "width", [PACKED_MAX_WINDOW_US - 1, PACKED_MAX_WINDOW_US, 90_000_000, 2**31 - 1]
)
def test_long_windows_are_the_specification(width):
    events = random_stream(600, span_us=width)
    assert_as_naive(encode(events), naive.tensor(events, events.t0_us, events.t1_us))


@pytest.mark.parametrize("n", [EXACT_LIMIT // 1_000_000 - 1, EXACT_LIMIT // 1_000_000, 20_000])
def test_a_cell_at_the_limit_of_exact_integers(n):
    width = 1_000_000
    # The widest spread there is: half the events at either end.
    t = np.sort(np.where(np.arange(n) % 2, 0, width - 1))
    events = EventStream.from_arrays(
        t, np.zeros(n, int), np.zeros(n, int), np.ones(n, int), sensor=SIZE, t0_us=0, t1_us=width
    )
    made = encode(events)
    assert made[0, 0, 0] == n
    assert abs(made[2, 0, 0] - np.mean(t / width)) < 2e-7
    assert abs(made[3, 0, 0] - np.std(t / width, ddof=1)) < 2e-7


def test_more_events_in_one_cell_than_the_packed_words_hold():
    n = PACKED_MAX_EVENTS + 3
    t = np.arange(n, dtype=np.int64) // 4
    zero = np.zeros(n, np.int8)
    events = EventStream.from_arrays(t, zero, zero, zero, sensor=SIZE, t0_us=0, t1_us=300_000)
    made = encode(events)
    assert made[1, 0, 0] == n
    assert abs(made[4, 0, 0] - t.mean() / 300_000) < 2e-7
    assert abs(made[5, 0, 0] - t.std(ddof=1) / 300_000) < 2e-7
    # A sliding run that meets such a window on its way gives the same bits as each alone.
    ends = np.array([100_000, 150_000, 200_000, 262_144, 262_145, 300_000])
    cut = windows(ends - 100_000, ends)
    alone = [encode_windows(events, windows([a], [a + 100_000]))[0] for a in cut.t0_us]
    np.testing.assert_array_equal(encode_windows(events, cut), alone)


@given(events=streams())
@settings(max_examples=60)
def test_sqrt_changes_counts_only(events):
    raw, made = encode(events), encode(events, normalise="sqrt")
    np.testing.assert_array_equal(made[2:], raw[2:])
    roots = [math.sqrt(count) for count in raw[:2].ravel().tolist()]
    np.testing.assert_array_equal(made[:2].ravel(), np.array(roots, np.float32))


@given(events=streams())
@settings(max_examples=60)
def test_evsegnet_ranges_are_the_specification(events):
    raw = encode(events)
    made = encode(events, normalise="evsegnet")
    np.testing.assert_allclose(made, naive.evsegnet(raw.astype(np.float64)), atol=1e-6)
    np.testing.assert_array_equal(made, normalise_evsegnet(raw))
    np.testing.assert_array_equal(raw, encode(events))  # the input is left alone
    batch = np.stack([raw, raw])
    np.testing.assert_array_equal(normalise_evsegnet(batch)[1], made)
    in_place = raw.copy()
    assert normalise_evsegnet(in_place, out=in_place) is in_place
    np.testing.assert_array_equal(in_place, made)
    # Neither the input nor the output needs to lie in one piece.
    spread = np.empty((2, *raw.shape[1:], 6), np.float32).transpose(0, 3, 1, 2)
    spread[:] = raw
    assert normalise_evsegnet(spread[:1], out=spread[1:]) is not None
    np.testing.assert_array_equal(spread[1], made)


def test_evsegnet_ranges_of_other_types_are_float32():
    raw = encode(random_stream())
    for kind in ("<f8", "<f2", ">f4"):
        made = normalise_evsegnet(raw.astype(kind))
        assert made.dtype == np.float32
        np.testing.assert_allclose(made, normalise_evsegnet(raw), atol=2e-3 * (kind == "<f2"))
    for out in (np.empty((2, *raw.shape), np.float32), np.empty(raw.shape), frozen(raw.shape)):
        with pytest.raises(WindowError, match="out must be writeable float32"):
            normalise_evsegnet(raw, out=out)


def frozen(shape):
    """Return an array that cannot be written."""
    array = np.empty(shape, np.float32)
    array.flags.writeable = False
    return array


def test_no_array_the_size_of_a_window_is_made_when_out_is_given():
    size = SensorSize(120, 160)
    events = random_stream(2_000, sensor=size)
    out = np.full((6, *size), np.nan, np.float32)
    encode(events, out=out)  # the sums are made once and kept
    tracemalloc.start()
    tensor = encode(events, out=out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size.height * size.width  # less than a byte a pixel, of 24 in the tensor
    assert np.shares_memory(tensor, out)
    np.testing.assert_array_equal(out, encode(events))


def test_an_interrupted_loan_of_the_sums_is_not_lent_again():
    class Interrupted(Exception):
        pass

    with pytest.raises(Interrupted), scratch.packed(5) as (words, *_):
        words[0] = 1
        raise Interrupted
    with scratch.packed(5) as (words, *_):
        assert not words.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": "500ms"}, "outside the stream's span"),
        ({"window": (0, 10)}, "outside the stream's span"),
        ({"window": [0, 10]}, "outside the stream's span"),
        ({"window": (80_000,)}, "must be a length or "),
        ({"window": (80_000.5, 90_000)}, "whole microseconds"),
        ({"window": 1.5}, "whole microseconds"),
        ({"window": {"length": 5}}, "whole microseconds"),
        ({"window": (80_000, 80_000)}, "must last"),
        ({"window": 0}, "must last"),
        ({"window": "50"}, "a number and a unit"),
        ({"rows": (3, 8)}, "rows 3:8"),
        ({"rows": (3, 3)}, "rows 3:3"),
        ({"ddof": 2}, "ddof"),
        ({"normalise": "minmax"}, "normalise"),
        ({"out": np.empty((6, 7, 9))}, "out must be"),
        ({"out": np.empty((6, 7, 8), np.float32)}, "out must be"),
        ({"out": frozen((6, *random_stream().sensor))}, "out must be writeable"),
    ],
)
def test_bad_arguments_get_one_clear_error(options, message):
    with pytest.raises(WindowError, match=message):
        encode(random_stream(), **options)


def test_a_staging_block_more_or_less_makes_no_difference():
    for n in (BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK):
        events = random_stream(n, seed=n)
        assert_as_naive(encode(events), naive.tensor(events, events.t0_us, events.t1_us))
