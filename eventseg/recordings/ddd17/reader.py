"""DDD17 and DDD20 recordings: HDF5 files of cAER packets, made by the DDD recorder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.contents import IMU_DTYPE, Frames
from eventseg.recordings.ddd17.file import PacketFile
from eventseg.recordings.ddd17.frames import open_frames
from eventseg.recordings.ddd17.index import cached_index
from eventseg.recordings.ddd17.layout import IMU6, IMU6_DTYPE, POLARITY
from eventseg.recordings.ddd17.sensor import (
    find_gaps,
    fit_to_sensor,
    infer_sensor,
    packet_batches,
)
from eventseg.recordings.ddd17.signals import read_signals
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.ddd17.stream import PacketReader
from eventseg.recordings.hdf5.objects import Hdf5File, UnsupportedError
from eventseg.recordings.packet_recording import PacketRecording
from eventseg.recordings.packets import overlapping, running_bounds
from eventseg.windows import FileOrder


def recognises(path: Path) -> bool:
    """Return whether a file is HDF5 with the packets of a DDD recorder."""
    try:
        file = Hdf5File(path)
    except UnsupportedError:
        with path.open("rb") as content:  # names stand near the beginning, as they are
            return b"dvs" in content.read(2**20)
    except RecordingError:
        return False
    try:
        return file.find("dvs/data") is not None
    except (RecordingError, UnsupportedError):
        return False
    finally:
        file.close()


def open_ddd17(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
) -> DDD17Recording:
    """Open a DDD17 or DDD20 recording; see :func:`eventseg.recordings.open_recording`."""
    return DDD17Recording(path, sensor=sensor, rotate180=rotate180, progress=progress)


class DDD17Recording(PacketRecording):
    """A DDD17 or DDD20 recording; parameters as for `open_recording`."""

    _file: PacketSource

    def _container(self, path: Path) -> PacketSource:
        return PacketFile(path)

    def _contents(self, progress: Callable[[float], None]) -> None:
        given, rotate180 = self._given_sensor, self._rotate
        index, note = cached_index(self._file, progress)
        tally = index.tally
        tally.notes += [*self._file.notes, *([note] if note else [])]
        if given is None and self._file.sensor is not None:
            self.sensor = self._file.sensor
            tally.notes.append(f"sensor {self.sensor} from the header")
        elif given is None:
            self.sensor = infer_sensor(index.packets, index.frames, tally=tally)
        else:
            self.sensor = given
            tally.notes.append(f"sensor {given} as given")
        if rotate180:
            tally.notes.append("events and frames are turned by 180 degrees, as asked")
        self._imu_packets = index.packets[index.packets["kind"] == IMU6]
        packets, islands = fit_to_sensor(
            index.packets[index.packets["kind"] == POLARITY],
            index.islands,
            self.sensor,
            file=self._file,
            tally=tally,
        )
        back = int(packets["back"].sum())
        back += int((packets["t_first"][1:] < packets["t_last"][:-1]).sum())
        tally.repair("steps back in time between events, put in order by a stable sort", back)
        self._reader = PacketReader(self._file, packets, sensor=self.sensor, rotate180=rotate180)
        self.n_events = int(packets["kept"].sum())
        self.frames = open_frames(
            index.frames,
            file=self._file,
            sensor=self.sensor,
            rotate180=rotate180,
            tally=tally,
        )
        self.signals = read_signals(self._file, host_offset_us=index.host_offset_us, tally=tally)
        self.specials = index.specials
        self.specials.flags.writeable = False
        self.epochs = index.epochs
        self.gaps = find_gaps(packets, islands)
        self.file_order = _file_order(packets, self.frames)
        self.report = tally.report()
        self._set_times(packets, tally)

    def imu(self, t0_us: int | None = None, t1_us: int | None = None) -> NDArray[np.void]:
        """Return the inertial samples of ``[t0_us, t1_us)``; see :meth:`Recording.imu`."""
        packets = self._imu_packets
        held = (packets["t_min"].min(), packets["t_max"].max()) if len(packets) else None
        t0, t1 = self.span(t0_us, t1_us, held=held)
        parts = [np.empty(0, IMU_DTYPE)]
        chosen = overlapping(packets, *running_bounds(packets), t0, t1)
        for batch in packet_batches(packets, chosen):
            numbers = packets["number"][batch]
            events, _ = self._file.events_of(packets[batch], IMU6_DTYPE.itemsize)
            stored = events.view(IMU6_DTYPE)
            samples = np.empty(len(stored), IMU_DTYPE)
            for name in IMU_DTYPE.names or ():
                samples[name] = stored[name]
            samples["t"] += np.repeat(packets["base"][batch], numbers)
            sound = (stored["info"] & 1 == 1) & (stored["t"] >= 0)
            parts.append(samples[sound & (samples["t"] >= t0) & (samples["t"] < t1)])
        found = np.concatenate(parts)
        return found[np.argsort(found["t"], kind="stable")]


def _file_order(packets: NDArray[np.void], frames: Frames) -> FileOrder | None:
    """Return the order of the event packets and the frames in the file, None without either."""
    frame_rows = frames.packet_row
    if frame_rows is None or not len(frames) or not len(packets):
        return None
    rows = packets["row"].astype(np.int64)
    first = int(np.argmin(frame_rows))
    start_us = packets["t_first"][0] if rows[0] < frame_rows[first] else frames.t_end_us[first]
    return FileOrder(int(start_us), rows, running_bounds(packets)[0], frame_rows)
