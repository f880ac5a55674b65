"""A recording as AEDAT 4: events, frames, inertial samples and triggers, compressed with LZ4."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import MissingExtraError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings.aedat4 import builder
from eventseg.recordings.aedat4.container import MAGIC
from eventseg.recordings.aedat4.contents import EVENT_DTYPE, TRIGGER_TYPES
from eventseg.recordings.base import Recording

LZ4 = 1
"""Number of the compression."""

EVENTS_A_PACKET = 2**14
SAMPLES_A_PACKET = 2**12

EVENTS, FRAMES, IMU, TRIGGERS = range(4)
"""Numbers of the streams."""

IDENTIFIERS = ("EVTS", "FRME", "IMUS", "TRIG")
NAMES = ("events", "frames", "imu", "triggers")

GRAY_8, GRAY_16 = 0, 2
"""Pixel formats."""

IMU_VALUES = ("temperature", "ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz")
IMU_FIELDS = [("t", "<i8"), *((name, "<f4") for name in IMU_VALUES)]
TRIGGER_FIELDS = [("t", "<i8"), ("type", "<i1")]
INDEX_FIELDS = [
    ("offset", "<i8"),
    ("stream", "<i4"),
    ("size", "<i4"),
    ("elements", "<i8"),
    ("first", "<i8"),
    ("last", "<i8"),
]


def compressor(path: Path) -> Callable[[bytes], bytes]:
    """Return the function that compresses a packet.

    Raises
    ------
    MissingExtraError
        The package for LZ4 is not installed.
    """
    try:
        from lz4.frame import compress
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: AEDAT 4 is compressed with LZ4; install the extra: uv sync --extra formats"
        ) from error
    packed: Callable[[bytes], bytes] = compress
    return packed


class PacketWriter:
    """Writer of the packets of a file, and of the index of them."""

    def __init__(self, file: BinaryIO, recording: Recording, compress: Callable[[bytes], bytes]):
        self._file, self._compress = file, compress
        self._text = stream_list(recording.sensor, source=recording.name)
        self._index: list[tuple[int, ...]] = []
        file.write(MAGIC + builder.header(LZ4, -1, self._text))

    def put(self, stream: int, content: bytes, *, elements: int, first: int, last: int) -> None:
        """Write a packet."""
        packed = self._compress(content)
        self._file.write(struct.pack("<ii", stream, len(packed)))
        self._index.append((self._file.tell(), stream, len(packed), elements, first, last))
        self._file.write(packed)

    def finish(self) -> None:
        """Write the index and its place."""
        table_at = self._file.tell()
        kind = np.dtype(INDEX_FIELDS)
        # Stream and size are one struct of the schema.
        fields = [("offset", "<i8"), ("packet", "V8"), *INDEX_FIELDS[3:]]
        rows = np.array(self._index, kind)
        table = rows.view(np.dtype(fields))
        self._file.write(self._compress(builder.of_tables("FTAB", fields, table)))
        self._file.seek(len(MAGIC))
        self._file.write(builder.header(LZ4, table_at, self._text))


def write_aedat4(
    file: BinaryIO,
    recording: Recording,
    spans: Iterable[EventStream],
    *,
    around: tuple[int, int],
    chosen: NDArray[np.int64],
    zero_us: int,
    compress: Callable[[bytes], bytes],
) -> dict[str, int]:
    """Write a recording.

    Parameters
    ----------
    file : BinaryIO
        Seekable.
    recording : Recording
        Gives all but the events.
    spans : iterable of EventStream
        Consecutive spans of the events.
    around : (int, int)
        Span of inertial samples and special events.
    chosen : int64 (F,)
        Numbers of the frames.
    zero_us : int
        Time that becomes 0.
    compress : callable
        From :func:`compressor`.

    Returns
    -------
    dict of int
        Frames, inertial samples and special events written, and their losses.
    """
    t0_us, t1_us = around
    writer = PacketWriter(file, recording, compress)
    frames = recording.frames
    imu = recording.imu(t0_us, t1_us)
    specials, unknown = _triggers(recording, t0_us, t1_us)
    done = {"frames": 0, "imu": 0, "specials": 0}
    rounded = 0

    def catch_up(until_us: int) -> None:
        nonlocal rounded
        stop = int(np.searchsorted(frames.t_us[chosen], until_us))
        for i in chosen[done["frames"] : stop].tolist():
            row, column, height, width = frames.roi(i)
            part = frames.raw(i)[row : row + height, column : column + width]
            pixel_format, pixels, exact = stored_pixels(part)
            rounded += not exact
            begin, end, first, last = (
                int(column[i]) - zero_us
                for column in (
                    *(frames.exposure_start_us, frames.exposure_end_us),
                    *(frames.t_start_us, frames.t_end_us),
                )
            )
            middle = (begin + end) // 2
            stamps = (middle, first, last, begin, end)
            content = builder.of_frame(
                pixels, pixel_format=pixel_format, stamps=stamps, position=(row, column)
            )
            writer.put(FRAMES, content, elements=1, first=middle, last=middle)
        done["frames"] = stop
        for name, stream, rows, fields in (
            ("imu", IMU, imu, IMU_FIELDS),
            ("specials", TRIGGERS, specials, TRIGGER_FIELDS),
        ):
            stop = int(np.searchsorted(rows["t"], until_us))
            for first in range(done[name], stop, SAMPLES_A_PACKET):
                batch = rows[first : min(stop, first + SAMPLES_A_PACKET)]
                table = np.zeros(len(batch), np.dtype(fields))
                for field in set(batch.dtype.names or ()) & {key for key, _ in fields}:
                    table[field] = batch[field]
                table["t"] -= zero_us
                span = {"first": int(table["t"][0]), "last": int(table["t"][-1])}
                content = builder.of_tables(IDENTIFIERS[stream], fields, table)
                writer.put(stream, content, elements=len(batch), **span)
            done[name] = stop

    for span in spans:
        for first in range(0, len(span), EVENTS_A_PACKET):
            part = slice(first, min(len(span), first + EVENTS_A_PACKET))
            events = np.zeros(part.stop - first, EVENT_DTYPE)
            for field, column in (("t", span.t), ("x", span.x), ("y", span.y), ("on", span.p)):
                events[field] = column[part]
            events["t"] -= zero_us
            begin, end = int(events["t"][0]), int(events["t"][-1])
            content = builder.of_events(events)
            writer.put(EVENTS, content, elements=len(events), first=begin, last=end)
        catch_up(span.t1_us)
    catch_up(2**62)
    writer.finish()
    return {
        **done,
        "signals": 0,
        "low bits of dark frames": rounded,
        "numbers of special events": unknown,
    }


def stored_pixels(raw: NDArray[np.uint16]) -> tuple[int, NDArray[Any], bool]:
    """Return pixel format and pixels of gray values as readers of AEDAT 4 take them.

    Values of 8 bits lie in the upper byte and those of a converter in the upper 10 bits. Others
    are stored as they are; if all lie below 1024 a reader takes them for 10 bits.

    Returns
    -------
    int, uint8 or uint16 (H, W), bool
        Format, pixels, and whether they are read back as they were.
    """
    if not (raw & 0xFF).any():
        return GRAY_8, (raw >> 8).astype(np.uint8), True
    dark = int(raw.max()) < 1024
    ten_bits = not (raw & 0x3F).any()
    if ten_bits or dark:
        return GRAY_16, raw >> 6, ten_bits
    return GRAY_16, raw, True


def stream_list(sensor: SensorSize, *, source: str) -> str:
    """Return the XML list of the streams."""
    base = "/mainloop/Recorder/outInfo/"
    nodes = []
    for number, (kind, name) in enumerate(zip(IDENTIFIERS, NAMES, strict=True)):
        size = (("sizeX", "int", sensor.width), ("sizeY", "int", sensor.height))
        info = (*(size if number in (EVENTS, FRAMES) else ()), ("source", "string", source))
        about = (
            ("compression", "string", "LZ4"),
            ("originalModuleName", "string", "eventseg"),
            ("originalOutputName", "string", name),
            ("typeIdentifier", "string", kind),
        )
        nodes.append(
            f'<node name="{number}" path="{base}{number}/">{_attributes(about)}'
            f'<node name="info" path="{base}{number}/info/">{_attributes(info)}</node></node>'
        )
    return f'<dv version="2.0"><node name="outInfo" path="{base}">{"".join(nodes)}</node></dv>'


def _attributes(values: Iterable[tuple[str, str, object]]) -> str:
    return "".join(
        f'<attr key="{key}" type="{kind}">{escape(str(value))}</attr>'
        for key, kind, value in values
    )


def _triggers(recording: Recording, t0_us: int, t1_us: int) -> tuple[NDArray[np.void], int]:
    """Return the special events with types of AEDAT 4, and how many have a number, which is lost.

    Types that it has no place for are left out.
    """
    specials = recording.specials
    specials = specials[(specials["t"] >= t0_us) & (specials["t"] < t1_us)]
    types = {common: stored for stored, common in TRIGGER_TYPES.items()}
    known = np.isin(specials["type"], list(types))
    found = specials[known].copy()
    found["type"] = [types[int(kind)] for kind in found["type"]]
    return found, int((found["data"] != 0).sum())
