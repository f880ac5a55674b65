"""Outlines of objects that face the camera, as tests of points in an upright rectangle.

``u`` runs across in metres from the middle, ``y`` is the height above the ground in metres.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from eventseg.kernels.compiled import vectorised
from eventseg.simulate.scene.things import (
    BARE,
    BICYCLE,
    LIGHT,
    MOTORCYCLE,
    PERSON,
    POLE,
    RIDER,
    TREE,
)
from eventseg.simulate.sensor.noise import lattice, value_noise


@vectorised
def near_segment(
    u: float, y: float, u0: float, y0: float, u1: float, y1: float, radius: float
) -> bool:
    """Return whether (u, y) is within ``radius`` of the segment."""
    du, dy = u1 - u0, y1 - y0
    along = ((u - u0) * du + (y - y0) * dy) / (du * du + dy * dy)
    along = min(1.0, max(0.0, along))
    eu, ey = u - u0 - along * du, y - y0 - along * dy
    return eu * eu + ey * ey < radius * radius


@vectorised
def inside_person(u: float, y: float, height: float, stride: float) -> bool:
    """Return whether a point is on a walker whose legs swing with ``stride`` (a phase in rad)."""
    k = 1.76 / height
    u, y = u * k, y * k
    if u * u + (y - 1.62) ** 2 < 0.0169:
        return True
    if near_segment(u, y, 0.0, 0.95, 0.0, 1.34, 0.17):
        return True
    swing = 0.34 * math.sin(stride)
    if near_segment(u, y, 0.16, 1.38, 0.16 - 0.7 * swing, 0.85, 0.055):
        return True
    if near_segment(u, y, -0.16, 1.38, -0.16 + 0.7 * swing, 0.85, 0.055):
        return True
    return near_segment(u, y, 0.06, 0.9, 0.06 + swing, 0.05, 0.085) or near_segment(
        u, y, -0.06, 0.9, -0.06 - swing, 0.05, 0.085
    )


@vectorised
def inside_rider(u: float, y: float, stride: float) -> bool:
    """Return whether a point is on somebody who sits on a bicycle and pedals."""
    if (u - 0.12) ** 2 + (y - 1.7) ** 2 < 0.018:
        return True
    if near_segment(u, y, -0.1, 0.95, 0.08, 1.45, 0.16):
        return True
    if near_segment(u, y, 0.08, 1.4, 0.42, 1.08, 0.055):
        return True
    foot_u, foot_y = 0.05 + 0.17 * math.cos(stride), 0.3 + 0.17 * math.sin(stride)
    knee_u, knee_y = 0.2 + 0.5 * foot_u, 0.55 + 0.5 * foot_y
    return near_segment(u, y, -0.1, 0.95, knee_u, knee_y, 0.085) or near_segment(
        u, y, knee_u, knee_y, foot_u, foot_y, 0.065
    )


@vectorised
def inside_bicycle(u: float, y: float) -> bool:
    """Return whether a point is on the rims, the frame or the handlebar."""
    v = abs(u) - 0.52
    r = math.sqrt(v * v + (y - 0.34) ** 2)
    if 0.27 < r < 0.35:
        return True
    return (
        near_segment(u, y, -0.52, 0.34, -0.1, 0.85, 0.035)
        or near_segment(u, y, -0.1, 0.85, 0.42, 0.8, 0.035)
        or near_segment(u, y, 0.02, 0.3, 0.42, 0.8, 0.035)
        or near_segment(u, y, 0.02, 0.3, -0.52, 0.34, 0.03)
        or near_segment(u, y, 0.52, 0.34, 0.4, 1.05, 0.035)
        or near_segment(u, y, -0.2, 0.93, 0.0, 0.93, 0.04)
    )


@vectorised
def inside_motorcycle(u: float, y: float) -> bool:
    """Return whether a point is on the wheels or the body."""
    v = abs(u) - 0.68
    if v * v + (y - 0.32) ** 2 < 0.1024:
        return True
    return (
        near_segment(u, y, -0.55, 0.72, 0.1, 0.75, 0.15)
        or near_segment(u, y, -0.2, 0.45, 0.35, 0.5, 0.2)
        or near_segment(u, y, 0.68, 0.32, 0.4, 1.05, 0.06)
    )


@vectorised
def inside_tree(u: float, y: float, width: float, height: float, seed: int) -> bool:
    """Return whether a point is on the trunk or in the ragged crown."""
    if abs(u) < 0.16 and y < 0.6 * height:
        return True
    a, b = 0.5 * width, 0.34 * height
    du, dy = u / a, (y - 0.64 * height) / b
    r = du * du + dy * dy
    if r > 1.0:
        return False
    return r < 0.5 or r < 0.45 + 0.75 * value_noise(1.7 * u, 1.7 * y, seed)


@vectorised
def inside_bare_tree(u: float, y: float, width: float, height: float, seed: int) -> bool:
    """Return whether a point is on the trunk or a branch of a tree without leaves."""
    if abs(u) < 0.16 - 0.11 * y / height:
        return True
    # Branches leave the trunk on either side in turn and grow shorter toward the top.
    for k in range(9):
        foot = height * (0.28 + 0.075 * k)
        reach = 0.5 * width * (1.0 - 0.08 * k) * (0.6 + 0.4 * lattice(k, 1, seed))
        side = 1.0 if (k + seed) % 2 == 0 else -1.0
        if side * u < -0.1 or abs(u) > reach:
            continue
        rise = reach * (0.5 + 0.9 * lattice(k, 2, seed))
        top = min(height, foot + rise)
        if near_segment(u, y, 0.0, foot, side * reach, top, 0.045):
            return True
        half = foot + 0.5 * (top - foot)
        if near_segment(u, y, side * 0.5 * reach, half, side * 0.75 * reach, half + reach, 0.025):
            return True
    return False


@vectorised
def inside_railing(along: float, y: float, height: float) -> bool:
    """Return whether a point of a railing is on a post or one of its three rails."""
    if abs(along - 2.0 * math.floor(0.5 * along + 0.5)) < 0.045:
        return True
    share = y / height
    return share > 0.93 or 0.55 < share < 0.61 or 0.2 < share < 0.26


@vectorised
def inside(
    shape: int, u: float, y: float, width: float, height: float, stride: float, seed: int
) -> bool:
    """Return whether a point of the rectangle belongs to the shape."""
    if shape == PERSON:
        return inside_person(u, y, height, stride)
    if shape == RIDER:
        return inside_rider(u, y, stride)
    if shape == BICYCLE:
        return inside_bicycle(u, y)
    if shape == MOTORCYCLE:
        return inside_motorcycle(u, y)
    if shape == TREE:
        return inside_tree(u, y, width, height, seed)
    if shape == BARE:
        return inside_bare_tree(u, y, width, height, seed)
    if shape == POLE:
        # A lamp post is widest at its foot and carries an arm over the road.
        radius = 0.04 if width < 1.0 else 0.11 if y < 1.0 else 0.07
        return abs(u) < radius or (width > 1.0 and y > height - 0.16)
    if shape == LIGHT:
        return abs(u) < 0.2
    # A sign: round, triangular or square, by its seed.
    middle = height - 0.375
    if seed % 3 == 0:
        return u * u + (y - middle) ** 2 < 0.14
    if seed % 3 == 1:
        return abs(u) < 0.42 * (height - y) / 0.75
    return abs(u) < 0.32
