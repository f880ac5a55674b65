"""Random events, windows on them, and the comparison of tensors with the specification."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from eventseg.events import EventStream, SensorSize
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
