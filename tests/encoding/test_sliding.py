"""Live window against fresh encodes of the same windows, to the bit."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventseg.encoding import LiveWindow, encode, encoding_of, sliding
from eventseg.errors import EventsError, WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels.cells import EXACT_LIMIT
from eventseg.recordings.event_columns import EventColumns

SENSOR = SensorSize(4, 5)
REPRESENTATIONS = ["mean-std", "count", "count-latest", "time-surface:3ms", "voxel:3", "stack:4"]
SLIDING = REPRESENTATIONS[:4]


def stream_of(t, seed: int = 0, sensor: SensorSize = SENSOR, t1_us: int | None = None):
    t = np.asarray(t, np.int64)
    rng = np.random.default_rng(seed)
    return EventStream(
        t,
        rng.integers(0, sensor.width, len(t)).astype(np.uint16),
        rng.integers(0, sensor.height, len(t)).astype(np.uint16),
        rng.integers(0, 2, len(t)).astype(np.int8),
        sensor,
        int(t[0]) if len(t) else 0,
        t1_us or (int(t[-1]) + 1 if len(t) else 0),
    )


def part(events: EventStream, lo: int, hi: int) -> EventStream:
    columns = EventColumns(events.t[lo:hi], events.x[lo:hi], events.y[lo:hi], events.p[lo:hi])
    t0_us = int(columns.t[0]) if hi > lo else 0
    return columns.stream(events.sensor, t0_us, int(columns.t[-1]) + 1 if hi > lo else 0)


def fresh(events: EventStream, t0_us: int, t1_us: int, encoding) -> np.ndarray:
    wide = EventStream(
        events.t, events.x, events.y, events.p, events.sensor,
        min(t0_us, events.t0_us), max(t1_us, events.t1_us),
    )  # fmt: skip
    return encode(wide, window=(t0_us, t1_us), encoding=encoding)


@st.composite
def live_streams(draw):
    """Draw times with gaps, bursts and many events in one microsecond, and a clock's begin."""
    steps = st.one_of(
        st.just(0), st.integers(1, 40), st.just(700), st.sampled_from([5_000, 60_000])
    )
    gaps = draw(st.lists(steps, min_size=1, max_size=120))
    begin = draw(st.sampled_from([0, 11_570_005, 2**31 - 500, 2**40]))
    return stream_of(begin + np.cumsum(gaps), draw(st.integers(0, 9)))


