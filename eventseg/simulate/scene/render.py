"""One instant of the street as pictures: luminance, class, depth and optical flow per pixel.

A pixel takes its own ray and, along outlines, the four at its corners (shared with its neighbours,
weight 1/8 each), which softens edges like a lens does. Labels and depth come from the middle ray.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.kernels.compiled import compiled
from eventseg.simulate.scene.camera import CameraPath, Pose
from eventseg.simulate.scene.shade import TEXTURED, Light, Style, shade
from eventseg.simulate.scene.trace import BONNET, trace_background, trace_objects
from eventseg.simulate.scene.world import World


class View(NamedTuple):
    """Rendered view of one instant; all maps are (H, W) of the sensor.

    label : uint8, Cityscapes training class.
    depth : float32, metres along the camera's axis, infinite for the sky; None for flat images.
    flow : float32 (2, H, W), motion of the seen point in px/s, to the right and down.
    """

    label: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    flow: NDArray[np.float32]


@dataclass(frozen=True)
class Stretch:
    """Surroundings of the camera during a short time, enough to render any instant of it."""

    objects: NDArray[np.void]
    blocks: NDArray[np.void]
    first_block: int


def stretch(world: World, path: CameraPath, t0_us: float, t1_us: float) -> Stretch:
    """Gather the objects and blocks that can be seen between two times."""
    z0, z1 = (float(path.pose(t).position[2]) for t in (t0_us, t1_us))
    blocks, first = world.blocks(z0)
    objects = world.objects(t0_us, t1_us, min(z0, z1), max(z0, z1))
    # Near ones first: what they hide is then rejected by its depth alone.
    away = np.abs(objects["z"] + objects["vz"] * t0_us * 1e-6 - z0)
    return Stretch(objects[np.argsort(away, kind="stable")], blocks, first)


def render_luminance(
    scene: Stretch,
    pose: Pose,
    light: Light,
    t_us: float,
    *,
    style: Style = TEXTURED,
    luminance: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    """Render one instant into ``luminance`` and ``label``, both (H, W)."""
    objects, blocks, first = scene.objects, scene.blocks, scene.first_block
    _render(pose, light, style, objects, blocks, first, t_us * 1e-6, luminance, label)


def render_view(
    scene: Stretch, pose: Pose, t_us: float, sensor: SensorSize, *, style: Style = TEXTURED
) -> View:
    """Render labels, depth and optical flow of one instant."""
    height, width = sensor
    surface = np.empty((height, width), np.int16)
    depth = np.empty((height, width), np.float32)
    label = np.empty((height, width), np.uint8)
    row, col = 0.5 * (height - 1), 0.5 * (width - 1)
    blocks, first = scene.blocks, scene.first_block
    known = np.zeros(sensor, np.bool_)
    trace_background(pose, blocks, first, row, col, style.bonnet, known, surface, depth, label)
    trace_objects(pose, scene.objects, t_us * 1e-6, row, col, known, surface, depth, label)
    motion = np.zeros((2, height, width), np.float32)
    _flow(pose, scene.objects, row, col, surface, depth, motion)
    return View(label, depth, motion)


@compiled
def _render(
    pose: Pose,
    light: Light,
    style: Style,
    objects: NDArray[np.void],
    blocks: NDArray[np.void],
    first_block: int,
    t_s: float,
    luminance: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    height, width = luminance.shape
    row, col = 0.5 * (height - 1), 0.5 * (width - 1)
    surface = np.empty((height, width), np.int16)
    depth = np.empty((height, width), np.float32)
    known = np.zeros((height + 1, width + 1), np.bool_)
    trace_background(
        pose, blocks, first_block, row, col, style.bonnet, known, surface, depth, label
    )
    trace_objects(pose, objects, t_s, row, col, known, surface, depth, label)
    shade(
        pose,
        light,
        style,
        objects,
        blocks,
        first_block,
        t_s,
        row,
        col,
        surface,
        depth,
        label,
        known,
        luminance,
    )
    corner = np.empty((height + 1, width + 1), np.float32)
    for i in range(height + 1):
        up, down = max(0, i - 1), min(height - 1, i)
        for j in range(width + 1):
            left, right = max(0, j - 1), min(width - 1, j)
            hit, kind = surface[up, left], label[up, left]
            known[i, j] = (
                surface[up, right] == hit
                and surface[down, left] == hit
                and surface[down, right] == hit
                and label[up, right] == kind
                and label[down, left] == kind
                and label[down, right] == kind
            )
            if known[i, j]:
                # Textures are smooth over a pixel: inside a surface the mean will do.
                corner[i, j] = 0.25 * (
                    luminance[up, left]
                    + luminance[up, right]
                    + luminance[down, left]
                    + luminance[down, right]
                )
    # The corners along outlines, half a pixel up and left.
    row, col = row + 0.5, col + 0.5
    corner_surface = np.empty((height + 1, width + 1), np.int16)
    corner_depth = np.empty((height + 1, width + 1), np.float32)
    corner_label = np.empty((height + 1, width + 1), np.uint8)
    trace_background(
        pose,
        blocks,
        first_block,
        row,
        col,
        style.bonnet,
        known,
        corner_surface,
        corner_depth,
        corner_label,
    )
    trace_objects(pose, objects, t_s, row, col, known, corner_surface, corner_depth, corner_label)
    shade(
        pose,
        light,
        style,
        objects,
        blocks,
        first_block,
        t_s,
        row,
        col,
        corner_surface,
        corner_depth,
        corner_label,
        known,
        corner,
    )
    for i in range(height):
        for j in range(width):
            around = corner[i, j] + corner[i, j + 1] + corner[i + 1, j] + corner[i + 1, j + 1]
            luminance[i, j] = 0.5 * luminance[i, j] + 0.125 * around


@compiled
def _flow(
    pose: Pose,
    objects: NDArray[np.void],
    centre_row: float,
    centre_col: float,
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    flow: NDArray[np.float32],
) -> None:
    """Project the motion of each seen point: ``dP/dt = R^T (V - C') + spin P`` in camera axes."""
    rotation, spin, focal = pose.rotation, pose.spin, pose.focal
    for i in range(flow.shape[1]):
        b = (centre_row - i) / focal
        for j in range(flow.shape[2]):
            a = (j - centre_col) / focal
            # Of unit depth; the sky only turns.
            if surface[i, j] == BONNET:
                # It moves with the camera.
                continue
            du = spin[0, 0] * a + spin[0, 1] * b + spin[0, 2]
            dv = spin[1, 0] * a + spin[1, 1] * b + spin[1, 2]
            dw = spin[2, 0] * a + spin[2, 1] * b + spin[2, 2]
            s = depth[i, j]
            if s < math.inf:
                vx, vy, vz = -pose.velocity[0], -pose.velocity[1], -pose.velocity[2]
                hit = surface[i, j]
                if hit >= 0 and objects[hit].y1 > 0.0:
                    vx += objects[hit].vx
                    vz += objects[hit].vz
                du += (rotation[0, 0] * vx + rotation[1, 0] * vy + rotation[2, 0] * vz) / s
                dv += (rotation[0, 1] * vx + rotation[1, 1] * vy + rotation[2, 1] * vz) / s
                dw += (rotation[0, 2] * vx + rotation[1, 2] * vy + rotation[2, 2] * vz) / s
            flow[0, i, j] = focal * (du - a * dw)
            flow[1, i, j] = -focal * (dv - b * dw)
