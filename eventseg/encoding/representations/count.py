"""Events of each polarity: 2 channels, n of each pixel.

Maqueda et al., Event-Based Vision Meets Deep Learning on Steering Prediction for Self-Driving
Cars, arXiv 1804.01310.
"""

from __future__ import annotations

import numpy as np

from eventseg.encoding.definition import Definition, Step, count_channel


def add(_dt_us, p, _window_us, _parameter):
    """Count an event: ON in plane 0, OFF in plane 1."""
    return ((1 - p, np.int64(1)),)


def finish(value, _plane, _window_us, _parameter, _table):
    """Return the count."""
    return np.float32(value)


def move(value, _plane, _shift_us, _parameter):
    """Return the count, which has no time in it."""
    return value


DEFINITION = Definition(
    channels=lambda _: (count_channel("count+", "on"), count_channel("count-", "off")),
    steps=(Step(add),),
    finish=finish,
    move=move,
)
