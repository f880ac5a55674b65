"""Brightness of each hit: its texture under sun, lamps and haze.

Luminance is linear, in units where a sunlit white wall is about 250.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import vectorised
from eventseg.simulate.scene import blocks as table
from eventseg.simulate.scene.background import BONNET, GABLE, GROUND, OPEN
from eventseg.simulate.scene.batch import (
    ALBEDO,
    BATCH,
    COVER,
    DUTY,
    DX,
    DY,
    DZ,
    FIELD,
    FOOT,
    FOOT_U,
    HEIGHT,
    OWN,
    PITCH,
    ROWS,
    SEED,
    SUN,
    A,
    B,
    S,
    U,
    X,
    Y,
    Z,
)
from eventseg.simulate.scene.camera import Pose
from eventseg.simulate.scene.classes import BUILDING, FENCE, ROAD, SIDEWALK, WALL
from eventseg.simulate.scene.light import Light, Style
from eventseg.simulate.scene.surfaces import (
    shade_fence,
    shade_hedge,
    shade_plain,
    shade_road,
    shade_sidewalk,
    shade_terrain,
    shade_wall,
    shade_windows,
)
from eventseg.simulate.scene.textures import shade_upright, shade_vehicle
from eventseg.simulate.scene.things import BOX, CABIN, RAIL, SHADOW
from eventseg.simulate.scene.wires import cover
from eventseg.simulate.scene.world import BLOCK_M
from eventseg.simulate.sensor.noise import value_noise

(_SKY, _ROAD, _SIDEWALK, _TERRAIN, _PLAIN, _WINDOWS, _WALL, _FENCE, _HEDGE, _THING) = range(10)
"""Kinds of surfaces; rays of one kind are shaded together."""

_KINDS = 10


@vectorised
def shade(
    pose: Pose,
    light: Light,
    style: Style,
    objects: NDArray[np.void],
    blocks: NDArray[np.float64],
    first_block: int,
    t_s: float,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    label: NDArray[np.uint8],
    luminance: NDArray[np.float32],
) -> None:
    """Fill ``luminance`` of traced rays, which go ``a`` to the right and ``b`` up."""
    rotation, position = pose.rotation, pose.position
    r00, r01, r02 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
    r20, r21, r22 = rotation[2, 0], rotation[2, 1], rotation[2, 2]
    px, pz = position[0], position[2]
    n_blocks = blocks.shape[1] // 2
    # Less than a batch of a kind may wait while the next rays are told apart.
    rays = np.empty((_KINDS, 2 * BATCH), np.uint32)
    places = np.zeros((_KINDS, 2 * BATCH), np.uint32)
    waiting = np.zeros(_KINDS, np.int64)
    batch = np.zeros(ROWS * BATCH)
    for start in range(0, len(a), BATCH):
        stop = min(len(a), start + BATCH)
        for ray in range(start, stop):
            hit = np.int64(surface[ray])
            if hit == BONNET:
                # The sky's reflection; still, as it moves with the camera.
                shine = math.exp(4.0 * (b[ray] - style.bonnet) - 2.0 * a[ray] * a[ray])
                luminance[ray] = style.tone * light.ambient + 0.15 * light.sky * shine
                continue
            kind, place = _THING, 0
            if hit == OPEN:
                kind = _SKY
            elif hit == GROUND or (hit >= 0 and objects[hit].form == SHADOW):
                named = label[ray]
                kind = _ROAD if named == ROAD else _SIDEWALK if named == SIDEWALK else _TERRAIN
            elif hit < 0:
                s = np.float64(depth[ray])
                x = px + s * (r00 * a[ray] + r01 * b[ray] + r02)
                dz = r20 * a[ray] + r21 * b[ray] + r22
                z = pz + s * dz
                if hit == GABLE:
                    # A hair inside, to name the block the wall belongs to.
                    z += math.copysign(0.01, dz)
                place = int(np.floor(z / BLOCK_M)) - first_block
                place = min(n_blocks - 1, max(0, place)) + (n_blocks if x > 0.0 else 0)
                named = label[ray]
                if named == BUILDING:
                    kind = _WINDOWS if blocks[table.DUTY, place] > 0.0 else _PLAIN
                else:
                    kind = _WALL if named == WALL else _FENCE if named == FENCE else _HEDGE
            rays[kind, waiting[kind]], places[kind, waiting[kind]] = ray, place
            waiting[kind] += 1
        for kind in range(_KINDS):
            # A full batch, or what is left after the last ray.
            while waiting[kind] >= BATCH or (stop == len(a) and waiting[kind] > 0):
                chosen = slice(max(0, waiting[kind] - BATCH), waiting[kind])
                _shade_batch(
                    *(pose, light, style, objects, blocks, first_block, t_s, a, b, surface, depth),
                    *(luminance, kind, rays[kind, chosen], places[kind, chosen], batch),
                )
                waiting[kind] = chosen.start


@vectorised
def _shade_batch(
    pose: Pose,
    light: Light,
    style: Style,
    objects: NDArray[np.void],
    blocks: NDArray[np.float64],
    first_block: int,
    t_s: float,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    surface: NDArray[np.int16],
    depth: NDArray[np.float32],
    luminance: NDArray[np.float32],
    kind: int,
    rays: NDArray[np.uint32],
    places: NDArray[np.uint32],
    batch: NDArray[np.float64],
) -> None:
    """Fill ``luminance`` of the chosen rays, which hit surfaces of one kind."""
    count, height = len(rays), pose.position[1]
    for n in range(np.uint64(count)):
        batch[n + A] = a[rays[n]]
    for n in range(np.uint64(count)):
        batch[n + B] = b[rays[n]]
    for n in range(np.uint64(count)):
        batch[n + S] = np.float64(depth[rays[n]])
    _meet(pose, batch, count)
    if style.wires > 0 and not _ROAD <= kind <= _TERRAIN:
        cover(style.wires, pose, batch, count)
    else:
        for n in range(np.uint64(count)):
            batch[n + COVER] = 0.0
    if kind == _SKY:
        _shade_sky(light, style.texture, batch, count)
        for n in range(np.uint64(count)):
            luminance[rays[n]] = batch[n + ALBEDO] * (1.0 - 0.85 * batch[n + COVER])
        return
    if kind == _THING:
        _shade_things(pose, light, style, objects, t_s, surface, rays, batch)
    elif kind <= _TERRAIN:
        if kind == _ROAD:
            shade_road(batch, count, blocks, first_block, height, style.texture)
        elif kind == _SIDEWALK:
            shade_sidewalk(batch, count, height, style.texture)
        else:
            shade_terrain(batch, count, height, style.texture)
        for n in range(np.uint64(count)):
            batch[n + OWN] = 0.0
            batch[n + SUN] = light.ambient
            if surface[rays[n]] >= 0:
                batch[n + ALBEDO] *= 0.3
    else:
        _place_on_facade(light, blocks, surface, rays, places, batch)
        if kind != _WINDOWS:
            for n in range(np.uint64(count)):
                batch[n + OWN] = 0.0
        if kind == _WINDOWS:
            shade_windows(batch, count, light.glow, style.texture)
        elif kind == _PLAIN:
            shade_plain(batch, count, style.texture)
        elif kind == _WALL:
            shade_wall(batch, count, style.texture)
        elif kind == _FENCE:
            shade_fence(batch, count)
        else:
            shade_hedge(batch, count, style.leaves)
    _add_lamps(light, batch, count)
    haze, sky = light.haze, light.sky
    for n in range(np.uint64(count)):
        clear = 1.0 / (1.0 + batch[n + S] / haze)
        value = (batch[n + ALBEDO] * batch[n + SUN] + batch[n + OWN]) * clear
        value += 0.85 * sky * (1.0 - clear)
        batch[n + ALBEDO] = max(0.0, value) * (1.0 - 0.85 * batch[n + COVER])
    for n in range(np.uint64(count)):
        luminance[rays[n]] = batch[n + ALBEDO]


@vectorised
def _meet(pose: Pose, batch: NDArray[np.float64], count: int) -> None:
    """Fill direction, place and size of a pixel there."""
    rotation, position, focal = pose.rotation, pose.position, pose.focal
    r00, r01, r02 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
    r10, r11, r12 = rotation[1, 0], rotation[1, 1], rotation[1, 2]
    r20, r21, r22 = rotation[2, 0], rotation[2, 1], rotation[2, 2]
    px, py, pz = position[0], position[1], position[2]
    for n in range(np.uint64(count)):
        a, b, s = batch[n + A], batch[n + B], batch[n + S]
        dx = r00 * a + r01 * b + r02
        dy = r10 * a + r11 * b + r12
        dz = r20 * a + r21 * b + r22
        batch[n + DX], batch[n + DY], batch[n + DZ] = dx, dy, dz
        batch[n + X], batch[n + Y], batch[n + Z] = px + s * dx, py + s * dy, pz + s * dz
        batch[n + FOOT] = s / focal


@vectorised
def _shade_sky(light: Light, texture: float, batch: NDArray[np.float64], count: int) -> None:
    """Fill the brightness of the sky, into the row of the albedo."""
    sky = light.sky
    if texture > 0.5:
        for n in range(np.uint64(count)):
            up = abs(batch[n + DY])
            # Clouds on a flat ceiling, seen at a slant.
            high = 1.5 / (0.3 + up)
            cloud = value_noise(high * batch[n + DX], high * batch[n + DZ], 3) - 0.5
            batch[n + ALBEDO] = sky * (0.9 - 0.25 * min(1.0, up) + 0.12 * cloud)
    else:
        for n in range(np.uint64(count)):
            batch[n + ALBEDO] = sky * (0.9 - 0.25 * min(1.0, abs(batch[n + DY])))
    if light.glare > 0.0:
        for n in range(np.uint64(count)):
            du = batch[n + DX] / batch[n + DZ] - light.sun_x
            dv = batch[n + DY] / batch[n + DZ] - light.sun_y
            batch[n + ALBEDO] += light.glare * math.exp(-(du * du + dv * dv) * 60.0)


@vectorised
def _place_on_facade(
    light: Light,
    blocks: NDArray[np.float64],
    surface: NDArray[np.int16],
    rays: NDArray[np.uint32],
    places: NDArray[np.uint32],
    batch: NDArray[np.float64],
) -> None:
    """Fill the block of each hit, the place along its facade, and the light that falls on it."""
    between = 0.5 * (light.left + light.right)
    left, right = light.left, light.right
    for n in range(np.uint64(len(rays))):
        x, dx, dz = batch[n + X], batch[n + DX], batch[n + DZ]
        gable = surface[rays[n]] == GABLE
        across = abs(dx) if gable else abs(dz)
        along = abs(dz) if gable else abs(dx)
        batch[n + U] = x if gable else batch[n + Z]
        batch[n + FOOT_U] = batch[n + FOOT] * max(1.0, across / (along + 1e-9))
        batch[n + SUN] = between if gable else right if x > 0.0 else left
    for n in range(np.uint64(len(rays))):
        batch[n + FIELD] = blocks[table.ALBEDO, places[n]]
        batch[n + HEIGHT] = blocks[table.HEIGHT, places[n]]
        batch[n + PITCH] = blocks[table.PITCH, places[n]]
        batch[n + DUTY] = blocks[table.DUTY, places[n]]
        batch[n + SEED] = blocks[table.SEED, places[n]]


@vectorised
def _shade_things(
    pose: Pose,
    light: Light,
    style: Style,
    objects: NDArray[np.void],
    t_s: float,
    surface: NDArray[np.int16],
    rays: NDArray[np.uint32],
    batch: NDArray[np.float64],
) -> None:
    """Fill albedo, own light and the light that falls on hits of objects."""
    position = pose.position
    for n in range(np.uint64(len(rays))):
        thing = objects[surface[rays[n]]]
        dx, dz = batch[n + DX], batch[n + DZ]
        x, y, z, foot = batch[n + X], batch[n + Y], batch[n + Z], batch[n + FOOT]
        u_x = x - thing.x - thing.vx * t_s
        u_z = z - thing.z - thing.vz * t_s
        albedo, own = thing.albedo, 0.0
        sun = 0.5 * (light.left + light.right)
        if thing.form == RAIL:
            pass
        elif thing.form == BOX or thing.form == CABIN:
            if y > thing.y1 - 1e-3:
                sun = light.ambient
            elif abs(u_x) > 0.5 * thing.width - 1e-3:
                foot_z = foot * max(1.0, abs(dz) / (abs(dx) + 1e-9))
                albedo, own = shade_vehicle(thing, u_z, y, False, foot_z, 0.0)
                sun = light.right if dx > 0.0 else light.left
            else:
                albedo, own = shade_vehicle(thing, u_x, y, True, foot, -thing.phase)
        else:
            px, pz = thing.x + thing.vx * t_s - position[0], z - u_z - position[2]
            u = (u_x * pz - u_z * px) / math.sqrt(px * px + pz * pz)
            albedo, own = shade_upright(thing, u, y, foot, t_s, style.texture, style.leaves)
        batch[n + ALBEDO], batch[n + OWN], batch[n + SUN] = albedo, own, sun


@vectorised
def _add_lamps(light: Light, batch: NDArray[np.float64], count: int) -> None:
    """Add head lamps and street lamps to the light that falls on the hits."""
    if light.headlamp > 0.0:
        for n in range(np.uint64(count)):
            a, b = batch[n + A], batch[n + B]
            cone = math.exp(-(a * a * 6.0 + (b + 0.05) * (b + 0.05) * 30.0))
            # Squared in single precision, as the depth is stored.
            s = np.float32(batch[n + S])
            batch[n + SUN] += light.headlamp * cone * 25.0 / (25.0 + s * s)
    if light.lamps > 0.0:
        # One lamp every 40 m, on both sides.
        for n in range(np.uint64(count)):
            y, z = batch[n + Y], batch[n + Z]
            from_lamp = z - 40.0 * np.floor(z / 40.0 + 0.5)
            batch[n + SUN] += light.lamps * math.exp(-0.02 * (from_lamp * from_lamp + y * y))
