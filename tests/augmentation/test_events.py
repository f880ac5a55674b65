"""Events changed before they are encoded: as the twin in loops, with even chances, and pure."""

from __future__ import annotations

import naive
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strategies import streams

from eventseg.augmentation.event_changes import EventChange, draw_event_change
from eventseg.augmentation.events import (
    augment_events,
    change_events,
    flip_events,
    jitter_window,
    shift_events,
)
from eventseg.augmentation.events_on_device import change_columns
from eventseg.augmentation.sample import EMPTY, Sample, warp
from eventseg.augmentation.settings import LARGEST_JITTER_US, Augmentation, Draw
from eventseg.encoding.cuda import encode_batch
from eventseg.encoding.representation import parse_representation
from eventseg.encoding.settings import encoding_of
from eventseg.encoding.tensors import encode
from eventseg.errors import TrainingError, WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels.augment_cells import changed_event

WILD = Augmentation(drop=0.3, noise=0.2, polarity=0.5, window_jitter=0.3, time_jitter_us=70)
NAMES = ("mean-std", "count", "count-latest", "voxel:3", "stack:4", "time-surface:300us")
WINDOW_US = (1_000, 51_000)


@st.composite
def changes(draw, sensor):
    """Draw a change of events of a sensor, each of its parts switched off in half of them."""

    def perhaps(values):
        return draw(values) if draw(st.booleans()) else 0

    return EventChange(
        key=draw(st.integers(0, 2**63 - 1)),
        drop=float(perhaps(st.floats(0, 1))),
        jitter_us=perhaps(st.sampled_from([1, 7, 400, LARGEST_JITTER_US])),
        swap=draw(st.booleans()),
        flip=draw(st.booleans()),
        dx=perhaps(st.integers(1 - sensor.width, sensor.width - 1)),
        dy=perhaps(st.integers(1 - sensor.height, sensor.height - 1)),
        noise=perhaps(st.integers(0, 9)),
    )


def stream(n=500, *, height=12, width=17, seed=0):
    rng = np.random.default_rng(seed)
    return EventStream.from_arrays(
        np.sort(rng.integers(*WINDOW_US, n)), rng.integers(0, width, n),
        rng.integers(0, height, n), rng.integers(0, 2, n),
        sensor=(height, width), t0_us=WINDOW_US[0], t1_us=WINDOW_US[1],
    )  # fmt: skip


def check_valid(events, before):
    """Check that a stream would pass the checks of one from elsewhere, and its span stayed."""
    again = EventStream.from_arrays(
        events.t, events.x, events.y, events.p,
        sensor=events.sensor, t0_us=events.t0_us, t1_us=events.t1_us,
    )  # fmt: skip
    assert [getattr(events, c).dtype for c in "txyp"] == [getattr(again, c).dtype for c in "txyp"]
    assert (events.sensor, events.t0_us, events.t1_us) == (
        before.sensor, before.t0_us, before.t1_us,
    )  # fmt: skip


def joined(parts):
    """Return columns, bounds and windows of streams one after the other, as tensors."""
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in "txyp")
    ends = np.cumsum([len(part) for part in parts])
    bounds = np.stack([np.concatenate([[0], ends[:-1]]), ends])
    windows = np.array([(part.t0_us, part.t1_us) for part in parts]).T
    return [torch.from_numpy(column) for column in columns], bounds, windows


def even(counts):
    """Return the chance that even counts are as uneven as these (chi-square)."""
    return stats.chisquare(counts).pvalue


def test_the_words_are_those_of_splitmix64():
    # The published generator's first words from the seed 1234567.
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert naive.splitmix64(1234567, 3) == known


