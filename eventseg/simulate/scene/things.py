"""Objects of the street: shapes and sizes as data, one row for each part."""

from __future__ import annotations

import numpy as np

from eventseg.simulate.scene import classes
from eventseg.simulate.sensor.noise import lattice_number

(BOX, CABIN, SHADOW, PERSON, RIDER, BICYCLE, MOTORCYCLE, TREE, POLE, LIGHT, SIGN) = range(11)
BARE, RAIL = 11, 12
"""Shapes of objects: two kinds of boxes, a shadow on the ground, and what faces the camera; of
version 2 a tree without leaves, and a railing, which is a thin box with gaps."""

OBJECT = np.dtype(
    [
        ("form", "i4"),
        ("label", "i4"),
        ("x", "f8"),
        ("z", "f8"),
        ("vx", "f8"),
        ("vz", "f8"),
        ("width", "f8"),
        ("length", "f8"),
        ("y0", "f8"),
        ("y1", "f8"),
        ("albedo", "f8"),
        ("phase", "f8"),
        ("seed", "i8"),
    ]
)
"""One object; x, z in metres at time 0, vx, vz in m/s, y0 to y1 its height above the ground."""

_VEHICLES = {
    # shape parts: (shape, width, length, y0, y1, offset along z)
    classes.CAR: ((BOX, 1.8, 4.3, 0.2, 0.86, 0.0), (CABIN, 1.6, 2.3, 0.86, 1.45, -0.25)),
    classes.TRUCK: ((BOX, 2.4, 5.2, 0.5, 3.3, -1.0), (CABIN, 2.3, 1.9, 0.4, 2.5, 2.6)),
    classes.BUS: ((CABIN, 2.5, 11.0, 0.3, 3.0, 0.0),),
    classes.TRAIN: ((CABIN, 2.5, 22.0, 0.3, 3.5, 0.0),),
}
_UPRIGHT = {
    # class: (shape, width, height)
    classes.PERSON: (PERSON, 1.1, 1.76),
    classes.RIDER: (RIDER, 1.0, 1.85),
    classes.BICYCLE: (BICYCLE, 1.75, 1.1),
    classes.MOTORCYCLE: (MOTORCYCLE, 2.0, 1.2),
    classes.VEGETATION: (TREE, 4.4, 7.0),
    classes.POLE: (POLE, 1.6, 6.5),
    classes.TRAFFIC_LIGHT: (LIGHT, 0.4, 3.6),
    classes.TRAFFIC_SIGN: (SIGN, 0.75, 2.7),
}


def unit(seed: int, *key: int) -> float:
    """Return a number in [0, 1) from a seed and a few integers."""
    h = seed & 0x7FFFFFFF
    for number in key[:-1]:
        h = int(lattice_number(number, h, 7919) * 16777216.0)
    return lattice_number(key[-1], h, 104729)


def make(
    label: int, x: float, z: float, *, seed: int, vx: float = 0.0, vz: float = 0.0
) -> list[tuple[int | float, ...]]:
    """Return the rows of one thing of a class: a vehicle's boxes and shadow, or one upright shape.

    A bicycle or motorcycle that moves carries a rider.
    """
    seed &= 0xFFFFF
    tone, spread, phase = (unit(seed, 17, k) for k in range(3))
    if label in _VEHICLES:
        albedo = 0.08 + 0.75 * tone
        heading = -1.0 if vz < 0 else 1.0
        rows: list[tuple[int | float, ...]] = [
            (
                shape,
                label,
                x,
                z + heading * offset,
                vx,
                vz,
                width,
                length,
                y0,
                y1,
                albedo,
                heading,
                seed,
            )
            for shape, width, length, y0, y1, offset in _VEHICLES[label]
        ]
        width = max(part[1] for part in _VEHICLES[label])
        length = max(part[2] + 2 * abs(part[5]) for part in _VEHICLES[label])
        shade = (SHADOW, classes.ROAD, x, z, vx, vz, width + 0.3, length + 0.4, 0.0, 0.0, 0.0, 0.0)
        return [*rows, (*shade, seed)]
    shape, width, height = _UPRIGHT[label]
    scale = 0.9 + 0.2 * spread
    rows = []
    if label in (classes.BICYCLE, classes.MOTORCYCLE) and vz != 0.0:
        # A hand's breadth nearer than the machine, on the side the camera sees.
        rider = (RIDER, classes.RIDER, x, z - 0.05, vx, vz, 1.0, 0.0, 0.0, 1.85, 0.15 + 0.5 * tone)
        rows.append((*rider, 6.3 * phase, seed))
    if label == classes.TRAFFIC_LIGHT:
        rows.append((POLE, classes.POLE, x, z + 0.1, 0.0, 0.0, 0.3, 0.0, 0.0, 3.4, 0.3, 0.0, seed))
        y0 = 2.65
    elif label == classes.TRAFFIC_SIGN:
        rows.append((POLE, classes.POLE, x, z + 0.1, 0.0, 0.0, 0.3, 0.0, 0.0, 2.6, 0.5, 0.0, seed))
        y0 = 1.95
    else:
        y0, height = 0.0, height * scale
    if label == classes.VEGETATION:
        width = height * (0.45 + 0.35 * tone)
    rows.append(
        (shape, label, x, z, vx, vz, width, 0.0, y0, height, 0.1 + 0.5 * tone, 6.3 * phase, seed)
    )
    return rows
