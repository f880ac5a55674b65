"""Events of each polarity in each of B equal parts of the window: 2 B channels, ON before OFF.

The stacked histogram of Gehrig and Scaramuzza, Recurrent Vision Transformers for Object Detection
with Event Cameras, arXiv 2212.05598, without their clipping.
"""

from __future__ import annotations

import numpy as np

from eventseg.encoding.definition import Definition, Polarity, Step, count_channel, read_bins

POLARITIES: tuple[tuple[str, Polarity], ...] = (("+", "on"), ("-", "off"))


def add(dt_us, p, window_us, bins):
    """Count an event in the part of the window that it is in."""
    return (((1 - p) * bins + dt_us * bins // window_us, np.int64(1)),)


def finish(value, _plane, _window_us, _bins, _table):
    """Return the count."""
    return np.float32(value)


DEFINITION = Definition(
    channels=lambda bins: tuple(
        count_channel(f"count{sign}{b}", polarity)
        for sign, polarity in POLARITIES
        for b in range(bins)
    ),
    steps=(Step(add),),
    finish=finish,
    default=5,
    read=lambda text: read_bins(text, name="stack", least=1),
    form="[:BINS]",
)