@given(events=streams(max_events=40), data=st.data())
def test_changed_streams_are_those_of_the_twin(events, data):
    change = data.draw(changes(events.sensor))
    made = change_events(events, change)
    check_valid(made, events)
    assert made.to_records().tolist() == naive.changed(events, change)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_columns_of_a_batch_encode_as_changed_streams(name, data):
    first = data.draw(streams(max_events=30))
    size = first.sensor
    sizes = data.draw(st.lists(st.integers(0, 25), min_size=1, max_size=3))
    more = [stream(n, height=size.height, width=size.width, seed=n) for n in sizes]
    parts = [first, *more]
    what = [data.draw(changes(size)) for _ in parts]
    columns, bounds, windows = joined(parts)
    made, limits = change_columns(*columns, bounds, windows, what, sensor=size)
    options = {
        "representation": parse_representation(name),
        "rows": (size.height // 2, size.height),
        "normalise": "evsegnet" if name == "mean-std" else "raw",
    }
    tensors = encode_batch(*made, limits, windows, encoding=encoding_of(size, **options))
    for tensor, part, change in zip(tensors.numpy(), parts, what, strict=True):
        expected = encode(change_events(part, change), **options)
        np.testing.assert_array_equal(tensor.view(np.int32), expected.view(np.int32))


def test_windows_of_a_batch_may_share_events():
    events = stream(60)
    columns, _, _ = joined([events])
    bounds, windows = np.array([[0, 20], [40, 60]]), np.array([[1_000] * 2, [51_000] * 2])
    what = [EventChange(key=1, drop=0.5), EventChange(key=2, noise=3)]
    made, limits = change_columns(*columns, bounds, windows, what, sensor=events.sensor)
    assert limits.tolist() == [[0, 40], [40, 83]]
    for k in (0, 1):
        part = EventStream(
            *(getattr(events, c)[slice(*bounds[:, k])] for c in "txyp"), events.sensor, *WINDOW_US
        )
        expected = encode(change_events(part, what[k]))
        found = encode_batch(*made, limits, windows, encoding=encoding_of(events.sensor))[k]
        np.testing.assert_array_equal(found, expected)


def test_nothing_changes_what_is_given():
    events = stream()
    assert change_events(events, EventChange(key=9)) is events
    neutral = {"augmentation": Augmentation(), "seed": 0, "epoch": 0, "index": 0}
    assert augment_events(events, **neutral) is events
    assert jitter_window(WINDOW_US, **neutral) == WINDOW_US
    columns, bounds, windows = joined([events, stream(0)])
    made, limits = change_columns(
        *columns, bounds, windows, [EventChange()] * 2, sensor=events.sensor
    )
    assert all(a is b for a, b in zip(made, columns, strict=True))
    np.testing.assert_array_equal(limits, bounds)
    before = events.to_records()
    change_events(events, EventChange(drop=0.5, jitter_us=9, noise=4, flip=True))
    np.testing.assert_array_equal(events.to_records(), before)


def test_batches_without_events():
    columns, bounds, windows = joined([stream(0), stream(0)])
    size = SensorSize(12, 17)
    for noise in (0, 5):
        what = [EventChange(key=3, swap=True), EventChange(key=4, swap=True, noise=noise)]
        made, limits = change_columns(*columns, bounds, windows, what, sensor=size)
        assert limits.tolist() == [[0, 0], [0, noise]]
        counts = encode_batch(*made, limits, windows, encoding=encoding_of(size))[:, :2].sum(
            (1, 2, 3)
        )
        assert counts.tolist() == [0, noise]
    none, limits = change_columns(
        *columns, np.empty((2, 0)), np.empty((2, 0)), [], sensor=size
    )  # fmt: skip
    assert len(none[0]) == limits.size == 0


@given(st.integers(0, 300), st.integers(0, 50), st.integers(0, 2**63))
def test_changed_events_are_pure_functions_of_seed_epoch_and_index(n, index, seed):
    events = stream(n)
    made = augment_events(events, augmentation=WILD, seed=seed, epoch=1, index=index)
    check_valid(made, events)
    change = draw_event_change(WILD, seed=seed, epoch=1, index=index, events=n)
    np.testing.assert_array_equal(made.to_records(), change_events(events, change).to_records())
    others = [(seed + 1, 1, index), (seed, 2, index), (seed, 1, index + 1)]
    keys = [draw_event_change(WILD, seed=s, epoch=e, index=i, events=n).key for s, e, i in others]
    assert change.key not in keys


def test_draws_fill_their_ranges():
    drawn = [
        draw_event_change(WILD, seed=0, epoch=0, index=index, events=1_000)
        for index in range(2_000)
    ]
    assert even(np.histogram([d.drop for d in drawn], 10, (0, 0.3))[0]) > 0.001
    assert np.mean([d.noise for d in drawn]) == pytest.approx(100, abs=5)
    assert np.mean([d.swap for d in drawn]) == pytest.approx(0.5, abs=0.04)
    assert {d.jitter_us for d in drawn} == {70}
    # No sample flips or shifts its events alone: the whole picture does, with its labels.
    assert not any(d.flip or d.dx or d.dy for d in drawn)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_dropping_takes_its_share_of_any_events_and_keeps_the_order(share):
    events = stream(20_000)
    made = change_events(events, EventChange(key=5, drop=share))
    check_valid(made, events)
    deviation = (20_000 * share * (1 - share)) ** 0.5
    assert abs(len(made) - 20_000 * (1 - share)) < 3.3 * deviation
    assert even(np.histogram(made.t, 10, WINDOW_US)[0]) > 0.001
    # Neighbours are dropped independently: both of a pair with the square of the share.
    unique = EventStream(np.arange(20_000), events.x, events.y, events.p, events.sensor, 0, 20_000)
    gone = ~np.isin(unique.t, change_events(unique, EventChange(key=6, drop=share)).t)
    assert (gone[1:] & gone[:-1]).mean() == pytest.approx(share**2, abs=0.01)


def test_dropping_nothing_and_all():
    events = stream(1_000)
    almost = change_events(events, EventChange(key=5, drop=2**-40))
    np.testing.assert_array_equal(almost.to_records(), events.to_records())
    assert len(change_events(events, EventChange(key=5, drop=1.0))) == 0
    # The share is met to the last bit: an event stays until it is above its word's upper half.
    one, high = stream(1), naive.splitmix64(5, 1)[0] >> 32
    assert len(change_events(one, EventChange(key=5, drop=high / 2**32))) == 1
    assert len(change_events(one, EventChange(key=5, drop=(high + 1) / 2**32))) == 0


def test_noise_is_added_evenly_and_the_events_stay():
    before = stream(100)
    made = change_events(before, EventChange(key=7, noise=40_000))
    check_valid(made, before)
    records = made.to_records().tolist()
    assert len(records) == 40_100
    for event in before.to_records().tolist():
        records.remove(event)
    t, x, y, p = np.array(records).T
    assert even(np.histogram(t, 50, WINDOW_US)[0]) > 0.001
    # Even over pixel and polarity together: 408 cells of some 98 events.
    assert even(np.bincount((p * 12 + y) * 17 + x, minlength=408)) > 0.001
    assert abs(np.corrcoef([t, x, y, p])[np.triu_indices(4, 1)]).max() < 3.3 / 200


def test_times_change_evenly_within_the_window():
    n, reach = 42_000, 10
    middle = np.full(n, 500)
    at = np.zeros(n, int)
    events = EventStream.from_arrays(middle, at, at, at, sensor=(2, 2), t0_us=0, t1_us=1_000)
    made = change_events(events, EventChange(key=8, jitter_us=reach))
    assert even(np.bincount(made.t - 490, minlength=21)) > 0.001
    narrow = EventStream.from_arrays(middle, at, at, at, sensor=(2, 2), t0_us=495, t1_us=503)
    made = change_events(narrow, EventChange(key=8, jitter_us=reach))
    check_valid(made, narrow)
    # What would leave the window stays at its first or last us: 6 and 9 of 21 steps.
    shares = np.bincount(made.t - 495, minlength=8) / n
    assert shares == pytest.approx(np.array([6, 1, 1, 1, 1, 1, 1, 9]) / 21, abs=0.01)


@given(streams())
def test_mirroring_and_swapping_twice_is_nothing(events):
    for change in (EventChange(flip=True), EventChange(swap=True)):
        once = change_events(events, change)
        check_valid(once, events)
        twice = change_events(once, change)
        np.testing.assert_array_equal(twice.to_records(), events.to_records())


def test_swapping_polarity_swaps_the_channels():
    events = stream()
    swapped = encode(change_events(events, EventChange(swap=True)))
    np.testing.assert_array_equal(swapped[[1, 0, 4, 5, 2, 3]], encode(events))


def test_flipping_events_is_flipping_their_tensor():
    events = stream()
    np.testing.assert_array_equal(encode(flip_events(events)), encode(events)[..., ::-1])


@given(st.integers(-16, 16), st.integers(-11, 11))
def test_shifting_events_is_shifting_their_tensor(dx, dy):
    events = stream()
    moved = shift_events(events, dx=dx, dy=dy)
    check_valid(moved, events)
    tensor = Sample(labels=np.zeros((12, 17), np.uint8), events=encode(events))
    expected = warp(tensor, Draw(shift=(dy / 12, dx / 17)), event_border=EMPTY["raw"])
    np.testing.assert_array_equal(encode(moved), expected.events)


@given(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(0, 1000))
def test_jittered_windows_end_where_they_did(t0_us, length_us, index):
    window = (t0_us, t0_us + length_us)
    begin, end = jitter_window(window, augmentation=WILD, seed=0, epoch=0, index=index)
    assert end == window[1]
    assert max(1, int(0.7 * length_us)) <= end - begin <= int(1.3 * length_us) + 1


@pytest.mark.parametrize(
    ("settings", "changes_events"),
    [
        ({}, False),
        ({"flip": 0.5, "window_jitter": 0.1, "shift": 0.1}, False),
        ({"drop": 0.1}, True),
        ({"noise": 0.1}, True),
        ({"polarity": 0.1}, True),
        ({"time_jitter_us": 1}, True),
    ],
)
def test_an_augmentation_says_whether_it_changes_events(settings, changes_events):
    assert Augmentation(**settings).changes_events is changes_events


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"key": -1}, "key must be from 0"),
        ({"key": 2**63}, "key must be from 0"),
        ({"drop": 1.01}, "drop must be from 0 to 1"),
        ({"drop": float("nan")}, "drop must be from 0 to 1"),
        ({"jitter_us": LARGEST_JITTER_US + 1}, "jitter_us must be"),
        ({"noise": -1}, "noise must not be below 0"),
    ],
)
def test_changes_out_of_range_are_refused(settings, word):
    with pytest.raises(TrainingError, match=word):
        EventChange(**settings)


