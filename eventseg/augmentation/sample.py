"""One sample augmented: events, image, labels and confidence by the same map of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from eventseg.augmentation.image import change_image
from eventseg.augmentation.pixel_map import PixelMap, pixel_map
from eventseg.augmentation.settings import Augmentation, Draw, draw
from eventseg.encoding.settings import Normalisation, Tensor
from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.labels.maps import IGNORED, Labels
from eventseg.networks.resizing import ResizeRule, resize_nearest, resize_pictures

Value = TypeVar("Value", np.float32, np.uint8, np.int32)

Border = float | Sequence[float]
"""A value of all channels, or one a channel."""

OUTSIDE = -1
"""Number of a pixel that does not come from the picture."""

EMPTY: dict[Normalisation, tuple[float, ...]] = {
    "raw": (0,),
    "sqrt": (0,),
    "evsegnet": (-1, -1, 0, 0, 0, 0),
}
"""What a pixel without events holds, by normalisation; ``evsegnet`` is of six channels."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sample:
    """Arrays of one training sample; all of one height and width.

    Parameters
    ----------
    labels : uint8 (H, W)
        255 is ignored.
    events : float32 (C, H, W), optional
        Six channels, or those of another representation.
    image : float32 (1 or 3, H, W), optional
        Gray or RGB, from 0 to 1.
    confidence : uint8 (H, W), optional
        Confidence of pseudo-labels.
    pixels : int32 (H, W), optional
        Any number of each pixel, for events that are encoded later; -1 outside.
    """

    labels: Labels
    events: Tensor | None = None
    image: Tensor | None = None
    confidence: NDArray[np.uint8] | None = None
    pixels: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        size = self.labels.shape
        for name in ("events", "image", "confidence", "pixels"):
            array = getattr(self, name)
            if array is not None and array.shape[-2:] != size:
                raise TrainingError(
                    f"{name} of {array.shape[-1]}x{array.shape[-2]} and labels of "
                    f"{size[1]}x{size[0]} are of different sizes; crop them alike before"
                )


def augment(
    sample: Sample,
    *,
    augmentation: Augmentation,
    seed: int,
    epoch: int,
    index: int,
    normalise: Normalisation = "evsegnet",
    resize: SensorSize | None = None,
    rule: ResizeRule = "centres",
    crop: SensorSize | None = None,
) -> Sample:
    """Return the sample as one epoch sees it.

    Parameters
    ----------
    sample : Sample
    augmentation : Augmentation
    seed, epoch, index : int
        Decide the draw, as in :func:`eventseg.augmentation.settings.draw`.
    normalise : {"raw", "sqrt", "evsegnet"}
        Normalisation of the events, which determines the value of an empty pixel.
    resize : SensorSize, optional
        Size the picture is resized to first; by default it keeps its own.
    rule : {"centres", "evsegnet"}
        Rule of that, see :mod:`eventseg.networks.resizing`.
    crop : SensorSize, optional
        Size of the result; by default that after `resize`.

    Returns
    -------
    Sample
        New arrays; those of an unmoved sample may be the given ones.

    Raises
    ------
    TrainingError
        Empty pixels of another number of channels than the events have.
    """
    happens = draw(augmentation, seed=seed, epoch=epoch, index=index)
    border = EMPTY[normalise] if augmentation.event_border == "empty" else (0,)
    if sample.events is not None and len(border) not in (1, len(sample.events)):
        raise TrainingError(
            f"the {normalise} normalisation is defined for the six channels of mean-std; these "
            f"events have {len(sample.events)}: give normalise='raw' or 'sqrt'"
        )
    warped = warp(
        sample,
        happens,
        event_border=border,
        image_border=augmentation.image_border,
        resize=resize,
        rule=rule,
        crop=crop,
    )
    if warped.image is None:
        return warped
    return replace(warped, image=change_image(warped.image, happens))


