"""Albedo and emitted light of objects: vehicles, and what faces the camera.

All averaged or faded over the footprint of a pixel, so that distance does not flicker.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

import numpy as np

from eventseg.kernels.compiled import vectorised
from eventseg.simulate.scene.classes import (
    BUS,
    MOTORCYCLE,
    TRAIN,
    TRUCK,
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
from eventseg.simulate.sensor.noise import grain, lattice, pulses, stripe


@vectorised
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


@vectorised
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
