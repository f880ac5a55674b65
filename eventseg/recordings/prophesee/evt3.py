"""Decoder of EVT3: words of 16 bits that change a state, of which events take row and time.

The type stands in bits 15 to 12. 0: row. 2: column and polarity, one event. 3: first column and
polarity of vectors. 4 and 5: vectors of 12 and 8 pixels, which move that column on. 6 and 8: low
and high 12 bits of the time in us. 10: trigger. 1: row of gray levels, whose pixels are no changes.
7, 13, 14, 15: inertial samples and counters.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment, return-value"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled
from eventseg.recordings.prophesee.state import (
    BASE,
    FOUND,
    HIGH,
    LOW,
    NO_PLACE,
    NO_TIME,
    ON,
    OTHER,
    OUTSIDE,
    ROW,
    TRIGGERS,
    UNKNOWN,
    X_MAX,
    Y_MAX,
    advanced,
    is_usual,
    signed_step,
)

HALF_BITS, HALF_MASK, LANES = 6, 63, 8
"""Pixels of half a vector of 12, their bits, and places that are written at once for them."""

MOST_EVENTS = 2 * LANES
"""Places that a word may write; at most 12 of them are events."""

PLACES = np.array(
    [
        [*(k for k in range(HALF_BITS) if bits >> k & 1), *[0] * LANES][:LANES]
        for bits in range(1 << HALF_BITS)
    ],
    np.uint16,
)
"""Columns of the pixels of half a vector by its bits, from the left."""

NUMBERS = np.array([bits.bit_count() for bits in range(1 << HALF_BITS)], np.uint64)
"""Number of these pixels."""

MODULUS = 2**12
"""Range of the high part of the time: the clock wraps after 16.777216 s."""

GRAY = -2


@compiled
def decode(
    words: NDArray[np.uint16],
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
    """Decode words.

    Parameters
    ----------
    words : uint16 (W,)
    stop : int
        Words to decode; those beyond are only looked at for the next time.
    state : int64 (5,)
        State before the first word, and afterwards that after the last one.
    height, width : int
        Events at rows and columns beyond are counted as outside.
    t, x, y, p : int64, uint16, uint16, int8 (E,)
        Receive time in us, column, row and polarity of the events. They need room for the most
        events of a word beyond the last one; where there is less, decoding stops.
    triggers : int64 (T, 3)
        Receives time in us, channel and edge of the triggers; those beyond T are only counted.
    counts : int64 (13,)
        Go up by the number of each found.

    Returns
    -------
    int
        Number of events written.
    """
    high, low, row, base, on = state[HIGH], state[LOW], state[ROW], state[BASE], state[ON]
    x_max, y_max = counts[X_MAX], counts[Y_MAX]
    now = (high << 12) | low
    # An unsigned place needs no look at whether it counts from the end.
    n, one, room = np.uint64(0), np.uint64(1), np.uint64(max(0, len(t) - MOST_EVENTS))
    for i in range(stop):
        if n > room:
            break
        word = np.int64(words[i])
        kind = word >> 12
        if kind == 2:
            counts[FOUND] += 1
            column = word & 0x7FF
            if high < 0:
                counts[NO_TIME] += 1
            elif row < 0:
                counts[NO_PLACE] += 1
            elif row >= height or column >= width:
                counts[OUTSIDE] += 1
            else:
                t[n], x[n], y[n], p[n] = now, column, row, (word >> 11) & 1
                n += one
                x_max, y_max = max(x_max, column), max(y_max, row)
        elif kind == 4 or kind == 5:
            size = 12 if kind == 4 else 8
            bits = word & ((1 << size) - 1)
            if bits == 0:
                pass  # cameras write patterns of 32 pixels, most of which are silent
            elif base < 0 or high < 0 or row < 0 or row >= height or base + size > width:
                # The slow way, which says of each event why it is left out.
                for k in range(size):
                    if (bits >> k) & 1:
                        counts[FOUND] += 1
                        if high < 0:
                            counts[NO_TIME] += 1
                        elif base < 0 or row < 0:
                            counts[NO_PLACE] += 1
                        elif row >= height or base + k >= width:
                            counts[OUTSIDE] += 1
                        else:
                            t[n], x[n], y[n], p[n] = now, base + k, row, on
                            n += one
                            x_max, y_max = max(x_max, base + k), max(y_max, row)
            else:
                before = n
                n = _put_half(bits & HALF_MASK, n, now, base, row, on, t, x, y, p)
                if bits >> HALF_BITS:
                    half = bits >> HALF_BITS
                    n = _put_half(half, n, now, base + HALF_BITS, row, on, t, x, y, p)
                counts[FOUND] += np.int64(n - before)
                x_max, y_max = max(x_max, np.int64(x[n - one])), max(y_max, row)
            if base >= 0:
                base += size
        elif kind == 0:
            row = word & 0x7FF
        elif kind == 6:
            low = word & 0xFFF
            now = (high << 12) | low
        elif kind == 3:
            base, on = word & 0x7FF, (word >> 11) & 1
        elif kind == 8:
            value = word & 0xFFF
            if high < 0 or value != high % MODULUS:
                following = -1
                if high >= 0 and not is_usual(signed_step(value, high % MODULUS, MODULUS)):
                    following = _next_high(words, i + 1)
                after = advanced(high, value, following, MODULUS, counts)
                if after != high:
                    high, low = after, 0
                    now = high << 12
        elif kind == 10:
            if high < 0:
                counts[OTHER] += 1
            else:
                if counts[TRIGGERS] < len(triggers):
                    triggers[counts[TRIGGERS], 0] = now
                    triggers[counts[TRIGGERS], 1] = (word >> 8) & 0xF
                    triggers[counts[TRIGGERS], 2] = word & 1
                counts[TRIGGERS] += 1
        elif kind == 1:
            row = GRAY
        elif kind == 7 or kind >= 13:
            counts[OTHER] += 1
        else:
            counts[UNKNOWN] += 1
    counts[X_MAX], counts[Y_MAX] = x_max, y_max
    state[HIGH], state[LOW], state[ROW], state[BASE], state[ON] = high, low, row, base, on
    return np.int64(n)


@compiled
def _put_half(
    bits: int,
    n: int,
    now: int,
    base: int,
    row: int,
    on: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> int:
    """Write the pixels of half a vector from a place on, and return the place behind them.

    All lanes are written, which is quicker than to ask each bit; those behind are written again.
    """
    chosen = np.uint64(bits)
    for k in range(LANES):
        t[n + np.uint64(k)] = now
    for k in range(LANES):
        x[n + np.uint64(k)] = base + PLACES[chosen, np.uint64(k)]
    for k in range(LANES):
        y[n + np.uint64(k)] = row
    for k in range(LANES):
        p[n + np.uint64(k)] = on
    return n + NUMBERS[chosen]


@compiled
def _next_high(words: NDArray[np.uint16], start: int) -> int:
    """Return the high part in the next word of time, -1 where there is none."""
    for i in range(start, len(words)):
        if words[i] >> 12 == 8:
            return words[i] & 0xFFF
    return -1
