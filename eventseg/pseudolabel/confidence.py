"""Filters of label maps: doubtful pixels become 255, the ignore label."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.images import read_picture
from eventseg.labels.maps import IGNORED

Image = NDArray[np.uint8]
Levels = NDArray[np.int64]

NEIGHBOUR_US = 100_000
"""Frames further apart are not asked about each other: too much has moved."""


@dataclass(frozen=True, slots=True)
class LabelFilters:
    """Filters that a label must pass; each is off at its default.

    Parameters
    ----------
    threshold : float
        Least confidence of a label, 0 to 1.
    quantile : float
        Share, 0 to below 1, of the pixels of each class to ignore, the least confident first, so
        that rare classes, of which networks are less sure, remain: the class-balanced
        choice of Zou et al. 2018 (CBST), over all frames of the set.
    agreement : float
        Least share of scales and flips that must give the label, 0 to 1.
    temporal : int, optional
        Largest distance in pixels at which the frames before and after, of those at most 100 ms
        away, must have the label too: 0 asks for the very same pixel; by default they are not
        asked. Nothing is warped: the distance stands for what moves meanwhile.
    ego : EgoMask, optional
        Pixels of the ego vehicle to ignore: rows such as 0:20, or where a PNG is not 0.

    Raises
    ------
    LabelError
        A value out of its range.
    """

    threshold: float = 0.0
    quantile: float = 0.0
    agreement: float = 0.0
    temporal: int | None = None
    ego: EgoMask | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "agreement"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise LabelError(f"{name} must be 0 to 1, got {getattr(self, name)}")
        if not 0.0 <= self.quantile < 1.0:
            raise LabelError(f"quantile must be at least 0 and below 1, got {self.quantile}")
        if self.temporal is not None and not 0 <= self.temporal <= 64:
            raise LabelError(f"temporal must be 0 to 64 pixels, got {self.temporal}")

    def to_dict(self) -> dict[str, Any]:
        """Return the filters as TOML holds them; those that are off are left out."""
        return {
            "threshold": self.threshold,
            "quantile": self.quantile,
            "agreement": self.agreement,
            **({} if self.temporal is None else {"temporal_px": self.temporal}),
            **({} if self.ego is None else {"ego": self.ego.spec}),
        }

    @classmethod
    def from_dict(cls, table: Mapping[str, Any], *, ego: Image | None = None) -> Self:
        """Return the filters that TOML holds; KeyError or ValueError where it lacks.

        Parameters
        ----------
        table : mapping
            As :meth:`to_dict` gives.
        ego : uint8 (H, W), optional
            Picture of the ego mask, where that is no range of rows.
        """
        spec, temporal = table.get("ego"), table.get("temporal_px")
        mask = None if spec is None else _known_ego(str(spec), ego)
        return cls(
            float(table["threshold"]),
            float(table["quantile"]),
            float(table["agreement"]),
            None if temporal is None else int(temporal),
            mask,
        )


@dataclass(frozen=True, eq=False, slots=True)
class EgoMask:
    """Pixels of the ego vehicle: a range of rows, or a picture that is not 0 there.

    Parameters
    ----------
    spec : str
        Entry in the manifest: the rows, or the digest of the mask.
    rows : (int, int), optional
        Rows ``[row0, row1)``.
    mask : bool (H, W), optional
        Its pixels.
    """

    spec: str
    rows: tuple[int, int] | None = None
    mask: NDArray[np.bool_] | None = None

    def of_shape(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the pixels to ignore in a frame, bool (H, W).

        Raises
        ------
        LabelError
            It does not fit frames of this size.
        """
        if self.mask is not None:
            if self.mask.shape != shape:
                raise LabelError(
                    f"ego mask {self.spec} is {self.mask.shape[1]}x{self.mask.shape[0]}, frames "
                    f"are {shape[1]}x{shape[0]}"
                )
            return self.mask
        assert self.rows is not None
        row0, row1 = self.rows
        if not 0 <= row0 < row1 <= shape[0]:
            raise LabelError(f"ego rows {row0}:{row1} are not within 0:{shape[0]}")
        found = np.zeros(shape, bool)
        found[row0:row1] = True
        return found


