"""Frames of DSEC in the view of the left event camera: the homography at infinity.

``H = K1 . R_rect1 . R(T_10) . R_rect0^T . inv(K0)`` brings a pixel of the rectified event camera 0
to the rectified RGB camera 1. The distance of the cameras is left out, so that near things lie off.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, MissingExtraError
from eventseg.images import read_picture
from eventseg.recordings.table.dsec import SENSOR
from eventseg.sources.leagues.listing import LeagueSample

if TYPE_CHECKING:
    import torch

FRAME_SIZE = (1080, 1440)
"""Height and width of the rectified frames."""

HELD = 16
"""Sequences whose sampling grids are kept."""


def dsec_frame(sample: LeagueSample, colour: bool) -> NDArray[np.uint8]:
    """Read the frame of a sample: as it is where it was warped before, else warped here.

    Raises
    ------
    DatasetError
        The picture or the calibration is damaged.
    MissingExtraError
        The package that reads the calibration is not installed.
    """
    assert sample.frame is not None
    picture = read_picture(sample.frame, colour=colour)
    if picture.shape[:2] != FRAME_SIZE or sample.calibration is None:
        return picture
    return sampled(picture, event_grid(sample.calibration))


@lru_cache(HELD)
def event_grid(calibration: Path) -> torch.Tensor:
    """Return where each pixel of the event view is in the frame, float32 (480, 640, 2).

    Places are scaled to -1 to 1 between the centres of the outer pixels.
    """
    import torch

    y, x = np.mgrid[0 : SENSOR.height, 0 : SENSOR.width].astype(np.float64)
    u, v, w = np.tensordot(homography(calibration), np.stack([x, y, np.ones_like(x)]), axes=1)
    height, width = FRAME_SIZE
    scaled = np.stack([2 * u / w / (width - 1) - 1, 2 * v / w / (height - 1) - 1], axis=-1)
    return torch.from_numpy(scaled.astype(np.float32))


def sampled(picture: NDArray[np.uint8], grid: torch.Tensor) -> NDArray[np.uint8]:
    """Return a picture sampled at the places of a grid, cubic, black outside; uint8."""
    import torch

    values = torch.from_numpy(picture.reshape(*picture.shape[:2], -1)).permute(2, 0, 1).float()
    found = torch.nn.functional.grid_sample(
        values[None], grid[None], mode="bicubic", padding_mode="zeros", align_corners=True
    )[0]
    bytes_ = found.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(bytes_[..., 0] if picture.ndim == 2 else bytes_)


def homography(calibration: Path) -> NDArray[np.float64]:
    """Return the homography from the rectified event view to the rectified frame, (3, 3).

    Raises
    ------
    DatasetError
        The file cannot be read, or lacks a matrix.
    MissingExtraError
        The package that reads it is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError(
            f"{calibration} needs the package pyyaml: install eventseg with the extra formats, or "
            "warp the frames to images/left/ev_inf before"
        ) from error
    try:
        table = yaml.safe_load(calibration.read_text(encoding="utf-8"))
        extrinsics = table["extrinsics"]
        event, frame = (_camera(table["intrinsics"][f"camRect{k}"]) for k in (0, 1))
        rotations = [_matrix(extrinsics[f"R_rect{k}"], 3) for k in (0, 1)]
        between = _matrix(extrinsics["T_10"], 4)[:3, :3]
        found: NDArray[np.float64] = (
            frame @ rotations[1] @ between @ rotations[0].T @ np.linalg.inv(event)
        )
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise DatasetError(f"cannot read {calibration}: {error}") from error
    except KeyError as error:
        raise DatasetError(f"{calibration} lacks {error}") from error
    except (TypeError, ValueError, np.linalg.LinAlgError) as error:
        raise DatasetError(f"{calibration} holds no calibration: {error}") from error
    if not np.isfinite(found).all():
        raise DatasetError(f"{calibration} holds numbers that are not finite")
    return found


def _camera(table: Any) -> NDArray[np.float64]:
    fx, fy, cx, cy = map(float, table["camera_matrix"])
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _matrix(values: Any, size: int) -> NDArray[np.float64]:
    found = np.array(values, np.float64)
    if found.shape != (size, size):
        raise ValueError(f"a matrix of shape {found.shape}, not {(size, size)}")
    return found
