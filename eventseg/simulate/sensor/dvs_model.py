"""Event sensor model as data: thresholds, filter, dead time, noise and faults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Voltmeter:
    """Constants of DVS-Voltmeter; the defaults are those its authors fitted to a DAVIS346."""

    k1: float = 5.265
    k2: float = 20.0
    k3: float = 1e-4
    k4: float = 1e-7
    k5: float = 5e-9
    k6: float = 1e-5


@dataclass(frozen=True)
class DvsModel:
    """Settings of the event sensor.

    Parameters
    ----------
    threshold_on, threshold_off : float
        Mean contrast of an event, in natural log units.
    threshold_sigma : float
        Spread of both over the pixels; none falls below 0.05.
    linear_below : float
        Luminance under which the response is linear.
    cutoff_hz : float
        Low-pass cutoff at luminance 255, falling with luminance to a tenth; 0 switches it off.
    refractory_us : int
        Dead time after an event.
    leak_hz, shot_hz : float
        Mean rate of leak (ON) events per pixel and of shot noise events per pixel in the dark;
        shot noise falls to a quarter at luminance 255.
    leak_sigma : float
        Spread of the leak over the pixels (log-normal).
    hot_share, hot_hz : float
        Share of the pixels that fire on their own, and their mean rate.
    dead_share : float
        Share of the pixels that never fire.
    random_phase : bool
        Start each pixel at a random point between its thresholds, as if it had run before.
    voltmeter : Voltmeter, optional
        Replaces response, leak and shot noise by those of DVS-Voltmeter.
    """

    threshold_on: float = 0.25
    threshold_off: float = 0.25
    threshold_sigma: float = 0.03
    linear_below: float = 10.0
    cutoff_hz: float = 200.0
    refractory_us: int = 500
    leak_hz: float = 0.1
    leak_sigma: float = 0.3
    shot_hz: float = 0.6
    hot_share: float = 0.0002
    hot_hz: float = 80.0
    dead_share: float = 0.0
    random_phase: bool = True
    voltmeter: Voltmeter | None = None
