"""Augmentation as data, and the draw of one sample: a pure function of seed, epoch and index."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eventseg.errors import TrainingError

Range = tuple[float, float]

GEOMETRY, EVENTS = 1, 2
"""Streams of random numbers of one sample, so that one kind of draw does not move the other."""

LARGEST_JITTER_US = 2**30 - 1
"""Largest time jitter: a word of 32 bits times the number of its steps still fits an int64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Augmentation settings of training samples; by default nothing is changed.

    Parameters
    ----------
    flip : float
        Probability of a mirror image left to right. Time and polarity stay.
    scale : (float, float)
        Range of the enlargement.
    scale_step : float
        Distance between the scales that can be drawn, 0 for any.
    shift : float
        Largest shift, as a share of height and of width.
    rotation_deg : float
        Largest rotation in degrees, either way.
    placement : {"centre", "random"}
        Placing of the crop within an enlarged picture, or of a smaller picture within the crop.
    event_border : {"empty", "zero"}
        Events from outside the picture: the values of a pixel without events, or 0 in all
        channels as in EV-SegNet's code.
    image_border : {"reflect", "zero", "mean"}
        Image from outside: mirrored, black, or the image's mean.
    photometric : float
        Probability of each change of the image below.
    add : float
        Largest change of brightness, either way, as a share of white.
    multiply, contrast, saturation : (float, float)
        Ranges of factors: of the image, of its distance from middle gray, and of its distance
        from its own gray (RGB only).
    blur_px : (float, float)
        Range of the deviation of a Gaussian blur, in pixels.
    drop : float
        Largest share of the events to drop (live encoding only, as all that follows).
    noise : float
        Largest share of random events to add.
    polarity : float
        Probability that ON and OFF are swapped.
    window_jitter : float
        Largest change of the window's length, as a share of it; its end stays.
    time_jitter_us : int
        Largest change of an event's time, each event by itself; none leaves its window.

    Raises
    ------
    TrainingError
        A value out of its range.
    """

    flip: float = 0.0
    scale: Range = (1.0, 1.0)
    scale_step: float = 0.0
    shift: float = 0.0
    rotation_deg: float = 0.0
    placement: Literal["centre", "random"] = "centre"
    event_border: Literal["empty", "zero"] = "empty"
    image_border: Literal["reflect", "zero", "mean"] = "reflect"
    photometric: float = 0.5
    add: float = 0.0
    multiply: Range = (1.0, 1.0)
    contrast: Range = (1.0, 1.0)
    saturation: Range = (1.0, 1.0)
    blur_px: Range = (0.0, 0.0)
    drop: float = 0.0
    noise: float = 0.0
    polarity: float = 0.0
    window_jitter: float = 0.0
    time_jitter_us: int = 0

    def __post_init__(self) -> None:
        for name in ("flip", "photometric", "polarity", "shift", "add", "drop"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name} must be from 0 to 1, got {getattr(self, name)}")
        for name in ("scale_step", "rotation_deg", "noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainingError(f"{name} must not be below 0, got {getattr(self, name)}")
        if not 0 <= self.window_jitter < 1:
            raise TrainingError(f"window_jitter must be in [0, 1), got {self.window_jitter}")
        if not 0 <= self.time_jitter_us <= LARGEST_JITTER_US:
            raise TrainingError(
                f"time_jitter_us must be from 0 to {LARGEST_JITTER_US}, got {self.time_jitter_us}"
            )
        for name in ("scale", "multiply", "contrast", "saturation", "blur_px"):
            low, high = getattr(self, name)
            least = 0.01 if name == "scale" else 0.0
            if not least <= low <= high < math.inf:
                raise TrainingError(
                    f"{name} must be a range [low, high] from {least} up, got [{low}, {high}]"
                )
        for name, allowed in (
            ("placement", ("centre", "random")),
            ("event_border", ("empty", "zero")),
            ("image_border", ("reflect", "zero", "mean")),
        ):
            if getattr(self, name) not in allowed:
                raise TrainingError(
                    f"{name} {getattr(self, name)!r} is none of {', '.join(allowed)}"
                )

    @property
    def changes_events(self) -> bool:
        """Whether events of a window may change before they are encoded."""
        return bool(self.drop or self.noise or self.polarity or self.time_jitter_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Augmentation drawn for the picture of one sample in one epoch; by default none.

    Parameters
    ----------
    flip : bool
        Mirrored left to right.
    scale : float
        Enlargement.
    shift : (float, float)
        Downwards and to the right, as shares of height and width.
    rotation_deg : float
        Clockwise as seen.
    place : (float, float)
        Position of the crop in the available margin, from 0 (top, left) to 1.
    add, multiply, contrast, saturation, blur_px : float
        Changes of the image.
    """

    flip: bool = False
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    rotation_deg: float = 0.0
    place: tuple[float, float] = (0.5, 0.5)
    add: float = 0.0
    multiply: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    blur_px: float = 0.0


def draw(augmentation: Augmentation, *, seed: int, epoch: int, index: int) -> Draw:
    """Draw the augmentation of one sample's picture.

    The same for the same seed, epoch and index, in any process and any order. Each property has
    a random number of its own, so that switching one on leaves the others as they were.

    Parameters
    ----------
    augmentation : Augmentation
    seed, epoch, index : int
        Not negative.

    Returns
    -------
    Draw
    """
    rng = generator(seed=seed, epoch=epoch, index=index, stream=GEOMETRY)
    u: list[float] = rng.random(17).tolist()
    shift, turn = augmentation.shift, augmentation.rotation_deg
    changed = [number < augmentation.photometric for number in u[7:12]]
    return Draw(
        flip=u[0] < augmentation.flip,
        scale=_scale(augmentation, u[1]),
        shift=(_within((-shift, shift), u[2]), _within((-shift, shift), u[3])),
        rotation_deg=_within((-turn, turn), u[4]),
        place=(u[5], u[6]) if augmentation.placement == "random" else (0.5, 0.5),
        add=_within((-augmentation.add, augmentation.add), u[12]) if changed[0] else 0.0,
        multiply=_within(augmentation.multiply, u[13]) if changed[1] else 1.0,
        contrast=_within(augmentation.contrast, u[14]) if changed[2] else 1.0,
        saturation=_within(augmentation.saturation, u[15]) if changed[3] else 1.0,
        blur_px=_within(augmentation.blur_px, u[16]) if changed[4] else 0.0,
    )


def generator(*, seed: int, epoch: int, index: int, stream: int) -> np.random.Generator:
    """Return the random numbers of one sample of one epoch."""
    sequence = np.random.SeedSequence(seed, spawn_key=(epoch, index, stream))
    return np.random.Generator(np.random.Philox(sequence))


def _scale(augmentation: Augmentation, u: float) -> float:
    low, high = augmentation.scale
    if augmentation.scale_step == 0:
        return _within((low, high), u)
    # A step that fits the range but for rounding counts.
    steps = int((high - low) / augmentation.scale_step + 1e-9) + 1
    return low + augmentation.scale_step * int(u * steps)


def _within(limits: Range, u: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * u
