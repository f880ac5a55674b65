"""Tables of the packets in a block of rows: contents and faults of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.base import GAP_US
from eventseg.recordings.ddd17 import decode
from eventseg.recordings.ddd17.layout import (
    EVENT_BYTES,
    FRAME,
    FRAME_DTYPE,
    HEADER_DTYPE,
    IMU6,
    IMU9,
    POLARITY,
    SPECIAL,
    WORD_DTYPE,
    WRAP_US,
)
from eventseg.recordings.ddd17.source import PacketSource, RawBlock
from eventseg.recordings.report import Tally

MAX_OVERFLOW: Final = 2**14
"""More wraps than this (a year and more) are no clock but a damaged header."""

UNLIMITED: Final = 2**15
"""No event reaches this row or column: they have 15 bits."""

COLOUR_CHANNELS: Final = (3, 4)
"""Channels of a colour frame: red, green, blue, and perhaps opacity, for each pixel in turn."""

SCANNED: Final = {
    "kept": decode.KEPT,
    "t_first": decode.FIRST,
    "t_last": decode.LAST,
    "t_min": decode.LOW,
    "t_max": decode.HIGH,
    "x_max": decode.X_MAX,
    "y_max": decode.Y_MAX,
    "back": decode.BACK,
}
"""Columns of a packet that :func:`eventseg.recordings.ddd17.decode.scan` fills."""

PACKET_DTYPE: Final = np.dtype(
    [("kind", "i1")]
    + [(name, "<i8") for name in ("row", "at", "number", "overflow", "host", "base", *SCANNED)]
)
STORED_FRAME_DTYPE: Final = np.dtype(
    [
        *((name, "<i8") for name in ("packet_row", "at", "offset", "base")),
        ("full", "?"),
        *FRAME_DTYPE.descr,
    ]
)
"""A frame's header, the row of its packet, where the payload lies in the file, where the
frame starts in the payload, the zero of its clock, and whether it fills the room that its
packet gives to a frame of the whole sensor."""

STORED_SPECIAL_DTYPE: Final = np.dtype(
    [("row", "<i8"), ("t", "<i8"), ("type", "u1"), ("data", "<u4")]
)
ISLAND_DTYPE: Final = np.dtype([("row", "<i8"), ("t_min", "<i8"), ("t_max", "<i8")])
"""A stretch with events inside a packet that is longer than a gap."""


@dataclass(frozen=True, eq=False)
class Block:
    """Tables of some rows, in file order; times are the 31-bit stamps."""

    packets: NDArray[np.void]
    frames: NDArray[np.void]
    specials: NDArray[np.void]
    islands: NDArray[np.void]


def describe_block(
    block: RawBlock,
    file: PacketSource,
    *,
    first_row: int,
    host: NDArray[np.int64],
    tally: Tally,
) -> Block:
    """Describe the packets of consecutive rows.

    Parameters
    ----------
    block : RawBlock
        The rows as they are stored.
    file : PacketSource
        Where their payloads are.
    first_row : int
        Number of the first row.
    host : int64 (rows,)
        Host time of each row in us, 0 where unknown.
    tally : Tally
        Receives the counts.
    """
    lengths, sizes, headers, at, damaged = block
    tally.found["packets"] += len(damaged)
    tally.skip("packets", "row unreadable", len(damaged))
    used = (lengths > 0) | (sizes > 0)
    unwritten = int((~used & (host > 0)).sum()) - sum(bool(host[r - first_row]) for r in damaged)
    tally.found["packets"] += int(used.sum()) + unwritten
    tally.skip("packets", "row with a host time but no bytes", unwritten)
    whole = np.flatnonzero(lengths == HEADER_DTYPE.itemsize)
    tally.skip("packets", "header is not 28 bytes long", int(used.sum()) - len(whole))
    table = np.frombuffer(b"".join(headers[i] for i in whole), HEADER_DTYPE)
    good = _sound_headers(table, tally)
    whole, table = whole[good], table[good]

    packets = np.zeros(len(whole), PACKET_DTYPE)
    packets["kind"] = table["type"]
    packets["row"] = first_row + whole
    packets["at"] = at[whole]
    packets["overflow"] = table["overflow"]
    packets["host"] = host[whole]
    claimed = np.minimum(table["capacity"], table["number"])
    packets["number"] = np.minimum(claimed, sizes[whole] // table["size"])
    tally.repair(
        "packets shorter than their header says, whole events kept",
        int((packets["number"] < claimed).sum()),
    )
    islands: list[tuple[int, int, int]] = []
    for kind, name in ((POLARITY, "events"), (IMU6, "imu")):
        chosen = np.flatnonzero(packets["kind"] == kind)
        size = EVENT_BYTES[kind]
        stored, starts = file.events_of(packets[chosen], size)
        # The first eight bytes of every kind are the word and the time stamp.
        events = np.ascontiguousarray(stored.reshape(-1, size)[:, :8]).view("<u8").ravel()
        spans = np.tile(np.array([0, WRAP_US]), (len(chosen), 1))
        scanned = decode.scan(events, starts, spans, UNLIMITED, UNLIMITED)
        for field, column in SCANNED.items():
            packets[field][chosen] = scanned[:, column]
        tally.found[name] += int(starts[-1])
        tally.skip(name, "marked invalid", int(scanned[:, decode.INVALID].sum()))
        tally.skip(name, "negative time stamp", int(scanned[:, decode.NEGATIVE].sum()))
        if kind == POLARITY:
            islands = find_islands(packets[chosen], events, starts, spans, (UNLIMITED, UNLIMITED))
    of_frames = np.flatnonzero(packets["kind"] == FRAME)
    frames, owners = _frames(packets[of_frames], table["size"][of_frames], file, tally)
    np.add.at(packets["kept"], of_frames[owners], 1)
    packets["t_min"][of_frames] = WRAP_US
    np.minimum.at(packets["t_min"], of_frames[owners], frames["t_end"])
    np.maximum.at(packets["t_max"], of_frames[owners], frames["t_end"])
    of_specials = np.flatnonzero(packets["kind"] == SPECIAL)
    specials = _specials(packets[of_specials], file, tally)
    return Block(packets, frames, specials, np.array(islands, ISLAND_DTYPE))


def find_islands(
    packets: NDArray[np.void],
    events: NDArray[np.uint64],
    starts: NDArray[np.int64],
    spans: NDArray[np.int64],
    limits: tuple[int, int],
) -> list[tuple[int, int, int]]:
    """Return (row, t_min, t_max) of the stretches with events in packets longer than a gap.

    Only events within the packet's span of 31-bit stamps and within (height, width) count.
    """
    islands = []
    for i in np.flatnonzero((packets["kept"] > 0) & (packets["t_max"] - packets["t_min"] > GAP_US)):
        times = packet_times(events[starts[i] : starts[i + 1]], limits)
        times = times[(times >= spans[i, 0]) & (times <= spans[i, 1])]
        breaks = np.flatnonzero(np.diff(times) > GAP_US)
        begins, ends = times[np.r_[0, breaks + 1]], times[np.r_[breaks, len(times) - 1]]
        row = int(packets["row"][i])
        islands += [(row, int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]
    return islands


def packet_times(events: NDArray[np.uint64], limits: tuple[int, int]) -> NDArray[np.int64]:
    """Return the sorted 31-bit times of the sound events inside (height, width)."""
    return np.sort(sound_times(events, limits))


def sound_times(events: NDArray[np.uint64], limits: tuple[int, int]) -> NDArray[np.int64]:
    """Return the 31-bit times of the sound events inside (height, width), in file order."""
    stored = events.view(np.int64)
    sound = (stored & 1 == 1) & (stored >= 0)
    sound &= (stored >> 2 & 0x7FFF < limits[0]) & (stored >> 17 & 0x7FFF < limits[1])
    times: NDArray[np.int64] = stored[sound] >> 32
    return times


def _sound_headers(table: NDArray[np.void], tally: Tally) -> NDArray[np.bool_]:
    sound = np.ones(len(table), np.bool_)

    def refuse(reason: str, bad: NDArray[np.bool_]) -> None:
        tally.skip("packets", reason, int((bad & sound).sum()))
        sound[bad] = False

    kind, size = table["type"], table["size"]
    refuse("unknown packet type", (kind < SPECIAL) | (kind > IMU9))
    refuse("IMU9 packets are not decoded", kind == IMU9)
    refuse("negative number of events", (table["capacity"] < 0) | (table["number"] < 0))
    wrong = np.zeros(len(table), np.bool_)
    for known, expected in EVENT_BYTES.items():
        wrong |= (kind == known) & (size != expected)
    refuse("wrong event size", wrong | ((kind == FRAME) & (size <= FRAME_DTYPE.itemsize)))
    refuse("absurd overflow", (table["overflow"] < 0) | (table["overflow"] > MAX_OVERFLOW))
    return sound


def _frames(
    packets: NDArray[np.void], sizes: NDArray[np.int32], file: PacketSource, tally: Tally
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Return the sound frames of some packets, and for each one which packet it is from."""
    owners = np.repeat(np.arange(len(packets)), packets["number"])
    offsets = np.concatenate(
        [np.empty(0, np.int64)]
        + [np.arange(n) * size for n, size in zip(packets["number"], sizes.tolist(), strict=True)]
    )
    starts = packets["at"][owners]
    heads = np.concatenate(
        [np.empty(0, np.uint8)]
        + [
            file.frame_of(at, offset, offset + FRAME_DTYPE.itemsize)
            for at, offset in zip(starts.tolist(), offsets.tolist(), strict=True)
        ]
    ).view(FRAME_DTYPE)
    frames = np.zeros(len(heads), STORED_FRAME_DTYPE)
    for name in FRAME_DTYPE.names or ():
        frames[name] = heads[name]
    frames["packet_row"], frames["at"] = packets["row"][owners], starts
    frames["offset"] = offsets
    room = (sizes[owners].astype(np.int64) - FRAME_DTYPE.itemsize) // 2
    width, height = heads["width"].astype(np.int64), heads["height"].astype(np.int64)
    channels = channels_of(heads)
    frames["full"] = (heads["row"] == 0) & (heads["col"] == 0) & (width * height * channels == room)
    tally.found["frames"] += len(frames)
    sound = np.ones(len(frames), np.bool_)
    sizes_bad = (width <= 0) | (height <= 0) | (width * height > room)
    coloured = np.isin(channels, COLOUR_CHANNELS) & (width * height * channels <= room)
    for reason, bad in (
        ("marked invalid", heads["info"] & 1 == 0),
        ("not one grey channel", (channels != 1) & ~coloured),
        ("damaged size or position", sizes_bad | (heads["row"] < 0) | (heads["col"] < 0)),
        ("no time stamp", (heads["t_end"] <= 0) & (heads["exposure_end"] <= 0)),
    ):
        tally.skip("frames", reason, int((bad & sound).sum()))
        sound &= ~bad
    tally.repair("colour frames, turned gray", int((coloured & sound).sum()))
    return frames[sound], owners[sound]


def channels_of(frames: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the number of channels of frames by their headers: 1 gray, 3 or 4 with colours."""
    channels: NDArray[np.int64] = (frames["info"].astype(np.int64) >> 1) & 7
    return channels


def _specials(packets: NDArray[np.void], file: PacketSource, tally: Tally) -> NDArray[np.void]:
    """Return the sound special events of some packets."""
    stored, _ = file.events_of(packets, WORD_DTYPE.itemsize)
    events = stored.view(WORD_DTYPE)
    tally.found["specials"] += len(events)
    valid = events["word"] & 1 == 1
    negative = valid & (events["t"] < 0)
    tally.skip("specials", "marked invalid", int((~valid).sum()))
    tally.skip("specials", "negative time stamp", int(negative.sum()))
    sound = valid & ~negative
    specials = np.zeros(int(sound.sum()), STORED_SPECIAL_DTYPE)
    specials["row"] = np.repeat(packets["row"], packets["number"])[sound]
    specials["t"] = events["t"][sound]
    specials["type"] = (events["word"][sound] >> 1) & 0x7F
    specials["data"] = events["word"][sound] >> 8
    return specials
