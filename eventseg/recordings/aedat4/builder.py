"""Packets of AEDAT 4 as FlatBuffers: a size, a root table, and vectors of structs or tables.

Numbers of 8 bytes lie at multiples of 8 counted from the size on, which stands before the buffer.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.aedat4.contents import EVENT_DTYPE

ROOT, TABLE = 8, 16
"""Places of the field list and of the table of a buffer of one vector."""

VECTOR = 24

FRAME_FIELDS = (4, 12, 20, 28, 36, 56, 48, 50, 52, 54, 44)
"""Places of the fields in the table of a frame: five stamps, format, size, position, pixels."""

FRAME_TABLE, FRAME_TABLE_BYTES = 40, 60


def sized(content: bytes) -> bytes:
    """Return a buffer after its size."""
    return struct.pack("<I", len(content)) + content


def of_events(events: NDArray[np.void]) -> bytes:
    """Return the content of a packet of events, :data:`EVENT_DTYPE`."""
    head = _head("EVTS") + struct.pack("<I", len(events))
    return sized(head + events.astype(EVENT_DTYPE, copy=False).tobytes())


def of_tables(identifier: str, fields: Sequence[tuple[str, str]], rows: NDArray[np.void]) -> bytes:
    """Return the content of a packet of tables that all have the same fields.

    Parameters
    ----------
    identifier : str
        Four letters.
    fields : sequence of (name, type)
        In the order of the schema; the first one has 8 bytes, and smaller ones follow larger ones.
    rows : structured array (N,)
        With these fields.
    """
    kind = np.dtype([("list", "<i4"), *fields])
    kind = _padded(kind)
    places = [kind.fields[name][1] for name, _ in fields] if kind.fields else []
    size = kind.fields[fields[-1][0]][1] + np.dtype(fields[-1][1]).itemsize if kind.fields else 4
    listed = struct.pack(f"<HH{len(places)}H", 4 + 2 * len(places), size, *places)
    vector = _multiple(VECTOR + len(listed), 4)
    first = _multiple(vector + 4 + 4 * len(rows), 8)
    head = bytearray(_head(identifier, vector=vector))
    head[VECTOR:] = listed + bytes(vector - VECTOR - len(listed))
    starts = first + np.arange(len(rows), dtype=np.int64) * kind.itemsize
    entries = vector + 4 + 4 * np.arange(len(rows), dtype=np.int64)
    tables = np.zeros(len(rows), kind)
    tables["list"] = starts - VECTOR
    for name, _ in fields:
        tables[name] = rows[name]
    body = struct.pack("<I", len(rows)) + (starts - entries).astype("<u4").tobytes()
    gap = bytes(first - vector - len(body))
    return sized(bytes(head) + body + gap + tables.tobytes())


def of_frame(
    pixels: NDArray[Any],
    *,
    pixel_format: int,
    stamps: Sequence[int],
    position: tuple[int, int],
) -> bytes:
    """Return the content of a packet of a frame.

    Parameters
    ----------
    pixels : uint8 or uint16 (H, W)
    pixel_format : int
        Number of OpenCV's type.
    stamps : sequence of int
        Main time, start and end of the frame, start and end of the exposure, in us.
    position : (int, int)
        Row and column of the upper left corner.
    """
    height, width = pixels.shape
    listed = struct.pack("<HH11H", 4 + 2 * 11, FRAME_TABLE_BYTES, *FRAME_FIELDS)
    head = struct.pack("<I4s", FRAME_TABLE, b"FRME") + listed
    head += bytes(FRAME_TABLE - len(head))
    # The vector of pixels lies right behind the table.
    distance = FRAME_TABLE_BYTES - FRAME_FIELDS[10]
    table = struct.pack(
        "<i5qI4hb3x",
        FRAME_TABLE - ROOT,
        *stamps,
        distance,
        *(width, height, position[1], position[0]),
        pixel_format,
    )
    data = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    return sized(head + table + struct.pack("<I", len(data)) + data)


def header(compression: int, table_at: int, text: str) -> bytes:
    """Return the header of a file, of the same length for any position of the table."""
    listed = struct.pack("<HH3H", 10, 20, 16, 4, 12)
    table = 8 + len(listed) + 6
    content = struct.pack("<I4s", table, b"IOHE") + listed + bytes(6)
    encoded = text.encode()
    content += struct.pack("<iqIi", table - 8, table_at, 20 - 12, compression)
    content += struct.pack("<I", len(encoded)) + encoded + b"\0"
    content += bytes(-len(content) % 4)
    return sized(content)


def _head(identifier: str, *, vector: int = VECTOR) -> bytes:
    """Return the bytes before the only vector of a root table."""
    listed = struct.pack("<3H2x", 6, 8, 4)
    return (
        struct.pack("<I4s", TABLE, identifier.encode())
        + listed
        + struct.pack("<iI", TABLE - ROOT, vector - TABLE - 4)
    )


def _multiple(place: int, step: int) -> int:
    return place + -place % step


def _padded(kind: np.dtype[np.void]) -> np.dtype[np.void]:
    """Return a type whose length is a multiple of 8."""
    gap = -kind.itemsize % 8
    return np.dtype([*kind.descr, ("gap", f"V{gap}")]) if gap else kind
