"""Event Stream recordings of a DVS or an ATIS."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.contents import Epoch, Frames
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.event_stream import records
from eventseg.recordings.file_bytes import FileBytes
from eventseg.recordings.index_cache import load_arrays, store_arrays
from eventseg.recordings.packet_recording import PacketRecording
from eventseg.recordings.packets import PACKET_DTYPE, PacketReader, packet_row
from eventseg.recordings.report import Tally

MAGIC = b"Event Stream"
MAJOR = 2
"""Version that is read."""

GENERIC, DVS, ATIS, COLOUR = 0, 1, 2, 4
HEADER = struct.Struct("<12s3sBHH")

BLOCK_BYTES = 2**16

BLOCK_DTYPE = np.dtype([*PACKET_DTYPE.descr, ("time", "<i8")])


def recognises(path: Path) -> bool:
    """Return whether a file begins as Event Stream does."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def open_event_stream(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
) -> EventStreamRecording:
    """Open an Event Stream recording; see :func:`eventseg.recordings.open_recording`."""
    return EventStreamRecording(path, sensor=sensor, rotate180=rotate180, progress=progress)


class EventStreamRecording(PacketRecording):
    """An Event Stream recording; parameters as for `open_recording`.

    Times count from the begin of the recording; rows are as they stand in the file.
    """

    _file: FileBytes

    def _container(self, path: Path) -> FileBytes:
        return FileBytes(path)

    def _contents(self, progress: Callable[[float], None]) -> None:
        self._size, self._atis = self._header()
        self.sensor = self._given_sensor or self._size
        blocks, tally = self._index(progress)
        tally.notes.append(f"events of {'an ATIS' if self._atis else 'a DVS'}")
        if self._given_sensor is None:
            tally.notes.append(f"sensor {self.sensor} from the header")
        if self._rotate:
            tally.notes.append("events are turned by 180 degrees, as asked")
        self.n_events = int(blocks["kept"].sum())
        self.frames, self.epochs = Frames.none(self.sensor), (Epoch(0, 0, "start"),)
        self.report = tally.report()
        self._set_times(blocks, tally)
        self._reader = PacketReader(blocks, self._decode, sensor=self.sensor)
        self.gaps = self._reader.gaps()

    def _header(self) -> tuple[SensorSize, bool]:
        content = self._file.read(0, HEADER.size)
        if len(content) < HEADER.size or not content.startswith(MAGIC):
            raise RecordingError(f"{self.path}: no Event Stream: it begins with {content[:12]!r}")
        _, version, kind, width, height = HEADER.unpack(content)
        if version[0] != MAJOR:
            raise RecordingError(
                f"{self.path}: Event Stream of version {version[0]}; version {MAJOR} is read"
            )
        if kind not in (DVS, ATIS):
            what = {GENERIC: "generic events without a place", COLOUR: "colours without a polarity"}
            raise RecordingError(
                f"{self.path}: {what.get(kind, f'events of the unknown type {kind}')}; those of a "
                "DVS (1) and of an ATIS (2) are read"
            )
        if not 0 < height <= 2**15 or not 0 < width <= 2**15:
            raise RecordingError(f"{self.path}: a sensor of {width}x{height} in the header")
        return SensorSize(height, width), kind == ATIS

    def _index(self, progress: Callable[[float], None]) -> tuple[np.ndarray, Tally]:
        """Return the blocks, from the cache if they are there, and the counts."""
        variant = str(self.sensor)
        cached = load_arrays(self.path, variant=variant)
        if cached is not None and "blocks" in cached[0]:
            progress(1.0)
            return cached[0]["blocks"], Tally.from_dict(cached[1]["tally"])
        tally, rows = Tally(), []
        counts = np.zeros(records.COUNTS, np.int64)
        place, time = HEADER.size, 0
        while place < self._file.size:
            progress((place - HEADER.size) / (self._file.size - HEADER.size))
            events, used, after = self._block(place, BLOCK_BYTES, time, counts)
            if used == 0:
                break
            tally.found["packets"] += 1
            if len(events):
                rows.append((*packet_row(place, used, events), time))
            place, time = place + used, after
        progress(1.0)
        tally.found["events"] = int(counts[records.FOUND])
        for number, reason in (
            (records.OUTSIDE, f"outside the sensor {self.sensor}"),
            (records.DAMAGED, f"outside the size {self._size} of the header: damaged"),
        ):
            tally.skip("events", reason, int(counts[number]))
        for number, what in (
            (records.LOST_BYTES, "bytes between records, stepped over: times behind are uncertain"),
            (records.EXPOSURES, "records of exposures, not read"),
        ):
            if counts[number]:
                tally.notes.append(f"{counts[number]:,} {what}")
        if place < self._file.size:
            tally.notes.append(f"{self._file.size - place} bytes of a record that is cut, not read")
        blocks = np.array(rows, BLOCK_DTYPE)
        why = store_arrays(
            self.path, {"blocks": blocks}, {"tally": tally.to_dict()}, variant=variant
        )
        if why is not None:
            tally.notes.append(why)
        return blocks, tally

    def _block(
        self, place: int, size: int, time: int, counts: np.ndarray
    ) -> tuple[EventColumns, int, int]:
        """Return the events of a block, the bytes used, and the time behind it."""
        stored = self._file.read(place, size + records.AHEAD_BYTES)
        content = np.frombuffer(stored, np.uint8)
        n = size // records.RECORD_BYTES + 1
        room = empty_columns(n)
        kept, used, after = records.decode(
            content, min(size, len(content)), time, self._atis, self._size, self.sensor,
            room.t, room.x, room.y, room.p, counts,
        )  # fmt: skip
        return room[:kept], int(used), int(after)

    def _decode(self, block: np.void) -> EventColumns:
        counts = np.zeros(records.COUNTS, np.int64)
        size = min(BLOCK_BYTES, int(block["size"]))
        events, _, _ = self._block(int(block["offset"]), size, int(block["time"]), counts)
        if len(events) != block["kept"]:
            raise RecordingError(f"{self.path} cannot be read any more: its content changed")
        return events.turned(self.sensor) if self._rotate else events
