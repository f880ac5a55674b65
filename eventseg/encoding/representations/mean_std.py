"""Count, mean and spread of event times, the six channels of EV-SegNet.

With n events of one pixel and polarity at dt = t - t0 in a window of length w:

    count = n    mean = sum(dt) / (n w)    std = sqrt(sum((dt / w - mean)^2) / (n - ddof))

mean is 0 where n is 0, std where n is below 2. ddof is 1, as in the released files, or 0. Alonso
and Murillo, EV-SegNet: Semantic Segmentation for Event-Based Cameras, arXiv 1811.12039, section
3.1. Sums are packed into two words a cell and slide from window to window: kernels of their own,
:mod:`eventseg.kernels.encode` and :mod:`eventseg.kernels.encode_cuda`.
"""

from __future__ import annotations

from eventseg.encoding.definition import SHARE, Channel, Definition, Polarity, count_channel

STD_LIMIT = 0.5**0.5 + 1e-6
"""Two events at the ends of the window are sqrt(1/2) of it apart from their mean, by n - 1."""

CHANNELS = ("count+", "count-", "mean+", "std+", "mean-", "std-")
"""Order of the channels in memory and on disk, as in EV-SegNet's released files."""

COUNTED: dict[str, Polarity] = {"count+": "on", "count-": "off"}

RAW = tuple(
    count_channel(name, COUNTED[name])
    if name in COUNTED
    else Channel(name, SHARE, high=STD_LIMIT if name.startswith("std") else 1.0)
    for name in CHANNELS
)

EVSEGNET = tuple(
    Channel(name, unit, low, 1.0, polarity=COUNTED.get(name))
    for name, unit, low in (
        ("count+", "-1 to 1, 1 at the window's largest count", -1.0),
        ("count-", "-1 to 1, 1 at the window's largest count", -1.0),
        ("mean+", "-1 to 1 over the window", -1.0),
        ("std+", "half windows, at most 1", 0.0),
        ("mean-", "-1 to 1 over the window", -1.0),
        ("std-", "half windows, at most 1", 0.0),
    )
)

SQRT = tuple(
    Channel(channel.name, "square root of events", per_event=True, polarity=channel.polarity)
    if channel.counts
    else channel
    for channel in RAW
)

NORMALISED = {"sqrt": SQRT, "evsegnet": EVSEGNET}
"""Channels by normalisation, but for the raw ones."""

DEFINITION = Definition(channels=lambda _: RAW)
