"""Albedo and emitted light of every surface: ground, facades, vehicles and flat objects.

All averaged or faded over the footprint of a pixel, so that distance does not flicker.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

import numpy as np

from eventseg.kernels.compiled import compiled
from eventseg.simulate.scene.classes import (
    BUILDING,
    BUS,
    FENCE,
    MOTORCYCLE,
    ROAD,
    SIDEWALK,
    TRAIN,
    TRUCK,
    WALL,
)
from eventseg.simulate.scene.things import (
    BARE,
    BICYCLE,
    BOX,
    CABIN,
    LIGHT,
    PERSON,
    POLE,
    RIDER,
    SIGN,
    TREE,
)
from eventseg.simulate.scene.trace import KERB_M, ROAD_M
from eventseg.simulate.sensor.noise import grain, lattice, pulses, stripe


@compiled
def shade_ground(
    x: float,
    z: float,
    label: int,
    foot_x: float,
    foot_z: float,
    crossing: bool,
    from_corner: float,
    texture: float,
) -> float:
    """Return the albedo of the ground at (x, z) metres."""
    wide = max(foot_x, foot_z)
    if label == ROAD:
        albedo = 0.2 + 0.06 * texture * grain(0.35 * x, 0.35 * z, 0.35 * wide, 5, 1)
        albedo += 0.13 * texture * grain(5.0 * x, 5.0 * z, 5.0 * wide, 6, 2)
        paint = 0.0
        if abs(x) < ROAD_M and not crossing:
            if abs(x) < 0.08 + foot_x:
                paint = stripe(x, foot_x, -0.08, 0.08) * pulses(z, foot_z, 9.0, 3.5)
            elif abs(abs(x) - 3.48) < 0.06 + foot_x:
                paint = stripe(abs(x), foot_x, 3.42, 3.54)
            if 11.2 < from_corner < 13.4:
                # The zebra lies on the last metres before the crossing.
                paint += pulses(x, foot_x, 1.0, 0.5)
        return albedo + min(1.0, paint) * 0.5
    if label == SIDEWALK:
        albedo = 0.36 + 0.12 * texture * grain(1.5 * x, 1.5 * z, 1.5 * wide, 8, 2)
        joint = max(pulses(x, foot_x, 0.75, 0.04), pulses(z, foot_z, 0.75, 0.04))
        albedo *= 1.0 - 0.5 * texture * joint
        kerb = stripe(abs(x), foot_x, ROAD_M, KERB_M)
        return albedo * (1.0 - kerb) + 0.58 * kerb
    return 0.2 + 0.2 * texture * grain(1.2 * x, 1.2 * z, 1.2 * wide, 9, 3)


@compiled
def shade_facade(
    u: float,
    y: float,
    label: int,
    foot: float,
    foot_y: float,
    block: np.record,
    glow: float,
    texture: float,
    leaves: float,
) -> tuple[float, float]:
    """Return albedo and own light of a facade at ``u`` metres along it and ``y`` above ground."""
    if label == BUILDING:
        albedo = block.albedo * (
            1.0 + 0.35 * texture * grain(0.8 * u, 0.8 * y, 0.8 * foot, block.seed, 2)
        )
        if block.duty <= 0.0:
            # A plain wall with a plinth and a cornice.
            plinth = stripe(y, foot_y, 0.0, 0.6)
            cornice = stripe(y, foot_y, block.height - 0.5, block.height)
            return albedo * (1.0 - 0.5 * plinth) * (1.0 - 0.4 * cornice), 0.0
        storey = 3.4
        floor = math.floor(y / storey)
        pitch, sill, pane = block.pitch, 1.0, 1.6
        duty = block.duty
        if floor < 1.0:
            # Shop windows.
            pitch, sill, pane, duty = 4.6, 0.5, 2.3, 0.75
        across = pulses(u, foot, pitch, pitch * duty)
        up = pulses(y - sill, foot_y, storey, pane)
        window = across * up
        rim = pulses(u + 0.12, foot, pitch, pitch * duty + 0.24) * pulses(
            y - sill + 0.12, foot_y, storey, pane + 0.24
        )
        column = math.floor(u / pitch)
        tone = lattice(column, int(floor), block.seed)
        fade = min(1.0, max(0.0, 2.0 - foot / pitch * 4.0))
        pane_albedo = 0.06 + 0.22 * (tone * fade + 0.5 * (1.0 - fade))
        albedo = albedo * (1.0 - rim) + min(0.9, 1.35 * block.albedo) * rim
        albedo = albedo * (1.0 - window) + pane_albedo * window
        # A ledge between the storeys.
        ledge = pulses(y + 0.1, foot_y, storey, 0.16)
        albedo *= 1.0 - 0.25 * texture * ledge
        lit = glow * window if lattice(column, int(floor), block.seed + 3) < 0.3 else 0.0
        return albedo, lit
    if label == WALL:
        albedo = block.albedo * (
            1.0 + 0.5 * texture * grain(1.5 * u, 1.5 * y, 1.5 * foot, block.seed, 2)
        )
        joint = max(pulses(u, foot, 1.2, 0.05), pulses(y, foot_y, 0.5, 0.04))
        coping = stripe(y, foot_y, block.height - 0.2, block.height)
        return albedo * (1.0 - 0.45 * texture * joint) * (1.0 + 0.4 * coping), 0.0
    if label == FENCE:
        bars = max(pulses(u, foot, 0.3, 0.13), pulses(u, foot, 2.4, 0.22))
        rails = max(stripe(y, foot_y, 0.2, 0.32), stripe(y, foot_y, 1.15, 1.27))
        bars = max(bars, rails)
        return block.albedo * bars + 0.1 * (1.0 - bars), 0.0
    albedo = 0.17 + 0.3 * leaves * grain(1.6 * u, 1.6 * y, 1.6 * foot, block.seed, 3)
    return max(0.03, albedo), 0.0


@compiled
def shade_vehicle(
    thing: np.record, u: float, y: float, across: bool, foot: float, facing: float
) -> tuple[float, float]:
    """Return albedo and own light of a vehicle; ``across`` on its rear or front."""
    albedo = thing.albedo
    length = thing.width if across else thing.length
    top = thing.y1
    own = 0.0
    if thing.form == CABIN and thing.label != MOTORCYCLE:
        low, high, pitch, share = thing.y0 + 0.06, top - 0.1, length, 1.0
        if thing.label == BUS or thing.label == TRAIN:
            low, high = 1.45, 2.55
            if not across:
                pitch, share = 1.6, 0.9
        elif thing.label == TRUCK:
            low, high = 1.5, 2.25
        glass = stripe(y, foot, low, high)
        if share < 1.0:
            glass *= pulses(u + 0.5 * length, foot, pitch, pitch * share)
        else:
            glass *= stripe(u, foot, -0.5 * length + 0.1, 0.5 * length - 0.1)
        albedo = albedo * (1.0 - glass) + 0.07 * glass
        if thing.label == TRAIN:
            albedo += 0.3 * stripe(y, foot, 1.0, 1.25)
    elif thing.form == BOX and thing.label == TRUCK:
        albedo = 0.25 + 0.7 * albedo
        albedo *= 1.0 - 0.3 * pulses(u, foot, 1.1, 0.06)
    if thing.y0 < 0.6:
        if across:
            lights = stripe(abs(u), foot, 0.5 * length - 0.35, 0.5 * length - 0.08)
            lights *= stripe(y, foot, thing.y0 + 0.38, thing.y0 + 0.55)
            own = lights * (90.0 if facing > 0.0 else 40.0)
            plate = stripe(abs(u), foot, 0.0, 0.26) * stripe(
                y, foot, thing.y0 + 0.2, thing.y0 + 0.31
            )
            albedo = albedo * (1.0 - plate) + 0.8 * plate
            bumper = stripe(y, foot, 0.0, thing.y0 + 0.14)
            albedo *= 1.0 - 0.7 * bumper
        else:
            v = abs(u) - 0.31 * length
            wheel = min(1.0, max(0.0, (0.36 - math.sqrt(v * v + (y - 0.34) ** 2)) / foot + 0.5))
            hub = min(1.0, max(0.0, (0.17 - math.sqrt(v * v + (y - 0.34) ** 2)) / foot + 0.5))
            albedo = albedo * (1.0 - wheel) + 0.05 * wheel + 0.3 * hub
            albedo *= 1.0 - 0.5 * stripe(u, foot, -0.02, 0.02)
    return albedo, own


@compiled
def shade_upright(
    thing: np.record,
    u: float,
    y: float,
    foot: float,
    t_s: float,
    texture: float,
    leaves: float,
) -> tuple[float, float]:
    """Return albedo and emitted light of an object that faces the camera."""
    if thing.form == TREE:
        if abs(u) < 0.16 and y < 0.4 * thing.y1:
            return 0.12, 0.0
        leaf = leaves * grain(1.8 * u, 1.8 * y, 1.8 * foot, thing.seed, 3)
        # The crown is lighter on top.
        return max(0.02, 0.1 + 0.14 * y / thing.y1 + 0.3 * leaf), 0.0
    if thing.form == LIGHT:
        lamp = math.floor((y - 2.7) / 0.3)
        v = y - 2.7 - 0.3 * lamp - 0.15
        lit = math.floor(0.15 * t_s + thing.phase) % 3
        disc = min(1.0, max(0.0, (0.11 - math.sqrt(u * u + v * v)) / foot + 0.5))
        return 0.05 + 0.12 * disc, (220.0 * disc if lamp == lit else 0.0)
    if thing.form == SIGN:
        rim = min(1.0, max(0.0, (abs(u) - 0.24) / foot + 0.5))
        bar = stripe(y, foot, thing.y1 - 0.45, thing.y1 - 0.3)
        return (0.75 * (1.0 - rim) + 0.25 * rim) * (1.0 - 0.6 * bar), 0.0
    if thing.form == BARE:
        return 0.09, 0.0
    if thing.form == POLE:
        return thing.albedo * (0.8 + 2.0 * u), 0.0
    if thing.form == PERSON or thing.form == RIDER:
        scale = thing.y1 / 1.76
        coat = thing.albedo
        if y > 1.48 * scale:
            return (0.12 if y > 1.66 * scale else 0.5), 0.0
        if y < 0.92 * scale:
            coat = 0.08 + 0.35 * lattice(3, 4, thing.seed)
        return coat * (
            1.0 + 0.4 * texture * grain(5.0 * u, 5.0 * y, 5.0 * foot, thing.seed, 2)
        ), 0.0
    if thing.form == BICYCLE:
        return (0.08 if y < 0.7 else thing.albedo), 0.0
    return (0.05 if y < 0.55 else thing.albedo), 0.0
