"""Frames, inertial samples and triggers that lie beside events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.contents import IMU_DTYPE, SPECIALS_DTYPE
from eventseg.recordings.pixels import StoredFrames

STANDARD_GRAVITY = 9.80665
"""Metres a second squared in g."""

NO_IMU, NO_SPECIALS = np.empty(0, IMU_DTYPE), np.empty(0, SPECIALS_DTYPE)

NO_FRAMES = StoredFrames(
    np.empty((0, 4), np.int64),
    np.empty((0, 4), np.int64),
    lambda _i: np.empty((0, 0), np.uint16),
)

RISING, FALLING = 2, 3
"""Types of special events, as in the other formats."""


@dataclass(frozen=True, eq=False, slots=True)
class Beside:
    """Contents of a file besides its events; times in us, on the clock of the events.

    Parameters
    ----------
    frames : StoredFrames
    imu, specials : structured array
    notes : tuple of str
        Contents that are not read, and why.
    """

    frames: StoredFrames
    imu: NDArray[np.void]
    specials: NDArray[np.void]
    notes: tuple[str, ...] = ()


NOTHING = Beside(NO_FRAMES, NO_IMU, NO_SPECIALS)


def imu_samples(
    t_us: NDArray[np.int64],
    acceleration: NDArray[np.floating],
    rotation: NDArray[np.floating],
) -> NDArray[np.void]:
    """Return inertial samples sorted by time; their temperature is not known and NaN.

    Parameters
    ----------
    t_us : int64 (N,)
    acceleration : (N, 3)
        In m/s^2.
    rotation : (N, 3)
        In rad/s.
    """
    samples = np.empty(len(t_us), IMU_DTYPE)
    samples["t"], samples["temperature"] = t_us, np.nan
    for k, axis in enumerate("xyz"):
        samples[f"a{axis}"] = acceleration[:, k] / STANDARD_GRAVITY
        samples[f"g{axis}"] = np.rad2deg(rotation[:, k])
    return samples[np.argsort(samples["t"], kind="stable")]


def trigger_specials(
    t_us: NDArray[np.int64], rising: NDArray[np.bool_], channel: NDArray[np.integer]
) -> NDArray[np.void]:
    """Return triggers as special events, sorted by time; data is the channel."""
    specials = np.zeros(len(t_us), SPECIALS_DTYPE)
    specials["t"], specials["data"] = t_us, channel
    specials["type"] = np.where(rising, RISING, FALLING)
    return specials[np.argsort(specials["t"], kind="stable")]


def at_one_time(t_us: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the stamps of frames of which one time is known, int64 (F, 4)."""
    return np.repeat(np.asarray(t_us, np.int64)[:, None], 4, axis=1)