def warp(
    sample: Sample,
    happens: Draw,
    *,
    event_border: Border = 0,
    image_border: str = "reflect",
    resize: SensorSize | None = None,
    rule: ResizeRule = "centres",
    crop: SensorSize | None = None,
) -> Sample:
    """Return the sample moved: flipped, scaled, rotated, shifted and cropped in one step.

    Events, labels and confidence take the value of the nearest pixel; the image is bilinear, after
    a low-pass where it shrinks. The rule ``evsegnet`` resizes first, as EV-SegNet's code does.
    Outside the picture labels are 255, confidence is 0, and events and image have their borders.
    A move by integer pixels copies values unchanged. ``Draw()`` with `resize` and `crop` prepares
    validation samples.
    """
    if resize is not None and rule == "evsegnet":
        sample, resize = _resized(sample, (resize.height, resize.width), rule=rule), None
    height, width = sample.labels.shape
    moves = pixel_map(SensorSize(height, width), happens, resize=resize, crop=crop)
    if moves is None:
        return sample
    return Sample(
        labels=_nearest(sample.labels[None], moves, IGNORED)[0],
        events=None if sample.events is None else _nearest(sample.events, moves, event_border),
        image=None if sample.image is None else _image(sample.image, moves, image_border),
        confidence=(
            None if sample.confidence is None else _nearest(sample.confidence[None], moves, 0)[0]
        ),
        pixels=None if sample.pixels is None else _nearest(sample.pixels[None], moves, OUTSIDE)[0],
    )


def _resized(sample: Sample, size: tuple[int, int], *, rule: ResizeRule) -> Sample:
    """Return the sample at another height and width."""
    nearest = {
        name: resize_nearest(array, size, rule=rule)
        for name in ("labels", "events", "confidence", "pixels")
        if (array := getattr(sample, name)) is not None
    }
    if sample.image is None:
        return Sample(**nearest)
    return Sample(**nearest, image=_resized_image(sample.image, size, rule=rule))


def _resized_image(image: Tensor, size: tuple[int, int], *, rule: ResizeRule) -> Tensor:
    """Return the image (C, H, W) at another height and width."""
    source = torch.from_numpy(np.ascontiguousarray(image))[None]
    resized: Tensor = resize_pictures(source, size, rule=rule)[0].numpy()
    return resized


def _nearest(x: NDArray[Value], moves: PixelMap, border: Border) -> NDArray[Value]:
    """Return the nearest pixels of (C, H, W)."""
    borders = np.broadcast_to(border, len(x))
    made = np.empty((len(x), *moves.source.shape), x.dtype)
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    for channel, out, value in zip(flat, made, borders, strict=True):
        # Sources outside are 0 and so valid; "clip" only spares take a buffered copy.
        np.take(channel, moves.source, out=out, mode="clip")
        if moves.outside is not None:
            np.copyto(out, value, where=moves.outside, casting="unsafe")
    return made


def _image(image: Tensor, moves: PixelMap, border: str) -> Tensor:
    """Return the image (C, H, W) at the map's places, bilinear."""
    values = [float(channel.mean()) if border == "mean" else 0.0 for channel in image]
    reflected = border == "reflect" and moves.outside is not None
    if moves.whole and not reflected:
        return _nearest(image, moves, values)
    x, y = moves.x, moves.y
    if moves.shrunk is not None:
        # Where the result has fewer pixels, one between two centres would skip those around it.
        shares = moves.shrunk.height / image.shape[1], moves.shrunk.width / image.shape[2]
        image = _resized_image(image, (moves.shrunk.height, moves.shrunk.width), rule="centres")
        x, y = (x + 0.5) * shares[1] - 0.5, (y + 0.5) * shares[0] - 0.5
    height, width = image.shape[1:]
    # grid_sample counts from -1 at the first pixel's centre to 1 at the last one's.
    grid = np.stack([x * (2 / max(1, width - 1)) - 1, y * (2 / max(1, height - 1)) - 1], axis=-1)
    made: Tensor = functional.grid_sample(
        torch.from_numpy(np.ascontiguousarray(image))[None],
        torch.from_numpy(grid.astype(np.float32))[None],
        padding_mode="reflection" if reflected else "border",
        align_corners=True,
    )[0].numpy()
    if moves.outside is not None and not reflected:
        for out, value in zip(made, values, strict=True):
            np.copyto(out, value, where=moves.outside, casting="unsafe")
    return made
