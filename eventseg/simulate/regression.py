"""Ridge regression from the statistics of simulated drives to the logarithm of a quantity."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.simulate.statistics import RATES, SHARES, EventStatistics

CUMULATED = [10, 20, 30, 40, 55]
"""Bins of the intervals up to which their shares are added up for the fit."""


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


def regress(
    features: NDArray[np.float64],
    drawn: NDArray[np.float64],
    wanted: NDArray[np.float64],
    within: tuple[float, float],
) -> Estimate:
    """Return the estimate of a quantity from the features of a recording.

    Ridge regression; its strength is the one with the least error of left-out drives.

    Parameters
    ----------
    features : float64 (N, F)
        Features of the drives to learn from.
    drawn : float64 (N,)
        Logarithm of the quantity in each of them.
    wanted : float64 (F,)
        Features of the recording.
    within : (float, float)
        Range that the quantity was drawn from.
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


def features_of(found: EventStatistics) -> NDArray[np.float64]:
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


def measured_features(found: EventStatistics) -> NDArray[np.bool_]:
    """Return which of the features come from statistics that there are, bool (F,)."""
    times = math.isfinite(found.refractory_us)  # there are intervals between events of a pixel
    rates = [math.isfinite(getattr(found, name)) for name in RATES]
    return np.array([*(True for _ in SHARES), *rates, *[times] * (1 + len(CUMULATED))])


def _number(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _first(pair: tuple[float, NDArray[np.float64]]) -> float:
    return pair[0]
