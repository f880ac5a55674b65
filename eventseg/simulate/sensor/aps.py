"""The frame side of the sensor: mean luminance over the exposure, gain, noise, time stamps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize


@dataclass(frozen=True)
class ApsModel:
    """Settings of the frame sensor.

    Parameters
    ----------
    frame_hz : float
        Frames per second, 25 to 35 on the real camera.
    exposure_us : int
        Length of the exposure.
    readout_us : int
        Time from the end of the exposure to the end of the frame.
    gain : float
        Grey value per unit of luminance; values end at 255.
    read_noise : float
        Standard deviation of the noise that does not depend on light, in grey values.
    full_well : float
        Electrons at grey value 255; sets the photon noise.
    """

    frame_hz: float = 30.0
    exposure_us: int = 6_000
    readout_us: int = 6_000
    gain: float = 0.85
    read_noise: float = 1.0
    full_well: float = 12_000.0


@dataclass(frozen=True)
class FrameTimes:
    """The four stamps of one frame, in microseconds."""

    t_start_us: int
    exposure_start_us: int
    exposure_end_us: int
    t_end_us: int


def frame_times(model: ApsModel, t0_us: int, t1_us: int) -> list[FrameTimes]:
    """Return the stamps of every frame that begins and ends within [t0, t1]."""
    period = 1e6 / model.frame_hz
    times: list[FrameTimes] = []
    lead = 20
    while True:
        start = t0_us + round(len(times) * period)
        stamps = _stamps(model, start + lead, lead)
        if stamps.t_end_us > t1_us:
            return times
        times.append(stamps)


def frame_ending_at(model: ApsModel, t_us: int) -> FrameTimes:
    """Return the stamps of the frame whose exposure ends at ``t_us``."""
    return _stamps(model, t_us - model.exposure_us, 20)


def _stamps(model: ApsModel, exposure_start: int, lead: int) -> FrameTimes:
    end = exposure_start + model.exposure_us
    return FrameTimes(exposure_start - lead, exposure_start, end, end + model.readout_us)


class Shutter:
    """Turns a film of luminances into frames, chunk by chunk.

    Parameters
    ----------
    sensor : SensorSize
    model : ApsModel
    frames : list of FrameTimes
        The frames to take, by time, their exposures apart.
    seed : int
        Seeds the noise; frame ``i`` has its own stream.
    first : int
        Number of the first frame, for its noise.
    """

    def __init__(
        self,
        sensor: SensorSize,
        model: ApsModel,
        frames: list[FrameTimes],
        *,
        seed: int,
        first: int,
    ) -> None:
        self._model = model
        self._waiting = deque(enumerate(frames, first))
        self._sum = np.zeros(sensor, np.float64)
        self._weight = 0.0
        self._seed = seed

    def expose(
        self, luminance: NDArray[np.float32], t_us: NDArray[np.int64], step_us: int
    ) -> list[tuple[FrameTimes, NDArray[np.uint8]]]:
        """Add pictures, (K, H, W) at (K,) times a step apart; return the frames now complete.

        A picture stands for half a step before and after it.
        """
        done: list[tuple[FrameTimes, NDArray[np.uint8]]] = []
        for picture, t in zip(luminance, t_us.tolist(), strict=True):
            low, high = t - 0.5 * step_us, t + 0.5 * step_us
            while self._waiting:
                number, times = self._waiting[0]
                inside = min(high, times.exposure_end_us) - max(low, times.exposure_start_us)
                if inside > 0:
                    self._sum += inside * picture
                    self._weight += inside
                if times.exposure_end_us > high:
                    break
                self._waiting.popleft()
                done.append((times, self._develop(number)))
        return done

    def open_at(self, t_us: NDArray[np.int64], step_us: int) -> NDArray[np.bool_]:
        """Return for pictures at (K,) times whether ``expose`` adds them to a frame."""
        needed = np.zeros(len(t_us), np.bool_)
        for _, times in self._waiting:
            if times.exposure_start_us >= t_us[-1] + step_us:
                break
            after = t_us + 0.5 * step_us > times.exposure_start_us
            needed |= after & (t_us - 0.5 * step_us < times.exposure_end_us)
        return needed

    def _develop(self, number: int) -> NDArray[np.uint8]:
        model = self._model
        grey = np.minimum(255.0, model.gain * self._sum / self._weight)
        rng = np.random.default_rng([self._seed, 4, number])
        sigma = np.sqrt(model.read_noise**2 + 255.0 * grey / model.full_well)
        noisy = grey + sigma * rng.standard_normal(grey.shape, np.float32)
        self._sum[:] = 0.0
        self._weight = 0.0
        image: NDArray[np.uint8] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        return image
