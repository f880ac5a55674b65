"""Event streams: what goes in comes out, read-only, and what is no stream is refused."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import streams

from eventseg.errors import EventsegError, EventsError
from eventseg.events import EVENT_DTYPE, EventStream, SensorSize, concatenate

GOOD = {"t": [5, 5, 9], "x": [0, 3, 1], "y": [2, 0, 1], "p": [1, 0, 1]}


def stream(**columns):
    span = {name: columns.pop(name) for name in ("t0_us", "t1_us") if name in columns}
    return EventStream.from_arrays(**(GOOD | columns), sensor=(3, 4), **span)


def test_columns_have_their_types_and_are_read_only():
    mine = np.array([5, 5, 9])
    events = stream(t=mine)
    assert [getattr(events, c).dtype for c in "txyp"] == [np.int64, np.uint16, np.uint16, np.int8]
    assert events.sensor == SensorSize(height=3, width=4)
    assert (events.t0_us, events.t1_us) == (5, 10)
    for column in "txyp":
        with pytest.raises(ValueError, match="read-only"):
            getattr(events, column)[0] = 0
    mine[0] = 1  # the caller's own array stays writeable
    assert events.t[0] == 5
    assert repr(events) == "EventStream(3 events, [5, 10) us, 4x3)"


def test_a_buffer_filled_anew_does_not_change_a_stream():
    buffers = {
        name: np.array(GOOD[name], kind)
        for name, kind in zip("txyp", ("i8", "u2", "u2", "i1"), strict=True)
    }
    events = stream(**buffers)
    for buffer in buffers.values():
        buffer[:] = 100
    assert {name: getattr(events, name).tolist() for name in "txyp"} == GOOD


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))]
)
def test_copies_are_equal_and_read_only(again):
    events = stream(t0_us=2)
    made = again(events)
    assert np.array_equal(made.to_records(), events.to_records())
    assert (made.sensor, made.t0_us, made.t1_us) == (events.sensor, 2, 10)
    assert not any(getattr(made, column).flags.writeable for column in "txyp")


def test_spans_are_whole_microseconds():
    part = stream().between(5.0, np.float64(9))
    assert (type(part.t0_us), part.t0_us, part.t1_us, len(part)) == (int, 5, 9, 2)
    for time in (5.5, float("nan"), "5", float("-inf")):
        with pytest.raises(EventsError, match="whole microseconds"):
            stream().between(time, 9)
        with pytest.raises(EventsError, match="whole microseconds"):
            stream(t0_us=time)


@pytest.mark.parametrize("off", [[1, 0, 1], [1, -1, 1], [True, False, True]])
def test_polarity_in_any_usual_form(off):
    assert stream(p=off).p.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"t": [5, 4, 9]}, "backwards at event 1: 5 us, then 4 us"),
        ({"t": [5, 5]}, "one length"),
        ({"t": [[5, 5, 9]]}, "one-dimensional"),
        ({"t": [5.0, 6.0, np.nan]}, "must hold integers"),
        ({"x": [0.5, 1, 2]}, "must hold integers"),
        ({"x": [0, 4, 1]}, "outside the sensor 4x3"),
        ({"y": [0, -1, 1]}, "outside the sensor 4x3"),
        ({"p": [0, 2, 1]}, "polarity"),
        ({"t0_us": 6}, "outside the span"),
        ({"t1_us": 9}, "outside the span"),
    ],
)
def test_what_is_no_stream_is_refused(columns, message):
    with pytest.raises(EventsError, match=message) as caught:
        stream(**columns)
    assert isinstance(caught.value, EventsegError)
    assert isinstance(caught.value, ValueError)


def test_a_sensor_without_pixels_is_refused():
    with pytest.raises(EventsError, match="1 to 65536"):
        EventStream.from_arrays([], [], [], [], sensor=(0, 4))


def test_records_round_trip():
    records = stream().to_records()
    assert records.dtype == EVENT_DTYPE
    again = EventStream.from_records(records, sensor=(3, 4))
    np.testing.assert_array_equal(again.to_records(), records)
    with pytest.raises(EventsError, match=r"lack the fields \['p'\]"):
        EventStream.from_records(records[["t", "x", "y"]], sensor=(3, 4))


@given(events=streams(), data=st.data())
def test_parts_hold_each_event_once_and_join_again(events, data):
    middle = data.draw(st.integers(events.t0_us, events.t1_us))
    before, after = events.between(events.t0_us, middle), events.between(middle, events.t1_us)
    assert all(before.t < middle)
    assert all(after.t >= middle)
    np.testing.assert_array_equal(concatenate([before, after]).to_records(), events.to_records())
    assert np.shares_memory(after.t, events.t) or len(after) == 0


def test_parts_that_do_not_follow_each_other_are_refused():
    events = stream()
    with pytest.raises(EventsError, match="begins at 5 us, before 10 us"):
        concatenate([events, events])
    with pytest.raises(EventsError, match="nothing"):
        concatenate([])
    other = EventStream.from_arrays([20], [0], [0], [1], sensor=(9, 9))
    with pytest.raises(EventsError, match="sensors differ"):
        concatenate([events, other])
    with pytest.raises(EventsError, match="ends before it begins"):
        events.between(9, 5)


def test_a_span_far_from_the_stream_warns_at_the_line_of_the_caller() -> None:
    t = [11_000_000, 11_500_000]
    events = EventStream.from_arrays(t, [0, 1], [0, 1], [0, 1], sensor=SensorSize(2, 2))
    with pytest.warns(UserWarning, match="run from 11000000 to 11500000 us; add 11000000") as seen:
        assert len(events.between(0, 50_000)) == 0
    assert seen[0].filename == __file__
    for span in ((0, 0), (10_000_000, 10_000_001), (12_500_000, 12_600_000)):
        assert len(events.between(*span)) == 0
