"""One image with depth as a shot: its scene at the sensor's resolution, and the drive."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates, median_filter

from eventseg.events import SensorSize
from eventseg.simulate.depth_files import DepthCamera
from eventseg.simulate.depth_film import FAR_M, DepthFilm, DepthScene
from eventseg.simulate.image_film import low_passed
from eventseg.simulate.scene.camera import CameraPath, mounted

DEPTH_VERSION = 2
"""Version of the motion of instances that new recipes have; 1 knows names of Cityscapes alone."""

VEHICLES = {1: frozenset({"car", "truck", "bus", "train", "motorcycle"})}
VEHICLES[2] = VEHICLES[1] | {"caravan", "trailer", "vehicle", "four wheels"}
"""Names of vehicles in the class tables of the package, by version."""

WALKERS = {1: frozenset({"person"}), 2: frozenset({"person", "pedestrian", "human"})}
"""Names of people in the class tables of the package, by version."""

NEAREST_M = 0.8
MARGIN = 0.07
"""Share of the picture that is left on each side, for what comes into view, at strength 1."""

VIBRATION_RAD = math.radians(0.15)


def grid_of(
    size: tuple[int, int], sensor: SensorSize, *, strength: float
) -> tuple[float, int, int]:
    """Return picture pixels per sensor pixel, and rows and columns of a picture at that scale.

    Rows and columns are even or odd as those of the sensor are, so that pixels meet pixels.
    """
    height, width = size
    scale = (1.0 - 2.0 * MARGIN * strength) * min(width / sensor.width, height / sensor.height)
    rows, columns = (
        have + 2 * math.floor((whole / scale - have) / 2)
        for have, whole in ((sensor.height, height), (sensor.width, width))
    )
    return scale, rows, columns


def at_sensor(
    gray: NDArray[np.float32],
    label: NDArray[np.uint8],
    depth: NDArray[np.float32],
    instance: NDArray[np.int32],
    sensor: SensorSize,
    *,
    strength: float,
    sky: int | None,
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32], NDArray[np.int32]]:
    """Return a picture and its maps at the sensor's resolution, depth known everywhere.

    Pixels without depth take that of the nearest pixel of their class; the sky is far away.

    Parameters
    ----------
    gray, label, depth, instance : (h, w)
    sensor : SensorSize
    strength : float
        As in :func:`grid_of`.
    sky : int, optional
        Class of the sky.
    """
    scale, rows, columns = grid_of(gray.shape, sensor, strength=strength)
    height, width = gray.shape
    r = (np.arange(rows) - 0.5 * (rows - 1)) * scale + 0.5 * (height - 1)
    c = (np.arange(columns) - 0.5 * (columns - 1)) * scale + 0.5 * (width - 1)
    nearest = np.ix_(
        np.clip(np.rint(r).astype(int), 0, height - 1),
        np.clip(np.rint(c).astype(int), 0, width - 1),
    )
    smooth = low_passed(gray, scale=scale)
    light = map_coordinates(smooth, np.meshgrid(r, c, indexing="ij"), order=1, mode="nearest")
    labels, ids = label[nearest], instance[nearest]
    known = np.minimum(_filled(depth[nearest], labels), FAR_M)
    # Single pixels of a disparity are often wrong, and each would flicker.
    known = median_filter(known, 3, mode="nearest")
    if sky is not None:
        known[labels == sky] = FAR_M
    return (
        light.astype(np.float32),
        labels,
        np.maximum(known, NEAREST_M).astype(np.float32),
        ids,
    )


def film_of_shot(
    recipe: dict[str, Any],
    shot: int,
    luminance: NDArray[np.float32] | None,
    label: NDArray[np.uint8],
    depth: NDArray[np.float32],
    instance: NDArray[np.int32],
    *,
    classes: tuple[str, ...],
    sensor: SensorSize,
) -> DepthFilm:
    """Return the film of one shot from maps at the sensor's resolution.

    Parameters
    ----------
    recipe : dict
        Recipe of the recording. Speed where the folder does not say, vibration and the motion of
        instances follow from its seed and the shot; its strength multiplies speed, turn and
        vibration.
    shot : int
    luminance, label, depth, instance
        As :func:`at_sensor` returns them; without luminance the film only has its truth.
    classes : tuple of str
        Names of the labels.
    sensor : SensorSize
    """
    seed, strength, shot_us = (recipe[name] for name in ("seed", "strength", "shot_us"))
    t0_us, picture = shot * shot_us, tuple(recipe["depth"]["pictures"][shot])
    reference_us = t0_us + shot_us - recipe["depth"]["before_end_us"]
    camera = recipe["depth"]["cameras"][shot]
    lens = DepthCamera(**camera)
    scale, rows, columns = grid_of(picture, sensor, strength=strength)
    rng = np.random.default_rng([seed, 12, shot])
    drawn = float(rng.uniform(4.0, 12.0)), float(rng.uniform(-0.1, 0.1))
    speed = strength * (drawn[0] if lens.speed is None else lens.speed)
    yaw_rate = strength * (drawn[1] if lens.yaw_rate is None else lens.yaw_rate)
    version = recipe["depth"].get("version", 1)
    indices, velocity = velocities_of(instance, label, classes, rng, speed=speed, version=version)
    scene = DepthScene(
        luminance,
        label,
        depth,
        indices,
        velocity,
        lens.focal / scale,
        (lens.row - 0.5 * (picture[0] - 1)) / scale + 0.5 * (rows - 1),
        (lens.column - 0.5 * (picture[1] - 1)) / scale + 0.5 * (columns - 1),
        (rows - sensor.height) // 2,
        (columns - sensor.width) // 2,
    )
    # A slow sine through zero is as good as straight over a shot; to the right is positive.
    slow = 0.3
    start = slow * 1e-6 * (reference_us - t0_us)
    path = CameraPath(
        focal=scene.focal,
        speed=speed,
        lane_x=0.0,
        height=0.0,
        yaw=((-yaw_rate / slow, slow, -start),),
    )
    path = mounted(
        path, seed * 100_003 + shot, height=0.0, tilt=0.0, vibration=strength * VIBRATION_RAD
    )
    return DepthFilm(scene, path, sensor, t0_us=t0_us, reference_us=reference_us)


def _filled(depth: NDArray[np.float32], label: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return depth with unknown pixels filled by the nearest of their class, or of any."""
    filled = depth.copy()
    for kind in np.unique(label[np.isnan(depth)]):
        known = (label == kind) & ~np.isnan(depth)
        if known.any():
            missing = (label == kind) & np.isnan(depth)
            filled[missing] = depth[_nearest_of(known)][missing]
    rest = np.isnan(filled)
    if rest.any():
        if rest.all():
            return np.full_like(filled, FAR_M)
        filled[rest] = filled[_nearest_of(~rest)][rest]
    return filled


