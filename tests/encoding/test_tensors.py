"""Six-channel tensors against the specification in loops, and against themselves any way made."""

from __future__ import annotations

import math
import multiprocessing
import tracemalloc
from functools import partial
from itertools import pairwise

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import streams

from eventseg.encoding import tensors
from eventseg.encoding.normalise import normalise_evsegnet
from eventseg.encoding.one_pass import encode_counted, encode_recording
from eventseg.encoding.tensors import encode, encode_windows
from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels import accumulate, bands, scratch
from eventseg.kernels.accumulate import BLOCK, PACKED_MAX_EVENTS, PACKED_MAX_WINDOW_US
from eventseg.kernels.cells import EXACT_LIMIT
from eventseg.windows import Windows

SIZE = SensorSize(7, 9)


def windows(t0_us, t1_us):
    t0, t1 = np.asarray(t0_us, np.int64), np.asarray(t1_us, np.int64)
    none = np.full(len(t0), -1, np.int64)
    return Windows("w", t0, t1, none, none)


def random_stream(n=5_000, *, span_us=400_000, sensor=SIZE, seed=0, t0_us=77_000):
    rng = np.random.default_rng(seed)
    return EventStream.from_arrays(
        np.sort(rng.integers(t0_us, t0_us + span_us, n)),
        rng.integers(0, sensor.width, n),
        rng.integers(0, sensor.height, n),
        rng.integers(0, 2, n),
        sensor=sensor,
        t0_us=t0_us,
        t1_us=t0_us + span_us,
        t_unit="us",
    )


class Memory:
    """A recording in memory, streamed in pieces as a reader would."""

    def __init__(self, events, pieces=7):
        self.events = events
        self.pieces = pieces
        self.sensor = events.sensor
        self.n_events = len(events)
        self.t_first_us, self.t_last_us = int(events.t[0]), int(events.t[-1])

    def stream(self, *, max_events=0, t0_us=None, t1_us=None):
        begin = self.events.t0_us if t0_us is None else t0_us
        end = self.events.t1_us if t1_us is None else t1_us
        edges = np.linspace(begin, end, self.pieces + 1).astype(np.int64)
        for a, b in pairwise(edges):
            yield self.events.between(int(a), int(b))


def assert_as_naive(made, expected):
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made[:2], expected[:2])
    np.testing.assert_allclose(made[2:], expected[2:], rtol=0, atol=2e-7)


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


def test_threads_and_slices_give_the_same_bits():
    events = random_stream(60_000)
    t1 = events.t0_us + np.arange(1, 41) * 10_000
    for width in (4_000, 10_000, 50_000, 250_000):
        cut = windows(t1 - width, t1)
        one = encode_windows(events, cut)
        for threads in (2, 3, 64):
            np.testing.assert_array_equal(one, encode_windows(events, cut, threads=threads))
        alone = [encode_windows(events, windows([a], [a + width]))[0] for a in cut.t0_us]
        np.testing.assert_array_equal(one, alone)
        np.testing.assert_array_equal(
            one[30], encode(events, window=(int(cut.t0_us[30]), int(cut.t1_us[30])))
        )


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


def test_recording_in_one_pass_equals_each_window_alone(monkeypatch):
    events = random_stream(40_000, span_us=900_000)
    ends = events.t0_us + np.arange(1, 60) * 17_001
    cuts = [windows(ends - width, ends) for width in (10_000, 50_000, 250_000)]
    skip = np.arange(59) % 3 == 1
    expected = [encode_windows(events, cut, rows=(1, 6)) for cut in cuts]
    # Small batches, so that events are carried over from one to the next.
    monkeypatch.setattr("eventseg.encoding.batches.BATCH_BYTES", 50_000)
    for pieces in (1, 7, 90):
        seen = []
        for sample in encode_recording(
            Memory(events, pieces), cuts, rows=(1, 6), threads=2, skip=skip
        ):
            seen.append(sample.index)
            if skip[sample.index]:
                assert sample.tensors == ()
            for made, whole in zip(sample.tensors, expected, strict=bool(sample.tensors)):
                np.testing.assert_array_equal(made, whole[sample.index])
            assert sample.counts == tuple(
                len(events.between(int(cut.t0_us[sample.index]), int(cut.t1_us[sample.index])))
                for cut in cuts
            )
        assert seen == list(range(59))


class Packets(Memory):
    """A recording whose spans threads may read side by side; it cannot be streamed."""

    packet_events = 500

    def __init__(self, events):
        super().__init__(events)
        self.whole, self.asked = events, []
        self.events = self.between

    def between(self, t0_us, t1_us):
        self.asked.append((t0_us, t1_us))
        return self.whole.between(t0_us, t1_us)

    def stream(self, **_):
        raise AssertionError("read in one stream")


