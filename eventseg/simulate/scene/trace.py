"""Ray casting: the nearest surface of each pixel, so labels are exact at any instant."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled
from eventseg.simulate.scene.camera import Pose
from eventseg.simulate.scene.classes import BUILDING, IGNORED, ROAD, SIDEWALK, SKY, TERRAIN
from eventseg.simulate.scene.silhouettes import inside, inside_railing
from eventseg.simulate.scene.things import BOX, CABIN, RAIL, SHADOW
from eventseg.simulate.scene.world import BLOCK_M, VIEW_M

GROUND, NEAR, FAR, OPEN, GABLE, BONNET = -1, -2, -3, -4, -5, -6
"""Surfaces that are no object: the ground, near and far facades, the sky, the side walls that
buildings show next to a gap or a low block, and the bonnet of the camera's own car."""

BONNET_CURVE = 0.12
"""How much lower the bonnet ends at the sides, in tangents for each squared tangent."""

BONNET_M = 1.0
"""Depth that its pixels get; nothing comes nearer."""

ROAD_M, KERB_M, STRIP_M, NEAR_M, FAR_M = 5.2, 5.4, 7.8, 9.5, 22.0
"""Half-widths of the street: road edge, kerb, strip before the facades, both facades."""

HORIZON_M = 420.0


