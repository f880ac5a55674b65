"""CUDA kernels in Numba's simulator, several blocks on tiny inputs: run by test_cuda_simulator.py.

The simulator replaces the GPU of a whole process, so these tests have one of their own, with
NUMBA_ENABLE_CUDASIM=1. Every thread of a kernel is a Python thread: some 7,000 run in a second.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import streams

from eventseg.device import choose_encoder
from eventseg.encoding import cuda
from eventseg.encoding.cpu import bounds
from eventseg.encoding.cuda import encode_batch
from eventseg.encoding.representation import parse_representation
from eventseg.encoding.settings import encoding_of
from eventseg.encoding.tensors import encode_windows
from eventseg.errors import EventsError, WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels import accumulate, cuda_device, encode_cuda, scratch
from eventseg.kernels.launch import COLUMN_TYPES
from eventseg.windows import Windows

NAMES = ("mean-std", "count", "count-latest", "voxel:3", "stack:4", "time-surface:300us")
GRIDS = [((1, 3), (1, 1)), ((3, 3), (4, 1)), ((2, 3), (7, 1))]


def columns_of(events, order=slice(None)):
    return tuple(column[order].copy() for column in (events.t, events.x, events.y, events.p))


def windows_of(t0_us, t1_us):
    none = np.full(len(t0_us), -1)
    return Windows("w", np.asarray(t0_us), np.asarray(t1_us), none, none)


def bits(array):
    return np.asarray(array).view(np.int32)


SIZE = SensorSize(6, 5)


def a_stream(n=120, *, span_us=1_000, seed=0):
    rng = np.random.default_rng(seed)
    return EventStream.from_arrays(
        np.sort(rng.integers(0, span_us, n)), rng.integers(0, 3, n),
        rng.integers(0, SIZE.height, n), rng.integers(0, 2, n),
        sensor=SIZE, t0_us=0, t1_us=span_us,
    )  # fmt: skip


def test_the_simulator_is_what_runs():
    assert cuda_device.SIMULATED
    assert cuda_device.why_missing() is None
    assert str(choose_encoder("auto")) == "cuda (simulator)"
    assert str(choose_encoder("cpu")) == "cpu (asked for)"


@given(events=streams(max_events=30), data=st.data())
@settings(max_examples=8, deadline=None)
def test_sums_of_any_grid_and_order_are_those_of_the_cpu(events, data):
    height, width = events.sensor
    cut = sorted(data.draw(st.lists(st.integers(0, len(events)), min_size=4, max_size=4)))
    lo, hi = np.array([0, *cut[:2]]), np.array([len(events), *cut[2:]])
    origin = events.t0_us
    plan = np.stack([np.arange(3), lo, hi, np.full(3, origin), np.full(3, events.t1_us)], axis=1)
    row0 = data.draw(st.integers(0, height - 1))
    shape, cells = (row0, height - row0, width), (height - row0) * width
    grid, block = data.draw(st.sampled_from(GRIDS))
    # Any order within a window, as atomics have it. The first window is the whole stream.
    order = np.array(data.draw(st.permutations(range(len(events)))), int)
    for words, kernel in (
        (2, encode_cuda.accumulate_packed),
        (4, encode_cuda.accumulate_wide),
    ):
        sums = np.zeros((3, 2 * cells, words), np.int64)
        kernel[grid, block](*columns_of(events), plan, sums, *shape)
        mixed = np.zeros((3, 2 * cells, words), np.int64)
        kernel[grid, block](*columns_of(events, order), plan, mixed, *shape)
        np.testing.assert_array_equal(mixed[0], sums[0])
        for k in range(3):
            np.testing.assert_array_equal(
                sums[k].T, cpu_sums(events, int(lo[k]), int(hi[k]), shape, words)
            )


def cpu_sums(events, lo, hi, shape, words):
    columns = (events.t, events.x, events.y, events.p)
    cells = shape[1] * shape[2]
    if words == 4:
        four = np.zeros((4, 2 * cells), np.int64)
        accumulate.add_wide(*four, *columns, lo, hi, events.t0_us, *shape)
        return four
    with scratch.packed(cells) as (count_time, square, cell, dt):
        accumulate.add_packed(
            count_time, square, *columns, lo, hi, events.t0_us, *shape, cell, dt
        )  # fmt: skip
        two = np.stack([count_time[:-1], square[:-1]])
        count_time[:], square[:] = 0, 0
    return two


@pytest.mark.parametrize("name", NAMES)
@given(events=streams(max_events=30, max_span_us=900), data=st.data())
@settings(max_examples=6, deadline=None)
def test_tensors_have_the_bits_of_the_cpu(name, events, data):
    span = events.t1_us - events.t0_us
    starts = events.t0_us + np.array(
        data.draw(st.lists(st.integers(-5, span), min_size=1, max_size=4))
    )
    windows = windows_of(starts, starts + data.draw(st.integers(1, 1_000)))
    options = {
        "representation": parse_representation(name),
        "ddof": data.draw(st.sampled_from([0, 1])),
        "rows": (events.sensor.height // 2, events.sensor.height),
    }
    ranges = ("raw", "sqrt", "evsegnet") if name == "mean-std" else ("raw",)
    for normalise in ranges:
        made = encode_windows(events, windows, normalise=normalise, device="cuda", **options)
        expected = encode_windows(events, windows, normalise=normalise, **options)
        np.testing.assert_array_equal(bits(made), bits(expected))


def test_long_windows_take_the_wide_words_beside_packed_ones():
    length = 2**31 - 1
    t = np.array([3, 90, 1_000, 2**30, length - 7, length - 1])
    at = np.array([0, 0, 1, 0, 0, 0])
    events = EventStream.from_arrays(t, at, at, at, sensor=(3, 4), t0_us=0, t1_us=length)
    # Five events of one cell in that window are beyond exact integers: float64 finishes them.
    windows = windows_of([0, 0, 50, 0], [1_000, length, 2_000, 2**20])
    for normalise in ("raw", "sqrt", "evsegnet"):
        made = encode_windows(events, windows, normalise=normalise, device="cuda")
        expected = encode_windows(events, windows, normalise=normalise)
        np.testing.assert_array_equal(bits(made), bits(expected))
    assert made.any()


def test_a_cell_beyond_exact_integers_in_packed_words():
    n, width = 7_000, (1 << 20) - 1
    t = np.sort(np.random.default_rng(0).integers(0, width, n))
    zero = np.zeros(n, int)
    events = EventStream.from_arrays(t, zero, zero, zero, sensor=(1, 2), t0_us=0, t1_us=width)
    windows = windows_of([0], [width])
    made = encode_windows(events, windows, device="cuda")
    np.testing.assert_array_equal(bits(made), bits(encode_windows(events, windows)))


@pytest.mark.parametrize("name", NAMES)
def test_many_launches_reuse_the_sums(name, monkeypatch):
    # Up to a dozen events a cell, so that shares of the largest count round.
    events = a_stream(300)
    t0_us = np.arange(0, 700, 100)
    windows, representation = windows_of(t0_us, t0_us + 300), parse_representation(name)
    normalise = "evsegnet" if name == "mean-std" else "raw"
    options = {"representation": representation, "normalise": normalise}
    expected = encode_windows(events, windows, **options)
    for kib in (1, 2, 1_000):
        monkeypatch.setattr(cuda, "SCRATCH_BYTES", kib << 10)
        made = encode_windows(events, windows, device="cuda", **options)
        np.testing.assert_array_equal(bits(made), bits(expected))


def test_a_batch_joins_several_streams_and_writes_where_it_is_told():
    streams_ = [a_stream(40, seed=1), a_stream(60, seed=2), a_stream(0, seed=3)]
    parts = zip(*map(columns_of, streams_), strict=True)
    columns = [torch.from_numpy(np.concatenate(each)) for each in parts]
    spans = [(0, 500), (200, 900), (0, 10)]
    ends = np.array([0, 40, 100])
    limits = [bounds(s, *np.array(w)[:, np.newaxis]) for s, w in zip(streams_, spans, strict=True)]
    joined = np.concatenate(limits, axis=1) + ends
    out = torch.full((3, 6, 6, 5), torch.nan)
    made = encode_batch(
        *columns,
        joined,
        np.array(spans).T,
        encoding=encoding_of(SIZE, normalise="evsegnet"),
        out=out,
    )
    assert made is out
    for k, (stream, (t0_us, t1_us)) in enumerate(zip(streams_, spans, strict=True)):
        alone = encode_windows(stream, windows_of([t0_us], [t1_us]), normalise="evsegnet")
        np.testing.assert_array_equal(bits(made[k]), bits(alone[0]))


def test_nothing_to_encode():
    columns = [torch.empty(0, dtype=dtype) for dtype in COLUMN_TYPES]
    size = SensorSize(2, 3)
    none = encode_batch(*columns, np.empty((2, 0)), np.empty((2, 0)), encoding=encoding_of(size))
    assert none.shape == (0, 6, 2, 3)
    empty = encode_batch(
        *columns, [[0], [0]], [[0], [9]], encoding=encoding_of(size, normalise="evsegnet")
    )
    assert empty[0, :, 1, 1].tolist() == [-1, -1, 0, 0, 0, 0]


def good():
    events = a_stream(5)
    return [torch.from_numpy(column) for column in columns_of(events)], [[0], [5]], [[0], [1_000]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c, b, w: (c[0].int(), *c[1:], b, w), EventsError, "column t must be"),
        (lambda c, b, w: (*c[:3], c[3][::2], b, w), EventsError, "column p must be contiguous"),
        (lambda c, b, w: (*c[:3], c[3][:2], b, w), EventsError, "one length"),
        (lambda c, b, w: (*c, [[0], [6]], w), WindowError, "bounds 0:6 of window 0"),
        (lambda c, b, w: (*c, [[3], [2]], w), WindowError, "bounds 3:2 of window 0"),
        (lambda c, b, w: (*c, [0, 5], w), WindowError, r"one shape \(2, K\)"),
        (lambda c, b, w: (*c, [0, 5, 6], w), WindowError, "must be int64"),
        (lambda c, b, w: (*c, b, [[9], [9]]), WindowError, "must last"),
    ],
)
def test_bad_batches_get_one_clear_error(change, error, message):
    with pytest.raises(error, match=message):
        encode_batch(*change(*good()), encoding=encoding_of(SIZE))


def test_an_output_that_does_not_fit():
    columns, limits, windows = good()
    for out in (torch.empty(1, 6, 5, 6), torch.empty(1, 6, 6, 5, dtype=torch.float64)):
        with pytest.raises(WindowError, match="out must be float32"):
            encode_batch(*columns, limits, windows, encoding=encoding_of(SIZE), out=out)
    with pytest.raises(WindowError, match="contiguous"):
        encode_batch(
            *columns,
            limits,
            windows,
            encoding=encoding_of(SIZE),
            out=torch.empty(1, 6, 5, 6).transpose(2, 3),
        )


def test_columns_that_no_stream_checked_write_nowhere_else():
    # A polarity of 100, a row of 60,000 and a time long before the window.
    for name in NAMES:
        first_us = 0 if name == "mean-std" else -9_000  # whose sums would overflow, harmlessly
        values = ([first_us, 3, 3], [0, 4, 2], [0, 60_000, 2], [1, 1, 100])
        columns = [
            torch.tensor(column, dtype=dtype)
            for column, dtype in zip(values, COLUMN_TYPES, strict=True)
        ]
        representation = parse_representation(name)
        guarded = torch.full((3, representation.channels, *SIZE), 7.0)
        encode_batch(
            *columns,
            [[0], [3]],
            [[0], [10]],
            encoding=encoding_of(SIZE, representation=representation),
            out=guarded[1:2],
        )
        assert (guarded[::2] == 7).all()


@pytest.mark.parametrize(
    ("name", "dtype", "normalise"),
    [("stack:4", "uint8", "raw"), ("mean-std", "float16", "raw"), ("mean-std", "float16", "sqrt")],
)
def test_element_types_are_those_of_the_cpu(name, dtype, normalise):
    events = a_stream()
    encoding = encoding_of(SIZE, representation=name, dtype=dtype, normalise=normalise)
    windows = windows_of([0, 300], [700, 1_000])
    made = encode_windows(events, windows, encoding=encoding, device="cuda")
    expected = encode_windows(events, windows, encoding=encoding)
    assert made.dtype == expected.dtype == encoding.array_dtype
    assert np.array_equal(made, expected)
