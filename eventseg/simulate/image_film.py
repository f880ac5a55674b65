"""A labelled picture with a camera moving in front of it: pan, zoom, rotation and shake.

The camera looks squarely at a flat picture, so its view is a similarity transform of it: sensor
point p shows picture point ``centre + pan(t) + scale(t) R(angle(t)) (p - middle)``. Each is a few
sines.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from eventseg.events import SensorSize
from eventseg.kernels.compiled import compiled
from eventseg.simulate.scene.camera import Wave, sines
from eventseg.simulate.scene.classes import IGNORED
from eventseg.simulate.scene.render import View


@dataclass(frozen=True)
class Motion:
    """Motion of the camera over one picture.

    ``column`` and ``row`` are picture coordinates of the point in the middle, ``scale`` picture
    pixels per sensor pixel; the waves add to the coordinates, to the logarithm of the scale and
    to the angle in radians.
    """

    column: float
    row: float
    scale: float
    pan_x: tuple[Wave, ...]
    pan_y: tuple[Wave, ...]
    zoom: tuple[Wave, ...]
    turn: tuple[Wave, ...]

    @classmethod
    def draw(
        cls,
        seed: int,
        number: int,
        picture: tuple[int, int],
        sensor: SensorSize,
        *,
        strength: float,
    ) -> Motion:
        """Draw the motion for picture ``number`` of a size; its edge never comes into view."""
        rng = np.random.default_rng([seed, 5, number])
        height, width = picture
        margin = 0.07 * strength
        scale = (1.0 - 2.0 * margin) * min(width / sensor.width, height / sensor.height)

        def wave(amplitude: float, low_hz: float, high_hz: float) -> Wave:
            hz, phase = rng.uniform(low_hz, high_hz), rng.uniform(0.0, 2.0 * math.pi)
            return float(amplitude), float(2.0 * math.pi * hz), float(phase)

        reach = margin * min(height, width)
        return cls(
            0.5 * (width - 1),
            0.5 * (height - 1),
            scale,
            (wave(0.6 * reach, 0.6, 1.4), wave(0.02 * reach, 6.0, 11.0)),
            (wave(0.25 * reach, 0.5, 1.2), wave(0.02 * reach, 6.0, 11.0)),
            (wave(0.3 * margin, 0.4, 0.9),),
            (wave(0.15 * margin, 0.5, 1.0),),
        )

    def at(self, t_us: float, sensor: SensorSize) -> NDArray[np.float64]:
        """Return the similarity as (2, 3): picture (column, row) = A (x, y) + b."""
        t = t_us * 1e-6
        scale = self.scale * math.exp(sines(self.zoom, t, 0))
        angle = sines(self.turn, t, 0)
        c, s = scale * math.cos(angle), scale * math.sin(angle)
        x, y = 0.5 * (sensor.width - 1), 0.5 * (sensor.height - 1)
        column = self.column + sines(self.pan_x, t, 0)
        row = self.row + sines(self.pan_y, t, 0)
        return np.array([[c, -s, column - c * x + s * y], [s, c, row - s * x - c * y]])


def low_passed(gray: NDArray[Any], *, scale: float) -> NDArray[np.float32]:
    """Return a picture without details that the sensor cannot show.

    Bilinear sampling alone would skip pixels of a picture with more pixels than the sensor. A
    Gaussian, unlike the average over a pixel's area, leaves no edge that flickers in motion.

    Parameters
    ----------
    gray : (h, w)
    scale : float
        Picture pixels per sensor pixel; the deviation is half of it.
    """
    smooth: NDArray[np.float32] = gaussian_filter(
        gray.astype(np.float64), max(0.3, 0.5 * scale), mode="nearest"
    ).astype(np.float32)
    return smooth


class ImageFilm:
    """A picture as the moving camera sees it.

    Parameters
    ----------
    luminance : float32 (h, w) or None
        The picture; None where only its truth is wanted.
    label : uint8 (h, w)
    motion : Motion
    sensor : SensorSize
    t0_us : int
        Film time at which the motion starts.
    """

    def __init__(
        self,
        luminance: NDArray[np.float32] | None,
        label: NDArray[np.uint8],
        motion: Motion,
        sensor: SensorSize,
        t0_us: int,
    ) -> None:
        self._luminance = luminance
        self._label = label
        self._motion = motion
        self._sensor = sensor
        self._t0_us = t0_us

    def pictures(
        self,
        t_us: NDArray[np.int64],
        luminance: NDArray[np.float32],
        label: NDArray[np.uint8],
        pool: Executor,
    ) -> None:
        """Fill luminance (bilinear) and label (nearest) for the times, side by side."""
        source = self._luminance
        if source is None:
            raise TypeError("this film was made for its labels only")

        def render(k: int) -> None:
            place = self._motion.at(float(t_us[k]) - self._t0_us, self._sensor)
            warp_luminance(source, place, luminance[k])
            warp_label(self._label, place, label[k])

        for _ in pool.map(render, range(len(t_us))):
            pass

    def view(self, t_us: float) -> View:
        """Return the warped labels and the optical flow; a flat picture has no depth."""
        t = t_us - self._t0_us
        place = self._motion.at(t, self._sensor)
        label = np.empty(self._sensor, np.uint8)
        warp_label(self._label, place, label)
        h = 50.0
        rate = (self._motion.at(t + h, self._sensor) - self._motion.at(t - h, self._sensor)) / (
            2.0 * h * 1e-6
        )
        # A picture point stays: A p' + A' p + b' = 0.
        y, x = np.mgrid[0 : self._sensor.height, 0 : self._sensor.width].astype(np.float64)
        drift = np.einsum("ij,jhw->ihw", rate, np.stack([x, y, np.ones_like(x)]))
        flow = -np.einsum("ij,jhw->ihw", np.linalg.inv(place[:, :2]), drift)
        return View(label, None, flow.astype(np.float32))


@compiled
def warp_luminance(
    source: NDArray[np.float32], place: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    """Sample a picture bilinearly; beyond its edge, its edge."""
    height, width = source.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            u = place[0, 0] * j + place[0, 1] * i + place[0, 2]
            v = place[1, 0] * j + place[1, 1] * i + place[1, 2]
            u, v = min(width - 1.001, max(0.0, u)), min(height - 1.001, max(0.0, v))
            c, r = int(u), int(v)
            fu, fv = u - c, v - r
            top = source[r, c] * (1.0 - fu) + source[r, c + 1] * fu
            low = source[r + 1, c] * (1.0 - fu) + source[r + 1, c + 1] * fu
            out[i, j] = top * (1.0 - fv) + low * fv


@compiled
def warp_label(
    source: NDArray[np.uint8], place: NDArray[np.float64], out: NDArray[np.uint8]
) -> None:
    """Take the nearest label of a picture; beyond its edge, ignored."""
    height, width = source.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            c = math.floor(place[0, 0] * j + place[0, 1] * i + place[0, 2] + 0.5)
            r = math.floor(place[1, 0] * j + place[1, 1] * i + place[1, 2] + 0.5)
            inside = 0 <= r < height and 0 <= c < width
            out[i, j] = source[r, c] if inside else IGNORED
