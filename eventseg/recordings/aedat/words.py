"""Decoders of AEDAT 2: pairs of a 32-bit address and a 32-bit time in us.

An address of a DVS128 has the polarity in bit 0, where 0 is ON as jAER writes it, the column in
bits 7 to 1, the row in 14 to 8, and bit 15 for an external event. One of a DAVIS has the row in
bits 30 to 22, the column in 21 to 12 and the polarity in bit 11; with bit 31 set it is a reading
of a pixel of a frame (bits 11 and 10: 0 before and 1 after the exposure) or a part of an inertial
sample (both bits set). Rows count from the bottom, and columns of events from the right.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled

LAST, SHIFT = range(2)
"""Places of the state of the clock: last time, -1 before the first; time added to stamps."""

STATES = 2

WRAPS, RESTARTS, JUMPS, DAMAGED = range(4)
"""Places of the counts: wraps, restarts and jumps of the clock, and damaged times."""

COUNTS = 4

MODULUS = 2**32
JUMP_US = 1_000_000
"""A longer step is believed only if the next word goes on from there."""


@compiled
def unwrap(
    stamps: NDArray[np.uint32],
    stop: int,
    state: NDArray[np.int64],
    times: NDArray[np.int64],
    restarts: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Turn stamps into continuous times.

    A fall by more than half of the 32 bits is a wrap. A fall by more than a second, which the next
    word confirms, is a restart of the clock: time goes on right behind. Smaller falls are kept.

    Parameters
    ----------
    stamps : uint32 (W,)
    stop : int
        Words to unwrap; those beyond are only looked at.
    state : int64 (2,)
        State before the first word, and afterwards that after the last one.
    times : int64 (stop,)
        Receives times in us, -1 for a damaged one.
    restarts : int64 (stop,)
        Receives the offset of the clock at a restart, and 0 elsewhere.
    counts : int64 (4,)
        Go up by the number of each found.
    """
    last, shift = state[LAST], state[SHIFT]
    for i in range(stop):
        restarts[i] = 0
        now = np.int64(stamps[i]) + shift
        if last < 0:
            if (
                i + 2 < len(stamps)
                and now - np.int64(stamps[i + 1]) - shift > JUMP_US
                and abs(np.int64(stamps[i + 2]) - np.int64(stamps[i + 1])) <= JUMP_US
            ):
                counts[DAMAGED] += 1  # the clock would begin with a restart
                times[i] = -1
                continue
            last = now
            times[i] = now
            continue
        fresh = shift
        if now - last < -MODULUS // 2:
            now, fresh = now + MODULUS, shift + MODULUS
        step = now - last
        if abs(step) > JUMP_US:
            if i + 1 < len(stamps):
                following = np.int64(stamps[i + 1]) + shift
                if following - last < -MODULUS // 2:
                    following += MODULUS
                near = np.int64(stamps[i + 1]) + fresh
                if abs(following - last) <= min(abs(near - now), abs(near + MODULUS - now)):
                    counts[DAMAGED] += 1
                    times[i] = -1
                    continue
            if step < 0:
                fresh += 1 - step
                now = last + 1
                restarts[i] = fresh
                counts[RESTARTS] += 1
            else:
                counts[JUMPS] += 1
        if fresh != shift and restarts[i] == 0:
            counts[WRAPS] += 1
        shift = fresh
        times[i] = now
        last = now
    state[LAST], state[SHIFT] = last, shift


@compiled
def largest(addresses: NDArray[np.uint32], found: NDArray[np.int64]) -> None:
    """Raise the largest column and row of events, and of readings of frames, int64 (4,)."""
    for i in range(len(addresses)):
        word = np.int64(addresses[i])
        if word & 0x80000C00 == 0x80000C00:
            continue
        place = 2 if word >> 31 else 0
        found[place] = max(found[place], (word >> 12) & 0x3FF)
        found[place + 1] = max(found[place + 1], (word >> 22) & 0x1FF)


@compiled
def decode_dvs128(
    addresses: NDArray[np.uint32],
    times: NDArray[np.int64],
    chip: tuple[int, int],
    sensor: tuple[int, int],
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> tuple[int, int]:
    """Decode addresses of a DVS128; parameters as of :func:`decode_davis`."""
    n = outside = 0
    for i in range(len(times)):
        word = np.int64(addresses[i])
        if times[i] < 0 or word >> 15 & 1:
            continue
        column = chip[1] - 1 - ((word >> 1) & 0x7F)
        row = chip[0] - 1 - ((word >> 8) & 0x7F)
        if row < 0 or column < 0 or row >= sensor[0] or column >= sensor[1]:
            outside += 1
            continue
        t[n], x[n], y[n], p[n] = times[i], column, row, 1 - (word & 1)
        n += 1
    return n, outside


@compiled
def decode_davis(
    addresses: NDArray[np.uint32],
    times: NDArray[np.int64],
    chip: tuple[int, int],
    sensor: tuple[int, int],
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> tuple[int, int]:
    """Decode the events among addresses of a DAVIS.

    Parameters
    ----------
    addresses : uint32 (W,)
    times : int64 (W,)
        In us, -1 for words to leave out.
    chip : (int, int)
        Height and width that addresses are mirrored about.
    sensor : (int, int)
        Height and width; events beyond are counted as outside.
    t, x, y, p : int64, uint16, uint16, int8 (W,)
        Receive the events.

    Returns
    -------
    int, int
        Numbers of events written and of those outside.
    """
    n = outside = 0
    for i in range(len(times)):
        word = np.int64(addresses[i])
        if times[i] < 0 or word >> 31 or word & 0xC00 == 0x400:
            continue
        column = chip[1] - 1 - ((word >> 12) & 0x3FF)
        row = chip[0] - 1 - ((word >> 22) & 0x1FF)
        if row < 0 or column < 0 or row >= sensor[0] or column >= sensor[1]:
            outside += 1
            continue
        t[n], x[n], y[n], p[n] = times[i], column, row, (word >> 11) & 1
        n += 1
    return n, outside
