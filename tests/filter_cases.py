"""Streams with filters and hot pixels, for the filter tests on CPU and in the CUDA simulator."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from strategies import streams

from eventseg.events import EventStream
from eventseg.filters.rules import Filters

times = st.sampled_from([0, 1, 2, 50, 400, 3_000])


@st.composite
def cases(draw, **options):
    """Draw a stream, filters, and the map of hot pixels."""
    events = draw(streams(**options))
    hot = np.zeros(events.sensor, np.bool_)
    factor = draw(st.sampled_from([0.0, 2.0]))
    if factor:
        pixels = st.integers(0, hot.size - 1)
        hot.ravel()[draw(st.lists(pixels, max_size=2))] = True
    return events, Filters(factor, draw(times), draw(times)), hot


def same(made: EventStream, expected: EventStream) -> None:
    assert (made.t0_us, made.t1_us) == (expected.t0_us, expected.t1_us)
    np.testing.assert_array_equal(made.to_records(), expected.to_records())