def test_workers_read_the_events_of_their_own_windows(monkeypatch):
    events = random_stream(40_000, span_us=900_000)
    # Some windows begin before the first event or end after the last one, and some hold none.
    t1 = events.t0_us + np.arange(-200, 290) * 10_007
    cut = windows(t1 - 10_000, t1)
    skip = np.arange(len(t1)) % 7 == 3
    expected = encode_windows(events, cut)
    held = np.searchsorted(events.t, cut.t1_us) - np.searchsorted(events.t, cut.t0_us)
    monkeypatch.setattr("eventseg.encoding.batches.RUN_EVENTS", 1_000)
    recording = Packets(events)
    samples = encode_recording(recording, [cut], threads=2, skip=skip)
    for i, sample in enumerate(samples):
        assert sample.index == i
        assert sample.counts == (held[i],)
        assert len(sample.tensors) == (not skip[i])
        for tensor in sample.tensors:
            np.testing.assert_array_equal(tensor, expected[i])
    assert i == len(t1) - 1
    assert 10 < len(recording.asked) < len(t1) / 2
    assert min(a for a, _ in recording.asked) == recording.t_first_us


def test_windows_that_share_events_are_read_once():
    events = random_stream(4_000)
    ends = events.t0_us + np.arange(1, 20) * 10_000
    with pytest.raises(AssertionError, match="in one stream"):
        next(encode_recording(Packets(events), [windows(ends - 20_000, ends)]))


def test_a_reader_that_fails_ends_the_encoding(monkeypatch):
    monkeypatch.setattr("eventseg.encoding.batches.RUN_EVENTS", 1_000)

    class Failing(Packets):
        def between(self, t0_us, t1_us):
            if t0_us > self.whole.t0_us + 100_000:
                raise OSError("the disk is gone")
            return super().between(t0_us, t1_us)

    events = random_stream(40_000)
    ends = events.t0_us + np.arange(1, 40) * 10_000
    with pytest.raises(OSError, match="the disk is gone"):
        list(encode_recording(Failing(events), [windows(ends - 10_000, ends)], threads=2))


def test_windows_of_a_fixed_count_hold_every_event_once():
    rng = np.random.default_rng(3)
    t = np.sort(rng.integers(0, 3_000, 10_000))  # many events a microsecond
    events = EventStream.from_arrays(
        t, rng.integers(0, 9, 10_000), rng.integers(0, 7, 10_000), t % 2, sensor=SIZE
    )
    made = [
        (s.index, s.t0_us, s.t1_us, s.count, s.tensor.copy())
        for s in encode_counted(Memory(events), events_per_window=777)
    ]
    assert [row[3] for row in made] == [777] * 12 + [10_000 - 12 * 777]
    assert [row[0] for row in made] == list(range(13))
    for index, t0_us, t1_us, count, tensor in made:
        part = slice(index * 777, index * 777 + count)
        assert (t0_us, t1_us) == (t[part][0], t[part][-1] + 1)
        alone = EventStream.from_arrays(
            t[part], events.x[part], events.y[part], events.p[part], sensor=SIZE
        )
        np.testing.assert_array_equal(tensor, encode(alone))


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


def _encode_in_child(queue):
    queue.put(
        encode_windows(random_stream(), windows([77_000, 80_000], [90_000, 93_000]), threads=2)
    )


def test_a_forked_worker_encodes_after_its_parent_did():
    cut = windows([77_000, 80_000], [90_000, 93_000])
    expected = encode_windows(random_stream(), cut, threads=2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_encode_in_child, args=(queue,))
    child.start()
    made = queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(made, expected)


def test_kernels_release_the_lock_and_are_cached_on_disk():
    from eventseg.kernels import encode as loops

    encode(random_stream())
    for kernel in (loops.encode_packed, loops.encode_wide):
        assert kernel.targetoptions["nogil"] is True
        assert kernel._cache.cache_path


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
    ],
)
def test_bad_arguments_get_one_clear_error(options, message):
    with pytest.raises(WindowError, match=message):
        encode(random_stream(), **options)


def test_a_staging_block_more_or_less_makes_no_difference():
    for n in (BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK):
        events = random_stream(n, seed=n)
        assert_as_naive(encode(events), naive.tensor(events, events.t0_us, events.t1_us))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_job_is_done_once_and_an_error_of_any_is_raised(threads: int) -> None:
    done: list[int] = []
    tensors._share([partial(done.append, k) for k in range(20)], threads=threads)
    assert sorted(done) == list(range(20))

    def fail() -> None:
        raise IndexError("of the job")

    for place in (0, 10, 19):
        jobs = [partial(done.append, k) for k in range(19)]
        jobs.insert(place, fail)
        with pytest.raises(IndexError, match="of the job"):
            tensors._share(jobs, threads=threads)
