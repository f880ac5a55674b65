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
from eventseg.kernels.compiled import vectorised
from eventseg.simulate.scene.background import BONNET, trace_background
from eventseg.simulate.scene.blocks import block_table
from eventseg.simulate.scene.camera import CameraPath, Pose
from eventseg.simulate.scene.light import TEXTURED, Light, Style
from eventseg.simulate.scene.shade import shade
from eventseg.simulate.scene.trace import trace_objects
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
    blocks: NDArray[np.float64]
    first_block: int


def stretch(world: World, path: CameraPath, t0_us: float, t1_us: float) -> Stretch:
    """Gather the objects and blocks that can be seen between two times."""
    z0, z1 = (float(path.pose(t).position[2]) for t in (t0_us, t1_us))
    blocks, first = world.blocks(z0)
    objects = world.objects(t0_us, t1_us, min(z0, z1), max(z0, z1))
    # Near ones first: what they hide is then rejected by its depth alone.
    away = np.abs(objects["z"] + objects["vz"] * t0_us * 1e-6 - z0)
    return Stretch(objects[np.argsort(away, kind="stable")], block_table(blocks), first)


def render_luminance(
    scene: Stretch,
    pose: Pose,
    light: Light,
    t_us: float,
    *,
    style: Style = TEXTURED,
    wanted: NDArray[np.bool_],
    luminance: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    """Render the wanted pixels of one instant into ``luminance`` and ``label``, all (H, W).

    Pixels beside the wanted ones may change too.
    """
    objects, blocks, first = scene.objects, scene.blocks, scene.first_block
    _render(pose, light, style, objects, blocks, first, t_us * 1e-6, wanted, luminance, label)


def render_view(
    scene: Stretch, pose: Pose, t_us: float, sensor: SensorSize, *, style: Style = TEXTURED
) -> View:
    """Render labels, depth and optical flow of one instant."""
    height, width = sensor
    surface = np.empty((height, width), np.int16)
    depth = np.empty((height, width), np.float32)
    label = np.empty((height, width), np.uint8)
    motion = np.zeros((2, height, width), np.float32)
    row, col = 0.5 * (height - 1), 0.5 * (width - 1)
    objects, blocks, first = scene.objects, scene.blocks, scene.first_block
    rows = np.arange(height + 1) * width
    column = np.tile(np.arange(width, dtype=np.int32), height)
    a = np.tile((np.arange(width) - col) / pose.focal, height)
    b = np.repeat((row - np.arange(height)) / pose.focal, width)
    hits = (surface.reshape(-1), depth.reshape(-1), label.reshape(-1))
    trace_background(pose, blocks, first, style.bonnet, a, b, *hits)
    trace_objects(pose, objects, t_us * 1e-6, row, col, rows, column, a, b, *hits)
    _flow(pose, objects, row, col, surface, depth, motion)
    return View(label, depth, motion)


@vectorised
def _render(
    pose: Pose,
    light: Light,
    style: Style,
    objects: NDArray[np.void],
    blocks: NDArray[np.float64],
    first_block: int,
    t_s: float,
    wanted: NDArray[np.bool_],
    luminance: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    height, width = luminance.shape
    known = np.empty((height + 1, width + 1), np.bool_)
    corner = np.empty((height + 1, width + 1), np.float32)
    surface = np.empty((height, width), np.int16)
    rows = np.empty(height + 2, np.int64)
    column = np.empty(known.size + 1, np.int32)
    # First the pixels, then the corners along outlines, half a pixel up and left.
    for turn in range(2):
        shift = 0.5 * turn
        row, col = 0.5 * (height - 1) + shift, 0.5 * (width - 1) + shift
        if turn == 0:
            count = _beside(wanted, known, rows, column)
        else:
            _corners(luminance, surface, label, corner, known)
            count = _unknown(wanted, known, rows, column)
        a, b = np.empty(count), np.empty(count)
        for i in range(height + turn):
            for n in range(rows[i], rows[i + 1]):
                a[n] = (column[n] - col) / pose.focal
                b[n] = (row - i) / pose.focal
        hit, depth = np.empty(count, np.int16), np.empty(count, np.float32)
        kind, bright = np.empty(count, np.uint8), np.empty(count, np.float32)
        trace_background(pose, blocks, first_block, style.bonnet, a, b, hit, depth, kind)
        grid = rows[: height + turn + 1]
        trace_objects(pose, objects, t_s, row, col, grid, column, a, b, hit, depth, kind)
        shade(pose, light, style, objects, blocks, first_block, t_s, a, b, hit, depth, kind, bright)
        for i in range(height + turn):
            for n in range(rows[i], rows[i + 1]):
                j = column[n]
                if turn == 0:
                    surface[i, j], label[i, j], luminance[i, j] = hit[n], kind[n], bright[n]
                else:
                    corner[i, j] = bright[n]
    for i in range(height):
        upper, lower, middle, mine = corner[i], corner[i + 1], luminance[i], wanted[i]
        for j in range(width):
            around = upper[j] + upper[j + 1] + lower[j] + lower[j + 1]
            middle[j] = 0.5 * middle[j] + 0.125 * around if mine[j] else middle[j]


@vectorised
def _beside(
    wanted: NDArray[np.bool_],
    touched: NDArray[np.bool_],
    rows: NDArray[np.int64],
    column: NDArray[np.int32],
) -> int:
    """List the pixels that are wanted or beside one, row by row, and return their number."""
    height, width = wanted.shape
    count = 0
    for i in range(height):
        rows[i] = count
        up, here, down = wanted[max(0, i - 1)], wanted[i], wanted[min(height - 1, i + 1)]
        some = touched[i]
        for j in range(width):
            some[j] = up[j] | here[j] | down[j]
        for j in range(width):
            column[count] = j
            count += some[max(0, j - 1)] or some[j] or some[min(width - 1, j + 1)]
    rows[height] = count
    return count


@vectorised
def _corners(
    luminance: NDArray[np.float32],
    surface: NDArray[np.int16],
    label: NDArray[np.uint8],
    corner: NDArray[np.float32],
    known: NDArray[np.bool_],
) -> None:
    """Fill the mean of the pixels at each corner, and whether they show one surface."""
    height, width = luminance.shape
    for i in range(height + 1):
        up, down = max(0, i - 1), min(height - 1, i)
        bright, dark = luminance[up], luminance[down]
        hit, below = surface[up], surface[down]
        kind, beneath = label[up], label[down]
        mean, same = corner[i], known[i]
        for j in range(1, width):
            # Textures are smooth over a pixel: inside a surface the mean will do.
            mean[j] = 0.25 * (bright[j - 1] + bright[j] + dark[j - 1] + dark[j])
        for j in range(1, width):
            same[j] = (
                (hit[j] == hit[j - 1])
                & (below[j - 1] == hit[j - 1])
                & (below[j] == hit[j - 1])
                & (kind[j] == kind[j - 1])
                & (beneath[j - 1] == kind[j - 1])
                & (beneath[j] == kind[j - 1])
            )
        for j, k in ((0, 0), (width, width - 1)):
            mean[j] = 0.25 * (bright[k] + bright[k] + dark[k] + dark[k])
            same[j] = below[k] == hit[k] and beneath[k] == kind[k]


@vectorised
def _unknown(
    wanted: NDArray[np.bool_],
    known: NDArray[np.bool_],
    rows: NDArray[np.int64],
    column: NDArray[np.int32],
) -> int:
    """List the corners of wanted pixels that are not known, row by row, and return their number."""
    height, width = wanted.shape
    count = 0
    for i in range(height + 1):
        rows[i] = count
        up, down = wanted[max(0, i - 1)], wanted[min(height - 1, i)]
        for j in range(width + 1):
            left, right = max(0, j - 1), min(width - 1, j)
            column[count] = j
            count += not known[i, j] and (up[left] or up[right] or down[left] or down[right])
    rows[height + 1] = count
    return count


@vectorised
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