def parse_ego(text: str) -> EgoMask:
    """Return the ego mask that ``230:260`` or the path of an 8-bit gray PNG names.

    Raises
    ------
    LabelError
        Neither.
    """
    rows = re.fullmatch(r"(\d+):(\d+)", text)
    if rows:
        return EgoMask(f"rows {text}", rows=(int(rows[1]), int(rows[2])))
    path = Path(text)
    if not path.is_file():
        raise LabelError(f"ego mask {text!r} must be ROW0:ROW1, such as 230:260, or a PNG file")
    mask = read_picture(path, colour=False) != 0
    return _ego_of(mask)


def _ego_of(mask: NDArray[np.bool_]) -> EgoMask:
    # Not the file's digest: any picture of the same pixels is the same mask.
    digest = hashlib.sha256(np.packbits(mask).data).hexdigest()
    return EgoMask(f"mask {digest[:16]} of {np.count_nonzero(mask)} pixels", mask=mask)


def _known_ego(spec: str, picture: Image | None) -> EgoMask:
    """Return the mask that an entry of a manifest names, of which pixels may lie in a picture."""
    if spec.startswith("rows "):
        return parse_ego(spec.removeprefix("rows "))
    if picture is None or (found := _ego_of(picture != 0)).spec != spec:
        raise ValueError(f"the picture of the ego mask {spec} is missing or another one")
    return found


def least_level(threshold: float) -> int:
    """Return the smallest 8-bit confidence that is at least a threshold."""
    return math.ceil(255 * threshold - 1e-9)


def class_histogram(labels: Image, confidence: Image, *, classes: int) -> Levels:
    """Return how many pixels of each class have each 8-bit confidence, int64 (K, 256)."""
    known = labels < classes
    index = labels[known].astype(np.int64) * 256 + confidence[known]
    return np.bincount(index, minlength=classes * 256).reshape(classes, 256)


def quantile_levels(histogram: Levels, quantile: float) -> Levels:
    """Return the least 8-bit confidence of each class that drops at most a share of its pixels.

    Parameters
    ----------
    histogram : int64 (K, 256)
        As :func:`class_histogram` gives, added up over all frames.
    quantile : float
        The share. Pixels of equal confidence stay or go together, and stay when in doubt.

    Returns
    -------
    int64 (K,)
    """
    below = np.cumsum(histogram, axis=1) - histogram
    allowed = below <= quantile * histogram.sum(axis=1, keepdims=True)
    # The last level that is allowed and has pixels; for a class without pixels it is 0.
    at = np.where(allowed & (histogram > 0), np.arange(256), 0)
    return np.asarray(at.max(axis=1), np.int64)


def confident(labels: Image, confidence: Image, *, levels: Levels) -> Image:
    """Return labels with those below the least confidence of their class ignored.

    Parameters
    ----------
    labels, confidence : uint8 (H, W)
    levels : int64 (K,)
        Least 8-bit confidence of each class.
    """
    least = np.full(256, 256, np.int64)
    least[: len(levels)] = levels
    return np.where(confidence >= least[labels], labels, np.uint8(IGNORED))


def consistent(labels: Image, neighbour: Image, *, radius: int) -> Image:
    """Return labels with those ignored that the neighbouring frame has not got nearby.

    Parameters
    ----------
    labels, neighbour : uint8 (H, W)
        Labels of a frame and of the one before or after.
    radius : int
        How many pixels away, in rows and in columns, it may be.
    """
    # Loaded here, so that the help of the command line loads no SciPy.
    from scipy import ndimage

    kept = np.full_like(labels, IGNORED)
    for label in np.unique(labels[labels != IGNORED]):
        there = neighbour == label
        if radius:
            there = ndimage.maximum_filter(there, size=2 * radius + 1, mode="constant")
        kept[(labels == label) & there] = label
    return kept
