"""Test-time augmentation: probabilities averaged over scales and a flip, at native resolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eventseg.errors import LabelError
from eventseg.pseudolabel.teacher import Teacher
from eventseg.pseudolabel.tiles import tiled_probabilities


@dataclass(frozen=True, slots=True)
class TestTimeAugmentation:
    """Views of each frame that a teacher gets.

    Parameters
    ----------
    scales : tuple of float, optional
        Factors by which frames are enlarged, each rounded to the teacher's multiple of pixels;
        None leaves the choice to :func:`eventseg.pseudolabel.views.plan_views`.
    flip : bool, optional
        Show each scale also left-right flipped; None is yes for given scales.
    tile_pixels : int, optional
        Largest number of pixels shown at once; None is that of the teacher's training frames.

    Raises
    ------
    LabelError
        No scale, one outside 0.1 to 16, or a tile without pixels.
    """

    __test__ = False  # not a test of pytest

    scales: tuple[float, ...] | None = None
    flip: bool | None = None
    tile_pixels: int | None = None

    def __post_init__(self) -> None:
        scales = (1.0,) if self.scales is None else self.scales
        if not scales or not all(0.1 <= scale <= 16 for scale in scales):
            raise LabelError(f"scales must be one or more factors from 0.1 to 16, got {scales}")
        if self.tile_pixels is not None and self.tile_pixels < 1:
            raise LabelError(f"a tile must have 1 or more pixels, got {self.tile_pixels}")

    def __str__(self) -> str:
        """Return scales and flip as text."""
        if self.scales is None:
            return "scales by choice"
        factors = ", ".join(f"{scale:g}" for scale in self.scales)
        return (
            f"scale{'s' * (len(self.scales) > 1)} {factors}, {'with' if self.flips else 'no'} flip"
        )

    @property
    def flips(self) -> bool:
        """Whether each scale is shown flipped too."""
        return self.flip is not False

    @property
    def passes(self) -> int:
        """Number of views of a frame.

        Raises
        ------
        LabelError
            The scales are not chosen yet.
        """
        return len(self.chosen_scales) * (1 + self.flips)

    @property
    def chosen_scales(self) -> tuple[float, ...]:
        """Scales.

        Raises
        ------
        LabelError
            The scales are not chosen yet.
        """
        if self.scales is None:
            raise LabelError("scales are not chosen: give them, or take those of plan_views")
        return self.scales

    def to_dict(self) -> dict[str, Any]:
        """Return the views as a TOML table."""
        return {
            "scales": list(self.chosen_scales),
            "flip": self.flips,
            **({} if self.tile_pixels is None else {"tile_pixels": self.tile_pixels}),
        }


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
        yield resized(tiled_probabilities(teacher, shown, most=most), (height, width))
        if test_time.flips:
            flipped = tiled_probabilities(teacher, shown.flip(3), most=most)
            yield resized(flipped, (height, width)).flip(3)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps (N, C, h, w) at another size, bilinear, averaged where they shrink."""
    if tuple(x.shape[2:]) == size:
        return x
    return functional.interpolate(x, size=size, mode="bilinear", antialias=True)


def _rounded(length: float, *, to: int) -> int:
    return max(1, round(length / to)) * to
