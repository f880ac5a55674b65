"""Events of a message in each encoding of ``event_camera_msgs``, and of single events."""

# mypy: disable-error-code="untyped-decorator, no-any-return, return-value"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.compiled import compiled
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.prophesee import evt3, state
from eventseg.recordings.rosbag.messages import EventMessage, MessageDamage

ENCODINGS = ("array", "mono", "libcaer", "libcaer_cmp", "evt3")

ANY_SIZE = 2**15
"""No row or column is beyond it."""


def events_of(
    message: EventMessage, before: NDArray[np.int64], counts: NDArray[np.int64]
) -> EventColumns:
    """Return the events of a message in file order, times in us.

    Parameters
    ----------
    message : EventMessage
    before : int64 (5,)
        State of the decoder of EVT3 before the message; becomes that after it.
    counts : int64 (13,)
        Counts of :mod:`eventseg.recordings.prophesee.state` go up for EVT3.

    Raises
    ------
    MessageDamage
        The encoding is unknown, or the content no multiple of its words.
    """
    if message.encoding == "array":
        return _single(message.content)
    if message.encoding == "mono":
        return _mono(message)
    if message.encoding == "libcaer":
        return _libcaer(message)
    if message.encoding == "libcaer_cmp":
        return _compressed(message)
    if message.encoding == "evt3":
        return _evt3(message, before, counts)
    raise MessageDamage(f"the encoding {message.encoding[:40]!r} is none of {', '.join(ENCODINGS)}")


def _words(message: EventMessage, kind: str) -> NDArray[Any]:
    order = ">" if message.big_endian else "<"
    dtype = np.dtype(f"{order}{kind}")
    if len(message.content) % dtype.itemsize:
        raise MessageDamage(f"{len(message.content)} bytes are no whole words of {dtype.itemsize}")
    content: NDArray[Any] = message.content
    return content.view(dtype).astype(dtype.newbyteorder("="), copy=False)


def _columns(t: object, x: object, y: object, p: object) -> EventColumns:
    return EventColumns(
        np.asarray(t, np.int64),
        np.asarray(x, np.uint16),
        np.asarray(y, np.uint16),
        np.asarray(p, np.int8),
    )


def _single(events: NDArray[Any]) -> EventColumns:
    t = events["s"].astype(np.int64) * 1_000_000 + events["ns"] // 1_000
    return _columns(t, events["x"], events["y"], events["p"] > 0)


def _mono(message: EventMessage) -> EventColumns:
    """Words of 64 bits: 32 of nanoseconds, 16 of column, 15 of row, 1 of polarity."""
    words = _words(message, "u8")
    dt, upper = words & 0xFFFFFFFF, words >> np.uint64(32)
    t = (message.time_base_ns + dt.astype(np.int64)) // 1_000
    return _columns(t, upper & 0xFFFF, upper >> 16 & 0x7FFF, upper >> 31)


def _libcaer(message: EventMessage) -> EventColumns:
    """Pairs of a word of AEDAT 3.1 and a time in us, of which a fall is a wrap of 31 bits."""
    pairs = _words(message, "u4")
    if len(pairs) % 2:
        raise MessageDamage(f"{len(message.content)} bytes are no whole events of 8")
    made = empty_columns(len(pairs) // 2)
    # Sequences lie at any byte; compiled code wants whole words.
    stored = np.require(pairs, requirements="A")
    n = _unpack_libcaer(stored, message.time_base_ns // 1_000, made.t, made.x, made.y, made.p)
    return made[:n]


@compiled
def _unpack_libcaer(
    pairs: NDArray[np.uint32],
    base_us: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> int:
    """Decode pairs of a word and a time in us; those marked invalid are left out."""
    n, one = np.uint64(0), np.uint64(1)
    before, lap = np.int64(0), np.int64(base_us)
    for i in range(len(pairs) // 2):
        word, us = np.int64(pairs[2 * i]), np.int64(pairs[2 * i + 1])
        if word & 1 == 0:
            continue
        # A fall by a few microseconds is disorder, one by most of the range a wrap.
        if us - before < -(2**30):
            lap += 2**31
        before = us
        t[n], x[n], y[n] = lap + us, (word >> 17) & 0x7FFF, (word >> 2) & 0x7FFF
        p[n] = (word >> 1) & 1
        n += one
    return np.int64(n)


def _compressed(message: EventMessage) -> EventColumns:
    words = _words(message, "u2")
    room = 8 * len(words)
    made = empty_columns(room)
    n = _decompress(words, message.time_base_ns // 1_000, made.t, made.x, made.y, made.p)
    return made[:n]


@compiled
def _decompress(
    words: NDArray[np.uint16],
    base_us: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> int:
    """Decode words of 16 bits: high and low time, column, row with polarity, eight rows."""
    high = low = row = column = on = n = np.int64(0)
    for i in range(len(words)):
        word = np.int64(words[i])
        kind = word >> 12
        if kind == 0:
            high = word & 0xFFF
        elif kind == 1:
            low = word & 0xFFF
        elif kind == 2:
            column = word & 0x7FF
        elif kind == 3:
            t[n], x[n], y[n], p[n] = (
                base_us + (high << 12 | low),
                column,
                word & 0x7FF,
                word >> 11 & 1,
            )
            n += 1
        elif kind == 4:
            row, on = word & 0x7FF, word >> 11 & 1
        elif kind == 5:
            for k in range(8):
                if word >> k & 1:
                    t[n], x[n], y[n], p[n] = base_us + (high << 12 | low), column, row + k, on
                    n += 1
            row += 8
    return n


def _evt3(
    message: EventMessage, before: NDArray[np.int64], counts: NDArray[np.int64]
) -> EventColumns:
    words = np.ascontiguousarray(_words(message, "u2"))
    room = (len(words) + 1) * evt3.MOST_EVENTS
    made, triggers = empty_columns(room), np.empty((0, 3), np.int64)
    columns = made.t, made.x, made.y, made.p
    n = evt3.decode(words, len(words), before, ANY_SIZE, ANY_SIZE, *columns, triggers, counts)
    return made[:n]


def no_state() -> NDArray[np.int64]:
    """Return the state of the decoder of EVT3 before the first message, and after a lost one."""
    return np.array(state.new_state())