@compiled
def trace_background(
    pose: Pose,
    blocks: NDArray[np.void],
    first_block: int,
    centre_row: float,
    centre_col: float,
    bonnet: float,
    skip: NDArray[np.bool_],
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    """Hit ground, facades and sky for a grid of rays.

    The ray of grid point (i, j) passes ``j - centre_col`` pixels right of the axis and
    ``centre_row - i`` above it; those to ``skip`` are left alone. Depth is along the
    camera's axis, in metres, infinite for sky. ``bonnet`` is the tangent of the angle at which the
    bonnet begins, minus infinity without one; it moves with the camera and counts as ignored.
    """
    rotation, position, focal = pose.rotation, pose.position, pose.focal
    n_blocks = blocks.shape[1]
    for i in range(surface.shape[0]):
        b = (centre_row - i) / focal
        for j in range(surface.shape[1]):
            if skip[i, j]:
                continue
            a = (j - centre_col) / focal
            if b < bonnet - BONNET_CURVE * a * a:
                surface[i, j] = BONNET
                depth[i, j] = BONNET_M
                label[i, j] = IGNORED
                continue
            dx = rotation[0, 0] * a + rotation[0, 1] * b + rotation[0, 2]
            dy = rotation[1, 0] * a + rotation[1, 1] * b + rotation[1, 2]
            dz = rotation[2, 0] * a + rotation[2, 1] * b + rotation[2, 2]
            ground = -position[1] / dy if dy < -1e-9 else math.inf
            side = 1 if dx > 0 else 0
            sign = 2 * side - 1
            reach = abs(dx) + 1e-12
            near = (NEAR_M - sign * position[0]) / reach
            s, hit, kind = ground, GROUND, ROAD
            if near < ground and near < HORIZON_M:
                k = math.floor((position[2] + near * dz) / BLOCK_M) - first_block
                block = blocks[side, min(n_blocks - 1, max(0, int(k)))]
                if position[1] + near * dy < block.height:
                    s, hit, kind = near, NEAR, block.near
                else:
                    far = (FAR_M - sign * position[0]) / reach
                    # Behind a low block, the next building along the street shows its side.
                    forward = 1 if dz > 0.0 else 0
                    ahead = int(k) + 2 * forward - 1
                    while abs(dz) > 1e-9 and 0 <= ahead < n_blocks:
                        wall = ((ahead + 1 - forward + first_block) * BLOCK_M - position[2]) / dz
                        if wall > min(far, ground):
                            break
                        block = blocks[side, ahead]
                        if block.near == BUILDING and position[1] + wall * dy < block.height:
                            s, hit, kind = wall, GABLE, BUILDING
                            break
                        ahead += 2 * forward - 1
                    if hit == GROUND and far < ground:
                        k = math.floor((position[2] + far * dz) / BLOCK_M) - first_block
                        block = blocks[side, min(n_blocks - 1, max(0, int(k)))]
                        s, hit, kind = far, FAR, block.far
                        if position[1] + far * dy > block.far_height:
                            s, hit, kind = math.inf, OPEN, SKY
            if s == math.inf or (hit == NEAR and s > HORIZON_M):
                s, hit, kind = math.inf, OPEN, SKY
            if hit == GROUND:
                x = abs(position[0] + s * dx)
                if x > ROAD_M:
                    kind = SIDEWALK
                    if x > STRIP_M:
                        k = math.floor((position[2] + s * dz) / BLOCK_M) - first_block
                        kind = blocks[side, min(n_blocks - 1, max(0, int(k)))].strip
                        if x > NEAR_M and kind == SIDEWALK:
                            kind = TERRAIN
                    elif _crossing_at(blocks, position[2] + s * dz, first_block):
                        kind = ROAD
            surface[i, j] = hit
            depth[i, j] = s
            label[i, j] = kind


@compiled
def _crossing_at(blocks: NDArray[np.void], z: float, first_block: int) -> bool:
    k = math.floor(z / BLOCK_M) - first_block
    return 0 <= k < blocks.shape[1] and bool(blocks[0, k].near < 0)


@compiled
def trace_objects(
    pose: Pose,
    objects: NDArray[np.void],
    t_s: float,
    centre_row: float,
    centre_col: float,
    skip: NDArray[np.bool_],
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    """Hit objects over the background; ``surface`` becomes the index of the nearest one."""
    position, rotation, focal = pose.position, pose.rotation, pose.focal
    height, width = surface.shape
    for index in range(objects.shape[0]):
        thing = objects[index]
        x = thing.x + thing.vx * t_s - position[0]
        z = thing.z + thing.vz * t_s - position[2]
        # Behind the facades, behind the camera or too far to matter.
        if abs(x + position[0]) > NEAR_M - 0.2 or z > VIEW_M or z < -14.0:
            continue
        y0, y1 = thing.y0 - position[1], thing.y1 - position[1]
        solid = thing.form == BOX or thing.form == CABIN or thing.form == RAIL
        distance = math.sqrt(x * x + z * z) + 1e-9
        # Half extents along X and Z; what faces the camera turns with the line of sight.
        if solid or thing.form == SHADOW:
            ex, ez = 0.5 * thing.width, 0.5 * thing.length
        else:
            if distance < 0.6:
                continue
            ex = 0.5 * thing.width * abs(z) / distance
            ez = 0.5 * thing.width * abs(x) / distance
        left, right, top, low = 1e9, -1e9, 1e9, -1e9
        behind, nearest = 0, math.inf
        for corner in range(8):
            px = x + (ex if corner & 1 else -ex)
            py = y1 if corner & 2 else y0
            pz = z + (ez if corner & 4 else -ez)
            cz = rotation[0, 2] * px + rotation[1, 2] * py + rotation[2, 2] * pz
            if cz < 0.2:
                behind += 1
                continue
            nearest = min(nearest, cz)
            cx = (rotation[0, 0] * px + rotation[1, 0] * py + rotation[2, 0] * pz) / cz
            cy = (rotation[0, 1] * px + rotation[1, 1] * py + rotation[2, 1] * pz) / cz
            left, right = min(left, cx), max(right, cx)
            top, low = min(top, -cy), max(low, -cy)
        if behind == 8:
            continue
        i0, i1, j0, j1 = 0, height, 0, width
        if behind > 0:
            nearest = 0.0
        else:
            # With room for rounding; what lies before all of the object hides it.
            nearest *= 0.999
            i0 = max(0, math.floor(centre_row + top * focal))
            i1 = min(height, math.ceil(centre_row + low * focal) + 1)
            j0 = max(0, math.floor(centre_col + left * focal))
            j1 = min(width, math.ceil(centre_col + right * focal) + 1)
        stride = thing.phase + 6.0 * t_s * min(1.0, abs(thing.vx) + abs(thing.vz))
        for i in range(i0, i1):
            b = (centre_row - i) / focal
            for j in range(j0, j1):
                if skip[i, j] or depth[i, j] < nearest:
                    continue
                a = (j - centre_col) / focal
                dx = rotation[0, 0] * a + rotation[0, 1] * b + rotation[0, 2]
                dy = rotation[1, 0] * a + rotation[1, 1] * b + rotation[1, 2]
                dz = rotation[2, 0] * a + rotation[2, 1] * b + rotation[2, 2]
                if solid:
                    s = hit_box(x - ex, x + ex, y0, y1, z - ez, z + ez, dx, dy, dz)
                    # The wheel arches leave a gap above the ground.
                    if s <= 0.0 or s >= depth[i, j]:
                        continue
                    if thing.form == RAIL and not inside_railing(
                        s * dz - z, s * dy + position[1], thing.y1
                    ):
                        continue
                elif thing.form == SHADOW:
                    if dy > -1e-9:
                        continue
                    # A hair above the ground it darkens.
                    s = -position[1] / dy * 0.9999
                    if s >= depth[i, j] or abs(s * dx - x) > ex or abs(s * dz - z) > ez:
                        continue
                else:
                    facing = dx * x + dz * z
                    if facing <= 1e-9:
                        continue
                    s = distance * distance / facing
                    if s >= depth[i, j]:
                        continue
                    y = s * dy + position[1]
                    if y < thing.y0 or y > thing.y1:
                        continue
                    u = s * (dx * z - dz * x) / distance
                    if abs(u) > 0.5 * thing.width or not inside(
                        thing.form, u, y, thing.width, thing.y1, stride, thing.seed
                    ):
                        continue
                surface[i, j] = index
                depth[i, j] = s
                label[i, j] = thing.label


@compiled
def hit_box(
    x0: float,
    x1: float,
    y0: float,
    y1: float,
    z0: float,
    z1: float,
    dx: float,
    dy: float,
    dz: float,
) -> float:
    """Return where the ray from the origin enters a box, or -1 (slab test)."""
    enter, leave = 0.0, math.inf
    for axis in range(3):
        low, high, d = x0, x1, dx
        if axis == 1:
            low, high, d = y0, y1, dy
        elif axis == 2:
            low, high, d = z0, z1, dz
        if abs(d) < 1e-12:
            if low > 0.0 or high < 0.0:
                return -1.0
            continue
        first, last = low / d, high / d
        if first > last:
            first, last = last, first
        enter, leave = max(enter, first), min(leave, last)
    return enter if enter < leave else -1.0
