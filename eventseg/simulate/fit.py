"""Settings of a street whose events have the statistics of a given recording.

Streets are simulated with settings drawn from wide ranges, and a ridge regression learns from their
statistics to the settings. Each drive has a street of its own, so what a scene alone does to the
statistics counts as noise; the error of drives that are left out says how well a setting is known.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from eventseg.events import SensorSize
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.simulate.drives import (
    RANGES,
    LearnedDrives,
    as_settings,
    learn_drives,
    simulate_statistics,
    street_seed,
    usual_settings,
)
from eventseg.simulate.files import check_seed, thread_count
from eventseg.simulate.regression import Estimate, features_of, measured_features, regress
from eventseg.simulate.scene.scenarios import SimulationError
from eventseg.simulate.scene.settings import StreetSettings, settings_with
from eventseg.simulate.statistics import EventStatistics, mean_statistics

OWN_STATISTIC = ("noise_hz", "refractory_us")
"""Quantities that are a statistic as well, which a recording may lack."""

LEAST_EXPLAINED = 0.3
"""Share of the variance that left-out drives must show for a setting to be proposed."""

FEWEST_DRIVES = 24
REFERENCE_DRIVES = 4


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
        reference = [street_seed(seed, drives + k) for k in range(REFERENCE_DRIVES)]
        both = [
            mean_statistics([measured(change(street), street) for street in reference])
            for change in (
                usual_settings,
                lambda street: settings_with(usual_settings(street), settings),
            )
        ]
    return Fit(estimates, settings, both[0], both[1])


def check_fit(*, drives: int, seed: int) -> None:
    """Raise an error for fewer drives than a fit needs, or a seed that none can have."""
    if drives < FEWEST_DRIVES:
        raise SimulationError(f"{drives} drives are too few to fit: give {FEWEST_DRIVES} or more")
    check_seed(seed)


def estimate_quantities(learned: LearnedDrives, target: EventStatistics) -> dict[str, Estimate]:
    """Return the estimate of each quantity in ``RANGES`` from the statistics of a recording.

    Statistics that the recording lacks, such as noise where no pixel is quiet, are not used, and
    nothing explains a quantity whose own statistic is lacking: the drives to learn from have it,
    so their error without it is not that of such a recording.
    """
    has = measured_features(target)
    features, wanted = learned.features[:, has], features_of(target)[has]
    found = {
        name: regress(features, learned.drawn[:, k], wanted, RANGES[name])
        for k, name in enumerate(RANGES)
    }
    lacking = [name for name in OWN_STATISTIC if math.isnan(getattr(target, name))]
    return found | {name: replace(found[name], explained=0.0) for name in lacking}


def _proposal(estimates: dict[str, Estimate]) -> dict[str, float]:
    """Return the settings that follow from the quantities that are known, in three digits."""
    known = {
        name: estimate.value
        for name, estimate in estimates.items()
        if estimate.explained >= LEAST_EXPLAINED
    }
    return {name: float(f"{value:.3g}") for name, value in as_settings(known).items()}
