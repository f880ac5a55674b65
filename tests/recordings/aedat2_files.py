"""Writer of small AEDAT 2 files, word by word from the format's description."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np

from eventseg.events import EventStream, SensorSize

Word = tuple[int, int]
"""Time in us and address."""

DAVIS = "eu.seebetter.ini.chips.davis.Davis346blue"
DVS128 = "ch.unizh.ini.jaer.chip.retina.DVS128"


def header2(camera: str = DAVIS, *, ended: bool = True) -> bytes:
    lines = ["#!AER-DAT2.0", "# This is a raw AE data file created by saveAERDAT.m"]
    lines += ["# Data format is int32 address, int32 timestamp (8 bytes total), repeated"]
    lines += [f"# AEChip: {camera}"] if camera else []
    lines += ["#End Of ASCII Header"] if ended else []
    return "".join(f"{line}\r\n" for line in lines).encode()


def packed(words: Iterable[Word]) -> bytes:
    return b"".join(struct.pack(">II", address, t & 0xFFFFFFFF) for t, address in words)


def rows(events: EventStream) -> list[tuple[int, int, int, int]]:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def davis_events(events: EventStream, chip: SensorSize) -> list[Word]:
    """Columns count from the right, rows from the bottom."""
    return [
        (t, (chip.height - 1 - y) << 22 | (chip.width - 1 - x) << 12 | p << 11)
        for t, x, y, p in rows(events)
    ]


def dvs128_events(events: EventStream) -> list[Word]:
    return [(t, (127 - y) << 8 | (127 - x) << 1 | (1 - p)) for t, x, y, p in rows(events)]


def readings(picture: np.ndarray, times: Sequence[int], *, signal: bool) -> list[Word]:
    """Read each pixel once, column by column from the right as chips do; 10-bit values."""
    height, width = picture.shape
    words = []
    for column in range(width - 1, -1, -1):
        for row in range(height):
            value = int(picture[row, column])
            address = 1 << 31 | (height - 1 - row) << 22 | column << 12 | signal << 10 | value
            words.append((times[len(words) * len(times) // picture.size], address))
    return words


def frame_words(
    image: np.ndarray, *, start_us: int, exposure_us: int, rolling: bool = False, reset: int = 1000
) -> list[Word]:
    """A frame whose reset values are equal and whose signal is lower by the image's 10 bits.

    A rolling shutter reads a column's signal when later columns are reset.
    """
    width = image.shape[1]
    before = np.full(image.shape, reset)
    resets = readings(before, [start_us + k for k in range(width)], signal=False)
    begin = start_us + width - 1 + exposure_us
    if rolling:
        begin = start_us + exposure_us
    signals = readings(before - image, [begin + k for k in range(width)], signal=True)
    return sorted([*resets, *signals], key=lambda word: word[0])


def imu_words(t: int, values: Sequence[int]) -> list[Word]:
    """Seven raw values: acceleration x y z, temperature, rotation x y z."""
    return [
        (t, 1 << 31 | code << 28 | (value & 0xFFFF) << 12 | 3 << 10)
        for code, value in enumerate(values)
    ]
