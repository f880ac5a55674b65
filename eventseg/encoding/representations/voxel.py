"""Events shared between the two moments around each: one channel for each of B moments.

The value of a pixel at moment b is the sum over its events of s max(0, 1 - |b - (B - 1) dt / w|),
with s = 1 for ON and -1 for OFF and dt after the begin of a window of length w. Zhu et al.,
Unsupervised Event-based Learning of Optical Flow, Depth, and Egomotion, arXiv 1812.08156; there
the moments span the first to the last event, here the window.
"""

from __future__ import annotations

import numpy as np

from eventseg.encoding.definition import Channel, Definition, Step, read_bins


def add(dt_us, p, window_us, bins):
    """Share an event between two moments, counted in w-ths of an event.

    dt (B - 1) modulo w is an integer, so nothing is rounded.
    """
    position = dt_us * (bins - 1)
    lower = position // window_us
    to_upper = position - lower * window_us
    sign = 2 * p - 1
    return (lower, sign * (window_us - to_upper)), (lower + 1, sign * to_upper)


def finish(value, _plane, window_us, _bins, _table):
    """Return a sum of w-ths in events."""
    return np.float32(np.float64(value) / np.float64(window_us))


DEFINITION = Definition(
    channels=lambda bins: tuple(
        Channel(f"voxel{b}", "events, OFF negative", -1.0, 1.0, per_event=True, polarity="both")
        for b in range(bins)
    ),
    steps=(Step(add),),
    finish=finish,
    default=5,
    read=lambda text: read_bins(text, name="voxel", least=2),
    form="[:BINS]",
)
