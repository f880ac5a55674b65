"""Events as a Prophesee RAW file of EVT3."""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment"

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream, SensorSize
from eventseg.kernels.compiled import compiled

MODULUS_US = 2**24
"""Range of the clock of EVT3: times are read back but for a multiple of it."""

MOST_SIDE = 2**11
"""Most rows and columns: 11 bits."""

WORDS_PER_EVENT = 5
"""Most words of an event: high and low time, row, first column, vector."""

SHORTEST_VECTOR = 3
"""Fewest events that are written as a vector: two are no longer by themselves."""


def write_evt3(file: BinaryIO, spans: Iterable[EventStream], *, sensor: SensorSize) -> None:
    """Write events, in their order.

    Parameters
    ----------
    file : BinaryIO
    spans : iterable of EventStream
        Consecutive spans, sorted by time.
    sensor : SensorSize
        At most 2048 rows and columns.
    """
    lines = (
        "% camera_integrator_name eventseg",
        "% evt 3.0",
        f"% format EVT3;height={sensor.height};width={sensor.width}",
        f"% geometry {sensor.width}x{sensor.height}",
        "% end",
    )
    file.write(("\n".join(lines) + "\n").encode())
    state = np.full(3, -1, np.int64)
    for span in spans:
        if not len(span):
            continue
        before = int(state[0]) if state[0] >= 0 else int(span.t[0]) >> 12
        steps = (int(span.t[-1]) >> 12) - before + 1
        words = np.empty(len(span) * WORDS_PER_EVENT + steps, np.uint16)
        n = _encode(span.t, span.x, span.y, span.p, state, words)
        file.write(words[:n].astype("<u2").tobytes())


@compiled
def _encode(
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
    state: NDArray[np.int64],
    words: NDArray[np.uint16],
) -> int:
    """Encode events.

    Parameters
    ----------
    t, x, y, p : int64, uint16, uint16, int8 (N,)
    state : int64 (3,)
        High time, low time and row of the last words, -1 for none.
    words : uint16 (W,)
        Receive the words.

    Returns
    -------
    int
        Number of words written.
    """
    high, low, row = state[0], state[1], state[2]
    n, i = 0, 0
    while i < len(t):
        if high < 0:
            high = t[i] >> 12
            words[n] = 0x8000 | (high & 0xFFF)
            n += 1
        # Every step is written, as a camera does: a reader could not tell a longer pause.
        while high < t[i] >> 12:
            high, low = high + 1, -1
            words[n] = 0x8000 | (high & 0xFFF)
            n += 1
        if t[i] & 0xFFF != low:
            low = t[i] & 0xFFF
            words[n] = 0x6000 | low
            n += 1
        if y[i] != row:
            row = np.int64(y[i])
            words[n] = row
            n += 1
        stop = i + 1
        while (
            stop < len(t)
            and t[stop] == t[i]
            and y[stop] == y[i]
            and p[stop] == p[i]
            and x[stop] > x[stop - 1]
            and x[stop] < np.int64(x[i]) + 12
        ):
            stop += 1
        if stop - i < SHORTEST_VECTOR:
            words[n] = 0x2000 | (np.int64(p[i]) << 11) | x[i]
            n += 1
            i += 1
            continue
        bits = np.int64(0)
        for k in range(i, stop):
            bits |= 1 << (np.int64(x[k]) - np.int64(x[i]))
        words[n] = 0x3000 | (np.int64(p[i]) << 11) | x[i]
        words[n + 1] = 0x4000 | bits
        n += 2
        i = stop
    state[0], state[1], state[2] = high, low, row
    return n
