"""Decoder of Event Stream: records of a time step, and a column and a row where there is an event.

The first byte of a record of a DVS is 255 for a step of 127 us without an event, 254 for nothing,
or the step times two plus the polarity. Of an ATIS its upper six bits are the step and the lower
two the kind: 0 OFF, 2 ON, 1 and 3 begin and end of an exposure; six bits set are a step of 63 us
times the lower two without an event. Column and row have 16 bits each.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment, return-value"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled

RECORD_BYTES = 5
"""Bytes of a record with an event."""

FOUND, OUTSIDE, DAMAGED, LOST_BYTES, EXPOSURES = range(5)
"""Places of the counts: events, those outside the sensor, those that no sensor of the file's size
has, bytes between records, and records of exposures."""

COUNTS = 5

SOUND_RECORDS = 6
"""Events in a row on the sensor that show where a record begins."""

AHEAD_BYTES = 128
"""Bytes beyond a block that may be looked at."""


@compiled
def decode(
    content: NDArray[np.uint8],
    stop: int,
    time: int,
    atis: bool,
    size: tuple[int, int],
    sensor: tuple[int, int],
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    counts: NDArray[np.int64],
) -> tuple[int, int, int]:
    """Decode the records that begin in a block.

    A column or row beyond the size tells that a byte is damaged; where the records behind are no
    sound ones either, the next place is looked for from which on they are.

    Parameters
    ----------
    content : uint8 (B,)
        The block, and bytes beyond it.
    stop : int
        Length of the block.
    time : int
        Time before the block in us.
    atis : bool
        The records are of an ATIS, else of a DVS.
    size, sensor : (int, int)
        Height and width in the file, and of the sensor to read; events beyond are left out.
    t, x, y, p : int64, uint16, uint16, int8 (E,)
        Receive the events; room for a fifth of the bytes and one.
    counts : int64 (5,)
        Go up by the number of each found.

    Returns
    -------
    int, int, int
        Number of events written, bytes used, and time behind the block.
    """
    n = place = 0
    while place < stop:
        step, kind = _first_byte(content[place], atis)
        if kind < 0:
            time += step
            place += 1
            continue
        if place + RECORD_BYTES > len(content):
            break
        column = np.int64(content[place + 1]) | np.int64(content[place + 2]) << 8
        row = np.int64(content[place + 3]) | np.int64(content[place + 4]) << 8
        if row >= size[0] or column >= size[1]:
            skipped = _bytes_to_sound(content, place, atis, size)
            if skipped != RECORD_BYTES:
                counts[LOST_BYTES] += skipped
                place += skipped
                continue
            time += step
            place += RECORD_BYTES
            counts[FOUND] += 1
            counts[DAMAGED] += 1
            continue
        time += step
        place += RECORD_BYTES
        if kind > 1:
            counts[EXPOSURES] += 1
            continue
        counts[FOUND] += 1
        if row >= sensor[0] or column >= sensor[1]:
            counts[OUTSIDE] += 1
            continue
        t[n], x[n], y[n], p[n] = time, column, row, kind
        n += 1
    return n, place, time


@compiled
def _first_byte(byte: int, atis: bool) -> tuple[int, int]:
    """Return the time step and the kind: -1 no event, 0 OFF, 1 ON, 2 of an exposure."""
    value = np.int64(byte)
    if atis:
        if value >> 2 == 63:
            return 63 * (value & 3), -1
        return value >> 2, 2 if value & 1 else value >> 1 & 1
    if value == 255:
        return 127, -1
    if value == 254:
        return 0, -1
    return value >> 1, value & 1


@compiled
def _bytes_to_sound(
    content: NDArray[np.uint8], place: int, atis: bool, size: tuple[int, int]
) -> int:
    """Return the bytes after which records are sound again: one record where none is lost."""
    if _is_sound(content, place + RECORD_BYTES, atis, size):
        return RECORD_BYTES
    for skipped in range(1, 2 * RECORD_BYTES):
        if _is_sound(content, place + skipped, atis, size):
            return skipped
    return RECORD_BYTES


@compiled
def _is_sound(content: NDArray[np.uint8], place: int, atis: bool, size: tuple[int, int]) -> bool:
    """Return whether the events from a byte on lie on the sensor."""
    events = 0
    while place < len(content) and events < SOUND_RECORDS:
        _, kind = _first_byte(content[place], atis)
        if kind < 0:
            place += 1
            continue
        if place + RECORD_BYTES > len(content):
            break
        column = np.int64(content[place + 1]) | np.int64(content[place + 2]) << 8
        row = np.int64(content[place + 3]) | np.int64(content[place + 4]) << 8
        if row >= size[0] or column >= size[1]:
            return False
        events += 1
        place += RECORD_BYTES
    return True
