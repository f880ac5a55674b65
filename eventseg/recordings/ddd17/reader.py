"""DDD17 and DDD20 recordings: HDF5 files of cAER packets, made by the DDD recorder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings.base import IMU_DTYPE, Frames, Recording
from eventseg.recordings.ddd17.file import PacketFile
from eventseg.recordings.ddd17.frames import open_frames
from eventseg.recordings.ddd17.index import cached_index
from eventseg.recordings.ddd17.layout import IMU6, IMU6_DTYPE, POLARITY
from eventseg.recordings.ddd17.sensor import (
    checked_sensor,
    find_gaps,
    fit_to_sensor,
    infer_sensor,
    packet_batches,
)
from eventseg.recordings.ddd17.signals import read_signals
from eventseg.recordings.ddd17.stream import PacketReader, overlapping, running_bounds
from eventseg.recordings.hdf5.objects import Hdf5File, UnsupportedError
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


class DDD17Recording(Recording):
    """A DDD17 or DDD20 recording; parameters as for `open_recording`."""

    def __init__(
        self,
        path: Path,
        *,
        sensor: SensorSize | None = None,
        rotate180: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.path = path
        self._options = (None if sensor is None else checked_sensor(sensor), rotate180)
        self._file = PacketFile(path)
        try:
            self._open(progress)
        except BaseException:
            self.close()
            raise

    def _open(self, progress: Callable[[float], None] | None) -> None:
        given, rotate180 = self._options
        index, note = cached_index(self._file, progress)
        tally = index.tally
        tally.notes += [*self._file.notes, *([note] if note else [])]
        if given is None:
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
        if self.n_events:
            self.t_first_us = int(packets["t_min"].min())
            self.t_last_us = int(packets["t_max"].max())
        elif len(self.frames):
            self.t_first_us = int(self.frames.t_start_us.min())
            self.t_last_us = int(self.frames.t_end_us.max())
        else:
            reasons = "; ".join(line for line in self.report.lines() if "skipped" in line)
            raise RecordingError(
                f"{self.path}: no event and no frame among {tally.found['packets']:,} packets"
                + (f" ({reasons.strip()})" if reasons else "")
            )

    def events(self, t0_us: int | None = None, t1_us: int | None = None) -> EventStream:
        """Return the events of ``[t0_us, t1_us)``; see :meth:`Recording.events`."""
        return self._reader.events(*self._asked(t0_us, t1_us))

    def stream(
        self,
        *,
        max_events: int = 1_000_000,
        t0_us: int | None = None,
        t1_us: int | None = None,
    ) -> Iterator[EventStream]:
        """Yield the events in consecutive spans; see :meth:`Recording.stream`."""
        if max_events < 1:
            raise EventsError(f"max_events must be 1 or more, got {max_events}")
        return self._reader.stream(*self._asked(t0_us, t1_us), max_events=max_events)

    def imu(self, t0_us: int | None = None, t1_us: int | None = None) -> NDArray[np.void]:
        """Return the inertial samples of ``[t0_us, t1_us)``; see :meth:`Recording.imu`."""
        packets = self._imu_packets
        t0 = int(packets["t_min"].min(initial=0)) if t0_us is None else t0_us
        t1 = int(packets["t_max"].max(initial=0)) + 1 if t1_us is None else t1_us
        if t1 < t0:
            raise EventsError(f"the span [{t0}, {t1}) us ends before it begins")
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

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        sensor, rotate180 = self._options
        return partial(open_ddd17, self.path, sensor=sensor, rotate180=rotate180), ()

    def _asked(self, t0_us: int | None, t1_us: int | None) -> tuple[int, int]:
        t0 = self.t_first_us if t0_us is None else int(t0_us)
        t1 = self.t_last_us + 1 if t1_us is None else int(t1_us)
        if t1 < t0:
            raise EventsError(f"the span [{t0}, {t1}) us ends before it begins")
        return t0, t1


def _file_order(packets: NDArray[np.void], frames: Frames) -> FileOrder | None:
    """Return the order of the event packets and the frames in the file, None without either."""
    frame_rows = frames.packet_row
    if frame_rows is None or not len(frames) or not len(packets):
        return None
    rows = packets["row"].astype(np.int64)
    first = int(np.argmin(frame_rows))
    start_us = packets["t_first"][0] if rows[0] < frame_rows[first] else frames.t_end_us[first]
    return FileOrder(int(start_us), rows, running_bounds(packets)[0], frame_rows)
