"""Decoder of ECF, the filter of events in Prophesee's HDF5 files, with checks of all bounds.

A chunk is a word of 32 bits with the number of events times four, and bits 1 and 0 for how places
are packed; the first time, 64 bits; then all times, and all places.

Times are bytes: the upper four bits are a step in us, the lower four the number of events at the
new time, where 15 means that 16 bits with the number follow. Steps of 15 and more are bytes whose
upper bits are 15, each with four bits of the step, lowest first.

Places are of one of three kinds. Bit 1: four events in three words of 32 bits, each 23 bits of row,
column and polarity. Bit 0: runs of rows, then four events in three words of 16 bits, each 12 bits
of column and polarity. Neither: runs of rows, columns, and runs of polarities. A run of rows is 16
bits, the row and in the lower five a number, where 31 means that 16 bits with it follow; one of
polarities is a byte, the upper bit and seven of a number, where 127 means the same. A column is 16
bits: the column and a mask of the five to its right.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment, return-value"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled
from eventseg.recordings.hdf5.storage import DamageError

ECF_ID = 0x8ECF
"""Number of the filter."""

EVENT_DTYPE = np.dtype(
    {
        "names": ["x", "y", "p", "t"],
        "formats": ["<u2", "<u2", "<i2", "<i8"],
        "offsets": [0, 2, 4, 8],
        "itemsize": 16,
    }
)
"""An event once unpacked."""

MOST_EVENTS = 2**16 - 1
"""Most events of a chunk."""


def unpack_ecf(content: bytes) -> bytes:
    """Return the events of a chunk as :data:`EVENT_DTYPE`.

    Raises
    ------
    DamageError
        The chunk ends too early, or has runs beyond its number of events.
    """
    stored = np.frombuffer(content, np.uint8)
    if len(stored) < 12:
        raise DamageError(f"a chunk of ECF has {len(stored)} bytes")
    head = int.from_bytes(content[:4], "little")
    n = head >> 2
    if n > MOST_EVENTS:
        raise DamageError(f"a chunk of ECF declares {n:,} events, more than {MOST_EVENTS:,}")
    t, places = np.empty(n, np.int64), np.empty((n, 3), np.int64)
    first_us = int.from_bytes(content[4:12], "little", signed=True)
    at = _times(stored, 12, first_us, t)
    if at >= 0:
        at = _places(stored, at, head & 3, places)
    if at < 0:
        raise DamageError(f"a chunk of ECF with {n:,} events ends too early or is damaged")
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = t
    for k, name in enumerate("yxp"):
        events[name] = places[:, k]
    return events.tobytes()


@compiled
def _times(content: NDArray[np.uint8], at: int, now: int, t: NDArray[np.int64]) -> int:
    """Decode the times; return the byte behind them, -1 for damage."""
    n = shift = 0
    step = np.int64(0)
    while n < len(t):
        if at >= len(content):
            return -1
        upper, count = np.int64(content[at]) >> 4, np.int64(content[at]) & 15
        at += 1
        if upper == 15:
            if shift > 56:
                return -1
            step |= count << shift
            shift += 4
            continue
        now += step + upper
        step, shift = np.int64(0), 0
        if count == 15:
            if at + 2 > len(content):
                return -1
            count = np.int64(content[at]) | np.int64(content[at + 1]) << 8
            at += 2
        if n + count > len(t):
            return -1
        for k in range(count):
            t[n + k] = now
        n += count
    return at


@compiled
def _places(content: NDArray[np.uint8], at: int, kind: int, places: NDArray[np.int64]) -> int:
    """Decode rows, columns and polarities (N, 3); return the byte behind, -1 for damage."""
    if kind & 2:
        return _packed(content, at, 32, 12, places)
    at = _runs(content, at, 2, places[:, 0])
    if at < 0:
        return at
    if kind & 1:
        return _packed(content, at, 16, 0, places)
    n = 0
    while n < len(places):
        if at + 2 > len(content):
            return -1
        word = np.int64(content[at]) | np.int64(content[at + 1]) << 8
        at += 2
        for k in range(6):
            if (k == 0 or word >> (5 - k) & 1) and n < len(places):
                places[n, 1] = (word >> 5) + k
                n += 1
    return _runs(content, at, 1, places[:, 2])


@compiled
def _packed(
    content: NDArray[np.uint8], at: int, bits: int, row_shift: int, places: NDArray[np.int64]
) -> int:
    """Decode groups of four events in three words; rows only where `row_shift` is not 0."""
    word_bytes, part = bits // 8, bits // 4
    low = (1 << part) - 1
    words = np.empty(3, np.int64)
    values = np.empty(4, np.int64)
    for first in range(0, len(places), 4):
        if at + 3 * word_bytes > len(content):
            return -1
        for k in range(3):
            words[k] = 0
            for j in range(word_bytes):
                words[k] |= np.int64(content[at]) << 8 * j
                at += 1
        values[0] = words[0] >> part
        values[1] = (words[0] & low) | words[1] >> 2 * part << part
        values[2] = (words[1] & ((1 << 2 * part) - 1)) | words[2] >> 3 * part << 2 * part
        values[3] = words[2] & ((1 << 3 * part) - 1)
        for k in range(min(4, len(places) - first)):
            if row_shift:
                places[first + k, 0] = values[k] >> row_shift & 0x7FF
            places[first + k, 1] = values[k] >> 1 & 0x7FF
            places[first + k, 2] = values[k] & 1
    return at


@compiled
def _runs(content: NDArray[np.uint8], at: int, word_bytes: int, out: NDArray[np.int64]) -> int:
    """Decode runs of rows (two bytes) or polarities (one); return as :func:`_times`."""
    count_bits = 5 if word_bytes == 2 else 7
    most = (1 << count_bits) - 1
    n = 0
    while n < len(out):
        if at + word_bytes > len(content):
            return -1
        word = np.int64(content[at])
        if word_bytes == 2:
            word |= np.int64(content[at + 1]) << 8
        at += word_bytes
        count = word & most
        if count == most:
            if at + 2 > len(content):
                return -1
            count = np.int64(content[at]) | np.int64(content[at + 1]) << 8
            at += 2
        if count == 0 or n + count > len(out):
            return -1
        for k in range(count):
            out[n + k] = word >> count_bits
        n += count
    return at
