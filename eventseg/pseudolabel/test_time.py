"""Test-time augmentation: probabilities averaged over scales and a flip, at native resolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eventseg.errors import LabelError
from eventseg.pseudolabel.teacher import Teacher

SCALES = (2.0, 3.0, 4.0)
"""Cityscapes has about 42 pixels a degree, a DAVIS346 behind a 56 degree lens about 6; networks
train on half to twice of it. Only frames enlarged 2 to 4 times show objects as large."""


@dataclass(frozen=True, slots=True)
class TestTime:
    """How often and how large a teacher sees each frame.

    Parameters
    ----------
    scales : tuple of float
        Factors by which frames are enlarged, each rounded to the teacher's multiple of pixels.
    flip : bool
        Show each scale also left-right flipped.

    Raises
    ------
    LabelError
        No scale, or one outside 0.1 to 16.
    """

    __test__ = False  # not a test of pytest

    scales: tuple[float, ...] = SCALES
    flip: bool = True

    def __post_init__(self) -> None:
        if not self.scales or not all(0.1 <= scale <= 16 for scale in self.scales):
            raise LabelError(
                f"scales must be one or more factors from 0.1 to 16, got {self.scales}"
            )

    @property
    def passes(self) -> int:
        """How often the teacher sees a frame."""
        return len(self.scales) * (1 + self.flip)


def to_pictures(frames: NDArray[np.uint8], *, device: torch.device) -> Tensor:
    """Return frames, gray replicated to three channels, as a teacher takes them.

    Parameters
    ----------
    frames : uint8 (N, H, W) or (N, H, W, 3)
        Gray or RGB.
    device : torch.device

    Returns
    -------
    float32 (N, 3, H, W)
        From 0 to 255.
    """
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    if pictures.dim() == 3:
        pictures = pictures[..., None].expand(-1, -1, -1, 3)
    return pictures.permute(0, 3, 1, 2).float()


def passes(teacher: Teacher, pictures: Tensor, *, test_time: TestTime) -> Iterator[Tensor]:
    """Yield the probabilities of each pass, at the pictures' own size.

    Parameters
    ----------
    teacher : Teacher
    pictures : float32 (N, 3, H, W)
    test_time : TestTime

    Yields
    ------
    float32 (N, C, H, W)
    """
    height, width = int(pictures.shape[2]), int(pictures.shape[3])
    for scale in test_time.scales:
        size = (
            _rounded(height * scale, to=teacher.multiple),
            _rounded(width * scale, to=teacher.multiple),
        )
        shown = resized(pictures, size)
        yield resized(teacher.probabilities(shown), (height, width))
        if test_time.flip:
            yield resized(teacher.probabilities(shown.flip(3)), (height, width)).flip(3)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps (N, C, h, w) at another size, bilinear, averaged where they shrink."""
    if tuple(x.shape[2:]) == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", antialias=True)


def _rounded(length: float, *, to: int) -> int:
    return max(1, round(length / to)) * to
