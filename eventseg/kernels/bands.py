"""Six channels of one window, a band of rows and a polarity at a time.

The sums of all cells fill 32 bytes a pixel, more than a core's cache, and are read, finished and
cleared in full however few the events are. So events are first put in the order of their bands,
by one pass that counts and one that moves, without a branch. Then one small table, which stays in
the cache, takes the events of a band, is finished into the output, and is clear for the next band.
"""

from __future__ import annotations

import numpy as np

from eventseg.kernels.accumulate import BLOCK
from eventseg.kernels.cells import COUNT_SHIFT, EXACT_LIMIT
from eventseg.kernels.compiled import compiled
from eventseg.kernels.finalize import finalize_plane, largest_count

BAND_BYTES = 328 << 10
"""Sums of a band: 32 rows of 346 or 640 pixels, 16 of 1280."""

LEAST_BYTES = 1 << 20
"""Smaller tables of all cells are no faster in bands."""

MOST_KEYS = 255
"""Bands of both polarities and one for all other rows must be numbered in a byte."""

MOST_EVENTS_A_PIXEL = 2
"""With more events, their sorting takes longer than the larger table."""


def band_shift(rows: int, width: int) -> int:
    """Return the logarithm of the rows of a band, or -1 where all cells are best taken at once."""
    shift = (BAND_BYTES // (16 * width)).bit_length() - 1
    if 32 * rows * width < LEAST_BYTES or shift < 0 or 2 * -(-rows >> shift) >= MOST_KEYS:
        return -1
    return shift


@compiled
def stage_keys(y, p, row0, rows, shift, bands, key):
    """Write the band of each event: ON bands, then OFF bands, then one for all other rows."""
    key = key[: len(y)]
    y, p = y[: len(key)], p[: len(key)]
    for i in range(len(key)):
        row = np.int32(y[i]) - np.int32(row0)
        band = (row >> np.int32(shift)) + (np.int32(1) - np.int32(p[i])) * np.int32(bands)
        key[i] = band if np.int32(0) <= row < np.int32(rows) else np.int32(2) * np.int32(bands)


@compiled
def stage_words(t, x, y, t0_us, row0, width, mask, word):
    """Write the cell of each event within its band, and its dt in the lower 32 bits."""
    word = word[: len(t)]
    t, x, y = t[: len(word)], x[: len(word)], y[: len(word)]
    for i in range(len(word)):
        row = (np.int32(y[i]) - np.int32(row0)) & np.int32(mask)
        cell = row * np.int32(width) + np.int32(x[i])
        word[i] = np.uint64(cell) << np.uint64(32) | np.uint64(t[i] - t0_us)


@compiled
def sort_by_band(t, x, y, p, lo, hi, t0_us, row0, rows, width, shift, ends, key, order):
    """Write the words of the events ``lo`` to ``hi`` in the order of their bands.

    ``ends`` is int64 (2 bands + 2,); on return its entry b is the end of the events of band b.
    """
    bands = (len(ends) - 2) // 2
    stage_keys(y[lo:hi], p[lo:hi], row0, rows, shift, bands, key)
    ends[:] = 0
    for i in range(hi - lo):
        ends[np.uint64(key[i]) + np.uint64(1)] += 1
    for band in range(2 * bands + 1):
        ends[band + 1] += ends[band]
    word = np.empty(BLOCK, np.uint64)
    mask = (1 << shift) - 1
    for first in range(lo, hi, BLOCK):
        last = min(first + BLOCK, hi)
        stage_words(t[first:last], x[first:last], y[first:last], t0_us, row0, width, mask, word)
        for i in range(last - first):
            # Unsigned, so that no code is made for an index counted from the end.
            own = np.uint64(key[np.uint64(first - lo + i)])
            place = ends[own]
            order[np.uint64(place)] = word[i]
            ends[own] = place + 1


@compiled
def add_words(count_time, square, words):
    """Add sorted events to the two packed words of their cells."""
    for i in range(len(words)):
        cell = words[i] >> np.uint64(32)
        dt = np.int64(words[i] & np.uint64(0xFFFFFFFF))
        count_time[cell] += (np.int64(1) << COUNT_SHIFT) + dt
        square[cell] += dt * dt


@compiled
def encode_bands(
    t, x, y, p, lo, hi, t0_us, window_us, out, count_time, square, shift, key, order, row0, rows,
    width, ddof,
):  # fmt: skip
    """Encode one window; return whether a cell is beyond exact integers, see ``encode_packed``.

    Parameters
    ----------
    t, x, y, p : columns of an event stream
    lo, hi : int
        First event of the window and the one after its last.
    t0_us, window_us : int
        Begin and length of the window.
    out : float32 (6, C)
        Channels, C = rows x width cells.
    count_time, square : int64
        Sums of the cells of a band at least, all zero before and after.
    shift : int
        Logarithm of the rows of a band.
    key : uint8, order : uint64
        Room for the events.
    """
    bands = (rows + (1 << shift) - 1) >> shift
    ends = np.empty(2 * bands + 2, np.int64)
    sort_by_band(t, x, y, p, lo, hi, t0_us, row0, rows, width, shift, ends, key, order)
    doubtful = (hi - lo) * window_us >= EXACT_LIMIT
    beyond = False
    begin = 0
    for band in range(2 * bands):
        polarity, first_row = band // bands, (band % bands) << shift
        last_row = min(first_row + (1 << shift), rows)
        cells = (last_row - first_row) * width
        add_words(count_time, square, order[begin : ends[band]])
        if doubtful:
            beyond |= largest_count(count_time, cells) * window_us >= EXACT_LIMIT
        part = slice(first_row * width, last_row * width)
        finalize_plane(
            count_time[:cells],
            square[:cells],
            out[polarity, part],
            out[2 + 2 * polarity, part],
            out[3 + 2 * polarity, part],
            window_us,
            0,
            False,
            ddof,
        )
        begin = ends[band]
    return beyond
