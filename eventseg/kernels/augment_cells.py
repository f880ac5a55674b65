"""Bodies of event augmentation, for CPU and CUDA: one event of a sample, and one event of noise.

Plain functions as in :mod:`eventseg.kernels.cells`, of integers only. A random number is a word of
64 bits, a function of a key and of the word's number, so that any order of events gives the same
ones: the sequence of SplitMix64 that begins at the key (Steele, Lea and Flood, Fast splittable
pseudorandom number generators, OOPSLA 2014). Event i of n has word i; event j of noise has the two
words from n + 2 j on. Choices compare with thresholds or scale to ranges in integers, rounded
nowhere. Changed events are not sorted again: kernels that encode them take any order.

A plan of changes is int64 (K, 13), a row for each window, its columns as numbered here:

FIRST, LAST
    First event of the window and the one after its last.
BEGIN, END
    The window in us.
PLACE
    Index in the output where its events begin: those changed, then those of noise.
KEY, DROP, NOISE, SWAP, JITTER, FLIP, DX, DY
    Key of the words, 2^32 times the probability that an event is dropped, number of events of
    noise, 1 if polarity is swapped, largest change of time in us either way, 1 if columns are
    mirrored, and the shift in pixels, right and down.
"""

from __future__ import annotations

import numpy as np

FIRST, LAST, BEGIN, END, PLACE = range(5)
KEY, DROP, NOISE, SWAP, JITTER, FLIP, DX, DY = range(5, 13)
PLAN_COLUMNS = 13

LOST_ROW = 65535
"""Row of events that are dropped or leave the sensor: below any, so that no cell takes them."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_1, _27, _30, _31, _32 = (np.uint64(bits) for bits in (1, 27, 30, 31, 32))


def random_word(key, number):
    """Return one word of a key by its number, uint64; all sums and products are modulo 2^64."""
    word = np.uint64(key) + (np.uint64(number) + _1) * _GOLDEN
    word = (word ^ (word >> _30)) * _FIRST_FACTOR
    word = (word ^ (word >> _27)) * _SECOND_FACTOR
    return word ^ (word >> _31)


def rules_of(plan, k, height, width):
    """Return the constants of window k, which are the same for all its events: ten int64."""
    return (
        plan[k, BEGIN],
        plan[k, END],
        plan[k, DROP],
        plan[k, SWAP],
        plan[k, JITTER],
        plan[k, FLIP],
        plan[k, DX],
        plan[k, DY],
        np.int64(height),
        np.int64(width),
    )


def changed_event(t, x, y, p, word, rules):
    """Return t, x, y and p of an event after the changes of its window, int64 each.

    The upper half of its word says whether it is dropped, the lower half how its time changes;
    times stay within the window. It is mirrored first, then shifted. Lost events have LOST_ROW.
    """
    begin, end, drop, swap, jitter, flip, dx, dy, height, width = rules
    late = ((np.int64(word & _LOW) * (2 * jitter + 1)) >> 32) - jitter
    time = min(max(t + late, begin), end - 1)
    column = (width - 1 - np.int64(x) if flip else np.int64(x)) + dx
    row = np.int64(y) + dy
    # Not a chain of comparisons: chance decides, and no branch could be foreseen.
    kept = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    kept &= np.int64(word >> _32) >= drop
    lost_row = np.int64(LOST_ROW)
    return time, column if kept else np.int64(0), row if kept else lost_row, np.int64(p) ^ swap


def noise_event(when, where, rules):
    """Return t, x, y and p of an event of noise, uniform in its window and on the sensor.

    ``when`` and ``where`` are its two words; the result is int64 each.
    """
    begin, end, _drop, _swap, _jitter, _flip, _dx, _dy, height, width = rules
    time = begin + np.int64(when % np.uint64(end - begin))
    column = (np.int64(where >> _32) * width) >> 32
    row = (np.int64((where & _LOW) >> _1) * height) >> 31
    return time, column, row, np.int64(where & _1)
