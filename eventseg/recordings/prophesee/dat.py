"""Decoder of DAT: records of a 32-bit time in us and a 32-bit address.

Version 2 has x in bits 13 to 0, y in 27 to 14 and the polarity in 31 to 28; version 1 has x in 8 to
0, y in 16 to 9 and the polarity in 20 to 17. Any polarity above 0 is ON.
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
    OUTSIDE,
    TIMES_BACK,
    TIMES_JUMPED,
    WRAPS,
    X_MAX,
    Y_MAX,
    signed_step,
)

MOST_EVENTS = 1
"""Most events of a record."""

MODULUS = 2**32
"""Range of the time: the clock wraps after 71.6 min."""

JUMP_US = 1_000_000
"""A longer step is believed only if the next record goes on from there."""


@compiled
def decode_version2(
    words: NDArray[np.uint64],
    stop: int,
    state: NDArray[np.int64],
    height: int,
    width: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    triggers: NDArray[np.int64],  # noqa: ARG001 - the arguments are those of every decoder
    counts: NDArray[np.int64],
) -> int:
    """Decode records; parameters as of :func:`eventseg.recordings.prophesee.evt3.decode`."""
    return _decode(words, stop, state, height, width, t, x, y, p, counts, 14, 14)


@compiled
def decode_version1(
    words: NDArray[np.uint64],
    stop: int,
    state: NDArray[np.int64],
    height: int,
    width: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    triggers: NDArray[np.int64],  # noqa: ARG001 - the arguments are those of every decoder
    counts: NDArray[np.int64],
) -> int:
    """Decode records of the first version; parameters as of :func:`decode_version2`."""
    return _decode(words, stop, state, height, width, t, x, y, p, counts, 9, 8)


@compiled
def _decode(
    words: NDArray[np.uint64],
    stop: int,
    state: NDArray[np.int64],
    height: int,
    width: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    counts: NDArray[np.int64],
    x_bits: int,
    y_bits: int,
) -> int:
    last, found, x_max, y_max = state[HIGH], 0, counts[X_MAX], counts[Y_MAX]
    lap = last - last % MODULUS if last >= 0 else 0
    # An unsigned place needs no look at whether it counts from the end.
    n, one, room = np.uint64(0), np.uint64(1), np.uint64(len(t))
    for i in range(stop):
        if n >= room:
            break
        found += 1
        stamp = np.int64(words[i] & np.uint64(0xFFFFFFFF))
        address = np.int64(words[i] >> np.uint64(32))
        now = lap + stamp
        if last >= 0 and not 0 <= now - last <= JUMP_US:
            step = signed_step(stamp, last % MODULUS, MODULUS)
            if abs(step) > JUMP_US and i + 1 < len(words):
                following = np.int64(words[i + 1] & np.uint64(0xFFFFFFFF))
                from_here = abs(signed_step(following, stamp, MODULUS))
                if abs(signed_step(following, last % MODULUS, MODULUS)) < from_here:
                    counts[NO_TIME] += 1
                    continue
                counts[TIMES_JUMPED] += 1
            now = last + step
            if now < 0:
                counts[NO_TIME] += 1
                continue
            counts[TIMES_BACK] += step < 0
            counts[WRAPS] += now // MODULUS > last // MODULUS
            lap = now - now % MODULUS
        last = now
        column = address & ((1 << x_bits) - 1)
        row = (address >> x_bits) & ((1 << y_bits) - 1)
        # Each is written, and kept if it may be.
        t[n], x[n], y[n] = now, column, row
        p[n] = ((address >> (x_bits + y_bits)) & 0xF) > 0
        if (row < height) & (column < width):
            n += one
            x_max, y_max = max(x_max, column), max(y_max, row)
        else:
            counts[OUTSIDE] += 1
    state[HIGH] = last
    counts[FOUND] += found
    counts[X_MAX], counts[Y_MAX] = x_max, y_max
    return np.int64(n)
