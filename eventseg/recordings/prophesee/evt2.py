"""Decoders of EVT2 and EVT2.1: each word has the place and the low 6 bits of the time of events.

EVT2 has words of 32 bits and one event each. EVT2.1 has words of 64 bits: the upper half is a word
of EVT2, the lower half a mask of 32 pixels from its column on. Older cameras swap the halves.
The type stands in bits 31 to 28: 0 and 1 OFF and ON, 8 the upper 28 bits of the time, 10 a trigger,
13 inertial samples, 14 and 15 others and their continuation.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, return-value"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled
from eventseg.recordings.prophesee.state import (
    FOUND,
    HIGH,
    NO_TIME,
    OTHER,
    OUTSIDE,
    TRIGGERS,
    UNKNOWN,
    X_MAX,
    Y_MAX,
    advanced,
    is_usual,
    signed_step,
)

MODULUS = 2**28
"""Range of the high part of the time, in steps of 64 us: the clock wraps after 4 h 46 min."""

MOST_EVENTS_EVT2, MOST_EVENTS_EVT21 = 1, 32
"""Most events of a word."""

KINDS = (0, 1, 8, 10, 13, 14, 15)
"""Types that a word can have."""


@compiled
def decode_evt2(
    words: NDArray[np.uint32],
    stop: int,
    state: NDArray[np.int64],
    height: int,
    width: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    triggers: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """Decode words of EVT2; parameters as of :func:`eventseg.recordings.prophesee.evt3.decode`."""
    high, found, x_max, y_max = state[HIGH], 0, counts[X_MAX], counts[Y_MAX]
    # An unsigned place needs no look at whether it counts from the end.
    n, one, room = np.uint64(0), np.uint64(1), np.uint64(len(t))
    for i in range(stop):
        if n >= room:
            break
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= 1:
            found += 1
            column, row = (word >> 11) & 0x7FF, word & 0x7FF
            # Each is written, and kept if it may be.
            t[n] = (high << 6) | ((word >> 22) & 0x3F)
            x[n], y[n], p[n] = column, row, kind
            if (high >= 0) & (row < height) & (column < width):
                n += one
                x_max, y_max = max(x_max, column), max(y_max, row)
            elif high < 0:
                counts[NO_TIME] += 1
            else:
                counts[OUTSIDE] += 1
        elif kind == 8:
            high = _time(words, i, 1, high, counts)
        else:
            _other(word, kind, high, word & 1, triggers, counts)
    state[HIGH] = high
    counts[FOUND] += found
    counts[X_MAX], counts[Y_MAX] = x_max, y_max
    return np.int64(n)


@compiled
def decode_evt21(
    words: NDArray[np.uint64],
    stop: int,
    state: NDArray[np.int64],
    height: int,
    width: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    triggers: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int:
    """Decode words of EVT2.1, halves in the plain order; parameters as of :func:`decode_evt2`."""
    high, n, found, x_max, y_max = state[HIGH], 0, 0, counts[X_MAX], counts[Y_MAX]
    halves = words.view(np.uint32)  # the upper ones, at odd places, are as words of EVT2
    room = len(t) - MOST_EVENTS_EVT21
    for i in range(stop):
        if n > room:
            break
        word, bits = np.int64(halves[2 * i + 1]), np.int64(halves[2 * i])
        kind = word >> 28
        if kind <= 1:
            base, row = (word >> 11) & 0x7FF, word & 0x7FF
            now = (high << 6) | ((word >> 22) & 0x3F)
            for k in range(32):
                if (bits >> k) & 1:
                    found += 1
                    if high < 0:
                        counts[NO_TIME] += 1
                    elif row >= height or base + k >= width:
                        counts[OUTSIDE] += 1
                    else:
                        t[n], x[n], y[n], p[n] = now, base + k, row, kind
                        n += 1
                        x_max, y_max = max(x_max, base + k), max(y_max, row)
        elif kind == 8:
            high = _time(halves, 2 * i + 1, 2, high, counts)
        else:
            _other(word, kind, high, bits & 1, triggers, counts)
    state[HIGH] = high
    counts[FOUND] += found
    counts[X_MAX], counts[Y_MAX] = x_max, y_max
    return n


def in_plain_order(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return words of EVT2.1 with their halves swapped."""
    halves = np.ascontiguousarray(words).view(np.uint32).reshape(-1, 2)
    return np.ascontiguousarray(halves[:, ::-1]).view(np.uint64)[:, 0]


def is_legacy(words: NDArray[np.uint64]) -> bool:
    """Return whether the halves of words of EVT2.1 are swapped: by the types that both have."""
    halves = np.ascontiguousarray(words).view(np.uint32).reshape(-1, 2) >> 28
    lower, upper = (np.isin(halves[:, k], KINDS) for k in (0, 1))
    # The type of a time is the surest: masks have it seldom, and never in turn with others.
    times = [int((halves[:, k] == 8).sum()) for k in (0, 1)]
    return (int(lower.sum()), times[0]) > (int(upper.sum()), times[1])


@compiled
def _time(
    words: NDArray[np.uint32], place: int, stride: int, high: int, counts: NDArray[np.int64]
) -> int:
    """Return the high part of the time after the word at a place."""
    value = np.int64(words[place]) & (MODULUS - 1)
    if high >= 0 and value == high % MODULUS:
        return high
    following = np.int64(-1)
    if high >= 0 and not is_usual(signed_step(value, high % MODULUS, MODULUS)):
        for k in range(place + stride, len(words), stride):
            if words[k] >> 28 == 8:
                following = np.int64(words[k]) & (MODULUS - 1)
                break
    return advanced(high, value, following, MODULUS, counts)


@compiled
def _other(
    word: int,
    kind: int,
    high: int,
    edge: int,
    triggers: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Take a word that is neither an event nor a time: a trigger, or counted."""
    if kind == 10 and high >= 0:
        if counts[TRIGGERS] < len(triggers):
            triggers[counts[TRIGGERS], 0] = (high << 6) | ((word >> 22) & 0x3F)
            triggers[counts[TRIGGERS], 1] = (word >> 8) & 0x1F
            triggers[counts[TRIGGERS], 2] = edge
        counts[TRIGGERS] += 1
    elif kind in (10, 13, 14, 15):
        counts[OTHER] += 1
    else:
        counts[UNKNOWN] += 1
