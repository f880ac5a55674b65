"""Event filters: what they drop, by loops; the same however a stream is cut; bad settings."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import naive
import numpy as np
import pytest
from filter_cases import cases, same
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_fixtures import write_recording
from strategies import streams

from eventseg.errors import EventsegError, EventsError, WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.filters.filtered import FilteredRecording, filtered, survey_filters
from eventseg.filters.hot_pixels import count_events, find_hot_pixels, hot_map, hot_numbers
from eventseg.filters.rules import EventFilter, Filters, filter_events, parse_filters
from eventseg.recordings import open_recording


def some(events: EventStream, which) -> EventStream:
    return EventStream(
        events.t[which], events.x[which], events.y[which], events.p[which],
        events.sensor, events.t0_us, events.t1_us,
    )  # fmt: skip


@given(case=cases())
@settings(max_examples=150)
def test_what_is_kept_is_the_specification(case):
    events, filters, hot = case
    keep = EventFilter(filters, sensor=events.sensor, hot=hot)
    made = keep(events)
    fates = naive.fates(
        events, hot=hot, refractory_us=filters.refractory_us, support_us=filters.support_us
    )
    same(made, some(events, [fate == "kept" for fate in fates]))
    expected = Counter(fates)
    assert keep.dropped == {name: expected[name] for name in filters.names}
    assert int(keep.fates.sum()) == len(events)


@given(case=cases(), data=st.data())
@settings(max_examples=80)
def test_pieces_and_spans_of_their_own_give_the_same_events(case, data):
    events, filters, hot = case
    whole = filter_events(events, filters=filters, hot=hot)
    moments = st.integers(events.t0_us, events.t1_us)
    edges = sorted([events.t0_us, *data.draw(st.lists(moments, max_size=4)), events.t1_us])
    keep = EventFilter(filters, sensor=events.sensor, hot=hot)
    for t0_us, t1_us in pairwise(edges):
        expected = whole.between(t0_us, t1_us)
        same(keep(events.between(t0_us, t1_us)), expected)
        # Alone, with no more than its lead.
        read = events.between(max(events.t0_us, t0_us - filters.lead_us), t1_us)
        alone = filter_events(read, filters=filters, hot=hot)
        same(alone.between(t0_us, t1_us), expected)


@given(case=cases())
@settings(max_examples=60)
def test_polarity_does_not_matter_and_time_only_by_its_differences(case):
    events, filters, hot = case
    moved = EventStream(
        events.t + 12_345, events.x, events.y, 1 - events.p,
        events.sensor, events.t0_us + 12_345, events.t1_us + 12_345,
    )  # fmt: skip
    one = filter_events(events, filters=filters, hot=hot)
    other = filter_events(moved, filters=filters, hot=hot)
    np.testing.assert_array_equal(one.t + 12_345, other.t)
    np.testing.assert_array_equal(1 - one.p, other.p)


@given(case=cases())
@settings(max_examples=60)
def test_hot_and_refractory_twice_are_once_and_longer_support_keeps_more(case):
    events, filters, hot = case
    two = Filters(filters.hot_factor, filters.refractory_us)
    once = filter_events(events, filters=two, hot=hot)
    same(filter_events(once, filters=two, hot=hot), once)
    if filters.support_us:
        longer = Filters(filters.hot_factor, filters.refractory_us, 2 * filters.support_us)
        kept = filter_events(events, filters=filters, hot=hot).to_records().tolist()
        more = Counter(filter_events(events, filters=longer, hot=hot).to_records().tolist())
        assert not Counter(kept) - more


def test_limits_are_where_they_are_said_to_be():
    def kept(t, x, **filters):
        at = np.array(x)
        events = EventStream.from_arrays(t, at, 0 * at, 0 * at, sensor=(1, 4))
        return filter_events(events, filters=Filters(**filters)).t.tolist()

    # The dead time itself is over at its end, and begins again with an event that is dropped.
    assert kept([0, 10], [0, 0], refractory_us=10) == [0, 10]
    assert kept([0, 9, 18, 28], [0, 0, 0, 0], refractory_us=10) == [0, 28]
    assert kept([5, 5], [0, 0], refractory_us=1) == [5]
    # Support lasts to its end; a pixel does not support itself, nor does one two columns away.
    assert kept([0, 10], [0, 1], support_us=10) == [10]
    assert kept([0, 11], [0, 1], support_us=10) == []
    assert kept([5, 5], [1, 0], support_us=1) == [5]
    assert kept([0, 1, 2], [0, 0, 2], support_us=10) == []


# Hot pixels.


def scene(height=12, width=15, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(40, (height, width))


def test_a_pixel_far_above_its_surroundings_is_hot_also_at_the_border():
    counts = scene()
    for place in ((0, 0), (6, 7), (11, 3), (5, 14)):
        counts[place] = 400
    assert set(hot_numbers(find_hot_pixels(counts, factor=3))) == {0, 97, 89, 168}


def test_an_edge_that_many_pixels_see_is_not_hot_but_one_pixel_on_it_is():
    counts = scene()
    counts[:, 5:9] *= 20
    assert not find_hot_pixels(counts, factor=3).any()
    counts[6, 6] *= 10
    assert hot_numbers(find_hot_pixels(counts, factor=3)) == (6 * 15 + 6,)


def test_the_limit_of_hot_pixels_and_nothing_to_find():
    counts = np.full((5, 5), 9)
    counts[2, 2] = 3 * (1 + 9)
    assert not find_hot_pixels(counts, factor=3).any()
    counts[2, 2] += 1
    assert find_hot_pixels(counts, factor=3).sum() == 1
    assert not find_hot_pixels(np.zeros((4, 6), np.int64), factor=2).any()
    # One or two events in a quiet part are no hot pixel.
    counts = np.zeros((7, 7), np.int64)
    counts[3, 3] = 2
    assert not find_hot_pixels(counts, factor=1.5).any()
    with pytest.raises(EventsError, match="above 1"):
        find_hot_pixels(counts, factor=1.0)


@given(events=streams(max_events=40))
def test_counts_are_those_of_numpy_and_numbers_go_back_to_the_map(events):
    counts = count_events([events], sensor=events.sensor)
    expected = np.zeros(events.sensor, np.int64)
    np.add.at(expected, (events.y, events.x), 1)
    np.testing.assert_array_equal(counts, expected)
    hot = counts > 1
    np.testing.assert_array_equal(hot_map(hot_numbers(hot), events.sensor), hot)


# Recordings.


def check_recording(recording, filters, spans):
    """Compare survey, stream and spans of a recording with the filter on all its events."""
    survey = survey_filters(recording, filters)
    events = recording.events()
    counts = count_events([events], sensor=recording.sensor)
    hot = find_hot_pixels(counts, factor=filters.hot_factor)
    keep = EventFilter(filters, sensor=recording.sensor, hot=hot)
    whole = keep(events)
    assert survey.hot_pixels == hot_numbers(hot)
    assert survey.dropped == keep.dropped
    assert len(whole) == len(events) - sum(survey.dropped.values())
    source = filtered(recording, filters, hot_pixels=survey.hot_pixels)
    assert isinstance(source, FilteredRecording)
    for t0_us, t1_us in spans:
        same(source.events(t0_us, t1_us), whole.between(t0_us, t1_us))
        for pieces in (1_000, 100_000_000):
            parts = list(source.stream(max_events=pieces, t0_us=t0_us, t1_us=t1_us))
            assert parts[0].t0_us == t0_us
            assert parts[-1].t1_us == t1_us
            joined = np.concatenate([part.to_records() for part in parts])
            np.testing.assert_array_equal(joined, whole.between(t0_us, t1_us).to_records())
    streamed = np.concatenate([part.to_records() for part in source.stream(max_events=777)])
    np.testing.assert_array_equal(streamed, whole.to_records())
    return survey, events


def test_spans_of_a_recording_need_no_more_than_their_lead(tmp_path):
    filters = parse_filters(["hot:4,refractory:20ms,background:3ms"])
    with open_recording(write_recording(tmp_path / "rec.hdf5")) as recording:
        spans = [(1_000, 30_000), (-9_000, 5_000), (400_000, 450_000), (990_000, 1_200_000)]
        survey, _ = check_recording(recording, filters, spans)
        assert survey.dropped["refractory"] > 0
        assert survey.dropped["background"] > 0
        assert filtered(recording, Filters()) is recording
        assert survey_filters(recording, Filters()).dropped == {}


def test_a_real_recording_is_filtered_as_the_loops_do(shared_data):
    filters = parse_filters(["hot,refractory,background"])
    path = shared_data / "events" / "davis346_real_in_ddd_layout.hdf5"
    with open_recording(path) as recording:
        t0, t1 = recording.t_first_us, recording.t_last_us + 1
        moments = np.linspace(t0, t1, 6).astype(int)
        spans = [(int(t), int(t) + 20_000) for t in moments[:-1]]
        survey, events = check_recording(recording, filters, spans)
        assert all(survey.dropped.values())
        assert survey.hot_pixels
        first = some(events, slice(0, 1_500))
        fates = naive.fates(
            first, hot=hot_map(survey.hot_pixels, events.sensor),
            refractory_us=filters.refractory_us, support_us=filters.support_us,
        )  # fmt: skip
        made = filter_events(first, filters=filters, hot=hot_map(survey.hot_pixels, events.sensor))
        same(made, some(first, [fate == "kept" for fate in fates]))


# Settings.


@pytest.mark.parametrize(
    ("texts", "written"),
    [
        ([], "none"),
        (["hot"], "hot:3"),
        (["background", "refractory"], "refractory:1ms,background:10ms"),
        (["hot:2.5,refractory:1500us", " background:0.25s"],
         "hot:2.5,refractory:1500us,background:250ms"),
        (["hot:1.0000001"], "hot:1.0000001"),
    ],
)  # fmt: skip
def test_filters_read_and_written_are_the_same(texts, written):
    filters = parse_filters(texts)
    assert str(filters) == written
    assert bool(filters) == bool(texts)
    assert parse_filters([written]) == parse_filters(written) == filters
    if filters:
        assert parse_filters(filters.names.values()) == filters
    assert filters.lead_us == filters.refractory_us + filters.support_us


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", EventsError, "filter '' must be one of hot"),
        ("none,hot", EventsError, "filter 'none' must be one of hot"),
        ("hotpixel", EventsError, "filter 'hotpixel' must be one of hot"),
        ("hot,hot:4", EventsError, "filter hot is given twice"),
        ("hot:1", EventsError, "a factor above 1"),
        ("hot:", EventsError, "a factor above 1"),
        ("hot:nan", EventsError, "a factor above 1"),
        ("hot:inf", EventsError, "a factor above 1"),
        ("refractory:1000", WindowError, "a number and a unit"),
        ("refractory:", WindowError, "a number and a unit"),
        ("refractory:0ms", WindowError, "positive"),
        ("background:-5ms", WindowError, "a number and a unit"),
        ("background:40min", EventsError, "filter background must be 0 to"),
    ],
)
def test_bad_filters_get_one_clear_error(text, error, message):
    with pytest.raises(error, match=message) as caught:
        parse_filters([text])
    assert isinstance(caught.value, EventsegError)
    assert "\n" not in str(caught.value)


def test_filters_that_cannot_be_applied():
    events = EventStream.from_arrays([0], [0], [0], [1], sensor=(2, 3))
    with pytest.raises(EventsError, match="from a whole recording only"):
        filter_events(events, filters=Filters(hot_factor=3))
    for hot in (np.zeros((3, 2), np.bool_), np.zeros((2, 3), np.uint8)):
        with pytest.raises(EventsError, match=r"must be bool \(2, 3\)"):
            filter_events(events, filters=Filters(), hot=hot)
    for wrong in ({"refractory_us": -1}, {"support_us": -5}, {"support_us": 2**31}):
        with pytest.raises(EventsError, match="must be 0 to"):
            Filters(**wrong)
    with pytest.raises(EventsError, match="above 1, got -2"):
        Filters(hot_factor=-2)
    assert len(filter_events(events, filters=Filters())) == 1
    nothing = EventStream.from_arrays([], [], [], [], sensor=SensorSize(2, 3), t0_us=5, t1_us=9)
    same(filter_events(nothing, filters=Filters(0, 5, 5)), nothing)
