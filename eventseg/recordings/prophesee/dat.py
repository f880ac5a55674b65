"""Decoder of DAT: records of a 32-bit time in us and a 32-bit address.

Version 2 has x in bits 13 to 0, y in 27 to 14 and the polarity in 31 to 28; version 1 has x in 8 to
0, y in 16 to 9 and the polarity in 20 to 17. Any polarity above 0 is ON.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return"

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
    last, n = state[HIGH], 0
    room = len(t) - MOST_EVENTS
    for i in range(stop):
        if n > room:
            break
        counts[FOUND] += 1
        stamp = np.int64(words[i] & np.uint64(0xFFFFFFFF))
        address = np.int64(words[i] >> np.uint64(32))
        now = stamp
        if last >= 0:
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
        last = now
        column = address & ((1 << x_bits) - 1)
        row = (address >> x_bits) & ((1 << y_bits) - 1)
        if row >= height or column >= width:
            counts[OUTSIDE] += 1
            continue
        t[n], x[n], y[n] = now, column, row
        p[n] = ((address >> (x_bits + y_bits)) & 0xF) > 0
        n += 1
        counts[X_MAX], counts[Y_MAX] = max(counts[X_MAX], column), max(counts[Y_MAX], row)
    state[HIGH] = last
    return n
