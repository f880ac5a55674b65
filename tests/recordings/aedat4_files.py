"""Writer of small AEDAT 4 files, made from the format's description and not from the reader."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Fields = Sequence[tuple[str, Any] | None]


def table(fields: Fields, *, at: int) -> bytes:
    """Return a field list and its table for position `at`; the table begins after the list.

    A field is ``(struct character, number)``, ``("bytes", vector)``, ``("structs", (count,
    bytes))``, ``("tables", [fields, ...])``, or None where it is left at its default.
    """
    vtable_bytes = 4 + 2 * len(fields)
    start = at + vtable_bytes + (-(at + vtable_bytes)) % 8
    inline, places, later = 4, [], []
    for field in fields:
        if field is None:
            places.append(0)
            continue
        size = struct.calcsize(field[0]) if len(field[0]) == 1 else 4
        inline += -inline % size
        places.append(inline)
        later.append((inline, field))
        inline += size
    head = struct.pack(f"<HH{len(places)}H", vtable_bytes, inline, *places)
    head += bytes(start - at - len(head))
    body = bytearray(inline + (-inline) % 8)
    struct.pack_into("<i", body, 0, start - at)
    tail = bytearray()
    for place, (kind, value) in later:
        if len(kind) == 1:
            struct.pack_into(f"<{kind}", body, place, value)
            continue
        tail += bytes(-(start + len(body) + len(tail) + 4) % 8)
        where = start + len(body) + len(tail)
        struct.pack_into("<I", body, place, where - (start + place))
        if kind == "tables":
            tail += struct.pack("<I", len(value)) + bytes(4 * len(value))
            for k, inner in enumerate(value):
                tail += bytes(-(start + len(body) + len(tail)) % 8)
                position = start + len(body) + len(tail)
                made = table(inner, at=position)
                entry = where + 4 + 4 * k
                inner_start = position + 4 + 2 * len(inner)
                inner_start += -inner_start % 8
                struct.pack_into("<I", tail, entry - start - len(body), inner_start - entry)
                tail += made
        else:
            count, data = value if kind == "structs" else (len(value), value)
            tail += struct.pack("<I", count) + data
    return head + bytes(body) + bytes(tail)


def buffer(identifier: str, fields: Fields, *, prefixed: bool = True) -> bytes:
    """Return a FlatBuffer with its identifier, by default after its size."""
    begin = 8 + 4 + 2 * len(fields)
    root = begin + (-begin) % 8
    content = struct.pack("<I4s", root, identifier.encode()) + table(fields, at=8)
    return struct.pack("<I", len(content)) + content if prefixed else content


def events_content(t: Any, x: Any, y: Any, p: Any) -> bytes:
    """Return the content of a packet of events."""
    kind = {"names": "txyp", "formats": ["<i8", "<i2", "<i2", "u1"], "offsets": [0, 8, 10, 12]}
    kind["names"] = list("txyp")
    stored = np.zeros(len(t), np.dtype({**kind, "itemsize": 16}))
    for name, column in zip("txyp", (t, x, y, p), strict=True):
        stored[name] = column
    return buffer("EVTS", [("structs", (len(stored), stored.tobytes()))])


def frame_content(
    image: np.ndarray, *, t: Sequence[int], number: int = 0, place: tuple[int, int] = (0, 0)
) -> bytes:
    """Return the content of a frame packet; `t` holds main time, begin, end and exposure."""
    height, width = image.shape[:2]
    stamps = [("q", stamp) if stamp else None for stamp in t]
    sizes = [("h", value) if value else None for value in (width, height, place[1], place[0])]
    return buffer(
        "FRME", [*stamps, ("b", number) if number else None, *sizes, ("bytes", image.tobytes())]
    )


def imu_content(samples: Sequence[tuple[int, Sequence[float]]]) -> bytes:
    """Return the content of an inertial packet: time, then temperature, axes and rates."""
    return buffer(
        "IMUS", [("tables", [[("q", t), *(("f", v) for v in values)] for t, values in samples])]
    )


def trigger_content(triggers: Sequence[tuple[int, int]]) -> bytes:
    """Return the content of a trigger packet: time and type."""
    return buffer(
        "TRIG", [("tables", [[("q", t), ("b", kind) if kind else None] for t, kind in triggers])]
    )


def stream_xml(
    streams: Sequence[tuple[int, str, tuple[int, int] | None, str]], *, root: str = "dv"
) -> str:
    """Return the XML list of streams: number, kind, (height, width) and camera."""
    nodes = []
    for number, kind, size, source in streams:
        sizes = ""
        if size is not None:
            sizes = f'<attr key="sizeX">{size[1]}</attr><attr key="sizeY">{size[0]}</attr>'
        nodes.append(
            f'<node name="{number}"><attr key="typeIdentifier">{kind}</attr><node name="info">'
            f'{sizes}<attr key="source">{source}</attr></node></node>'
        )
    return f'<{root} version="2.0"><node name="outInfo">{"".join(nodes)}</node></{root}>'


def write_aedat4(
    path: Path,
    packets: Sequence[tuple[int, bytes]],
    *,
    xml: str,
    compression: int = 0,
    finished: bool = True,
) -> Path:
    """Write a file of (stream, content) packets."""

    def packed(content: bytes) -> bytes:
        if compression in (1, 2):
            import lz4.frame

            return lz4.frame.compress(content)
        if compression in (3, 4):
            import zstandard

            return zstandard.compress(content)
        return content

    def header(index_at: int) -> bytes:
        fields = [("i", compression) if compression else None, ("q", index_at)]
        made = buffer("IOHE", [*fields, ("bytes", xml.encode())], prefixed=False)
        return b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(made)) + made

    body = b"".join(
        struct.pack("<ii", stream, len(data)) + data
        for stream, data in ((stream, packed(content)) for stream, content in packets)
    )
    index_at = len(header(-1)) + len(body) if finished else -1
    index = packed(buffer("FTAB", [])) if finished else b""
    path.write_bytes(header(index_at) + body + index)
    return path
