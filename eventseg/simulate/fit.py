"""Settings of a street whose events have the statistics of a given recording.

Streets are simulated with settings drawn from wide ranges, and a ridge regression learns from their
statistics to the settings. Each drive has a street of its own, so what a scene alone does to the
statistics counts as noise; the error of drives that are left out says how well a setting is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream, SensorSize
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.simulate.files import check_seed, thread_count
from eventseg.simulate.scene.scenarios import SimulationError, scenario_named
from eventseg.simulate.scene.scenes import street_scene
from eventseg.simulate.scene.settings import (
    StreetSettings,
    draw_settings,
    dvs_of,
    settings_with,
)
from eventseg.simulate.sensor.dvs import DvsEvents, DvsSensor
from eventseg.simulate.statistics import (
    RATES,
    SHARES,
    STRETCH_US,
    EventStatistics,
    mean_statistics,
    measure_events,
)

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

OWN_STATISTIC = ("noise_hz", "refractory_us")
"""Quantities that are a statistic as well, which a recording may lack."""

LEAST_EXPLAINED = 0.3
"""Share of the variance that left-out drives must show for a setting to be proposed."""

FEWEST_DRIVES = 24
SETTLE_US, STEP_US, CHUNK = 60_000, 2_000, 25
REFERENCE_DRIVES = 4
CUMULATED = [10, 20, 30, 40, 55]
"""Bins of the intervals up to which their shares are added up for the fit."""

_LEAK_SHARE = 0.2


@dataclass(frozen=True)
class Estimate:
    """Estimate of one quantity of the sensor or the drive.

    Parameters
    ----------
    value : float
        The proposal, within the range that was drawn from.
    factor : float
        Root mean square error of left-out drives, as a factor: most lie within
        ``value / factor`` to ``value * factor``.
    explained : float
        Share of the variance of the logarithm that the statistics explain in left-out drives; 0
        for noise and dead time of a recording in which they could not be measured.
    """

    value: float
    factor: float
    explained: float


@dataclass(frozen=True)
class Fit:
    """Result of a fit.

    Parameters
    ----------
    estimates : dict
        Estimate of each quantity in ``RANGES``.
    settings : dict
        Settings of :class:`StreetSettings` to fix, from the quantities that are known.
    usual, fitted : EventStatistics
        Statistics of streets as they are drawn, and with the settings; the same streets.
    """

    estimates: dict[str, Estimate]
    settings: dict[str, float]
    usual: EventStatistics
    fitted: EventStatistics


class LearnedDrives(NamedTuple):
    """Simulated drives to learn from.

    drawn : float64 (N, Q), logarithms of the quantities in the order of ``RANGES``.
    features : float64 (N, F), statistics on additive scales.
    """

    drawn: NDArray[np.float64]
    features: NDArray[np.float64]


def fit_street(
    target: EventStatistics,
    *,
    sensor: SensorSize,
    drives: int = 48,
    seed: int = 0,
    threads: int | None = None,
    progress: Report = no_report,
) -> Fit:
    """Propose settings of a street of version 2 whose events have the target's statistics.

    Parameters
    ----------
    target : EventStatistics
    sensor : SensorSize
        Size of the recording's sensor: statistics depend on it.
    drives : int
        Simulated drives to learn from, half a second each; at least 24.
    seed : int
        Seed of their settings and streets.
    threads : int, optional
        Threads to render in; by default one for each processor, 16 at most.
    progress : callable
        Called after each drive.

    Raises
    ------
    SimulationError
        Too few drives, or a negative seed.
    """
    check_fit(drives=drives, seed=seed)
    total = drives + 2 * REFERENCE_DRIVES
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        progress(Progress("simulate", done, total, "drive"))

    workers = thread_count(threads)
    with ThreadPoolExecutor(workers) as pool:

        def measured(settings: StreetSettings, street: int) -> EventStatistics:
            found = simulate_statistics(settings, street, sensor=sensor, pool=pool, bands=workers)
            tell()
            return found

        learned = learn_drives(
            sensor=sensor, drives=drives, seed=seed, pool=pool, bands=workers, done=tell
        )
        estimates = estimate_quantities(learned, target)
        settings = _proposal(estimates)
        reference = [_street(seed, drives + k) for k in range(REFERENCE_DRIVES)]
        both = [
            mean_statistics([measured(change(street), street) for street in reference])
            for change in (_usual, lambda street: settings_with(_usual(street), settings))
        ]
    return Fit(estimates, settings, both[0], both[1])


def check_fit(*, drives: int, seed: int) -> None:
    """Raise an error for fewer drives than a fit needs, or a seed that none can have."""
    if drives < FEWEST_DRIVES:
        raise SimulationError(f"{drives} drives are too few to fit: give {FEWEST_DRIVES} or more")
    check_seed(seed)


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
        street = _street(seed, k)
        given = as_settings(dict(zip(RANGES, np.exp(row).tolist(), strict=True)))
        settings = settings_with(_usual(street), given)
        found = simulate_statistics(settings, street, sensor=sensor, pool=pool, bands=bands)
        features.append(_features(found))
        done()
    return LearnedDrives(drawn, np.array(features))


def estimate_quantities(learned: LearnedDrives, target: EventStatistics) -> dict[str, Estimate]:
    """Return the estimate of each quantity in ``RANGES`` from the statistics of a recording.

    Statistics that the recording lacks, such as noise where no pixel is quiet, are not used, and
    nothing explains a quantity whose own statistic is lacking: the drives to learn from have it,
    so their error without it is not that of such a recording.
    """
    has = _measured(target)
    features, wanted = learned.features[:, has], _features(target)[has]
    found = {
        name: _regress(features, learned.drawn[:, k], wanted, RANGES[name])
        for k, name in enumerate(RANGES)
    }
    lacking = [name for name in OWN_STATISTIC if math.isnan(getattr(target, name))]
    return found | {name: replace(found[name], explained=0.0) for name in lacking}


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


def _usual(street: int) -> StreetSettings:
    return draw_settings(street, scenario_named("day"))


def _street(seed: int, k: int) -> int:
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


def _proposal(estimates: dict[str, Estimate]) -> dict[str, float]:
    """Return the settings that follow from the quantities that are known, in three digits."""
    known = {
        name: estimate.value
        for name, estimate in estimates.items()
        if estimate.explained >= LEAST_EXPLAINED
    }
    return {name: float(f"{value:.3g}") for name, value in as_settings(known).items()}


def _features(found: EventStatistics) -> NDArray[np.float64]:
    """Return statistics on scales on which they add up: logarithms and log odds."""

    def odds(share: float) -> float:
        share = min(max(share, 1e-4), 1.0 - 1e-4)
        return math.log(share / (1.0 - share))

    # Where nothing is counted, a rate is that of one event in a small sensor.
    rates = [math.log(max(_number(getattr(found, name)), 1e-3)) for name in RATES]
    shortest = math.log(max(_number(found.refractory_us), 1.0))
    cumulated = np.cumsum(found.intervals)[CUMULATED]
    return np.array(
        [
            *(odds(getattr(found, name)) for name in SHARES),
            *rates,
            shortest,
            *(odds(float(share)) for share in cumulated),
        ]
    )


def _measured(found: EventStatistics) -> NDArray[np.bool_]:
    """Return which of the features come from statistics that there are, bool (F,)."""
    times = math.isfinite(found.refractory_us)  # there are intervals between events of a pixel
    rates = [math.isfinite(getattr(found, name)) for name in RATES]
    return np.array([*(True for _ in SHARES), *rates, *[times] * (1 + len(CUMULATED))])


def _number(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _regress(
    features: NDArray[np.float64],
    drawn: NDArray[np.float64],
    wanted: NDArray[np.float64],
    within: tuple[float, float],
) -> Estimate:
    """Return the estimate of a quantity whose logarithms are ``drawn``, (N,) for (N, F) features.

    Ridge regression; its strength is the one with the least error of left-out drives.
    """
    mean, spread = features.mean(0), features.std(0) + 1e-9
    x = (features - mean) / spread
    y = drawn - drawn.mean()
    u, s, vt = np.linalg.svd(x, full_matrices=False)

    def solved(ridge: float) -> tuple[float, NDArray[np.float64]]:
        weight = s**2 / (s**2 + ridge)
        answer = u @ (weight * (u.T @ y))
        # The error of a drive that is left out follows from the fit to all, in closed form.
        leverage = np.minimum((u**2 * weight).sum(1) + 1.0 / len(y), 0.99)
        error = (y - answer) / (1.0 - leverage)
        return float(np.mean(error**2)), vt.T @ (s / (s**2 + ridge) * (u.T @ y))

    error, slope = min((solved(ridge) for ridge in np.geomspace(0.1, 1e3, 13)), key=_first)
    # What lies far outside of all drives is taken to their rim, not carried on in a straight line.
    at = np.clip((wanted - mean) / spread, x.min(0), x.max(0))
    value = math.exp(float(at @ slope + drawn.mean()))
    value = min(max(value, within[0]), within[1])
    return Estimate(value, math.exp(math.sqrt(error)), max(0.0, 1.0 - error / float(np.var(drawn))))


def _first(pair: tuple[float, NDArray[np.float64]]) -> float:
    return pair[0]
