"""Depth, camera, ego-motion and instances of an image, where its folder has them.

Files are those of Cityscapes: ``disparity`` (16-bit PNG, ``(value - 1) / 256`` pixels, 0 where it
is unknown), ``camera`` (JSON with ``intrinsic`` fx, u0, v0 and ``extrinsic`` baseline) and
``vehicle`` (JSON with ``speed`` in m/s and ``yawRate`` in rad/s). The layouts ``own`` and ``pairs``
have them as ``disparity/NAME.png``, ``camera/NAME.json`` or one ``camera.json``,
``vehicle/NAME.json`` and ``instances/NAME.png``, where NAME is that of the picture in ``images``.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.images import read_wide_image
from eventseg.labels.image_folders import Item
from eventseg.labels.own_folders import IMAGES
from eventseg.simulate.scene.scenarios import SimulationError

ENDING = "_leftImg8bit"


@dataclass(frozen=True)
class DepthFiles:
    """Files beside one image; None where there is none."""

    disparity: Path
    camera: Path
    vehicle: Path | None
    instances: Path | None


@dataclass(frozen=True)
class DepthCamera:
    """Camera and drive of one image.

    Parameters
    ----------
    focal : float
        Pixels of the picture.
    column, row : float
        Principal point.
    baseline : float
        Metres between both cameras.
    speed, yaw_rate : float or None
        In m/s, and rad/s to the left; None where the folder does not say.
    """

    focal: float
    column: float
    row: float
    baseline: float
    speed: float | None
    yaw_rate: float | None

    def table(self) -> dict[str, float | None]:
        """Return all values by name."""
        return asdict(self)


def depth_files(item: Item, layout: str, *, root: Path) -> DepthFiles:
    """Return the files beside an image.

    Parameters
    ----------
    item : Item
    layout : str
        One of :data:`eventseg.simulate.image_layouts.LAYOUTS`.
    root : Path
        Folder that the image was found in.

    Raises
    ------
    SimulationError
        The layout has no depth, or the disparity or the camera is missing.
    """
    if item.image is None:
        raise SimulationError(f"{item.labels} has no picture: give a folder with pictures")
    if layout == "cityscapes":
        split, city = item.image.parts[-3:-1]
        name = item.image.stem.removesuffix(ENDING)
        place = Path(split) / city
        disparity = root / "disparity" / place / f"{name}_disparity.png"
        camera = root / "camera" / place / f"{name}_camera.json"
        vehicle = root / "vehicle" / place / f"{name}_vehicle.json"
        instances = item.instances
    elif layout in ("own", "pairs"):
        name = item.image.relative_to(root / IMAGES).with_suffix("").as_posix()
        disparity = root / "disparity" / f"{name}.png"
        camera = root / "camera" / f"{name}.json"
        if not camera.is_file():
            camera = root / "camera.json"
        vehicle, instances = root / "vehicle" / f"{name}.json", root / "instances" / f"{name}.png"
    else:
        raise SimulationError(
            f"layout {layout!r} has no depth: choose own, cityscapes or pairs, or leave out depth"
        )
    for kind, path in (("disparity", disparity), ("camera", camera)):
        if not path.is_file():
            raise SimulationError(
                f"{item.image.name} has no {kind}, {path} is missing: add it, or leave out depth"
            )
    return DepthFiles(
        disparity,
        camera,
        vehicle if vehicle.is_file() else None,
        instances if instances is not None and instances.is_file() else None,
    )


def read_camera(files: DepthFiles) -> DepthCamera:
    """Read camera and drive of an image.

    Raises
    ------
    SimulationError
        A file is no JSON of this kind, or has values that cannot be.
    """
    camera = _json(files.camera)
    found = {
        "focal": _number(camera, files.camera, "intrinsic", "fx"),
        "column": _number(camera, files.camera, "intrinsic", "u0"),
        "row": _number(camera, files.camera, "intrinsic", "v0"),
        "baseline": _number(camera, files.camera, "extrinsic", "baseline"),
    }
    for name in ("focal", "baseline"):
        if not found[name] > 0.0:
            raise SimulationError(f"{files.camera}: {name} {found[name]} must be above 0")
    speed = yaw_rate = None
    if files.vehicle is not None:
        vehicle = _json(files.vehicle)
        speed = _number(vehicle, files.vehicle, "speed")
        yaw_rate = _number(vehicle, files.vehicle, "yawRate")
        if abs(speed) > 80.0 or abs(yaw_rate) > 3.0:
            raise SimulationError(
                f"{files.vehicle}: a speed of {speed} m/s and a yaw rate of {yaw_rate} rad/s are "
                "out of range: at most 80 and 3"
            )
    return DepthCamera(**found, speed=speed, yaw_rate=yaw_rate)


def read_depth(
    files: DepthFiles, camera: DepthCamera, *, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Read depth in metres, float32 (h, w), nan where unknown, and instance ids, int32 (h, w).

    Ids of things that move are above 0; those of Cityscapes begin at 1000, smaller values there are
    classes and become 0.

    Raises
    ------
    SimulationError
        A map cannot be read or is of another size than the picture.
    """
    values = _map(files.disparity, size)
    disparity = (values - 1) / 256.0
    depth = np.full(size, np.nan, np.float32)
    known = disparity > 0.0
    depth[known] = camera.baseline * camera.focal / disparity[known]
    if not known.any():
        raise SimulationError(f"{files.disparity} has no disparity in any pixel: leave out depth")
    if files.instances is None:
        return depth, np.zeros(size, np.int32)
    ids = _map(files.instances, size)
    if files.instances.name.endswith("_instanceIds.png"):
        ids = np.where(ids >= 1000, ids, 0)
    return depth, ids.astype(np.int32)


def _map(path: Path, size: tuple[int, int]) -> NDArray[np.int32]:
    try:
        values = read_wide_image(path)
    except DatasetError as error:
        raise SimulationError(str(error)) from error
    if values.shape != size:
        raise SimulationError(
            f"{path} is {values.shape[1]}x{values.shape[0]} but its picture is "
            f"{size[1]}x{size[0]}: both must have one size"
        )
    return values


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SimulationError(f"cannot read {path}: {error}") from error


def _number(table: Any, path: Path, *keys: str) -> float:
    """Return a finite number of a nested table."""
    value = table
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise SimulationError(f"{path} has no number {'.'.join(keys)}")
    return float(value)
