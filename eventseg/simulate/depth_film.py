"""A picture with depth in front of a driving camera: near things move more than far ones.

The pixels of the picture are points in space, joined to a mesh. The camera drives on, turns and
shakes, things that move on their own are moved by instance, and the mesh is drawn anew for each
instant. At the reference time the view is the picture itself. Where depth jumps, the mesh is torn
and what is behind is carried on: what the picture never saw cannot be known.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.kernels.compiled import compiled
from eventseg.simulate.scene.camera import CameraPath, Pose
from eventseg.simulate.scene.classes import IGNORED
from eventseg.simulate.scene.render import View

FINE = 3
"""Samples of a pixel along each side; the middle one decides the class."""

TORN = 1.15
"""Ratio of the depths of neighbours from which on they are not joined."""

FAR_M = 1000.0
"""Depth of the sky."""


@dataclass(frozen=True)
class DepthScene:
    """A picture as points in space, at the sensor's resolution.

    Parameters
    ----------
    luminance : float32 (h, w) or None
        None where only the truth is wanted.
    label : uint8 (h, w)
    depth : float32 (h, w)
        Metres along the camera's axis; the sky is at ``FAR_M``.
    instance : int32 (h, w)
        Row of ``velocity`` of each pixel; 0 does not move.
    velocity : float64 (K, 3)
        Metres a second to the right, up and forward; the first row is 0.
    focal : float
        Focal length in pixels, of these maps as of the sensor.
    row, column : float
        Principal point in the maps.
    top, left : int
        Row and column of the maps that the sensor's first pixel shows at the reference time.
    """

    luminance: NDArray[np.float32] | None
    label: NDArray[np.uint8]
    depth: NDArray[np.float32]
    instance: NDArray[np.int32]
    velocity: NDArray[np.float64]
    focal: float
    row: float
    column: float
    top: int
    left: int


class DepthFilm:
    """A picture with depth as a driving camera sees it.

    Parameters
    ----------
    scene : DepthScene
    path : CameraPath
        The drive; only its motion since the reference time counts.
    sensor : SensorSize
    t0_us : int
        Film time at which the drive begins.
    reference_us : int
        Film time at which the view is the picture.
    """

    def __init__(
        self,
        scene: DepthScene,
        path: CameraPath,
        sensor: SensorSize,
        *,
        t0_us: int,
        reference_us: int,
    ) -> None:
        self._scene = scene
        self._path = path
        self._sensor = sensor
        self._t0_us = t0_us
        self._reference_us = reference_us

    def pictures(
        self,
        t_us: NDArray[np.int64],
        luminance: NDArray[np.float32],
        label: NDArray[np.uint8],
        pool: Executor,
    ) -> None:
        """Fill luminance and label for the times, side by side."""
        source = self._scene.luminance
        if source is None:
            raise TypeError("this film was made for its labels only")

        def render(k: int) -> None:
            seen = self._draw(float(t_us[k]), source)
            label[k] = seen.label
            luminance[k] = seen.luminance

        for _ in pool.map(render, range(len(t_us))):
            pass

    def view(self, t_us: float) -> View:
        """Return labels, depth and optical flow at one time."""
        seen = self._draw(t_us, np.zeros(self._scene.label.shape, np.float32))
        pose = self._pose(t_us)
        depth = np.where(seen.depth >= 0.5 * FAR_M, np.inf, seen.depth).astype(np.float32)
        rows, columns = np.mgrid[0 : self._sensor.height, 0 : self._sensor.width].astype(float)
        scene = self._scene
        a = (columns - (scene.column - scene.left)) / scene.focal
        b = (scene.row - scene.top - rows) / scene.focal
        # Of unit depth: dP/dt = R^T (V - C') + spin P in camera axes.
        own = self._scene.velocity[seen.instance] - pose.velocity
        moved = np.einsum("ji,hwj->hwi", pose.rotation, own) / depth[..., None].astype(float)
        moved += np.einsum("ij,hwj->hwi", pose.spin, np.stack([a, b, np.ones_like(a)], -1))
        flow = np.stack([moved[..., 0] - a * moved[..., 2], b * moved[..., 2] - moved[..., 1]])
        # The rim that no picture saw has no motion; what is labelled as ignored moves.
        flow = np.where(np.isfinite(seen.depth), self._scene.focal * flow, 0.0)
        return View(seen.label, depth, flow.astype(np.float32))

    def _pose(self, t_us: float) -> Pose:
        """Return the pose in the axes of the camera at the reference time."""
        start = self._path.pose(self._reference_us - self._t0_us)
        now = self._path.pose(t_us - self._t0_us)
        back = start.rotation.T
        return Pose(
            back @ (now.position - start.position),
            np.ascontiguousarray(back @ now.rotation),
            back @ now.velocity,
            now.spin,
            self._scene.focal,
        )

    def _draw(self, t_us: float, luminance: NDArray[np.float32]) -> _Drawn:
        scene, pose = self._scene, self._pose(t_us)
        height, width = (FINE * size for size in self._sensor)
        depth = np.full((height, width), np.inf, np.float32)
        light = np.zeros((height, width), np.float32)
        label = np.full((height, width), IGNORED, np.uint8)
        instance = np.zeros((height, width), np.int32)
        moved = scene.velocity * ((t_us - self._reference_us) * 1e-6)
        draw_mesh(
            luminance,
            scene.label,
            scene.depth,
            scene.instance,
            moved,
            (scene.focal, scene.row, scene.column),
            (scene.top, scene.left),
            pose.rotation,
            pose.position,
            depth,
            light,
            label,
            instance,
        )
        fill_rim(depth, light)
        middle = slice(FINE // 2, None, FINE)
        mean = light.reshape(self._sensor.height, FINE, self._sensor.width, FINE).mean((1, 3))
        return _Drawn(
            np.ascontiguousarray(label[middle, middle]),
            depth[middle, middle],
            instance[middle, middle],
            mean,
        )


@dataclass(frozen=True, slots=True)
class _Drawn:
    label: NDArray[np.uint8]
    depth: NDArray[np.float32]
    instance: NDArray[np.int32]
    luminance: NDArray[np.float32]


@compiled
def draw_mesh(
    source: NDArray[np.float32],
    source_label: NDArray[np.uint8],
    source_depth: NDArray[np.float32],
    source_instance: NDArray[np.int32],
    moved: NDArray[np.float64],
    lens: tuple[float, float, float],
    corner: tuple[int, int],
    rotation: NDArray[np.float64],
    position: NDArray[np.float64],
    depth: NDArray[np.float32],
    light: NDArray[np.float32],
    label: NDArray[np.uint8],
    instance: NDArray[np.int32],
) -> None:
    """Draw the mesh of a picture with depth into finer maps, the nearest surface in front.

    Two triangles for each four neighbours; inside, luminance and the reciprocal of depth run
    straight, class and instance are those of the nearest corner. Where depths differ by more than
    ``TORN``, a triangle takes everything from its farthest corner.
    """
    focal, row0, column0 = lens
    n_rows, n_columns = source_label.shape
    height, width = label.shape
    # In fine samples: the middle of pixel k is FINE k + (FINE - 1) / 2.
    mid_row = FINE * (row0 - corner[0]) + 0.5 * (FINE - 1)
    mid_column = FINE * (column0 - corner[1]) + 0.5 * (FINE - 1)
    place = np.empty((2, n_columns, 3))
    for r in range(n_rows):
        for c in range(n_columns):
            z0 = float(source_depth[r, c])
            k = source_instance[r, c]
            x = (c - column0) / focal * z0 + moved[k, 0] - position[0]
            y = (row0 - r) / focal * z0 + moved[k, 1] - position[1]
            z = z0 + moved[k, 2] - position[2]
            ahead = rotation[0, 2] * x + rotation[1, 2] * y + rotation[2, 2] * z
            right = rotation[0, 0] * x + rotation[1, 0] * y + rotation[2, 0] * z
            up = rotation[0, 1] * x + rotation[1, 1] * y + rotation[2, 1] * z
            spot = place[r & 1, c]
            spot[2] = ahead
            if ahead > 0.1:
                spot[0] = mid_row - FINE * focal * up / ahead
                spot[1] = mid_column + FINE * focal * right / ahead
        if r == 0:
            continue
        for c in range(1, n_columns):
            for half in range(2):
                # The upper left and the lower right triangle share two corners.
                ar, ac = r - 1 + half, c - 1 + half
                br, bc, cr, cc = r - 1, c, r, c - 1
                a, b, d = place[ar & 1, ac], place[br & 1, bc], place[cr & 1, cc]
                low = min(a[2], b[2], d[2])
                if low <= 0.1:
                    continue
                high = max(a[2], b[2], d[2])
                torn = high > TORN * low
                area = (b[1] - a[1]) * (d[0] - a[0]) - (b[0] - a[0]) * (d[1] - a[1])
                if abs(area) < 1e-12:
                    continue
                i0 = max(0, math.ceil(min(a[0], b[0], d[0]) - 1e-6))
                i1 = min(height - 1, math.floor(max(a[0], b[0], d[0]) + 1e-6))
                j0 = max(0, math.ceil(min(a[1], b[1], d[1]) - 1e-6))
                j1 = min(width - 1, math.floor(max(a[1], b[1], d[1]) + 1e-6))
                if i0 > i1 or j0 > j1:
                    continue
                fr, fc = ar, ac
                if torn:
                    if b[2] == high:
                        fr, fc = br, bc
                    elif d[2] == high:
                        fr, fc = cr, cc
                for i in range(i0, i1 + 1):
                    for j in range(j0, j1 + 1):
                        wb = ((j - a[1]) * (d[0] - a[0]) - (i - a[0]) * (d[1] - a[1])) / area
                        wd = ((b[1] - a[1]) * (i - a[0]) - (b[0] - a[0]) * (j - a[1])) / area
                        wa = 1.0 - wb - wd
                        # A hair over, so that neighbours leave no crack.
                        if wa < -1e-6 or wb < -1e-6 or wd < -1e-6:
                            continue
                        z = high if torn else 1.0 / (wa / a[2] + wb / b[2] + wd / d[2])
                        if z >= depth[i, j]:
                            continue
                        depth[i, j] = z
                        if torn:
                            light[i, j] = source[fr, fc]
                        else:
                            light[i, j] = (
                                wa * source[ar, ac] + wb * source[br, bc] + wd * source[cr, cc]
                            )
                            fr, fc = ar, ac
                            if wb > wa and wb >= wd:
                                fr, fc = br, bc
                            elif wd > wa:
                                fr, fc = cr, cc
                        label[i, j] = source_label[fr, fc]
                        instance[i, j] = source_instance[fr, fc]


@compiled
def fill_rim(depth: NDArray[np.float32], light: NDArray[np.float32]) -> None:
    """Carry the luminance of each row, then of the rows, on to samples that the mesh leaves out."""
    height, width = depth.shape
    whole = np.zeros(height, np.bool_)
    for i in range(height):
        first, last = -1, -1
        for j in range(width):
            if depth[i, j] < np.inf:
                if first < 0:
                    first = j
                elif last < j - 1:
                    for k in range(last + 1, j):
                        light[i, k] = light[i, last]
                last = j
        if first < 0:
            continue
        whole[i] = True
        for j in range(first):
            light[i, j] = light[i, first]
        for j in range(last + 1, width):
            light[i, j] = light[i, last]
    near = -1
    for i in range(height):
        if whole[i]:
            if near < 0:
                for k in range(i):
                    light[k] = light[i]
            near = i
        elif near >= 0:
            light[i] = light[near]
