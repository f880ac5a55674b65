"""Test-time augmentation: probabilities averaged over scales and a flip, at native resolution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eventseg.pseudolabel.arithmetic import FasterTeacher
from eventseg.pseudolabel.settings import TestTimeAugmentation as TestTimeAugmentation
from eventseg.pseudolabel.teacher import Teacher
from eventseg.pseudolabel.tiles import tile_size, tiled_probabilities


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


def passes(
    teacher: Teacher, pictures: Tensor, *, test_time: TestTimeAugmentation
) -> Iterator[Tensor]:
    """Yield the probabilities of each pass, at the pictures' own size.

    Parameters
    ----------
    teacher : Teacher
    pictures : float32 (N, 3, H, W)
    test_time : TestTimeAugmentation

    Yields
    ------
    float32 (N, C, H, W)
    """
    height, width = int(pictures.shape[2]), int(pictures.shape[3])
    most = test_time.tile_pixels
    for scale in test_time.chosen_scales:
        size = (
            _rounded(height * scale, to=teacher.multiple),
            _rounded(width * scale, to=teacher.multiple),
        )
        shown = resized(pictures, size)
        yield _at_size(teacher, shown, (height, width), most=most)
        if test_time.flips:
            yield _at_size(teacher, shown.flip(3), (height, width), most=most).flip(3)


def _at_size(teacher: Teacher, shown: Tensor, size: tuple[int, int], *, most: int | None) -> Tensor:
    """Return probabilities of pictures at another size; scores are resized where these are had."""
    whole = tile_size(teacher, (int(shown.shape[2]), int(shown.shape[3])), most=most)
    if isinstance(teacher, FasterTeacher) and whole == tuple(shown.shape[2:]):
        return teacher.probabilities_at(shown, size)
    return resized(tiled_probabilities(teacher, shown, most=most), size)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps (N, C, h, w) at another size, bilinear, averaged where they shrink."""
    if tuple(x.shape[2:]) == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", antialias=True)


def _rounded(length: float, *, to: int) -> int:
    return max(1, round(length / to)) * to
