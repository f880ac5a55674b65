"""Writer of small Event Stream files, record by record from the format's description."""

from __future__ import annotations

import struct

from eventseg.events import EventStream, SensorSize


def header_es(kind: int, sensor: SensorSize, *, version: int = 2) -> bytes:
    begin = b"Event Stream" + bytes([version, 0, 0, kind])
    return begin + (struct.pack("<HH", sensor.width, sensor.height) if kind else b"")


def rows(events: EventStream) -> list[tuple[int, int, int, int]]:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def dvs_records(events: EventStream) -> bytes:
    content, now = bytearray(), 0
    for t, x, y, p in rows(events):
        while t - now >= 127:
            content.append(0xFF)
            now += 127
        content += struct.pack("<BHH", (t - now) << 1 | p, x, y)
        now = t
    return bytes(content)


def atis_records(events: EventStream, *, exposures: bool = True) -> bytes:
    """With begin and end of an exposure, of a pixel that differs, after each tenth event."""
    content, now = bytearray(), 0
    for i, (t, x, y, p) in enumerate(rows(events)):
        while t - now >= 63:
            steps = min(3, (t - now) // 63)
            content.append(0xFC | steps)
            now += 63 * steps
        content += struct.pack("<BHH", (t - now) << 2 | p << 1, x, y)
        now = t
        if exposures and i % 10 == 0:
            content += struct.pack("<BHH", 1, 0, 0) + struct.pack("<BHH", 3, 0, 0)
    return bytes(content)
