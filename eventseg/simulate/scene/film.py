"""Films: luminance pictures at any time, and the truth about them."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.simulate.scene.camera import CameraPath
from eventseg.simulate.scene.light import TEXTURED, Light, Style
from eventseg.simulate.scene.render import View, render_luminance, render_view, stretch
from eventseg.simulate.scene.world import World


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
        scene = stretch(self._world, self._path, float(t_us[0]), float(t_us[-1]))

        def render(k: int) -> None:
            t = float(t_us[k])
            pose = self._path.pose(t)
            render_luminance(
                scene,
                pose,
                self._light,
                t,
                style=self._style,
                luminance=luminance[k],
                label=label[k],
            )

        for _ in pool.map(render, range(len(t_us))):
            pass

    def view(self, t_us: float) -> View:
        """Render labels, depth and flow at one time."""
        scene = stretch(self._world, self._path, t_us, t_us)
        return render_view(scene, self._path.pose(t_us), t_us, self._sensor, style=self._style)
