"""Simulated drives of drawn settings, and the statistics of their events."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream, SensorSize
from eventseg.simulate.regression import features_of
from eventseg.simulate.scene.scenarios import scenario_named
from eventseg.simulate.scene.scenes import street_scene
from eventseg.simulate.scene.settings import StreetSettings, draw_settings, dvs_of, settings_with
from eventseg.simulate.sensor.dvs import DvsEvents, DvsSensor
from eventseg.simulate.statistics import STRETCH_US, EventStatistics, measure_events

RANGES: dict[str, tuple[float, float]] = {
    "threshold": (0.1, 0.7),
    "balance": (0.7, 1.4),
    "noise_hz": (0.01, 3.0),
    "vibration_deg": (0.02, 0.8),
    "speed_m_s": (1.0, 18.0),
    "texture": (0.02, 1.0),
    "refractory_us": (200.0, 4000.0),
}
"""What is drawn for the fit, evenly on a logarithmic scale: the geometric mean of both thresholds,
ON divided by OFF, the rate of noise in the dark, and settings of a street."""

SETTLE_US, STEP_US, CHUNK = 60_000, 2_000, 25

_LEAK_SHARE = 0.2


class LearnedDrives(NamedTuple):
    """Simulated drives to learn from.

    drawn : float64 (N, Q), logarithms of the quantities in the order of ``RANGES``.
    features : float64 (N, F), statistics on additive scales.
    """

    drawn: NDArray[np.float64]
    features: NDArray[np.float64]


def learn_drives(
    *,
    sensor: SensorSize,
    drives: int,
    seed: int,
    pool: Executor,
    bands: int,
    done: Callable[[], None] = lambda: None,
) -> LearnedDrives:
    """Simulate drives with quantities drawn from ``RANGES`` and measure them.

    Parameters
    ----------
    sensor : SensorSize
    drives : int
    seed : int
    pool, bands : Executor, int
        As in :func:`simulate_statistics`.
    done : callable
        Called after each drive.
    """
    rng = np.random.default_rng([seed, 11])
    low, high = np.log(np.array(list(RANGES.values()))).T
    drawn = rng.uniform(low, high, (drives, len(RANGES)))
    features = []
    for k, row in enumerate(drawn):
        street = street_seed(seed, k)
        given = as_settings(dict(zip(RANGES, np.exp(row).tolist(), strict=True)))
        settings = settings_with(usual_settings(street), given)
        found = simulate_statistics(settings, street, sensor=sensor, pool=pool, bands=bands)
        features.append(features_of(found))
        done()
    return LearnedDrives(drawn, np.array(features))


def simulate_statistics(
    settings: StreetSettings, seed: int, *, sensor: SensorSize, pool: Executor, bands: int
) -> EventStatistics:
    """Return the statistics of half a second of a drive by day, without writing a recording.

    Parameters
    ----------
    settings : StreetSettings
    seed : int
        Seed of the street, the pixels and their noise.
    sensor : SensorSize
    pool, bands : Executor, int
        Where work runs, and into how many parts the sensor is cut.
    """
    day = scenario_named("day")
    film, _ = street_scene(seed, "day", sensor, rare=True, settings=settings)
    dvs = DvsSensor(sensor, dvs_of(settings, day), seed=seed)
    luminance = np.empty((CHUNK, *sensor), np.float32)
    label = np.empty((CHUNK, *sensor), np.uint8)
    film.pictures(np.zeros(1, np.int64), luminance[:1], label[:1], pool)
    dvs.start(luminance[0], label[0], 0)
    parts: list[DvsEvents] = []
    end_us = SETTLE_US + STRETCH_US
    times = np.arange(STEP_US, end_us + STEP_US, STEP_US, dtype=np.int64)
    for start in range(0, len(times), CHUNK):
        part = times[start : start + CHUNK]
        film.pictures(part, luminance[: len(part)], label[: len(part)], pool)
        parts.append(
            dvs.step(luminance[: len(part)], label[: len(part)], part, pool=pool, bands=bands)
        )
    # Stamps are rounded up, so the stretch is (SETTLE_US, end_us].
    t, x, y, p = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("t", "x", "y", "p")
    )
    kept = t > SETTLE_US
    span = (SETTLE_US + 1, end_us + 1)
    return measure_events([EventStream(t[kept], x[kept], y[kept], p[kept], sensor, *span)])


def usual_settings(street: int) -> StreetSettings:
    """Return the settings that a street by day is drawn with."""
    return draw_settings(street, scenario_named("day"))


def street_seed(seed: int, k: int) -> int:
    """Return the seed of the street of drive ``k`` of a fit."""
    return 1_000_003 + 1_000 * seed + k


def as_settings(quantities: Mapping[str, float]) -> dict[str, float]:
    """Return quantities as settings of a street; the balance needs the threshold beside it."""
    given: dict[str, float] = {}
    for name, value in quantities.items():
        if name == "threshold":
            half = math.sqrt(quantities.get("balance", 1.0))
            given |= {"threshold_on": value * half, "threshold_off": value / half}
        elif name == "noise_hz":
            given |= {"shot_hz": value * (1.0 - _LEAK_SHARE), "leak_hz": value * _LEAK_SHARE}
        elif name == "refractory_us":
            given[name] = round(value)
        elif name != "balance":
            given[name] = value
    return given