def test_the_largest_jitter_fits_the_largest_word():
    end = 2**31 - 1
    rules = (0, end, 0, 0, LARGEST_JITTER_US, 0, 0, 0, 12, 17)
    # As plain integers of NumPy, whose overflow is an error here.
    time, *_ = changed_event(np.int64(5), 0, 0, 1, np.uint64(2**64 - 1), rules)
    assert time == 5 + LARGEST_JITTER_US


def test_changes_that_do_not_fit_are_refused():
    with pytest.raises(TrainingError, match="17x12"):
        shift_events(stream(), dx=17, dy=0)
    with pytest.raises(TrainingError, match="17x12"):
        shift_events(stream(), dx=0, dy=-12)
    events = stream()
    columns, bounds, windows = joined([events])
    size = events.sensor
    with pytest.raises(TrainingError, match="2 changes for 1 windows"):
        change_columns(*columns, bounds, windows, [EventChange()] * 2, sensor=size)
    with pytest.raises(WindowError, match="bounds 0:501"):
        change_columns(*columns, [[0], [501]], windows, [EventChange(flip=True)], sensor=size)
    for change, end in ((EventChange(noise=1), 9), (EventChange(jitter_us=1), 2**31 + 9)):
        with pytest.raises(WindowError, match="must last 1 us to 2147483647 us"):
            change_columns(*columns, bounds, [[9], [end]], [change], sensor=size)
    with pytest.raises(TrainingError, match="more than 65535 rows"):
        change_columns(
            *columns, bounds, windows, [EventChange(flip=True)], sensor=SensorSize(65536, 2)
        )
