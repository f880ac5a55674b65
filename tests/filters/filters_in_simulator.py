"""The CUDA filters in Numba's simulator, in a process of its own: run by test_cuda_simulator.py."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from filter_cases import cases, same
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_fixtures import tree, write_recording

from eventseg.dataset.writer import encode_dataset
from eventseg.errors import EventsError
from eventseg.events import EventStream, SensorSize
from eventseg.filters.cuda import GpuEventFilter, event_fates
from eventseg.filters.rules import EventFilter, Filters, filter_events, parse_filters
from eventseg.kernels import cuda_device
from eventseg.kernels.filters import HOT, KEPT


def fates_of(events, filters, hot):
    columns = [torch.from_numpy(column.copy()) for column in (events.t, events.x, events.y)]
    return event_fates(*columns, filters=filters, sensor=events.sensor, hot=hot).numpy()


@given(case=cases(max_events=30))
@settings(max_examples=20, deadline=None)
def test_fates_are_those_of_the_cpu(case):
    events, filters, hot = case
    fates = fates_of(events, filters, hot)
    keep = EventFilter(filters, sensor=events.sensor, hot=hot)
    expected = keep(events)
    np.testing.assert_array_equal(np.bincount(fates, minlength=4), keep.fates)
    kept = fates == KEPT
    columns = (column[kept] for column in (events.t, events.x, events.y, events.p))
    made = EventStream(*columns, events.sensor, events.t0_us, events.t1_us)
    same(made, expected)


@given(case=cases(max_events=30), data=st.data())
@settings(max_examples=8, deadline=None)
def test_pieces_give_what_the_cpu_gives_for_the_whole(case, data):
    events, filters, hot = case
    moments = st.integers(events.t0_us, events.t1_us)
    edges = sorted([events.t0_us, *data.draw(st.lists(moments, max_size=3)), events.t1_us])
    keep = GpuEventFilter(filters, sensor=events.sensor, hot=hot)
    whole = EventFilter(filters, sensor=events.sensor, hot=hot)
    expected = whole(events)
    for t0_us, t1_us in pairwise(edges):
        same(keep(events.between(t0_us, t1_us)), expected.between(t0_us, t1_us))
    assert keep.dropped == whole.dropped


def test_a_busy_stream_on_more_events_than_threads():
    rng = np.random.default_rng(0)
    size = SensorSize(4, 5)
    events = EventStream.from_arrays(
        np.sort(rng.integers(0, 2_000, 300)), rng.integers(0, 5, 300), rng.integers(0, 4, 300),
        rng.integers(0, 2, 300), sensor=size,
    )  # fmt: skip
    hot = np.zeros(size, np.bool_)
    hot[1, 2] = True
    filters = Filters(3.0, 40, 15)
    fates = fates_of(events, filters, hot)
    assert set(fates) == {0, 1, 2, 3}
    expected = filter_events(events, filters=filters, hot=hot)
    np.testing.assert_array_equal(events.t[fates == KEPT], expected.t)


def test_columns_that_no_stream_checked_write_nowhere_else():
    t = torch.tensor([0, 1, 2, 3])
    x, y = (torch.tensor(c, dtype=torch.uint16) for c in ([0, 60_000, 2, 3], [0, 0, 50_000, 0]))
    hot = np.array([[True, False, False]])
    fates = event_fates(t, x, y, filters=Filters(3, 9, 9), sensor=SensorSize(1, 3), hot=hot)
    assert fates.tolist() == [HOT, KEPT, KEPT, KEPT]
    with pytest.raises(EventsError, match="from a whole recording only"):
        event_fates(t, x, y, filters=Filters(3), sensor=SensorSize(1, 3))


def test_a_data_set_has_the_same_bytes(tmp_path):
    assert cuda_device.SIMULATED
    size = SensorSize(4, 6)
    path = write_recording(tmp_path / "rec.hdf5", events=120, frames=3, sensor=size)
    filters = parse_filters(["hot:1.5,refractory:20ms,background:40ms"])
    for device in ("cpu", "cuda"):
        encode_dataset([path], tmp_path / device, filters=filters, device=device)
    assert tree(tmp_path / "cpu") == tree(tmp_path / "cuda")
