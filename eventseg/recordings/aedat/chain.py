"""Chain of the packets of an AEDAT 3.1 file, followed by their headers.

A header gives the length of its packet, so that one damaged header would lose all that follows.
Where the next header makes no sense, the one after is looked for.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from eventseg.recordings.ddd17.layout import (
    EVENT_BYTES,
    FRAME,
    FRAME_DTYPE,
    HEADER_DTYPE,
    IMU9,
    TS_OFFSET,
)
from eventseg.recordings.ddd17.packets import MAX_OVERFLOW
from eventseg.recordings.hdf5.storage import Storage

HEADER_BYTES = HEADER_DTYPE.itemsize

MOST_KINDS = 128
"""Packet types beyond are damage; known are 0 to 4, and libraries have about 20."""

SEARCHED_AT_ONCE = 2**20

LIKELY = re.compile(
    rb"(?s)(?="
    rb"[\x00\x01]\x00..\x08\x00\x00\x00\x04\x00\x00\x00"
    rb"|\x02\x00......\x08\x00\x00\x00"
    rb"|\x03\x00..\x24\x00\x00\x00\x04\x00\x00\x00)"
)
"""Type, source, size of an event and place of its time, as headers of known packets have them."""


class Packet(NamedTuple):
    """One packet of the file.

    Parameters
    ----------
    source : int
        Number of the camera.
    kind : int
    header : bytes
    at, size : int
        First byte and length of the payload, as far as the file has it.
    """

    source: int
    kind: int
    header: bytes
    at: int
    size: int


class Lost(NamedTuple):
    """Bytes that belong to no packet."""

    at: int
    size: int


def packets(storage: Storage, first: int) -> Iterator[Packet | Lost]:
    """Yield the packets from a byte on, and the bytes between that are none.

    Parameters
    ----------
    storage : Storage
    first : int
        First byte after the header of the file.
    """
    place = first
    while place < storage.size:
        header = storage.read(place, min(HEADER_BYTES, storage.size - place))
        claimed = _payload_bytes(header)
        if claimed is None:
            found = _next_header(storage, place + 1)
            yield Lost(place, found - place)
            place = found
            continue
        at = place + HEADER_BYTES
        place = stop = at + claimed
        if stop > storage.size or not _may_be_header(storage, stop):
            # The length is damaged, the file is cut within this packet, or other bytes follow.
            kept = at + _event_bytes(header)
            place = _next_header(storage, kept) if kept < storage.size else storage.size
            stop = min(stop, place)
        kind, source = struct.unpack_from("<hh", header)
        yield Packet(source, kind, header, at, stop - at)
        if stop < place:
            yield Lost(stop, place - stop)


def _payload_bytes(header: bytes) -> int | None:
    """Return the bytes that follow a header, None where it makes no sense."""
    if len(header) < HEADER_BYTES:
        return None
    kind, _, size, ts_offset, overflow, capacity, number, valid = struct.unpack("<hhiiiiii", header)
    if not 0 <= kind < MOST_KINDS or size <= 0 or not 0 <= overflow <= MAX_OVERFLOW:
        return None
    if not 0 <= valid <= number <= capacity or capacity == 0:
        return None
    if kind in EVENT_BYTES and size != EVENT_BYTES[kind]:
        return None
    if ts_offset != TS_OFFSET.get(kind, ts_offset) or not 0 <= ts_offset < size:
        return None
    if kind == FRAME and size <= FRAME_DTYPE.itemsize:
        return None
    return int(capacity * size)


def _event_bytes(header: bytes) -> int:
    """Return the bytes of the events of a packet, without the room that is not used."""
    _, _, size, _, _, _, number, _ = struct.unpack("<hhiiiiii", header)
    return int(number * size)


def _may_be_header(storage: Storage, place: int) -> bool:
    """Return whether a packet begins at a byte, or the file ends within its header."""
    if place + HEADER_BYTES > storage.size:
        return True
    return _payload_bytes(storage.read(place, HEADER_BYTES)) is not None


def _next_header(storage: Storage, start: int) -> int:
    """Return the first byte of the next packet of a known type, or the end of the file."""
    for begin in range(start, storage.size, SEARCHED_AT_ONCE):
        size = min(SEARCHED_AT_ONCE + HEADER_BYTES, storage.size - begin)
        content = storage.read(begin, size)
        for match in LIKELY.finditer(content, 0, SEARCHED_AT_ONCE + 12):
            place = begin + match.start()
            header = content[match.start() : match.start() + HEADER_BYTES]
            claimed = _payload_bytes(header)
            if claimed is None or struct.unpack_from("<h", header)[0] >= IMU9:
                continue
            stop = place + HEADER_BYTES + claimed
            if stop > storage.size or _may_be_header(storage, stop):
                return place
    return storage.size
