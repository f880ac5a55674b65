"""Settings of labelling, read without torch: the views of a frame and the step of merging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from eventseg.errors import LabelError

Merge = Literal["probabilities", "labels"]
Arithmetic = Literal["exact", "float32", "bfloat16"]

EXACT: Arithmetic = "exact"
"""Arithmetic of the labels of earlier releases."""


@dataclass(frozen=True, slots=True)
class TestTimeAugmentation:
    """Views of each frame that a teacher gets.

    Parameters
    ----------
    scales : tuple of float, optional
        Factors by which frames are enlarged, such as 2,3,4, each rounded to the teacher's multiple
        of pixels; by default chosen from frame, teacher and device, and printed.
    flip : bool, optional
        Whether each scale is shown flipped too; by default yes for given scales and on a GPU, and
        on a CPU no, or with exact arithmetic as time allows.
    tile_pixels : int, optional
        Largest number of pixels shown at once; by default that of the teacher's training frames.

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
