"""Street of version 2: plain facades, and thin things that stand before them."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eventseg.simulate.scene import classes
from eventseg.simulate.scene.things import BARE, OBJECT, POLE, RAIL, unit

CELL_M = 20.0
WIRE_POLE_X = 5.7
CROSSING_EVERY_M = 126.0
"""Distance of the crossings, which stay open: nine blocks of 14 m."""


@lru_cache(maxsize=4096)
def plain_block(
    row: tuple[int | float, ...], seed: int, side: int, index: int, share: float
) -> tuple[int | float, ...]:
    """Return a block with few strong edges: a light or dark wall, large windows or none."""
    near, far, strip, height, far_height, albedo, pitch, duty, own = row
    u = [unit(seed, 41, side, index, k) for k in range(4)]
    if near == classes.BUILDING or near < 0:
        albedo = 0.16 + 0.1 * u[1] if u[0] < 0.35 else 0.45 + 0.4 * u[1]
    elif near == classes.WALL:
        albedo = 0.2 + 0.5 * u[1]
    if u[2] < share:
        duty = 0.0
    else:
        pitch, duty = 3.2 + 3.0 * u[3], 0.35 + 0.2 * u[1]
    return near, far, strip, height, far_height, albedo, pitch, duty, own


@lru_cache(maxsize=1024)
def thin_cell(seed: int, cell: int, density: float, *, wired: bool) -> NDArray[np.void]:
    """Return the thin things of a stretch of 20 m: poles, railings and bare trees."""
    rows: list[tuple[int | float, ...]] = []
    z0 = cell * CELL_M
    for side in (-1, 1):
        u = [unit(seed, 43, cell, side + 1, k) for k in range(12)]
        key = int(u[11] * 1e6)
        if wired:
            rows.append(_pole(side * WIRE_POLE_X, z0, 0.3, 7.2, 0.12))
        if u[0] < density:
            rows.append(
                _pole(side * (5.5 + 0.5 * u[1]), z0 + 20.0 * u[2], 0.3, 2.0 + 4.0 * u[3], u[4])
            )
        if u[5] < 0.8 * density and not _at_crossing(z0 + 2.0, z0 + 18.0):
            x, length = side * (5.55 + 0.1 * u[6]), 8.0 + 6.0 * u[7]
            tone = 0.08 if u[8] < 0.5 else 0.75
            z = z0 + 10.0
            rows.append(
                (RAIL, classes.FENCE, x, z, 0.0, 0.0, 0.06, length, 0.0, 0.95, tone, 0.0, key)
            )
        if u[9] < 0.7 * density:
            x, z = side * (7.9 + 0.6 * u[10]), z0 + 20.0 * u[8]
            height = 6.0 + 3.0 * u[7]
            wide = height * 0.6
            rows.append(
                (BARE, classes.VEGETATION, x, z, 0.0, 0.0, wide, 0.0, 0.0, height, 0.1, 0.0, key)
            )
    return np.array(rows, OBJECT) if rows else np.empty(0, OBJECT)


def _pole(x: float, z: float, width: float, height: float, tone: float) -> tuple[int | float, ...]:
    albedo = 0.07 if tone < 0.6 else 0.7
    return (POLE, classes.POLE, x, z, 0.0, 0.0, width, 0.0, 0.0, height, albedo, 0.0, 0)


def _at_crossing(z0: float, z1: float) -> bool:
    """Return whether a stretch reaches into a crossing."""
    return any(
        start < z1 and z0 < start + 14.0
        for lap in (math.floor(z0 / CROSSING_EVERY_M), math.floor(z1 / CROSSING_EVERY_M))
        for start in (lap * CROSSING_EVERY_M + 84.0,)
    )
