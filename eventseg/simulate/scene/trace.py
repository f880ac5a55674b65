"""Ray casting of objects: the nearest surface of each ray, so labels are exact at any instant."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import inlined, vectorised
from eventseg.simulate.scene.background import NEAR_M
from eventseg.simulate.scene.camera import Pose
from eventseg.simulate.scene.silhouettes import inside, inside_railing
from eventseg.simulate.scene.things import BOX, CABIN, RAIL, SHADOW
from eventseg.simulate.scene.world import VIEW_M


@vectorised
def trace_objects(
    pose: Pose,
    objects: NDArray[np.void],
    t_s: float,
    centre_row: float,
    centre_col: float,
    rows: NDArray[np.int64],
    column: NDArray[np.int32],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    """Hit objects over the background; ``surface`` becomes the index of the nearest one.

    The rays of row i of a grid are ``rows[i]`` to ``rows[i + 1]``, by column. The grid's ray (i, j)
    passes ``j - centre_col`` pixels right of the axis and ``centre_row - i`` above it.
    """
    position, rotation, focal = pose.position, pose.rotation, pose.focal
    r00, r01, r02 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
    r10, r11, r12 = rotation[1, 0], rotation[1, 1], rotation[1, 2]
    r20, r21, r22 = rotation[2, 0], rotation[2, 1], rotation[2, 2]
    px, py, pz = position[0], position[1], position[2]
    height = len(rows) - 1
    for index in range(objects.shape[0]):
        thing = objects[index]
        form, kind, seed = thing.form, thing.label, thing.seed
        x = thing.x + thing.vx * t_s - px
        z = thing.z + thing.vz * t_s - pz
        # Behind the facades, behind the camera or too far to matter.
        if abs(x + px) > NEAR_M - 0.2 or z > VIEW_M or z < -14.0:
            continue
        low_y, high_y, width = thing.y0, thing.y1, thing.width
        y0, y1 = low_y - py, high_y - py
        solid = form in (BOX, CABIN, RAIL)
        distance = math.sqrt(x * x + z * z) + 1e-9
        # Half extents along X and Z; what faces the camera turns with the line of sight.
        if solid or form == SHADOW:
            ex, ez = 0.5 * width, 0.5 * thing.length
        else:
            if distance < 0.6:
                continue
            ex = 0.5 * width * abs(z) / distance
            ez = 0.5 * width * abs(x) / distance
        # Bounds in tangents over the corners before the camera, and over those behind it.
        left, right, top, low = 1e9, -1e9, 1e9, -1e9
        left_b, right_b, top_b, low_b = 1e9, -1e9, 1e9, -1e9
        behind, nearest = 0, math.inf
        for corner in range(8):
            x_m = x + (ex if corner & 1 else -ex)
            y_m = y1 if corner & 2 else y0
            z_m = z + (ez if corner & 4 else -ez)
            cz = r02 * x_m + r12 * y_m + r22 * z_m
            behind += cz < 0.2
            nearest = min(nearest, cz)
            cx = (r00 * x_m + r10 * y_m + r20 * z_m) / cz
            cy = -(r01 * x_m + r11 * y_m + r21 * z_m) / cz
            if cz > 0.0:
                left, right = min(left, cx), max(right, cx)
                top, low = min(top, cy), max(low, cy)
            else:
                left_b, right_b = min(left_b, cx), max(right_b, cx)
                top_b, low_b = min(top_b, cy), max(low_b, cy)
        if behind == 8:
            continue
        if behind > 0:
            nearest = 0.0
            # All of a box is on one side of a plane through the camera if its corners are. Such
            # planes end where no corner behind the camera contradicts; elsewhere there is no bound.
            left = left - 0.01 if right_b < left else -1e9
            right = right + 0.01 if left_b > right else 1e9
            top = top - 0.01 if low_b < top else -1e9
            low = low + 0.01 if top_b > low else 1e9
        # With room for rounding; what lies before all of the object hides it.
        nearest *= 0.999
        i0 = max(0, int(np.floor(centre_row + top * focal)))
        i1 = min(height, int(np.ceil(centre_row + low * focal)) + 1)
        j0 = max(0, int(np.floor(centre_col + left * focal)))
        j1 = int(np.ceil(centre_col + right * focal)) + 1
        stride = thing.phase + 6.0 * t_s * min(1.0, abs(thing.vx) + abs(thing.vz))
        for i in range(i0, i1):
            if rows[i] == rows[i + 1]:
                continue
            first = _first_from(column, rows[i], rows[i + 1], j0)
            stop = _first_from(column, first, rows[i + 1], j1)
            for n in range(np.uint64(first), np.uint64(stop)):
                hidden = np.float64(depth[n])
                if hidden < nearest:
                    continue
                dx = r00 * a[n] + r01 * b[n] + r02
                dy = r10 * a[n] + r11 * b[n] + r12
                dz = r20 * a[n] + r21 * b[n] + r22
                if solid:
                    s = hit_box(x - ex, x + ex, y0, y1, z - ez, z + ez, dx, dy, dz)
                    # The wheel arches leave a gap above the ground.
                    if s <= 0.0 or s >= hidden:
                        continue
                    if form == RAIL and not inside_railing(s * dz - z, s * dy + py, high_y):
                        continue
                elif form == SHADOW:
                    if dy > -1e-9:
                        continue
                    # A hair above the ground it darkens.
                    s = -py / dy * 0.9999
                    if s >= hidden or abs(s * dx - x) > ex or abs(s * dz - z) > ez:
                        continue
                else:
                    facing = dx * x + dz * z
                    if facing <= 1e-9:
                        continue
                    s = distance * distance / facing
                    if s >= hidden:
                        continue
                    y = s * dy + py
                    if y < low_y or y > high_y:
                        continue
                    u = s * (dx * z - dz * x) / distance
                    if abs(u) > 0.5 * width or not inside(form, u, y, width, high_y, stride, seed):
                        continue
                surface[n] = index
                depth[n] = s
                label[n] = kind


@inlined
def _first_from(column: NDArray[np.int32], first: int, stop: int, least: int) -> int:
    """Return the first place in ``column[first:stop]``, which is sorted, that is not less."""
    # At once where no column is left out.
    guess = first + least - column[first] if first < stop else stop
    if first <= guess < stop and column[guess] == least:
        return guess
    while first < stop:
        middle = (first + stop) // 2
        if column[middle] < least:
            first = middle + 1
        else:
            stop = middle
    return first


@inlined
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
    enter, leave, missed = 0.0, math.inf, False
    for axis in range(3):
        low, high, d = x0, x1, dx
        if axis == 1:
            low, high, d = y0, y1, dy
        elif axis == 2:
            low, high, d = z0, z1, dz
        along = abs(d) < 1e-12
        missed = missed or (along and (low > 0.0 or high < 0.0))
        first, last = low / d, high / d
        near, far = (last, first) if first > last else (first, last)
        enter = enter if along else max(enter, near)
        leave = leave if along else min(leave, far)
    return enter if enter < leave and not missed else -1.0