def _nearest_of(known: NDArray[np.bool_]) -> tuple[NDArray[np.int64], ...]:
    """Return the indices of the nearest known pixel of each pixel."""
    return tuple(distance_transform_edt(~known, return_distances=False, return_indices=True))


def velocities_of(
    ids: NDArray[np.int32],
    label: NDArray[np.uint8],
    classes: tuple[str, ...],
    rng: np.random.Generator,
    *,
    speed: float,
    version: int,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the row of each pixel in a table of velocities, and the table.

    A third of the vehicles is parked, a third keeps about the camera's speed, a third comes toward
    it. People walk across; riders and instances of other classes go along the street either way.

    Parameters
    ----------
    ids : int32 (h, w)
        Number of the instance of each pixel, 0 where nothing moves on its own.
    label : uint8 (h, w)
    classes : tuple of str
    rng : numpy.random.Generator
    speed : float
        Speed of the camera in m/s.
    version : int
        1 or 2: which names of classes are known, as the recipe says.
    """
    velocity = [np.zeros(3)]
    rows = np.zeros(ids.shape, np.int32)
    for number in np.unique(ids[ids > 0]).tolist():
        of = ids == number
        kind = int(np.bincount(label[of]).argmax())
        name = classes[kind] if kind < len(classes) else ""
        chance, share = float(rng.random()), float(rng.random())
        if name in WALKERS[version]:
            moved = np.array([math.copysign(0.8 + 0.8 * share, chance - 0.5), 0.0, 0.0])
        elif name in VEHICLES[version] or name.startswith("class "):
            along = 0.0 if chance < 1 / 3 else (0.7 + 0.5 * share) * speed
            moved = np.array([0.0, 0.0, along if chance < 2 / 3 else -4.0 - 8.0 * share])
        else:
            moved = np.array([0.0, 0.0, math.copysign(2.5 + 3.5 * share, chance - 0.5)])
        rows[of] = len(velocity)
        velocity.append(moved)
    return rows, np.array(velocity)
