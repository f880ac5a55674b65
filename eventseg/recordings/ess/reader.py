"""A directory of the ESS repack as a recording, opened by its file ``events.dat.t``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError, RecordingError
from eventseg.events import SensorSize
from eventseg.images import read_picture
from eventseg.recordings.contents import Epoch, Frames
from eventseg.recordings.ess.events import SENSOR, TIMES, EssEvents
from eventseg.recordings.ess.frames import UNPACK, frame_file
from eventseg.recordings.ess.index import WINDOWS_US, index_file, read_index
from eventseg.recordings.event_columns import EventColumns
from eventseg.recordings.packet_recording import PacketRecording
from eventseg.recordings.packets import PACKET_DTYPE, PacketReader, packet_row
from eventseg.recordings.report import Tally

BLOCK = 2**16
"""Events decoded at once."""


def recognises(path: Path) -> bool:
    """Return whether a file is named as the times of the repack are."""
    return path.name == TIMES


def open_ess(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
) -> EssRecording:
    """Open a directory of the repack; see :func:`eventseg.recordings.open_recording`."""
    return EssRecording(path, sensor=sensor, rotate180=rotate180, progress=progress)


class EssRecording(PacketRecording):
    """A directory of the repack, named after it; parameters as for `open_recording`.

    Times are nanoseconds divided by 1000, rounded down. Frames are those that an index file has a
    time of and a picture is there for; nothing tells their exposure, so all four times are the
    index's.
    """

    _file: EssEvents

    @property
    def name(self) -> str:
        """Return the name of the directory."""
        return self.path.resolve().parent.name

    def _container(self, path: Path) -> EssEvents:
        return EssEvents(path.parent)

    def _contents(self, progress: Callable[[float], None]) -> None:
        tally = Tally()
        self.sensor = self._given_sensor or SENSOR
        if self._given_sensor is None:
            tally.notes.append(f"sensor {SENSOR}: that of DDD17, the files do not tell")
        if self._rotate:
            tally.notes.append("events and frames are turned by 180 degrees, as asked")
        rows = []
        starts = range(0, len(self._file), BLOCK)
        for k, start in enumerate(starts):
            progress(k / len(starts))
            stop = min(start + BLOCK, len(self._file))
            events, damaged = self._file.columns(start, stop, sensor=self.sensor)
            tally.found["packets"] += 1
            tally.found["events"] += stop - start
            tally.skip("events", "outside the sensor, or a polarity but 0 and 1", damaged)
            if len(events):
                rows.append(packet_row(start, stop - start, events))
        progress(1.0)
        blocks = np.array(rows, PACKET_DTYPE)
        back = int((blocks["t_min"][1:] < blocks["t_max"][:-1]).sum())
        tally.repair("blocks that begin before the one before them ends, put in order", back)
        self.n_events = int(blocks["kept"].sum())
        self.frames, self.epochs = self._frames(tally), (Epoch(0, 0, "start"),)
        self.report = tally.report()
        self._set_times(blocks, tally)
        self._reader = PacketReader(blocks, self._decode, sensor=self.sensor)
        self.gaps = self._reader.gaps()

    def _frames(self, tally: Tally) -> Frames:
        folder = self.path.parent
        file = next((f for us in WINDOWS_US if (f := index_file(folder, us)).is_file()), None)
        if file is None:
            tally.notes.append("no index file tells the times of frames")
            return Frames.none(self.sensor)
        index = read_index(file, events=len(self._file))
        files = [frame_file(folder, row + 1) for row in range(len(index))]
        there = np.array([path is not None for path in files])
        tally.found["frames"] = len(files)
        tally.skip("frames", f"no picture; unpack them: {UNPACK}", int((~there).sum()))
        times = index.frame_us[there]
        paths = [path for path in files if path is not None]
        roi = (0, 0, *self.sensor)

        def read(i: int) -> NDArray[np.uint16]:
            try:
                picture = read_picture(paths[i], colour=False)
            except DatasetError as error:
                raise RecordingError(str(error)) from error
            if picture.shape != tuple(self.sensor):
                raise RecordingError(
                    f"{paths[i]} is {picture.shape[1]}x{picture.shape[0]}, not {self.sensor}"
                )
            turned = picture[::-1, ::-1] if self._rotate else picture
            return (turned.astype(np.uint16) << 8).astype(np.uint16)

        rois = np.tile(np.array(roi, np.int64), (len(times), 1))
        return Frames(times, times, times, times, rois, self.sensor, read)

    def _decode(self, block: np.void) -> EventColumns:
        start = int(block["offset"])
        events, _ = self._file.columns(start, start + int(block["size"]), sensor=self.sensor)
        if len(events) != block["kept"]:
            raise RecordingError(f"{self.path} cannot be read any more: its content changed")
        return events.turned(self.sensor) if self._rotate else events
