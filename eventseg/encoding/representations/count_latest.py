"""Events and the time of the latest one, for each polarity: 4 channels.

n, and (dt + 1) / w of the latest event of a pixel, dt after the begin of a window of length w; 0
without an event. Zhu et al., EV-FlowNet: Self-Supervised Optical Flow Estimation for Event-based
Cameras, arXiv 1802.06898.
"""

from __future__ import annotations

import numpy as np

from eventseg.encoding.definition import SHARE, Channel, Definition, Step, count_channel


def add(_dt_us, p, _window_us, _parameter):
    """Count an event: ON in plane 0, OFF in plane 1."""
    return ((1 - p, np.int64(1)),)


def latest(dt_us, p, _window_us, _parameter):
    """Mark a pixel with the end of the event's microsecond, which is above 0."""
    return ((3 - p, dt_us + 1),)


def finish(value, plane, window_us, _parameter, _table):
    """Return counts as they are and times as shares of the window."""
    unit = window_us if plane >= 2 else np.int64(1)
    return np.float32(np.float64(value) / np.float64(unit))


def move(value, plane, shift_us, _parameter):
    """Return counts as they are and marks from the new begin on, 0 where the event has left."""
    return max(value - shift_us, np.int64(0)) if plane >= 2 else value


DEFINITION = Definition(
    channels=lambda _: (
        count_channel("count+", "on"),
        count_channel("count-", "off"),
        Channel("latest+", SHARE),
        Channel("latest-", SHARE),
    ),
    steps=(Step(add), Step(latest, "max")),
    finish=finish,
    move=move,
)
