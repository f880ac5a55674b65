"""Ray casting of what never ends: ground, facades, sky and the bonnet of the camera's own car."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import vectorised
from eventseg.simulate.scene.batch import BATCH
from eventseg.simulate.scene.blocks import (
    CROSSING,
    FAR,
    FAR_HEIGHT,
    HEIGHT,
    NEAR,
    STRIP,
)
from eventseg.simulate.scene.camera import Pose
from eventseg.simulate.scene.classes import BUILDING, IGNORED, ROAD, SIDEWALK, SKY, TERRAIN
from eventseg.simulate.scene.world import BLOCK_M

GROUND, FRONT, BEHIND, OPEN, GABLE, BONNET = -1, -2, -3, -4, -5, -6
"""Surfaces that are no object: the ground, near and far facades, the sky, the side walls that
buildings show next to a gap or a low block, and the bonnet of the camera's own car."""

BONNET_CURVE = 0.12
"""How much lower the bonnet ends at the sides, in tangents for each squared tangent."""

BONNET_M = 1.0
"""Depth that its pixels get; nothing comes nearer."""

ROAD_M, KERB_M, STRIP_M, NEAR_M, FAR_M = 5.2, 5.4, 7.8, 9.5, 22.0
"""Half-widths of the street: road edge, kerb, strip before the facades, both facades."""

HORIZON_M = 420.0

_DEPTH, _HIT, _KIND, _NEAR, _HIGH, _TOP = (np.uint64(row * BATCH) for row in range(6))
"""Begin of each row of a batch: depth, surface and class of the hit; depth of the near facade,
height at which a ray meets it, height of its block."""

_ROWS = 6
_OVER = 1.0
"""Mark of a ray that passes over the near facade."""


