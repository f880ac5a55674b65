"""Decayed age of the latest event of each polarity: 2 channels.

exp(-(w - dt - 1) / TAU) of the latest event of a pixel, dt after the begin of a window of length w,
and 0 without an event. Lagorce et al., HOTS: A Hierarchy of Event-Based Time-Surfaces for Pattern
Recognition, doi 10.1109/TPAMI.2016.2574707.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.definition import Channel, Definition, Step
from eventseg.windows import format_duration, parse_duration

DECAY_BITS = 11
DECAY_STEPS = 1 << DECAY_BITS
DECAY_TABLES = 3
"""Ages below 2^33 us fall into three digits of 11 bits."""


def latest(dt_us, p, _window_us, _decay_us):
    """Mark a pixel with the end of the event's microsecond, which is above 0."""
    return ((1 - p, dt_us + 1),)


def finish(value, _plane, window_us, _decay_us, table):
    """Return the decayed age of a pixel that was marked, else 0.

    The exponential is the product of one entry for each digit of the age: the same entries and
    the same two roundings on any device, where two libraries' exp would differ.
    """
    age = window_us - max(value, np.int64(1))
    low, middle = age & (DECAY_STEPS - 1), (age >> DECAY_BITS) & (DECAY_STEPS - 1)
    decayed = table[0, low] * table[1, middle] * table[2, age >> (2 * DECAY_BITS)]
    return np.float32(decayed if value > 0 else 0.0)


def move(value, _plane, shift_us, _decay_us):
    """Return the mark from the new begin on, 0 where the event has left the window."""
    return max(value - shift_us, np.int64(0))


def decay_table(decay_us: int) -> NDArray[np.float64]:
    """Return exp(-age / tau) for each digit of an age in us, float64 (3, 2048)."""
    ages = np.arange(DECAY_STEPS) * 2.0 ** (DECAY_BITS * np.arange(DECAY_TABLES))[:, np.newaxis]
    table: NDArray[np.float64] = np.exp(-ages / decay_us)
    return table


def _unit(decay_us: int) -> str:
    return f"exp(-age / {format_duration(decay_us)})"


DEFINITION = Definition(
    channels=lambda decay_us: (
        Channel("surface+", _unit(decay_us), polarity="on", fades=True),
        Channel("surface-", _unit(decay_us), polarity="off", fades=True),
    ),
    steps=(Step(latest, "max"),),
    finish=finish,
    move=move,
    table=decay_table,
    default=50_000,
    read=parse_duration,
    write=format_duration,
    form="[:TAU]",
)
