"""The stream all encoding benchmarks share: moving edges, uniform noise and hot pixels.

20 M events in 20 s on a DAVIS346, about what a DDD17 drive gives: 24 slanted moving edges, 15 %
noise all over the sensor, 2 % from eight hot pixels. Synthetic, from one seed.
"""

from __future__ import annotations

import numpy as np

from eventseg.events import EventStream, SensorSize
from eventseg.windows import Windows, format_duration

SENSOR = SensorSize(260, 346)


def edges_and_noise(
    n_events: int = 20_000_000, *, duration_us: int = 20_000_000, sensor: SensorSize = SENSOR
) -> EventStream:
    """Return the benchmark stream of ``n_events`` over ``duration_us``.

    On another sensor its edges are longer by the ratio of the heights.
    """
    height, width = sensor
    scale = height / SENSOR.height
    rng = np.random.default_rng(7)
    t = np.sort(rng.integers(0, duration_us, n_events))
    edges = 24
    left, speed = rng.uniform(0, width, edges), rng.uniform(-150, 150, edges) * scale
    top = rng.uniform(0, height - 40 * scale, edges)
    length = rng.uniform(30, 120, edges) * scale
    slant = rng.uniform(-0.5, 0.5, edges)
    edge = rng.integers(0, edges, n_events)
    row = top[edge] + rng.random(n_events) * length[edge]
    column = left[edge] + speed[edge] * t * 1e-6 + slant[edge] * row + rng.normal(0, 1, n_events)
    x = (column % width).astype(np.uint16) % width
    y = np.minimum(row, height - 1).astype(np.uint16)
    kind = rng.random(n_events)
    noise = kind < 0.15
    x[noise] = rng.integers(0, width, noise.sum())
    y[noise] = rng.integers(0, height, noise.sum())
    hot = kind > 0.98
    pixel = rng.integers(0, 8, hot.sum())
    x[hot] = rng.integers(0, width, 8)[pixel]
    y[hot] = rng.integers(0, height, 8)[pixel]
    p = rng.integers(0, 2, n_events).astype(np.int8)
    return EventStream(t, x, y, p, sensor, 0, duration_us)


def trailing(events: EventStream, *, window_us: int, stride_us: int = 50_000) -> Windows:
    """Return the windows that end every ``stride_us``, as frames at 20 Hz would have them."""
    ends = np.arange(events.t0_us + stride_us, events.t1_us + 1, stride_us)
    none = np.full(len(ends), -1, np.int64)
    return Windows(format_duration(window_us), ends - window_us, ends, none, none)
