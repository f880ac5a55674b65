"""Writer of HDF5 with ECF, from the layout of a chunk as prophesee-ai/hdf5_ecf documents it."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np

from eventseg.events import EventStream

FILTER, OPTIONAL = 0x8ECF, 1
ALL_PACKED, COLUMNS_PACKED, MASKED = 2, 1, 0

Row = tuple[int, int, int, int]


def times(rows: list[Row]) -> bytes:
    now = rows[0][0]
    content, i = bytearray(struct.pack("<q", now)), 0
    while i < len(rows):
        step = rows[i][0] - now
        now = rows[i][0]
        while step >= 15:
            rest = step
            while rest:
                content.append(0xF0 | rest & 15)
                rest >>= 4
            step = 0
        count = sum(1 for _ in same(rows, i, 0))
        content += run(step << 4, count, 15, "B")
        i += count
    return bytes(content)


def same(rows: list[Row], start: int, column: int):
    for row in rows[start:]:
        if row[column] != rows[start][column]:
            return
        yield row


def run(upper: int, count: int, most: int, kind: str) -> bytes:
    if count < most:
        return struct.pack(f"<{kind}", upper | count)
    return struct.pack(f"<{kind}H", upper | most, count)


def runs(rows: list[Row], column: int) -> bytes:
    content, i = b"", 0
    most, kind = (31, "H") if column == 2 else (127, "B")
    while i < len(rows):
        count = sum(1 for _ in same(rows, i, column))
        content += run(rows[i][column] * (most + 1), count, most, kind)
        i += count
    return content


def packed(values: list[int], bits: int, kind: str) -> bytes:
    """Four values of three quarters of a word each, in three words, highest bits first."""
    content = b""
    for i in range(0, len(values), 4):
        four = [*values[i : i + 4], 0, 0, 0][:4]
        part = bits // 4
        # The lower bits of the second value are in the first word, its upper ones in the second.
        a, b, c, d = four
        words = (
            a << part | b & (1 << part) - 1,
            b >> part << 2 * part | c & (1 << 2 * part) - 1,
            c >> 2 * part << 3 * part | d,
        )
        content += struct.pack(f"<3{kind}", *words)
    return content


def masked(rows: list[Row]) -> bytes:
    content, i = b"", 0
    while i < len(rows):
        x, mask = rows[i][1], 0
        i += 1
        for k in range(1, 6):
            if i < len(rows) and rows[i][1] == x + k:
                mask |= 1 << 5 - k
                i += 1
        content += struct.pack("<H", x << 5 | mask)
    return content


def chunk(rows: list[Row], kind: int) -> bytes:
    """Return a chunk of rows (t, x, y, p)."""
    content = struct.pack("<I", len(rows) << 2 | kind) + times(rows)
    if kind == ALL_PACKED:
        return content + packed([y << 12 | x << 1 | p for _, x, y, p in rows], 32, "I")
    content += runs(rows, 2)
    if kind == COLUMNS_PACKED:
        return content + packed([x << 1 | p for _, x, _, p in rows], 16, "H")
    return content + masked(rows) + runs(rows, 3)


def write_ecf(path: Path, events: EventStream, *, rows: int = 512, kind: int | None = None) -> Path:
    """Write ``CD/events``; chunks are of the three kinds in turn, and the last one may be short."""
    found = list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))
    dtype = np.dtype(
        {
            "names": ["x", "y", "p", "t"],
            "formats": ["<u2", "<u2", "<i2", "<i8"],
            "offsets": [0, 2, 4, 8],
            "itemsize": 16,
        }
    )
    with h5py.File(path, "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((rows,))
        settings.set_filter(FILTER, OPTIONAL, ())
        space = h5py.h5s.create_simple((len(found),), (h5py.h5s.UNLIMITED,))
        group = file.create_group("CD")
        made = h5py.h5d.create(group.id, b"events", h5py.h5t.py_create(dtype), space, settings)
        for k, first in enumerate(range(0, len(found), rows)):
            content = chunk(found[first : first + rows], k % 3 if kind is None else kind)
            made.write_direct_chunk((first,), content)
        file["CD"].create_dataset("indexes", data=np.zeros(3, [("id", "<u8"), ("ts", "<i8")]))
        file.attrs["format"] = "ECF"
        file.attrs["geometry"] = f"{events.sensor.width}x{events.sensor.height}"
    return path
