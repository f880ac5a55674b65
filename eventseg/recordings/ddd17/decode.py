"""Compiled loops over events as they are stored; other threads can read the file meanwhile.

A stored event is one 64-bit number: the low half is its word (bit 0 valid, bit 1 polarity, 15 bits
of row, 15 bits of column), the high half its 31-bit time stamp. Loops without branches on single
events let the compiler use vector instructions; the slower ones run for packets with an event that
must be left out.
"""

# mypy: disable-error-code="untyped-decorator, assignment, arg-type, return-value"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled

INVALID, NEGATIVE, STRAY, OUTSIDE, KEPT, FIRST, LAST, LOW, HIGH, X_MAX, Y_MAX, BACK = range(12)
"""Columns of the table that :func:`scan` fills."""


@compiled
def scan(
    events: NDArray[np.uint64],
    starts: NDArray[np.int64],
    spans: NDArray[np.int64],
    height: int,
    width: int,
) -> NDArray[np.int64]:
    """Summarise packets of events.

    Parameters
    ----------
    events : uint64 (N,)
        All events of the packets, one after the other.
    starts : int64 (P + 1,)
        First event of each packet, and N.
    spans : int64 (P, 2)
        Earliest and latest 31-bit stamp that each packet may hold; others are strays.
    height, width : int
        Events at rows and columns beyond are counted as outside.

    Returns
    -------
    int64 (P, 12)
        For each packet: events marked invalid, with a negative time, strays, outside, kept; time
        of the first, last, earliest and latest kept event; largest column and row; steps back in
        time.
    """
    table = np.zeros((len(starts) - 1, 12), np.int64)
    for packet in range(len(starts) - 1):
        part = events[starts[packet] : starts[packet + 1]]
        low, high = spans[packet, 0], spans[packet, 1]
        if not _scan_sound(part, low, high, height, width, table[packet]):
            _scan_each(part, low, high, height, width, table[packet])
    return table


@compiled
def _scan_sound(
    part: NDArray[np.uint64],
    t_low: int,
    t_high: int,
    height: int,
    width: int,
    row: NDArray[np.int64],
) -> bool:
    """Fill the row of a packet if all its events pass; return whether they do."""
    n = len(part)
    unsound = x_max = y_max = high = 0
    low = 2**31
    for i in range(n):
        event = np.int64(part[i])  # negative if its time stamp is
        unsound |= ~event & 1 | (event < 0)
        x_max = max(x_max, event >> 17 & 0x7FFF)
        y_max = max(y_max, event >> 2 & 0x7FFF)
        stamp = event >> 32
        low, high = min(low, stamp), max(high, stamp)
    if n == 0 or unsound or x_max >= width or y_max >= height or low < t_low or high > t_high:
        return False
    back = 0
    for i in range(1, n):
        back += part[i] >> np.uint64(32) < part[i - 1] >> np.uint64(32)
    row[KEPT], row[BACK] = n, back
    row[FIRST], row[LAST] = part[0] >> np.uint64(32), part[n - 1] >> np.uint64(32)
    row[LOW], row[HIGH], row[X_MAX], row[Y_MAX] = low, high, x_max, y_max
    return True


@compiled
def _scan_each(
    part: NDArray[np.uint64],
    t_low: int,
    t_high: int,
    height: int,
    width: int,
    row: NDArray[np.int64],
) -> None:
    """Fill the row of any packet, event by event."""
    invalid = negative = stray = outside = kept = back = first = last = x_max = y_max = 0
    low, high = 2**31, -1
    for i in range(len(part)):
        event = np.int64(part[i])
        t, x, y = event >> 32, event >> 17 & 0x7FFF, event >> 2 & 0x7FFF
        if event & 1 == 0:
            invalid += 1
        elif t < 0:
            negative += 1
        elif t < t_low or t > t_high:
            stray += 1
        elif x >= width or y >= height:
            outside += 1
        else:
            x_max, y_max = max(x_max, x), max(y_max, y)
            low, high = min(low, t), max(high, t)
            if kept == 0:
                first = t
            elif t < last:
                back += 1
            last = t
            kept += 1
    row[INVALID], row[NEGATIVE], row[STRAY] = invalid, negative, stray
    row[OUTSIDE], row[KEPT] = outside, kept
    row[FIRST], row[LAST], row[LOW], row[HIGH] = first, last, low, high
    row[X_MAX], row[Y_MAX], row[BACK] = x_max, y_max, back


@compiled
def decode(
    events: NDArray[np.uint64],
    starts: NDArray[np.int64],
    bases: NDArray[np.int64],
    spans: NDArray[np.int64],
    limits: tuple[int, int, int, int],
    rotate: bool,
    t_out: NDArray[np.int64],
    x_out: NDArray[np.uint16],
    y_out: NDArray[np.uint16],
    p_out: NDArray[np.int8],
) -> tuple[int, bool]:
    """Unpack polarity events into columns.

    Parameters
    ----------
    events, starts
        As for :func:`scan`.
    bases : int64 (P,)
        Continuous time in us at which the 31-bit clock of each packet was zero.
    spans : int64 (P, 2)
        Earliest and latest continuous time of the events to keep of each packet.
    limits : (t0_us, t1_us, height, width)
        Events outside are left out.
    rotate : bool
        Turn the picture by 180 degrees.
    t_out, x_out, y_out, p_out
        Columns to write from index 0, with room for all events.

    Returns
    -------
    n : int
        Number of events written.
    in_order : bool
        Whether their times do not decrease.
    """
    t0, t1, height, width = limits
    n = 0
    in_order = True
    for packet in range(len(bases)):
        part = events[starts[packet] : starts[packet + 1]]
        stop = n + len(part)
        t, x, y, p = t_out[n:stop], x_out[n:stop], y_out[n:stop], p_out[n:stop]
        kept = len(part)
        low, high = max(t0, spans[packet, 0]), min(t1, spans[packet, 1] + 1)
        within = (low, high, height, width)
        if not _unpack(part, bases[packet], within, t, x, y, p):
            kept = _keep(part, within, t, x, y, p)
        if rotate:
            for i in range(kept):
                x[i], y[i] = width - 1 - x[i], height - 1 - y[i]
        back = n > 0 and kept > 0 and t[0] < t_out[n - 1]
        for i in range(1, kept):
            back |= t[i] < t[i - 1]
        in_order &= not back
        n += kept
    return n, in_order


@compiled
def _unpack(
    part: NDArray[np.uint64],
    base: int,
    limits: tuple[int, int, int, int],
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> bool:
    """Unpack all events of a packet; return whether all are sound and within the limits."""
    t0, t1, height, width = limits
    unsound = False
    for i in range(len(part)):
        event = np.int64(part[i])
        time, col, row = base + (event >> 32), event >> 17 & 0x7FFF, event >> 2 & 0x7FFF
        t[i], x[i], y[i], p[i] = time, col, row, event >> 1 & 1
        unsound |= (event & 1 == 0) | (event < 0) | (col >= width) | (row >= height)
        unsound |= (time < t0) | (time >= t1)
    return not unsound


@compiled
def _keep(
    part: NDArray[np.uint64],
    limits: tuple[int, int, int, int],
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> int:
    """Move the events to keep to the front, in their order; return their number."""
    t0, t1, height, width = limits
    kept = 0
    for i in range(len(part)):
        event = np.int64(part[i])
        if event & 1 and event >= 0 and t0 <= t[i] < t1 and x[i] < width and y[i] < height:
            t[kept], x[kept], y[kept], p[kept] = t[i], x[i], y[i], p[i]
            kept += 1
    return kept
