"""Albedo and own light of a batch of rays that hit the ground or a facade.

All averaged or faded over the footprint of a pixel, so that distance does not flicker.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import vectorised
from eventseg.simulate.scene.background import KERB_M, ROAD_M
from eventseg.simulate.scene.batch import (
    ALBEDO,
    DUTY,
    FIELD,
    FOOT,
    FOOT_U,
    HEIGHT,
    OWN,
    PITCH,
    SEED,
    S,
    U,
    X,
    Y,
    Z,
)
from eventseg.simulate.scene.blocks import CROSSING
from eventseg.simulate.scene.world import BLOCK_M
from eventseg.simulate.sensor.noise import grain, lattice, pulses, stripe

STOREY_M = 3.4


@vectorised
def shade_road(
    batch: NDArray[np.float64],
    count: int,
    blocks: NDArray[np.float64],
    first_block: int,
    height: float,
    texture: float,
) -> None:
    """Fill the albedo of asphalt with its markings, seen from ``height`` above it."""
    last = blocks.shape[1] // 2 - 1
    for n in range(np.uint64(count)):
        k = np.int64(np.floor(batch[n + Z] / BLOCK_M))
        place = k - first_block
        crossing, from_corner = 0.0, 0.0
        if 0 <= place < last:
            crossing = blocks[CROSSING, place]
            if blocks[CROSSING, place + 1] > 0.0:
                from_corner = batch[n + Z] - k * BLOCK_M
        batch[n + U] = from_corner
        batch[n + SEED] = crossing
    for n in range(np.uint64(count)):
        x, z = batch[n + X], batch[n + Z]
        foot_x = batch[n + FOOT]
        foot_z = foot_x * batch[n + S] / height
        wide = max(foot_x, foot_z)
        crossing, from_corner = batch[n + SEED] > 0.0, batch[n + U]
        albedo = 0.2 + 0.06 * texture * grain(0.35 * x, 0.35 * z, 0.35 * wide, 5, 1)
        albedo += 0.13 * texture * grain(5.0 * x, 5.0 * z, 5.0 * wide, 6, 2)
        dashes = stripe(x, foot_x, -0.08, 0.08) * pulses(z, foot_z, 9.0, 3.5)
        edge = stripe(abs(x), foot_x, 3.42, 3.54)
        beside = edge if abs(abs(x) - 3.48) < 0.06 + foot_x else 0.0
        paint = dashes if abs(x) < 0.08 + foot_x else beside
        # The zebra lies on the last metres before the crossing.
        zebra = pulses(x, foot_x, 1.0, 0.5)
        paint += zebra if 11.2 < from_corner < 13.4 else 0.0
        paint = paint if abs(x) < ROAD_M and not crossing else 0.0
        batch[n + ALBEDO] = albedo + min(1.0, paint) * 0.5


@vectorised
def shade_sidewalk(batch: NDArray[np.float64], count: int, height: float, texture: float) -> None:
    """Fill the albedo of slabs with their joints and the kerb."""
    for n in range(np.uint64(count)):
        x, z = batch[n + X], batch[n + Z]
        foot_x = batch[n + FOOT]
        foot_z = foot_x * batch[n + S] / height
        wide = max(foot_x, foot_z)
        albedo = 0.36 + 0.12 * texture * grain(1.5 * x, 1.5 * z, 1.5 * wide, 8, 2)
        joint = max(pulses(x, foot_x, 0.75, 0.04), pulses(z, foot_z, 0.75, 0.04))
        albedo *= 1.0 - 0.5 * texture * joint
        kerb = stripe(abs(x), foot_x, ROAD_M, KERB_M)
        batch[n + ALBEDO] = albedo * (1.0 - kerb) + 0.58 * kerb


@vectorised
def shade_terrain(batch: NDArray[np.float64], count: int, height: float, texture: float) -> None:
    """Fill the albedo of earth and grass."""
    for n in range(np.uint64(count)):
        x, z = batch[n + X], batch[n + Z]
        foot_x = batch[n + FOOT]
        wide = max(foot_x, foot_x * batch[n + S] / height)
        batch[n + ALBEDO] = 0.2 + 0.2 * texture * grain(1.2 * x, 1.2 * z, 1.2 * wide, 9, 3)


@vectorised
def shade_plain(batch: NDArray[np.float64], count: int, texture: float) -> None:
    """Fill the albedo of plain walls of houses, with a plinth and a cornice."""
    for n in range(np.uint64(count)):
        u, y = batch[n + U], batch[n + Y]
        foot, foot_y = batch[n + FOOT_U], batch[n + FOOT]
        seed = np.int64(batch[n + SEED])
        albedo = batch[n + FIELD] * (
            1.0 + 0.35 * texture * grain(0.8 * u, 0.8 * y, 0.8 * foot, seed, 2)
        )
        plinth = stripe(y, foot_y, 0.0, 0.6)
        cornice = stripe(y, foot_y, batch[n + HEIGHT] - 0.5, batch[n + HEIGHT])
        batch[n + ALBEDO] = albedo * (1.0 - 0.5 * plinth) * (1.0 - 0.4 * cornice)


@vectorised
def shade_windows(batch: NDArray[np.float64], count: int, glow: float, texture: float) -> None:
    """Fill albedo and own light of houses with windows, and shops below them."""
    for n in range(np.uint64(count)):
        u, y = batch[n + U], batch[n + Y]
        foot, foot_y = batch[n + FOOT_U], batch[n + FOOT]
        seed = np.int64(batch[n + SEED])
        wall = batch[n + FIELD]
        albedo = wall * (1.0 + 0.35 * texture * grain(0.8 * u, 0.8 * y, 0.8 * foot, seed, 2))
        floor = np.floor(y / STOREY_M)
        shop = floor < 1.0
        pitch = 4.6 if shop else batch[n + PITCH]
        sill = 0.5 if shop else 1.0
        pane = 2.3 if shop else 1.6
        duty = 0.75 if shop else batch[n + DUTY]
        across = pulses(u, foot, pitch, pitch * duty)
        up = pulses(y - sill, foot_y, STOREY_M, pane)
        window = across * up
        rim = pulses(u + 0.12, foot, pitch, pitch * duty + 0.24) * pulses(
            y - sill + 0.12, foot_y, STOREY_M, pane + 0.24
        )
        column, row = np.int64(np.floor(u / pitch)), np.int64(floor)
        tone = lattice(column, row, seed)
        fade = min(1.0, max(0.0, 2.0 - foot / pitch * 4.0))
        pane_albedo = 0.06 + 0.22 * (tone * fade + 0.5 * (1.0 - fade))
        albedo = albedo * (1.0 - rim) + min(0.9, 1.35 * wall) * rim
        albedo = albedo * (1.0 - window) + pane_albedo * window
        # A ledge between the storeys.
        ledge = pulses(y + 0.1, foot_y, STOREY_M, 0.16)
        batch[n + ALBEDO] = albedo * (1.0 - 0.25 * texture * ledge)
        batch[n + OWN] = glow * window if lattice(column, row, seed + 3) < 0.3 else 0.0


@vectorised
def shade_wall(batch: NDArray[np.float64], count: int, texture: float) -> None:
    """Fill the albedo of low walls of stones under a coping."""
    for n in range(np.uint64(count)):
        u, y = batch[n + U], batch[n + Y]
        foot, foot_y = batch[n + FOOT_U], batch[n + FOOT]
        seed, height = np.int64(batch[n + SEED]), batch[n + HEIGHT]
        albedo = batch[n + FIELD] * (
            1.0 + 0.5 * texture * grain(1.5 * u, 1.5 * y, 1.5 * foot, seed, 2)
        )
        joint = max(pulses(u, foot, 1.2, 0.05), pulses(y, foot_y, 0.5, 0.04))
        coping = stripe(y, foot_y, height - 0.2, height)
        batch[n + ALBEDO] = albedo * (1.0 - 0.45 * texture * joint) * (1.0 + 0.4 * coping)


@vectorised
def shade_fence(batch: NDArray[np.float64], count: int) -> None:
    """Fill the albedo of fences: bars and rails before the dark."""
    for n in range(np.uint64(count)):
        u, y = batch[n + U], batch[n + Y]
        foot, foot_y = batch[n + FOOT_U], batch[n + FOOT]
        bars = max(pulses(u, foot, 0.3, 0.13), pulses(u, foot, 2.4, 0.22))
        rails = max(stripe(y, foot_y, 0.2, 0.32), stripe(y, foot_y, 1.15, 1.27))
        bars = max(bars, rails)
        batch[n + ALBEDO] = batch[n + FIELD] * bars + 0.1 * (1.0 - bars)


@vectorised
def shade_hedge(batch: NDArray[np.float64], count: int, leaves: float) -> None:
    """Fill the albedo of hedges and of trees along the street."""
    for n in range(np.uint64(count)):
        u, y, foot = batch[n + U], batch[n + Y], batch[n + FOOT_U]
        seed = np.int64(batch[n + SEED])
        albedo = 0.17 + 0.3 * leaves * grain(1.6 * u, 1.6 * y, 1.6 * foot, seed, 3)
        batch[n + ALBEDO] = max(0.03, albedo)
