"""Decoders of EVT2 and EVT2.1: each word has the place and the low 6 bits of the time of events.

EVT2 has words of 32 bits and one event each. EVT2.1 has words of 64 bits: the upper half is a word
of EVT2, the lower half a mask of 32 pixels from its column on. Older cameras swap the halves.
The type stands in bits 31 to 28: 0 and 1 OFF and ON, 8 the upper 28 bits of the time, 10 a trigger,
13 inertial samples, 14 and 15 others and their continuation.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment, return-value"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled, inlined
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
    keep_inside,
    signed_step,
)

MODULUS = 2**28
"""Range of the high part of the time, in steps of 64 us: the clock wraps after 4 h 46 min."""

MOST_EVENTS_EVT2, MOST_EVENTS_EVT21 = 1, 32
"""Most events of a word."""

TILE = 2048
"""Words of EVT2 whose places are decoded together: they stay in the nearest cache."""

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
    high, room = state[HIGH], len(t)
    n = i = 0
    while high < 0 and i < stop and room > 0:
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= 1:
            counts[FOUND] += 1
            counts[NO_TIME] += 1
        elif kind == 8:
            high = _time(words, i, 1, high, counts)
        else:
            _other(word, kind, high, word & 1, triggers, counts)
        i += 1
    chosen = np.empty(TILE, np.uint32)
    while i < stop and n < room:
        found = np.uint64(0)  # an unsigned place needs no look at whether it counts from the end
        now, times = high << 6, t[n:]
        first, i = i, min(stop, i + min(TILE, room - n))
        for k in range(first, i):
            word = np.int64(words[k])
            kind = word >> 28
            if kind <= 1:
                times[found] = now | ((word >> 22) & 0x3F)
                chosen[found] = words[k]
                found += np.uint64(1)
            elif kind == 8:
                # The next value is by far the most frequent; others take divisions.
                if (word & (MODULUS - 1)) == (high & (MODULUS - 1)) + 1:
                    high += 1
                else:
                    high = _time(words, k, 1, high, counts)
                now = high << 6
            else:
                _other(word, kind, high, word & 1, triggers, counts)
        counts[FOUND] += np.int64(found)
        x_max, y_max = _places(chosen[:found], x[n:], y[n:], p[n:])
        if x_max < width and y_max < height:
            counts[X_MAX] = max(counts[X_MAX], x_max)
            counts[Y_MAX] = max(counts[Y_MAX], y_max)
            n += np.int64(found)
        else:
            n = keep_inside(n, n + np.int64(found), height, width, t, x, y, p, counts)
    state[HIGH] = high
    return n


@inlined
def _places(
    words: NDArray[np.uint32], x: NDArray[np.uint16], y: NDArray[np.uint16], p: NDArray[np.int8]
) -> tuple[int, int]:
    """Write columns, rows and polarities of events, and return the largest column and row.

    Without a branch, so that it becomes vector instructions.
    """
    x_max = y_max = np.uint32(0)
    for k in range(len(words)):
        word = words[k]
        column, row = (word >> np.uint32(11)) & np.uint32(0x7FF), word & np.uint32(0x7FF)
        x[k], y[k], p[k] = column, row, word >> np.uint32(28)
        x_max, y_max = max(x_max, column), max(y_max, row)
    return np.int64(x_max), np.int64(y_max)


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