@given(events=live_streams(), name=st.sampled_from(REPRESENTATIONS), data=st.data())
@settings(max_examples=120)
def test_every_window_has_the_bits_of_a_fresh_one(events, name, data):
    rows = data.draw(st.sampled_from([None, (1, 3)]))
    normalise = data.draw(st.sampled_from(["raw", "sqrt", "evsegnet"]))
    encoding = encoding_of(
        SENSOR, rows=rows, representation=name, ddof=data.draw(st.sampled_from([0, 1])),
        normalise=normalise if name == "mean-std" else "raw",
    )  # fmt: skip
    window_us = data.draw(st.sampled_from([1, 7, 100, 1_000, 20_000]))
    live = LiveWindow(encoding, window_us=window_us)
    at, t1_us = 0, int(events.t[0]) + data.draw(st.integers(0, 20))
    while at < len(events):
        size = data.draw(st.sampled_from([1, 2, 5, 40]))
        # Packets that hold the window's events, the last often beyond it; equal times are cut too.
        while at < len(events) and events.t[at] < t1_us:
            live.add(part(events, at, min(at + size, len(events))))
            at += size
        made = live.tensor(t1_us)
        np.testing.assert_array_equal(made, fresh(events, t1_us - window_us, t1_us, encoding))
        far = [0, 1, window_us // 3, window_us - 1, window_us, window_us + 1, 5 * window_us]
        t1_us += data.draw(st.sampled_from(far))
        if at < len(events) and events.t[at] > t1_us + 10 * window_us:
            t1_us = int(events.t[at])
        t1_us = max(t1_us, live._known_us or 0) if data.draw(st.booleans()) else t1_us + 1
    assert (live.slides, live.fresh > 0) == (name in SLIDING, True)


@pytest.mark.parametrize("name", SLIDING)
def test_overlapping_windows_slide_and_never_drift(name):
    rng = np.random.default_rng(3)
    events = stream_of(np.sort(rng.integers(0, 2_000_000, 20_000)))
    encoding = encoding_of(SENSOR, representation=name)
    live = LiveWindow(encoding, window_us=50_000)
    live.add(events)
    for t1_us in range(60_000, 2_000_000, 5_001):
        made = live.tensor(t1_us)
    np.testing.assert_array_equal(made, fresh(events, t1_us - 50_000, t1_us, encoding))
    assert (live.fresh, live.slid) == (1, len(range(60_000, 2_000_000, 5_001)) - 1)


@pytest.mark.parametrize("window_us", [(1 << 20) - 1, 1 << 20, 3 << 20])
def test_windows_at_the_limits_of_the_words(window_us):
    t = np.arange(40) * 100_000
    events = stream_of(t, seed=1)
    encoding = encoding_of(SENSOR)
    live = LiveWindow(encoding, window_us=window_us)
    assert live.slides == (window_us < 1 << 20)
    live.add(events)
    for t1_us in range(0, 5_000_000, 99_999):
        expected = fresh(events, t1_us - window_us, t1_us, encoding)
        np.testing.assert_array_equal(live.tensor(t1_us), expected)


def test_a_burst_beyond_the_words_is_encoded_again_and_then_slides(monkeypatch):
    monkeypatch.setattr(sliding, "PACKED_MAX_EVENTS", 50)
    t = np.sort(np.r_[np.arange(0, 3_000, 40), np.full(60, 1_200)])
    events, encoding = stream_of(t, seed=2), encoding_of(SENSOR)
    live = LiveWindow(encoding, window_us=800)
    live.add(events)
    for t1_us in range(100, 3_000, 100):
        expected = fresh(events, t1_us - 800, t1_us, encoding)
        np.testing.assert_array_equal(live.tensor(t1_us), expected)
    assert live.slid > 10
    assert live.fresh > 8


def test_a_cell_beyond_the_exact_finish_has_the_same_bits():
    window_us, one = 500_000, SensorSize(1, 1)
    n = EXACT_LIMIT // window_us + 5_000
    events = stream_of(np.sort(np.random.default_rng(0).integers(0, 600_000, n)), sensor=one)
    encoding = encoding_of(one)
    live = LiveWindow(encoding, window_us=window_us)
    live.add(events)
    for t1_us in (400_000, 500_000, 560_000, 900_000):
        expected = fresh(events, t1_us - window_us, t1_us, encoding)
        np.testing.assert_array_equal(live.tensor(t1_us), expected)


def test_memory_holds_one_window():
    live = LiveWindow(encoding_of(SENSOR), window_us=10_000)
    out = np.empty(live.encoding.shape, np.float32)

    def feed(packets):
        for k in packets:
            live.add(stream_of(np.arange(k * 1_000, (k + 1) * 1_000, 10)))
            live.tensor((k + 1) * 1_000, out=out)

    feed(range(100))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    feed(range(100, 1_500))
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(live) == 1_000
    assert grown < 300_000


def test_what_cannot_be_used_is_refused():
    live = LiveWindow(encoding_of(SENSOR), window_us=100)
    live.add(stream_of([500, 500]))
    live.add(stream_of([500, 700]))
    with pytest.raises(EventsError, match="come to 700 us: sort"):
        live.add(stream_of([699]))
    live.add(stream_of([]))
    live.tensor(900)
    with pytest.raises(EventsError, match="come to 900 us"):
        live.add(stream_of([899]))
    with pytest.raises(WindowError, match="ends at 899 us, after one that ended at 900"):
        live.tensor(899)
    with pytest.raises(EventsError, match="is for a sensor 5x4, the events are 3x3"):
        live.add(stream_of([1_000], sensor=SensorSize(3, 3)))
    with pytest.raises(WindowError, match="out must be C-contiguous"):
        live.tensor(900, out=np.empty((6, 4, 4), np.float32))
    with pytest.raises(WindowError):
        LiveWindow(encoding_of(SENSOR), window_us=0)
