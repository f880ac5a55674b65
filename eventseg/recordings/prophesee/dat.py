"""Decoder of DAT: records of a 32-bit time in us and a 32-bit address.

Version 2 has x in bits 13 to 0, y in 27 to 14 and the polarity in 31 to 28; version 1 has x in 8 to
0, y in 16 to 9 and the polarity in 20 to 17. Any polarity above 0 is ON.
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
    TIMES_BACK,
    TIMES_JUMPED,
    WRAPS,
    X_MAX,
    Y_MAX,
    keep_inside,
    signed_step,
)

MOST_EVENTS = 1
"""Most events of a record."""

MODULUS = 2**32
"""Range of the time: the clock wraps after 71.6 min."""

TILE = 2048
"""Records that are decoded together: they stay in the nearest cache."""

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
    last, room = state[HIGH], len(t)
    n = i = 0
    while i < stop and n < room:
        first, i = i, min(stop, i + min(TILE, room - n))
        if last >= 0 and _is_plain(words[first:i], last % MODULUS):
            x_max, y_max = _write(
                words[first:i], last - last % MODULUS, t[n:], x[n:], y[n:], p[n:], x_bits, y_bits
            )
            found = i - first
            last = t[n + found - 1]
        else:
            found, x_max, y_max, last = _slowly(
                words, first, i, last, t[n:], x[n:], y[n:], p[n:], counts, x_bits, y_bits
            )
        counts[FOUND] += i - first
        if x_max < width and y_max < height:
            counts[X_MAX] = max(counts[X_MAX], x_max)
            counts[Y_MAX] = max(counts[Y_MAX], y_max)
            n += found
        else:
            n = keep_inside(n, n + found, height, width, t, x, y, p, counts)
    state[HIGH] = last
    return n


@inlined
def _is_plain(words: NDArray[np.uint64], before: int) -> bool:
    """Return whether times go on from one before, within the lap and by no jump."""
    low = np.uint64(0xFFFFFFFF)
    longest = (words[0] & low) - np.uint64(before)  # a step back is a very long one
    for k in range(1, len(words)):
        longest = max(longest, (words[k] & low) - (words[k - 1] & low))
    return longest <= np.uint64(JUMP_US)


@inlined
def _write(
    words: NDArray[np.uint64],
    lap: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    x_bits: int,
    y_bits: int,
) -> tuple[int, int]:
    """Write records of one lap of the clock, and return the largest column and row.

    Without a branch, so that it becomes vector instructions.
    """
    x_max = y_max = np.uint32(0)
    x_mask, y_mask = np.uint32((1 << x_bits) - 1), np.uint32((1 << y_bits) - 1)
    x_shift, both = np.uint32(x_bits), np.uint32(x_bits + y_bits)
    for k in range(len(words)):
        address = np.uint32(words[k] >> np.uint64(32))
        t[k] = lap + np.int64(words[k] & np.uint64(0xFFFFFFFF))
        column, row = address & x_mask, (address >> x_shift) & y_mask
        x[k], y[k] = column, row
        p[k] = (address >> both) & np.uint32(0xF) != np.uint32(0)
        x_max, y_max = max(x_max, column), max(y_max, row)
    return np.int64(x_max), np.int64(y_max)


@compiled
def _slowly(
    words: NDArray[np.uint64],
    start: int,
    stop: int,
    last: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    counts: NDArray[np.int64],
    x_bits: int,
    y_bits: int,
) -> tuple[int, int, int, int]:
    """Write records whose time may step back, jump or begin a lap.

    Returns
    -------
    int, int, int, int
        Number of events written, largest column and row, and the last time.
    """
    lap = last - last % MODULUS if last >= 0 else 0
    n = x_max = y_max = 0
    for i in range(start, stop):
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
        t[n], x[n], y[n] = now, column, row
        p[n] = ((address >> (x_bits + y_bits)) & 0xF) > 0
        n += 1
        x_max, y_max = max(x_max, column), max(y_max, row)
    return n, x_max, y_max, last
