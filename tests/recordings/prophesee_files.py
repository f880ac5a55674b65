"""Writers of small Prophesee files, made from the formats' description and not from the readers."""

from __future__ import annotations

import struct
from itertools import groupby
from pathlib import Path

from eventseg.events import EventStream

EVT3, EVT2, EVT21, EVT21_LEGACY = "EVT3", "EVT2", "EVT21", "EVT21-legacy"


def header(name: str, height: int | None, width: int | None, *, end: bool = True) -> bytes:
    """Return a header as newer cameras write it."""
    options = [name.removesuffix("-legacy")]
    if height is not None:
        options += [f"height={height}", f"width={width}"]
    if name == EVT21_LEGACY:
        options.append("endianness=legacy")
    lines = ["% camera_integrator_name Somebody", f"% format {';'.join(options)}"]
    return ("\n".join([*lines, *["% end"] * end]) + "\n").encode()


def evt3_words(events: EventStream, *, vectors: bool = False, every_high: bool = False) -> bytes:
    """Return EVT3 words; with `vectors`, events of one time, row and polarity in columns' order."""
    words: list[int] = []
    high = low = row = -1
    rows = zip(*(getattr(events, name).tolist() for name in "tyxp"), strict=True)
    for (t, y, p), group in groupby(rows, key=lambda e: (e[0], e[1], e[3] if vectors else 0)):
        if t >> 12 != high or every_high:
            high, low = t >> 12, -1
            words.append(0x8000 | high & 0xFFF)
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(0x6000 | low)
        if y != row:
            row = y
            words.append(y)
        members = list(group)
        if not vectors:
            words += [0x2000 | polarity << 11 | x for _, _, x, polarity in members]
            continue
        columns = sorted({x for _, _, x, _ in members})
        while columns:
            base = columns[0]
            words.append(0x3000 | p << 11 | base)
            for kind, size in ((4, 12), (4, 12), (5, 8)):
                bits = sum(1 << x - base for x in columns if base <= x < base + size)
                words.append(kind << 12 | bits)
                columns = [x for x in columns if x >= base + size]
                base += size
    return struct.pack(f"<{len(words)}H", *words)


def evt2_words(events: EventStream) -> bytes:
    words, high = [], -1
    for t, x, y, p in zip(*(getattr(events, n).tolist() for n in "txyp"), strict=True):
        if t >> 6 != high:
            high = t >> 6
            words.append(0x8 << 28 | high & 0xFFFFFFF)
        words.append(p << 28 | (t & 0x3F) << 22 | x << 11 | y)
    return struct.pack(f"<{len(words)}I", *words)


def evt21_words(events: EventStream, *, legacy: bool) -> bytes:
    """Return EVT2.1 words with one pixel in each mask, at changing places of it."""
    words, high = [], -1
    for i, (t, x, y, p) in enumerate(
        zip(*(getattr(events, n).tolist() for n in "txyp"), strict=True)
    ):
        if t >> 6 != high:
            high = t >> 6
            words.append((0x8 << 28 | high & 0xFFFFFFF, 0))
        place = min(x, i % 32)
        words.append((p << 28 | (t & 0x3F) << 22 | (x - place) << 11 | y, 1 << place))
    halves = [
        part for upper, lower in words for part in ((upper, lower) if legacy else (lower, upper))
    ]
    return struct.pack(f"<{len(halves)}I", *halves)


def dat_records(events: EventStream, *, version: int = 2) -> bytes:
    x_bits, y_bits = (14, 14) if version == 2 else (9, 8)
    return b"".join(
        struct.pack("<II", t & 0xFFFFFFFF, p << x_bits + y_bits | y << x_bits | x)
        for t, x, y, p in zip(*(getattr(events, n).tolist() for n in "txyp"), strict=True)
    )


def write_raw(path: Path, events: EventStream, *, name: str = EVT3, vectors: bool = False) -> None:
    """Write a RAW file."""
    words = {
        EVT3: lambda: evt3_words(events, vectors=vectors),
        EVT2: lambda: evt2_words(events),
        EVT21: lambda: evt21_words(events, legacy=False),
        EVT21_LEGACY: lambda: evt21_words(events, legacy=True),
    }[name]()
    path.write_bytes(header(name, *events.sensor) + words)


def write_dat(path: Path, events: EventStream, *, version: int = 2) -> None:
    """Write a DAT file."""
    lines = "% Data file containing CD events.\n" + f"% Version {version}\n"
    lines += f"% Height {events.sensor.height}\n% Width {events.sensor.width}\n"
    path.write_bytes(lines.encode() + b"\x0c\x08" + dat_records(events, version=version))
