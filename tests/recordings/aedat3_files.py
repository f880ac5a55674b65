"""Writer of small AEDAT 3.1 files, from the format's description: a text and packets of libcaer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ddd17_files import Row, frame_bytes, frames, polarity

from eventseg.events import EventStream, SensorSize


def header3(*sources: str, coding: str = "RAW", ended: bool = True, version: str = "3.1") -> bytes:
    lines = [f"#!AER-DAT{version}", f"#Format: {coding}"]
    lines += [f"#Source {k}: {name}" for k, name in enumerate(sources or ("DAVIS346",), start=1)]
    lines += ["#-Source 9: an earlier log", "#Start-Time: 2017-02-17 14:59:35 (TZ+0100)"]
    lines += ["#!END-HEADER"] if ended else []
    return "".join(f"{line}\r\n" for line in lines).encode()


def write_aedat3(
    path: Path, rows: Sequence[Row], *, begin: bytes | None = None, source: int = 1
) -> Path:
    """Write packets (host time, header, payload), whose host time has no place."""
    parts = [head[:2] + source.to_bytes(2, "little") + head[4:] + body for _, head, body in rows]
    path.write_bytes((header3() if begin is None else begin) + b"".join(parts))
    return path


def event_rows(events: EventStream, size: int = 500) -> list[Row]:
    """Return packets of events, cut where the 31-bit clock wraps."""
    found = list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))
    rows = []
    begin = 0
    while begin < len(found):
        overflow = found[begin][0] >> 31
        part = [each for each in found[begin : begin + size] if each[0] >> 31 == overflow]
        rows.append(polarity([(t & 0x7FFFFFFF, x, y, p) for t, x, y, p in part], overflow=overflow))
        begin += len(part)
    return rows


def frame_row(image: np.ndarray, end_us: int, *, sensor: SensorSize) -> Row:
    stamps = (end_us - 9_000, end_us + 1_000, end_us - 8_000, end_us)
    size = 36 + 2 * sensor.height * sensor.width
    return frames([frame_bytes(image.astype(np.uint16) << 8, stamps, size=size)])
