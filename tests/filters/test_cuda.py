"""The CUDA filters on a GPU: ``pytest -m gpu``; in the simulator: filters_in_simulator.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eventseg.device import choose_encoder
from eventseg.events import EventStream, SensorSize
from eventseg.filters.cuda import GpuEventFilter, event_fates
from eventseg.filters.rules import EventFilter, Filters
from eventseg.kernels.filters import KEPT


@pytest.mark.gpu
def test_fates_of_20_million_events_are_those_of_the_cpu():
    choose_encoder("cuda")  # a DeviceError names what is missing
    sensor, n = SensorSize(260, 346), 20_000_000
    rng = np.random.default_rng(0)
    at = rng.integers(0, sensor.height * sensor.width, n)
    at[rng.random(n) < 0.3] //= 40
    x, y = (at % sensor.width).astype(np.uint16), (at // sensor.width).astype(np.uint16)
    t = np.sort(rng.integers(0, n, n))
    events = EventStream(t, x, y, (at & 1).astype(np.int8), sensor, 0, n)
    hot = rng.random(sensor) < 0.001
    filters = Filters(3.0, 1_000, 50)
    keep = EventFilter(filters, sensor=sensor, hot=hot)
    expected = keep(events)
    assert (keep.fates > 0).all()
    columns = [torch.from_numpy(column).cuda() for column in (t, x, y)]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        made = event_fates(*columns, filters=filters, sensor=sensor, hot=hot)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    kept = made.cpu().numpy() == KEPT
    assert int(kept.sum()) == len(expected)
    for name in "txyp":
        np.testing.assert_array_equal(getattr(events, name)[kept], getattr(expected, name))
    pieces = GpuEventFilter(filters, sensor=sensor, hot=hot)
    parts = [pieces(events.between(t0, t0 + n // 4)) for t0 in range(0, n, n // 4)]
    np.testing.assert_array_equal(np.concatenate([part.t for part in parts]), expected.t)
    assert pieces.dropped == keep.dropped
