"""Event streams as Hypothesis draws them: spread, clustered, on one pixel, empty, at the edges."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from eventseg.events import EventStream, SensorSize


@st.composite
def streams(draw, *, max_events=60, max_span_us=3_000):
    """Draw a stream over a span that begins anywhere in the sensor's 64-bit time."""
    sensor = SensorSize(draw(st.integers(1, 5)), draw(st.integers(1, 6)))
    t0_us = draw(st.sampled_from([0, 11_570_005, 2**31 - 500, 2**40]))
    span_us = draw(st.integers(1, max_span_us))
    n = draw(st.integers(0, max_events))
    offsets = st.one_of(
        st.integers(0, span_us - 1),
        st.sampled_from([0, span_us - 1]),
        st.integers(max(0, span_us - 3), span_us - 1),
    )
    t = t0_us + np.sort(draw(st.lists(offsets, min_size=n, max_size=n)) or np.empty(0, np.int64))
    pixels = draw(st.integers(1, sensor.height * sensor.width))
    at = np.array(
        draw(st.lists(st.integers(0, pixels - 1), min_size=n, max_size=n)), dtype=np.int64
    )
    p = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    return EventStream.from_arrays(
        t.astype(np.int64),
        at % sensor.width,
        at // sensor.width,
        np.array(p, np.int8),
        sensor=sensor,
        t0_us=t0_us,
        t1_us=t0_us + span_us,
    )
