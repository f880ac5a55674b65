"""The event sensor as a thing with a state: pictures in, sorted events out.

The model itself is in :mod:`eventseg.simulate.sensor.dvs_kernel`.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.simulate.sensor.dvs_kernel import (
    HOT,
    LEAK,
    OFF,
    ON,
    Physics,
    Seen,
    all_seen,
    run_pixels,
    sort_by_time,
    start_pixels,
)
from eventseg.simulate.sensor.dvs_model import DvsModel

MOST_COUNTED_US = 1_000_000
"""Longest stretch whose events are sorted by counting those of each microsecond."""


class DvsEvents(NamedTuple):
    """Events sorted by time, with the class and cause of each.

    t : int64 us; x, y : uint16; p : int8, 1 = ON; label : uint8, class at that pixel and time;
    signal : bool, False for leak, shot noise and hot pixels.
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.int8]
    label: NDArray[np.uint8]
    signal: NDArray[np.bool_]

    def part(self, start: int, stop: int) -> DvsEvents:
        """Return events ``start`` to ``stop`` as views."""
        return DvsEvents(
            self.t[start:stop],
            self.x[start:stop],
            self.y[start:stop],
            self.p[start:stop],
            self.label[start:stop],
            self.signal[start:stop],
        )


class DvsSensor:
    """A sensor that turns a film of luminances into events, chunk by chunk.

    Parameters
    ----------
    sensor : SensorSize
        Height and width in pixels.
    model : DvsModel
        How it behaves.
    seed : int
        Seeds the pixels' parameters and their noise.
    """

    def __init__(self, sensor: SensorSize, model: DvsModel, *, seed: int) -> None:
        self.sensor = sensor
        self.model = model
        self.seed = seed & 0x7FFFFFFF
        self.pixels = _pixels(sensor, model, seed)
        self._state = np.zeros((sensor.height * sensor.width, 8))
        self._t_us = 0
        self._label = np.zeros(sensor.height * sensor.width, np.uint8)
        volt = model.voltmeter
        per_us = 1e-6
        self._physics = Physics(
            model.linear_below,
            2.0 * math.pi * model.cutoff_hz * per_us,
            float(model.refractory_us),
            0.0 if volt else model.shot_hz * per_us,
            volt.k2 if volt else 0.0,
            volt.k4 / volt.k1 if volt else 0.0,
            volt.k5 / volt.k1 if volt else 0.0,
            volt.k6 / volt.k1 if volt else 0.0,
            volt.k3 / volt.k1 if volt else 0.0,
        )

    def start(self, luminance: NDArray[np.float32], label: NDArray[np.uint8], t_us: int) -> None:
        """Begin, or begin anew, with a sensor adapted to one picture at ``t_us``."""
        start_pixels(
            luminance.reshape(-1),
            float(t_us),
            self.seed,
            self.model.random_phase,
            self._physics,
            self.pixels,
            self._state,
        )
        self._t_us = t_us
        self._label = label.reshape(-1).copy()

    def step(
        self,
        luminance: NDArray[np.float32],
        label: NDArray[np.uint8],
        t_us: NDArray[np.int64],
        *,
        pool: Executor,
        bands: int,
        seen: Seen | None = None,
    ) -> DvsEvents:
        """Return the events from the last picture seen up to and including ``t_us[-1]``.

        Parameters
        ----------
        luminance : float32 (K, H, W)
            The next pictures.
        label : uint8 (K, H, W)
            Class of every pixel in them; an event takes that of the picture nearest in time.
        t_us : int64 (K,)
            Their times, increasing.
        pool, bands : Executor, int
            The sensor is cut into so many bands of pixels, run in the pool.
        seen : Seen, optional
            Which of the pictures each pixel sees; all see the last one. By default all of them.
        """
        times = np.concatenate([[self._t_us], t_us]).astype(np.float64)
        edges = np.linspace(0, len(self._state), bands + 1).astype(int)
        flat = luminance.reshape(len(t_us), -1)
        kinds = np.concatenate([self._label[None], label.reshape(len(t_us), -1)])
        seen = seen or all_seen(len(t_us), *self.sensor)
        jobs = [
            pool.submit(self._band, flat, kinds, times, seen, int(a), int(b))
            for a, b in pairwise(edges)
        ]
        parts = [part for job in jobs for part in job.result()]
        t, pixel, p, kind, signal = (
            np.concatenate(columns) for columns in zip(*parts, strict=True)
        )
        # Pixels come in order, so a stable sort leaves one order whatever the bands.
        order = _order(t, self._t_us, int(t_us[-1]))
        pixel = pixel[order]
        self._t_us = int(t_us[-1])
        self._label = kinds[-1]
        return DvsEvents(
            t[order],
            (pixel % self.sensor.width).astype(np.uint16),
            (pixel // self.sensor.width).astype(np.uint16),
            p[order],
            kind[order],
            signal[order],
        )

    def _band(
        self,
        luminance: NDArray[np.float32],
        label: NDArray[np.uint8],
        times: NDArray[np.float64],
        seen: Seen,
        first: int,
        last: int,
    ) -> list[tuple[NDArray[np.generic], ...]]:
        parts: list[tuple[NDArray[np.generic], ...]] = []
        room = 4096 + (last - first) // 2
        pixel = first
        while pixel < last or not parts:
            out = (
                np.empty(room, np.int64),
                np.empty(room, np.int32),
                np.empty(room, np.int8),
                np.empty(room, np.uint8),
                np.empty(room, np.bool_),
            )
            reached, count = run_pixels(
                luminance,
                label,
                times,
                seen,
                pixel,
                last,
                self.seed,
                self._physics,
                self.pixels,
                self._state,
                *out,
            )
            if reached == pixel and pixel < last:
                room *= 2
                continue
            parts.append(tuple(column[:count] for column in out))
            pixel = reached
        return parts


def _order(t: NDArray[np.int64], t0_us: int, t1_us: int) -> NDArray[np.int64]:
    """Return the stable order of times in (t0_us, t1_us]."""
    if t1_us - t0_us > MOST_COUNTED_US:
        return np.argsort(t, kind="stable")
    order = np.empty(len(t), np.int64)
    sort_by_time(t, t0_us, np.zeros(t1_us - t0_us + 2, np.int64), order)
    return order


def _pixels(sensor: SensorSize, model: DvsModel, seed: int) -> NDArray[np.float64]:
    """Draw every pixel's thresholds, leak and hot rate."""
    count = sensor.height * sensor.width
    rng = np.random.default_rng([seed, 3])
    pixels = np.zeros((count, 4))
    volt = model.voltmeter
    sigma = 0.0 if volt else model.threshold_sigma
    for column, mean in ((ON, model.threshold_on), (OFF, model.threshold_off)):
        centre = 1.0 / volt.k1 if volt else mean
        drawn = rng.normal(centre, sigma, count)
        pixels[:, column] = np.maximum(min(0.05, centre), drawn) if sigma else centre
    spread = np.exp(rng.normal(0.0, 1.0, count) * model.leak_sigma - 0.5 * model.leak_sigma**2)
    leak = 0.0 if volt else model.leak_hz
    pixels[:, LEAK] = leak * 1e-6 * spread * pixels[:, ON]
    chance = rng.random(count)
    hot = chance < model.hot_share
    pixels[hot, HOT] = model.hot_hz * 1e-6 * rng.exponential(1.0, int(hot.sum()))
    dead = chance >= 1.0 - model.dead_share
    pixels[dead, :] = (math.inf, math.inf, 0.0, 0.0)
    return pixels
