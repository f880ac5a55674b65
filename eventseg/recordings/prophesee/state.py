"""State of the decoders of Prophesee's words, their counts, and steps of time.

Words of EVT2, EVT2.1 and EVT3 hold the low bits of the time; a word ``TIME_HIGH`` has the rest and
wraps after hours or after 16.8 s. Its damage would shift all later events, so that a step which is
not the usual one is believed only if the next such word goes on from there.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled

HIGH, LOW, ROW, BASE, ON = range(5)
"""Places of the state: high part of the time, unwrapped, -1 before the first; low part; row, -1
before the first and -2 where what follows are no changes; first column of vectors, -1 for none;
polarity of vectors."""

STATES = 5

(
    FOUND,
    OUTSIDE,
    NO_TIME,
    NO_PLACE,
    TIMES_DAMAGED,
    TIMES_BACK,
    TIMES_JUMPED,
    WRAPS,
    OTHER,
    UNKNOWN,
    TRIGGERS,
    X_MAX,
    Y_MAX,
) = range(13)
"""Places of the counts: events in the words, those outside the sensor, before the first time,
without row or column; damaged words of time, steps of time back and jumps; wraps of the counter;
words of other contents and of unknown types; triggers; largest column and row."""

COUNTS = 13

BACK_STEPS = 10
"""Steps of the high part that the time may go back: words of several sources are not in order."""


@compiled
def new_state() -> NDArray[np.int64]:
    """Return the state before the first word, int64 (5,)."""
    return np.full(STATES, -1, np.int64)


@compiled
def is_usual(step: int) -> bool:
    """Return whether a step of the high part needs no second word to be believed."""
    return -BACK_STEPS <= step <= 1


@compiled
def signed_step(value: int, before: int, modulus: int) -> int:
    """Return the step from one value of a counter to another, at most half of its range."""
    step = (value - before) % modulus
    return step if step <= modulus // 2 else step - modulus


@compiled
def advanced(high: int, value: int, following: int, modulus: int, counts: NDArray[np.int64]) -> int:
    """Return the unwrapped high part of the time after a word of time.

    Parameters
    ----------
    high : int
        High part before, -1 for none.
    value : int
        High part in the word, below `modulus`.
    following : int
        High part in the next word of time, -1 where none is near.
    modulus : int
        Range of the counter in the file.
    counts : int64 (13,)
        Counts of damaged words, steps back, jumps and wraps go up.
    """
    if high < 0:
        return value
    step = signed_step(value, high % modulus, modulus)
    if not is_usual(step):
        if following >= 0:
            from_here = abs(signed_step(following, value, modulus))
            from_before = abs(signed_step(following, high % modulus, modulus))
            if from_before < from_here:
                counts[TIMES_DAMAGED] += 1
                return high
        counts[TIMES_JUMPED] += 1
    if step < 0:
        counts[TIMES_BACK] += 1
        if high + step < 0:  # before the counter's first value
            return high
    if (high + step) // modulus > high // modulus:
        counts[WRAPS] += 1
    return high + step


@compiled
def keep_inside(
    start: int,
    stop: int,
    height: int,
    width: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    counts: NDArray[np.int64],
) -> int:
    """Move the events of [start, stop) on a sensor together, and return the place behind them.

    Counts of events outside and the largest column and row go up.
    """
    n = start
    for k in range(start, stop):
        if y[k] < height and x[k] < width:
            t[n], x[n], y[n], p[n] = t[k], x[k], y[k], p[k]
            counts[X_MAX], counts[Y_MAX] = max(counts[X_MAX], x[k]), max(counts[Y_MAX], y[k])
            n += 1
    counts[OUTSIDE] += stop - n
    return n
