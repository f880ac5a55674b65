"""Pictures of network inputs: event tensors by the meaning of their channels, and frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.definition import Channel
from eventseg.encoding.representation import MEAN_STD
from eventseg.encoding.representations import mean_std
from eventseg.networks.inputs import InputSpec, Scaling
from eventseg.plots.events import OFF_RGB, ON_RGB

Rgb = NDArray[np.uint8]
Plane = NDArray[np.float32]

MOST_SHOWN = 0.995
"""Share of the pixels of a tensor without polarities below whose largest value all is black."""


class PolarityPlanes(NamedTuple):
    """Strength of ON and of OFF events at each pixel, float32 (H, W); ``fades`` as of channels."""

    on: Plane
    off: Plane
    fades: bool


def polarity_planes(
    tensor: NDArray[np.float32], channels: Sequence[Channel]
) -> PolarityPlanes | None:
    """Return the strength of each polarity, added up over the channels that hold it.

    Parameters
    ----------
    tensor : float32 (C, H, W)
        In the normalisation of the channels.
    channels : sequence of Channel
        Of :attr:`eventseg.encoding.Encoding.channels`.

    Returns
    -------
    PolarityPlanes or None
        None where no channel has a polarity.
    """
    if not any(channel.polarity for channel in channels):
        return None
    on, off = np.zeros((2, *tensor.shape[1:]), np.float32)
    for values, channel in zip(tensor, channels, strict=True):
        above = _above_none(values, channel)
        if channel.polarity in ("on", "both"):
            on += np.maximum(above, 0)
        if channel.polarity == "off":
            off += np.maximum(above, 0)
        if channel.polarity == "both":
            off += np.maximum(-above, 0)
    return PolarityPlanes(on, off, any(channel.fades for channel in channels))


def paint_tensor(
    tensor: NDArray[np.float32],
    *,
    channels: Sequence[Channel],
    below: NDArray[np.uint8] | None = None,
) -> Rgb:
    """Return a picture of an event tensor: ON red, OFF blue, by the stronger of both.

    Bins of time are added up. Channels that tell how recent the latest event is fade with its age.
    Channels without a polarity are black where they are large.

    Parameters
    ----------
    tensor : float32 (C, H, W)
        In the normalisation of the channels.
    channels : sequence of Channel
        Of :attr:`eventseg.encoding.Encoding.channels`; none where the meaning is not known.
    below : uint8 (H, W), optional
        Gray picture below the events; white without.

    Returns
    -------
    uint8 (H, W, 3)
    """
    gray = np.full(tensor.shape[1:], 255, np.uint8) if below is None else below
    picture = np.repeat(gray[:, :, None], 3, axis=2)
    planes = polarity_planes(tensor, channels)
    if planes is None:
        dark = _magnitude(tensor, channels)
        return _mixed(picture, np.zeros_like(picture), dark)
    on, off, fades = planes
    colours = picture.copy()
    colours[(on > 0) & (on >= off)] = ON_RGB
    colours[(off > 0) & (off > on)] = OFF_RGB
    return _mixed(picture, colours, np.minimum(np.maximum(on, off), 1)) if fades else colours


def paint_frame(values: NDArray[np.float32], scaling: Scaling) -> Rgb:
    """Return a frame as it was before it was scaled for a network.

    Parameters
    ----------
    values : float32 (1 or 3, H, W)
    scaling : Scaling
        Scaling of the frame, which is undone.

    Returns
    -------
    uint8 (H, W, 3)
    """
    mean = np.array(scaling.mean, np.float32)[:, None, None]
    std = np.array(scaling.std, np.float32)[:, None, None]
    frame = (values * std + mean) / np.float32(scaling.top)
    if scaling.order == "bgr":
        frame = frame[::-1]
    shown = np.clip(frame * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.repeat(shown, 3, axis=2) if len(values) == 1 else np.ascontiguousarray(shown)


def paint_input(values: NDArray[np.float32], inputs: InputSpec) -> Rgb:
    """Return a picture of a network's input: the frame, the events, or these over it.

    Parameters
    ----------
    values : float32 (C, H, W)
    inputs : InputSpec
        Input of the network, whose encoding tells what the channels of events mean.

    Returns
    -------
    uint8 (H, W, 3)
    """
    if inputs.kind == "events":
        return paint_tensor(values, channels=event_channels(inputs))
    frame = paint_frame(values[: 3 if inputs.kind == "rgb" else 1], inputs.scaling)
    if inputs.kind == "both":
        return paint_tensor(values[1:], channels=event_channels(inputs), below=frame[:, :, 0])
    return frame


def event_channels(inputs: InputSpec) -> tuple[Channel, ...]:
    """Return the channels of a network's event tensor; none where their meaning is not known.

    Checkpoints that hold no encoding saw ``mean-std`` if they see six channels.
    """
    if inputs.encoding is not None:
        return inputs.encoding.channels
    if inputs.channels - (inputs.kind == "both") == MEAN_STD.channels:
        return mean_std.NORMALISED.get(inputs.normalise, mean_std.RAW)
    return ()


def _above_none(values: Plane, channel: Channel) -> Plane:
    """Return values less the value without an event: 0, but for ranges that begin elsewhere."""
    return values if channel.per_event else values - np.float32(channel.low)


def _magnitude(tensor: NDArray[np.float32], channels: Sequence[Channel]) -> Plane:
    """Return how much each pixel holds, 0 to 1, of the counts or else of all channels."""
    counts = [k for k, channel in enumerate(channels) if channel.counts]
    total: Plane = np.abs(tensor[counts] if counts else tensor).sum(0)
    some = total[total > 0]
    largest = float(np.quantile(some, MOST_SHOWN)) if some.size else 1.0
    share: Plane = np.minimum(total / np.float32(largest), 1)
    return share


def _mixed(below: Rgb, above: Rgb, share: Plane) -> Rgb:
    """Return two pictures mixed by the share of the upper one at each pixel."""
    mixed = below + share[:, :, None] * (above.astype(np.float32) - below)
    picture: Rgb = np.rint(mixed).astype(np.uint8)
    return picture
