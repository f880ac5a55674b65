"""Prophesee recordings: RAW files of EVT2, EVT2.1 and EVT3, and DAT files.

A file is a header of text and a row of words. It is decoded in blocks; the index keeps the state of
the decoder before each, so that any block can be decoded by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.contents import Epoch, Frames
from eventseg.recordings.event_columns import EventColumns
from eventseg.recordings.packet_recording import PacketRecording
from eventseg.recordings.packets import PacketReader
from eventseg.recordings.prophesee import state
from eventseg.recordings.prophesee.index import decode_block, load_index, room_for
from eventseg.recordings.prophesee.words import WordFile


def recognises(path: Path) -> bool:
    """Return whether a file begins with a header of this maker."""
    try:
        with WordFile(path) as file:
            return file.end > file.first
    except RecordingError:
        return False


def open_prophesee(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
) -> PropheseeRecording:
    """Open a RAW or DAT recording; see :func:`eventseg.recordings.open_recording`."""
    return PropheseeRecording(path, sensor=sensor, rotate180=rotate180, progress=progress)


class PropheseeRecording(PacketRecording):
    """A RAW or DAT recording; parameters as for `open_recording`.

    Times are those of the words, whose counter is unwrapped; it begins anywhere. Triggers are
    special events: type 2 for a rising edge and 3 for a falling one, data is the channel.
    """

    _file: WordFile

    def _container(self, path: Path) -> WordFile:
        return WordFile(path)

    def _contents(self, progress: Callable[[float], None]) -> None:
        index = load_index(self._file, given=self._given_sensor, progress=progress)
        self.sensor, tally = index.sensor, index.tally
        if self._rotate:
            tally.notes.append("events are turned by 180 degrees, as asked")
        self.n_events = int(index.blocks["kept"].sum())
        self.frames, self.specials = Frames.none(self.sensor), index.specials
        self.specials.flags.writeable = False
        self.epochs, self.report = (Epoch(0, 0, "start"),), tally.report()
        self._set_times(index.blocks, tally)
        self._reader = PacketReader(
            index.blocks,
            self._decode,
            sensor=self.sensor,
            decode_into=self._decode_into,
            spare=self._file.coding.most,
        )
        self.gaps = self._reader.gaps()

    def _decode(self, block: np.void) -> EventColumns:
        room = room_for(int(block["kept"]), self._file)
        return room[: self._decode_into(block, room)]

    def _decode_into(self, block: np.void, room: EventColumns) -> int:
        """Write the events of a block into columns with room for one more word."""
        counts = np.zeros(state.COUNTS, np.int64)
        events = decode_block(
            self._file,
            int(block["offset"]),
            int(block["size"]),
            block["state"].copy(),
            events=room,
            sensor=self.sensor,
            counts=counts,
        )
        if len(events) != block["kept"]:
            raise RecordingError(f"{self.path} cannot be read any more: its content changed")
        if self._rotate:
            room.put(events.turned(self.sensor), 0)
        return len(events)
