"""Films: luminance pictures at any time, and the truth about them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.simulate.scene.camera import CameraPath
from eventseg.simulate.scene.light import TEXTURED, Light, Style
from eventseg.simulate.scene.render import View, render_luminance, render_view, stretch
from eventseg.simulate.scene.world import World

Render = Callable[[float, NDArray[np.bool_], NDArray[np.float32], NDArray[np.uint8]], None]
"""Fills the wanted pixels, bool (H, W), of luminance and label at a time in microseconds."""


class Film(Protocol):
    """A scene in front of a moving camera, as a function of time in microseconds."""

    def pictures(
        self,
        t_us: NDArray[np.int64],
        luminance: NDArray[np.float32],
        label: NDArray[np.uint8],
        pool: Executor,
    ) -> None:
        """Fill ``luminance`` and ``label``, both (K, H, W), for (K,) times."""

    def view(self, t_us: float) -> View:
        """Return labels, depth and optical flow at one time."""


@runtime_checkable
class PartialFilm(Film, Protocol):
    """A film of which parts can be rendered."""

    def between(self, t0_us: float, t1_us: float) -> Render:
        """Return the function that renders wanted pixels at times between two."""


class StreetFilm:
    """The street of a world as its camera sees it."""

    def __init__(
        self,
        world: World,
        path: CameraPath,
        light: Light,
        sensor: SensorSize,
        style: Style = TEXTURED,
    ) -> None:
        self._world = world
        self._path = path
        self._light = light
        self._style = style
        self._sensor = sensor

    def pictures(
        self,
        t_us: NDArray[np.int64],
        luminance: NDArray[np.float32],
        label: NDArray[np.uint8],
        pool: Executor,
    ) -> None:
        """Render the times side by side in the pool; each is a function of its time alone."""
        render = self.between(float(t_us[0]), float(t_us[-1]))
        everything = np.ones(self._sensor, np.bool_)

        def fill(k: int) -> None:
            render(float(t_us[k]), everything, luminance[k], label[k])

        for _ in pool.map(fill, range(len(t_us))):
            pass

    def between(self, t0_us: float, t1_us: float) -> Render:
        """Return the function that renders wanted pixels at times between two."""
        scene = stretch(self._world, self._path, t0_us, t1_us)

        def render(
            t_us: float,
            wanted: NDArray[np.bool_],
            luminance: NDArray[np.float32],
            label: NDArray[np.uint8],
        ) -> None:
            render_luminance(
                scene,
                self._path.pose(t_us),
                self._light,
                t_us,
                style=self._style,
                wanted=wanted,
                luminance=luminance,
                label=label,
            )

        return render

    def view(self, t_us: float) -> View:
        """Render labels, depth and flow at one time."""
        scene = stretch(self._world, self._path, t_us, t_us)
        return render_view(scene, self._path.pose(t_us), t_us, self._sensor, style=self._style)
