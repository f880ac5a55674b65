"""AEDAT 4 recordings: events, frames, inertial samples and triggers of one camera."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.aedat4.container import MAGIC, ContainerFile, PacketDamage
from eventseg.recordings.aedat4.contents import pixels_of, stored_events, unpack_events
from eventseg.recordings.aedat4.flatbuffer import BufferDamage
from eventseg.recordings.aedat4.index import cameras_of, choose_streams, load_index
from eventseg.recordings.cameras import Camera, choose_camera
from eventseg.recordings.contents import Epoch, Frames
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.packet_recording import PacketRecording
from eventseg.recordings.packets import PacketReader
from eventseg.recordings.pixels import StoredFrames
from eventseg.recordings.report import Tally


def recognises(path: Path) -> bool:
    """Return whether a file begins as AEDAT 4 files do."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def open_aedat4(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
    **choices: str,
) -> Aedat4Recording:
    """Open an AEDAT 4 recording; see :func:`eventseg.recordings.open_recording`."""
    return Aedat4Recording(path, sensor=sensor, rotate180=rotate180, progress=progress, **choices)


class Aedat4Recording(PacketRecording):
    """An AEDAT 4 recording; parameters as for `open_recording`.

    The first stream of events of the camera is read, and its frames, inertial samples and
    triggers; packets of other streams are counted as skipped. Times are those of the file, us since
    1970 where a recorder wrote it.
    """

    _file: ContainerFile

    def _container(self, path: Path) -> ContainerFile:
        return ContainerFile(path)

    def _contents(self, progress: Callable[[float], None]) -> None:
        header = self._file.header
        cameras = [Camera(source or "camera") for source in cameras_of(header.streams)]
        place, note = choose_camera(cameras, self._choices.get("camera"), path=self.path)
        chosen = choose_streams(header.streams, cameras_of(header.streams)[place])
        index, self.sensor, tally = load_index(
            self._file, chosen=chosen, given=self._given_sensor, progress=progress
        )
        if not header.complete:
            tally.notes.append("the recorder did not finish the file; read to its last packet")
        if self._rotate:
            tally.notes.append("events and frames are turned by 180 degrees, as asked")
        tally.notes += [note] if note else []
        self._reader = PacketReader(
            index.events,
            self._decode,
            sensor=self.sensor,
            decode_into=self._decode_into,
            spare=1,
        )
        self.n_events = int(index.events["kept"].sum())
        self.frames = self._frames(index.frames, tally)
        self._imu, self.specials = index.imu, index.specials
        self.specials.flags.writeable = False
        self.signals = {}
        self.epochs = (Epoch(0, 0, "start"),)
        self.gaps = self._reader.gaps()
        self.report = tally.report()
        self._set_times(index.events, tally)

    def imu(self, t0_us: int | None = None, t1_us: int | None = None) -> NDArray[np.void]:
        """Return the inertial samples of ``[t0_us, t1_us)``; see :meth:`Recording.imu`."""
        t = self._imu["t"]
        held = (t[0], t[-1]) if len(t) else None
        first, stop = np.searchsorted(t, self.span(t0_us, t1_us, held=held))
        return self._imu[first:stop].copy()

    def _decode(self, packet: np.void) -> EventColumns:
        room = empty_columns(int(packet["kept"]) + 1)
        return room[: self._decode_into(packet, room)]

    def _decode_into(self, packet: np.void, room: EventColumns) -> int:
        """Write the events of a packet into columns with room for them and one more."""
        try:
            content = self._file.content(int(packet["offset"]), int(packet["size"]))
            stored = stored_events(content)
        except (PacketDamage, BufferDamage) as damage:
            raise RecordingError(f"{self.path} cannot be read any more: {damage}") from damage
        kept, *_ = unpack_events(stored, *self.sensor, room.t, room.x, room.y, room.p)
        if kept != packet["kept"]:
            raise RecordingError(f"{self.path} cannot be read any more: its content changed")
        if self._rotate:
            room.put(room[:kept].turned(self.sensor), 0)
        return int(kept)

    def _frames(self, stored: NDArray[np.void], tally: Tally) -> Frames:
        """Return the frames that fit on the sensor, sorted by the end of their exposure."""

        def read(i: int) -> NDArray[np.uint16]:
            try:
                place = int(stored["offset"][i]), int(stored["size"][i])
                return pixels_of(self._file.content(*place))
            except (PacketDamage, BufferDamage) as damage:
                raise RecordingError(f"{self.path}: frame {i} cannot be read: {damage}") from damage

        stamps = ("t_start", "t_end", "exposure_start", "exposure_end")
        rois = ("row", "col", "height", "width")
        frames = StoredFrames(
            np.stack([stored[name] for name in stamps], axis=1),
            np.stack([stored[name] for name in rois], axis=1),
            read,
        )
        return frames.on(self.sensor, rotate180=self._rotate, tally=tally)
