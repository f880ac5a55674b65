"""Light sources and look of a street as numbers."""

from __future__ import annotations

import math
from typing import NamedTuple


class Light(NamedTuple):
    """Light sources, all as luminance of a white surface.

    ambient : on the ground; left, right : on facades and sides; sky : of the sky near the zenith.
    headlamp : of the camera's car at 5 m; lamps : under a street lamp; glow : of lit windows.
    glare : of a low sun ahead; sun_x, sun_y : its direction as tangents right of Z and up.
    haze : distance in metres over which contrast falls to a half.
    """

    ambient: float
    left: float
    right: float
    sky: float
    headlamp: float
    lamps: float
    glow: float
    glare: float
    sun_x: float
    sun_y: float
    haze: float


class Style(NamedTuple):
    """Look of a street apart from its light.

    texture : strength of weak texture on the ground, on walls, clothes and the sky; 1 in version 1.
    leaves : strength of the texture of leaves.
    wires : number of overhead wires; 0 to 4.
    bonnet : tangent of the angle above the axis where the camera's bonnet begins; -inf for none.
    tone : albedo of the bonnet.
    """

    texture: float
    leaves: float
    wires: int
    bonnet: float
    tone: float


TEXTURED = Style(1.0, 1.0, 0, -math.inf, 0.0)
"""The look of version 1: texture everywhere, no wires, no bonnet."""
