"""AEDAT 2 recordings: events, frames and inertial samples of one camera."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.recordings.aedat import aps, words
from eventseg.recordings.aedat.index2 import events_of, load_index, read_block
from eventseg.recordings.aedat.version2 import Aedat2File
from eventseg.recordings.contents import Frames
from eventseg.recordings.event_columns import EventColumns
from eventseg.recordings.packet_recording import PacketRecording
from eventseg.recordings.packets import PacketReader
from eventseg.recordings.pixels import StoredFrames
from eventseg.recordings.report import Tally


class Aedat2Recording(PacketRecording):
    """An AEDAT 2 recording; parameters as for `open_recording`.

    Times are those of the file, whose 32-bit clock is unwrapped. External events are special
    events of type 4, since the file does not tell their edge.
    """

    _file: Aedat2File

    def _container(self, path: Path) -> Aedat2File:
        return Aedat2File(path, given=self._given_sensor)

    def _contents(self, progress: Callable[[float], None]) -> None:
        self.sensor = self._given_sensor or self._file.chip
        index = load_index(self._file, sensor=self.sensor, progress=progress)
        tally = index.tally
        tally.notes += self._file.notes
        tally.sensor_guessed = self._file.sensor_guessed
        if self._rotate:
            tally.notes.append("events and frames are turned by 180 degrees, as asked")
        back = int((index.blocks["t_min"][1:] < index.blocks["t_max"][:-1]).sum())
        tally.repair("blocks that begin before the one before them ends, put in order", back)
        self.n_events = int(index.blocks["kept"].sum())
        self.frames = self._frames(index.frames, tally)
        self._imu, self.specials = index.imu, index.specials
        self.specials.flags.writeable = False
        self.epochs, self.report = index.epochs, tally.report()
        self._set_times(index.blocks, tally)
        self._reader = PacketReader(index.blocks, self._decode, sensor=self.sensor)
        self.gaps = self._reader.gaps()

    def imu(self, t0_us: int | None = None, t1_us: int | None = None) -> NDArray[np.void]:
        """Return the inertial samples of ``[t0_us, t1_us)``; see :meth:`Recording.imu`."""
        t = self._imu["t"]
        held = (t[0], t[-1]) if len(t) else None
        first, stop = np.searchsorted(t, self.span(t0_us, t1_us, held=held))
        return self._imu[first:stop].copy()

    def _decode(self, block: np.void) -> EventColumns:
        counts = np.zeros(words.COUNTS, np.int64)
        state = block["state"].copy()
        read = read_block(self._file, int(block["offset"]), int(block["size"]), state, counts)
        events, _ = events_of(self._file, read, self.sensor)
        if len(events) != block["kept"]:
            raise RecordingError(f"{self.path} cannot be read any more: its content changed")
        return events.turned(self.sensor) if self._rotate else events

    def _frames(self, stored: NDArray[np.void], tally: Tally) -> Frames:
        """Return the frames, if they fit on the sensor, sorted by the end of their exposure."""

        def read(i: int) -> NDArray[np.uint16]:
            first, stop = int(stored["first"][i]), int(stored["stop"][i])
            addresses, _ = self._file.read(first, stop - first)
            picture: NDArray[np.uint16] = aps.picture_of(addresses, self._file.chip)
            return picture

        stamps = ("t_start", "t_end", "exposure_start", "exposure_end")
        frames = StoredFrames(
            np.stack([stored[name] for name in stamps], axis=1),
            np.tile(np.array([0, 0, *self._file.chip], np.int64), (len(stored), 1)),
            read,
        )
        return frames.on(self.sensor, rotate180=self._rotate, tally=tally)