@vectorised
def trace_background(
    pose: Pose,
    blocks: NDArray[np.float64],
    first_block: int,
    bonnet: float,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    """Hit ground, facades and sky for rays.

    A ray goes ``a`` to the right and ``b`` up for each metre along the camera's axis. Depth is
    along that axis, in metres, infinite for sky. ``blocks`` is a table of ``block_table``.
    ``bonnet`` is the tangent of the angle at which the bonnet begins, minus infinity without one;
    it moves with the camera and counts as ignored.
    """
    batch = np.empty(_ROWS * BATCH)
    places = np.empty(BATCH, np.int32)
    for start in range(0, len(a), BATCH):
        stop = min(len(a), start + BATCH)
        of, at = slice(start, stop), places[: stop - start]
        _facades_and_ground(pose, blocks, first_block, a[of], b[of], at, batch)
        _beyond_facades(pose, blocks, first_block, a[of], b[of], batch)
        _ground_kinds(pose, blocks, first_block, bonnet, a[of], b[of], at, batch)
        _store(batch, surface[of], depth[of], label[of])


@vectorised
def _facades_and_ground(
    pose: Pose,
    blocks: NDArray[np.float64],
    first_block: int,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    places: NDArray[np.int32],
    batch: NDArray[np.float64],
) -> None:
    """Hit the ground and the near facades; mark the rays that pass over these."""
    rotation, position = pose.rotation, pose.position
    r00, r01, r02 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
    r10, r11, r12 = rotation[1, 0], rotation[1, 1], rotation[1, 2]
    r20, r21, r22 = rotation[2, 0], rotation[2, 1], rotation[2, 2]
    px, py, pz = position[0], position[1], position[2]
    n_blocks, heights = blocks.shape[1] // 2, blocks[HEIGHT]
    for n in range(np.uint64(len(a))):
        dx = r00 * a[n] + r01 * b[n] + r02
        dy = r10 * a[n] + r11 * b[n] + r12
        dz = r20 * a[n] + r21 * b[n] + r22
        right = dx > 0.0
        near = (NEAR_M - (px if right else -px)) / (abs(dx) + 1e-12)
        place = np.int64(np.floor((pz + near * dz) / BLOCK_M)) - first_block
        place = min(n_blocks - 1, max(0, place)) + (n_blocks if right else 0)
        batch[n + _DEPTH] = -py / dy if dy < -1e-9 else math.inf
        batch[n + _NEAR] = near
        batch[n + _HIGH] = py + near * dy
        places[n] = place
    for n in range(np.uint64(len(a))):
        batch[n + _TOP] = heights[np.uint64(places[n])]
    for n in range(np.uint64(len(a))):
        ground, near = batch[n + _DEPTH], batch[n + _NEAR]
        before = near < ground and near < HORIZON_M
        front = before and batch[n + _HIGH] < batch[n + _TOP]
        batch[n + _DEPTH] = near if front else ground
        batch[n + _HIT] = FRONT if front else _OVER if before else GROUND


@vectorised
def _beyond_facades(
    pose: Pose,
    blocks: NDArray[np.float64],
    first_block: int,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    batch: NDArray[np.float64],
) -> None:
    """Hit what the marked rays meet behind the near facades."""
    rotation, position = pose.rotation, pose.position
    n_blocks = blocks.shape[1] // 2
    for n in range(np.uint64(len(a))):
        if batch[n + _HIT] != _OVER:
            continue
        dx = rotation[0, 0] * a[n] + rotation[0, 1] * b[n] + rotation[0, 2]
        dy = rotation[1, 0] * a[n] + rotation[1, 1] * b[n] + rotation[1, 2]
        dz = rotation[2, 0] * a[n] + rotation[2, 1] * b[n] + rotation[2, 2]
        ground = batch[n + _DEPTH]
        right = 1 if dx > 0.0 else 0
        sign, reach = 2 * right - 1, abs(dx) + 1e-12
        near = (NEAR_M - sign * position[0]) / reach
        far = (FAR_M - sign * position[0]) / reach
        s, hit, kind = ground, GROUND, ROAD
        # Behind a low block, the next building along the street shows its side.
        forward = 1 if dz > 0.0 else 0
        place = np.int64(np.floor((position[2] + near * dz) / BLOCK_M)) - first_block
        ahead = place + 2 * forward - 1
        while abs(dz) > 1e-9 and 0 <= ahead < n_blocks:
            wall = ((ahead + 1 - forward + first_block) * BLOCK_M - position[2]) / dz
            if wall > min(far, ground):
                break
            at = right * n_blocks + ahead
            if blocks[NEAR, at] == BUILDING and position[1] + wall * dy < blocks[HEIGHT, at]:
                s, hit, kind = wall, GABLE, BUILDING
                break
            ahead += 2 * forward - 1
        if hit == GROUND and far < ground:
            place = np.int64(np.floor((position[2] + far * dz) / BLOCK_M)) - first_block
            at = right * n_blocks + min(n_blocks - 1, max(0, place))
            s, hit, kind = far, BEHIND, int(blocks[FAR, at])
            if position[1] + far * dy > blocks[FAR_HEIGHT, at]:
                s, hit, kind = math.inf, OPEN, SKY
        batch[n + _DEPTH], batch[n + _HIT], batch[n + _KIND] = s, hit, kind


@vectorised
def _ground_kinds(
    pose: Pose,
    blocks: NDArray[np.float64],
    first_block: int,
    bonnet: float,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    places: NDArray[np.int32],
    batch: NDArray[np.float64],
) -> None:
    """Tell road, sidewalk and terrain apart, the sky from what is near, and add the bonnet."""
    rotation, position = pose.rotation, pose.position
    r00, r01, r02 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
    r20, r21, r22 = rotation[2, 0], rotation[2, 1], rotation[2, 2]
    px, pz = position[0], position[2]
    n_blocks = blocks.shape[1] // 2
    for n in range(np.uint64(len(a))):
        hit = batch[n + _HIT]
        if hit == FRONT:
            batch[n + _KIND] = blocks[NEAR, places[n]]
        elif hit == GROUND:
            s = batch[n + _DEPTH]
            dx = r00 * a[n] + r01 * b[n] + r02
            x = abs(px + s * dx)
            kind = ROAD
            if x > ROAD_M:
                dz = r20 * a[n] + r21 * b[n] + r22
                place = np.int64(np.floor((pz + s * dz) / BLOCK_M)) - first_block
                nearest = min(n_blocks - 1, max(0, place))
                if x > STRIP_M:
                    kind = int(blocks[STRIP, nearest + (n_blocks if dx > 0.0 else 0)])
                    if x > NEAR_M and kind == SIDEWALK:
                        kind = TERRAIN
                elif place != nearest or blocks[CROSSING, nearest] == 0.0:
                    kind = SIDEWALK
            batch[n + _KIND] = kind
    for n in range(np.uint64(len(a))):
        s = batch[n + _DEPTH]
        sky = s == math.inf
        own = b[n] < bonnet - BONNET_CURVE * a[n] * a[n]
        batch[n + _DEPTH] = BONNET_M if own else s
        batch[n + _HIT] = BONNET if own else OPEN if sky else batch[n + _HIT]
        batch[n + _KIND] = IGNORED if own else SKY if sky else batch[n + _KIND]


@vectorised
def _store(
    batch: NDArray[np.float64],
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    label: NDArray[np.uint8],
) -> None:
    for n in range(np.uint64(len(depth))):
        depth[n] = batch[n + _DEPTH]
    for n in range(np.uint64(len(depth))):
        surface[n] = np.int16(batch[n + _HIT])
    for n in range(np.uint64(len(depth))):
        label[n] = np.uint8(np.int64(batch[n + _KIND]))
