"""Brightness of each hit: its texture under sun, lamps and haze.

Luminance is linear, in units where a sunlit white wall is about 250.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled
from eventseg.simulate.scene.camera import Pose
from eventseg.simulate.scene.classes import (
    BUILDING,
)
from eventseg.simulate.scene.textures import (
    shade_facade,
    shade_ground,
    shade_upright,
    shade_vehicle,
)
from eventseg.simulate.scene.things import (
    BOX,
    CABIN,
    RAIL,
    SHADOW,
)
from eventseg.simulate.scene.trace import BONNET, FAR, GABLE, GROUND, NEAR, OPEN
from eventseg.simulate.scene.world import BLOCK_M
from eventseg.simulate.sensor.noise import stripe, value_noise


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

WIRE_M, WIRE_SPAN_M, WIRE_SAG_M = 0.012, 20.0, 0.5
"""Radius of a wire, distance of the poles that it hangs on, and how far it sags between them."""


@compiled
def wire_cover(
    wires: int,
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
    s: float,
    foot: float,
) -> float:
    """Return the share of a pixel that overhead wires before its hit at depth ``s`` cover.

    ``foot`` is the size of a pixel at depth 1. The share is averaged over the pixel, so that wires
    thinner than a pixel do not flicker.
    """
    covered = 0.0
    for k in range(wires):
        x = (5.7 if k % 2 == 0 else -5.7) - px
        if x * dx <= 1e-9:
            continue
        at = x / dx
        if at >= s or at > 60.0:
            continue
        share = (pz + at * dz) / WIRE_SPAN_M
        share -= math.floor(share)
        y = 6.1 + 0.45 * (k // 2) - 4.0 * WIRE_SAG_M * share * (1.0 - share)
        # The wire runs away from the camera: within a pixel its height changes with the slant.
        wide = at * foot * math.sqrt(1.0 + (dy / dx) ** 2)
        covered += stripe(py + at * dy - y, wide, -WIRE_M, WIRE_M) * (1.0 - at / 60.0)
    return min(1.0, covered)


@compiled
def shade(
    pose: Pose,
    light: Light,
    style: Style,
    objects: NDArray[np.void],
    blocks: NDArray[np.void],
    first_block: int,
    t_s: float,
    centre_row: float,
    centre_col: float,
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    label: NDArray[np.uint8],
    known: NDArray[np.bool_],
    luminance: NDArray[np.float32],
) -> None:
    """Fill ``luminance`` for a grid of traced rays, but where it is already ``known``."""
    rotation, position, focal = pose.rotation, pose.position, pose.focal
    n_blocks = blocks.shape[1]
    for i in range(surface.shape[0]):
        b = (centre_row - i) / focal
        for j in range(surface.shape[1]):
            if known[i, j]:
                continue
            a = (j - centre_col) / focal
            dx = rotation[0, 0] * a + rotation[0, 1] * b + rotation[0, 2]
            dy = rotation[1, 0] * a + rotation[1, 1] * b + rotation[1, 2]
            dz = rotation[2, 0] * a + rotation[2, 1] * b + rotation[2, 2]
            hit = int(surface[i, j])
            s = float(depth[i, j])
            cover = 0.0
            if style.wires > 0 and dy > 0.0:
                cover = wire_cover(
                    style.wires, position[0], position[1], position[2], dx, dy, dz, s, 1.0 / focal
                )
            if hit == BONNET:
                # The sky's reflection; still, as it moves with the camera.
                shine = 0.15 * light.sky * math.exp(4.0 * (b - style.bonnet) - 2.0 * a * a)
                luminance[i, j] = style.tone * light.ambient + shine
                continue
            if hit == OPEN:
                value = light.sky * (0.9 - 0.25 * min(1.0, abs(dy)))
                if style.texture > 0.5:
                    # Clouds on a flat ceiling, seen at a slant.
                    high = 1.5 / (0.3 + abs(dy))
                    cloud = value_noise(high * dx, high * dz, 3) - 0.5
                    value = light.sky * (0.9 - 0.25 * min(1.0, abs(dy)) + 0.12 * cloud)
                if light.glare > 0.0:
                    du, dv = dx / dz - light.sun_x, dy / dz - light.sun_y
                    value += light.glare * math.exp(-(du * du + dv * dv) * 60.0)
                luminance[i, j] = value * (1.0 - 0.85 * cover)
                continue
            x, y, z = position[0] + s * dx, position[1] + s * dy, position[2] + s * dz
            foot = s / focal
            own = 0.0
            sun = light.ambient
            if hit == GROUND or (hit >= 0 and objects[hit].form == SHADOW):
                k = math.floor(z / BLOCK_M)
                crossing = False
                from_corner = 0.0
                if 0 <= k - first_block < n_blocks - 1:
                    crossing = blocks[0, k - first_block].near < 0
                    if blocks[0, k - first_block + 1].near < 0:
                        from_corner = z - k * BLOCK_M
                albedo = shade_ground(
                    x,
                    z,
                    int(label[i, j]),
                    foot,
                    foot * s / position[1],
                    crossing,
                    from_corner,
                    style.texture,
                )
                if hit >= 0:
                    thing = objects[hit]
                    albedo *= 0.3
            elif hit in (NEAR, FAR):
                side = 1 if x > 0.0 else 0
                k = math.floor(z / BLOCK_M) - first_block
                block = blocks[side, min(n_blocks - 1, max(0, k))]
                foot_z = foot * max(1.0, abs(dz) / (abs(dx) + 1e-9))
                albedo, own = shade_facade(
                    z,
                    y,
                    int(label[i, j]),
                    foot_z,
                    foot,
                    block,
                    light.glow,
                    style.texture,
                    style.leaves,
                )
                sun = light.right if side == 1 else light.left
            elif hit == GABLE:
                side = 1 if x > 0.0 else 0
                # A hair inside, to name the block the wall belongs to.
                k = math.floor((z + math.copysign(0.01, dz)) / BLOCK_M) - first_block
                block = blocks[side, min(n_blocks - 1, max(0, k))]
                foot_x = foot * max(1.0, abs(dx) / (abs(dz) + 1e-9))
                albedo, own = shade_facade(
                    x,
                    y,
                    BUILDING,
                    foot_x,
                    foot,
                    block,
                    light.glow,
                    style.texture,
                    style.leaves,
                )
                sun = 0.5 * (light.left + light.right)
            else:
                thing = objects[hit]
                u_x = x - thing.x - thing.vx * t_s
                u_z = z - thing.z - thing.vz * t_s
                if thing.form == RAIL:
                    albedo = thing.albedo
                    sun = 0.5 * (light.left + light.right)
                elif thing.form == BOX or thing.form == CABIN:
                    if y > thing.y1 - 1e-3:
                        albedo = thing.albedo
                    elif abs(u_x) > 0.5 * thing.width - 1e-3:
                        foot_z = foot * max(1.0, abs(dz) / (abs(dx) + 1e-9))
                        albedo, own = shade_vehicle(thing, u_z, y, False, foot_z, 0.0)
                        sun = light.right if dx > 0.0 else light.left
                    else:
                        albedo, own = shade_vehicle(thing, u_x, y, True, foot, -thing.phase)
                        sun = 0.5 * (light.left + light.right)
                else:
                    px, pz = thing.x + thing.vx * t_s - position[0], z - u_z - position[2]
                    u = (u_x * pz - u_z * px) / math.sqrt(px * px + pz * pz)
                    albedo, own = shade_upright(thing, u, y, foot, t_s, style.texture, style.leaves)
                    sun = 0.5 * (light.left + light.right)
            if light.headlamp > 0.0:
                cone = math.exp(-(a * a * 6.0 + (b + 0.05) ** 2 * 30.0))
                sun += light.headlamp * cone * 25.0 / (25.0 + s * s)
            if light.lamps > 0.0:
                # One lamp every 40 m, on both sides.
                from_lamp = z - 40.0 * math.floor(z / 40.0 + 0.5)
                sun += light.lamps * math.exp(-0.02 * (from_lamp * from_lamp + y * y))
            clear = 1.0 / (1.0 + s / light.haze)
            value = (albedo * sun + own) * clear + 0.85 * light.sky * (1.0 - clear)
            luminance[i, j] = max(0.0, value) * (1.0 - 0.85 * cover)
