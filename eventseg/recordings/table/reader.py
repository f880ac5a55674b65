"""Recordings of events in columns: HDF5, NumPy files and text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.beside import Beside
from eventseg.recordings.contents import Epoch
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.index_cache import load_arrays, store_arrays
from eventseg.recordings.packet_recording import PacketRecording
from eventseg.recordings.packets import PACKET_DTYPE, PacketReader, packet_row
from eventseg.recordings.pixels import StoredFrames
from eventseg.recordings.report import Tally
from eventseg.recordings.table.arrays import ArrayColumns, names_arrays
from eventseg.recordings.table.columns import ColumnFile, put_events
from eventseg.recordings.table.hdf5 import Hdf5Columns, holds_datasets
from eventseg.recordings.table.text import TextColumns, names_columns
from eventseg.recordings.table.units import checked_unit

FILES: dict[str, Callable[..., ColumnFile]] = {
    ".hdf5": Hdf5Columns,
    ".h5": Hdf5Columns,
    ".npz": ArrayColumns,
    ".npy": ArrayColumns,
    ".csv": TextColumns,
    ".txt": TextColumns,
}
"""Kinds of files by their suffix."""

SENSORS = (
    SensorSize(128, 128),
    SensorSize(180, 240),
    SensorSize(240, 304),
    SensorSize(260, 346),
    SensorSize(480, 640),
    SensorSize(720, 1280),
)
"""Well-known sensors, for files that do not say their size."""


def recognises(path: Path) -> bool:
    """Return whether a file holds columns of events."""
    if path.suffix.lower() in (".h5", ".hdf5"):
        return holds_datasets(path)  # whose chunks are listed once, when it is opened
    if path.suffix.lower() == ".npz":
        return names_arrays(path)  # which may be in memory as a whole once it is opened
    try:
        if path.suffix.lower() in (".csv", ".txt") and names_columns(path):
            return True
        opened = FILES[path.suffix.lower()](path)
    except (RecordingError, KeyError):
        return False
    opened.close()
    return True


def open_table_recording(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
    **choices: str,
) -> TableRecording:
    """Open columns of events; see :func:`eventseg.recordings.open_recording`."""
    return TableRecording(path, sensor=sensor, rotate180=rotate180, progress=progress, **choices)


class TableRecording(PacketRecording):
    """Events in columns; parameters as for `open_recording`.

    Times are those of the file in microseconds; the meaning of its numbers is in the notes of
    the report.
    """

    _file: ColumnFile

    def _container(self, path: Path) -> ColumnFile:
        asked = self._choices.get("time_unit")
        unit = None if asked is None else checked_unit(asked, path=path)
        opener = FILES[path.suffix.lower()]
        return opener(path, time_unit=unit, camera=self._choices.get("camera"))

    def _contents(self, progress: Callable[[float], None]) -> None:
        beside = self._file.contents()
        blocks, self.sensor, tally = self._indexed(beside, progress)
        if self._rotate:
            tally.notes.append("events are turned by 180 degrees, as asked")
        self.n_events = int(blocks["kept"].sum())
        tally.found["frames"] += len(beside.frames.stamps)
        tally.found["imu"] += len(beside.imu)
        tally.found["specials"] += len(beside.specials)
        self.frames = beside.frames.on(self.sensor, rotate180=self._rotate, tally=tally)
        self._imu, self.specials = beside.imu, beside.specials
        self.specials.flags.writeable = False
        self.epochs, self.report = (Epoch(0, 0, "start"),), tally.report()
        self._set_times(blocks, tally)
        self._reader = PacketReader(
            blocks, self._decode, sensor=self.sensor, decode_into=self._decode_into
        )
        self.gaps = self._reader.gaps()

    def _indexed(
        self, beside: Beside, progress: Callable[[float], None]
    ) -> tuple[NDArray[np.void], SensorSize, Tally]:
        """Return the blocks, from the cache if they are there, the sensor, and the counts."""
        choices = self._choices.get("camera"), self._choices.get("time_unit")
        # The number grows when columns are read otherwise, so that no older index is taken.
        variant = f"columns 2 {self._given_sensor} {choices}"
        cached = load_arrays(self.path, variant=variant)
        if cached is not None and "blocks" in cached[0]:
            progress(1.0)
            facts = cached[1]
            sensor = SensorSize(*facts["sensor"])
            return cached[0]["blocks"], sensor, Tally.from_dict(facts["tally"])
        self._file.verify()
        tally, meaning = Tally(), self._file.meaning
        tally.notes += [*meaning.notes, *beside.notes]
        known = self._given_sensor or meaning.sensor or _size_of(beside.frames)
        rows, x_max, y_max = [], 0, 0
        places = self._file.places()
        for k, (offset, size) in enumerate(places):
            progress(k / len(places))
            raw = self._file.read(offset, size)
            room = empty_columns(len(raw))
            written = put_events(raw, meaning, room, known)
            tally.found["packets"] += 1
            tally.found["events"] += len(raw) + raw.unread
            tally.skip("events", self._file.unread, raw.unread)
            tally.skip("events", "without a time or a place that can be", written.senseless)
            tally.skip("events", f"outside the sensor {known}", written.outside)
            if written.kept:
                x_max, y_max = max(x_max, written.x_max), max(y_max, written.y_max)
                rows.append(packet_row(offset, size, room[: written.kept]))
        progress(1.0)
        sensor = known or _inferred(SensorSize(y_max + 1, x_max + 1), tally)
        if known is not None and self._given_sensor is None:
            where = "the file" if meaning.sensor is not None else "the pictures"
            tally.notes.append(f"sensor {known} from {where}")
        blocks = np.array(rows, PACKET_DTYPE)
        back = int((blocks["t_min"][1:] < blocks["t_max"][:-1]).sum())
        tally.repair("blocks that begin before the one before them ends, put in order", back)
        facts = {"sensor": list(sensor), "tally": tally.to_dict()}
        why = store_arrays(self.path, {"blocks": blocks}, facts, variant=variant)
        tally.notes += [] if why is None else [why]
        return blocks, sensor, tally

    def imu(self, t0_us: int | None = None, t1_us: int | None = None) -> NDArray[np.void]:
        """Return the inertial samples of ``[t0_us, t1_us)``; see :meth:`Recording.imu`."""
        t = self._imu["t"]
        held = (t[0], t[-1]) if len(t) else None
        first, stop = np.searchsorted(t, self.span(t0_us, t1_us, held=held))
        return self._imu[first:stop].copy()

    def _decode(self, block: np.void) -> EventColumns:
        room = empty_columns(int(block["kept"]))
        return room[: self._decode_into(block, room)]

    def _decode_into(self, block: np.void, room: EventColumns) -> int:
        """Write the events of a block into columns with room for them."""
        raw = self._file.read(int(block["offset"]), int(block["size"]))
        # Rows that are left out need room too, until then.
        target = room if len(raw) <= len(room) else empty_columns(len(raw))
        kept = put_events(raw, self._file.meaning, target, self.sensor).kept
        if kept != block["kept"]:
            raise RecordingError(f"{self.path} cannot be read any more: its content changed")
        events = target[:kept]
        if self._rotate or target is not room:
            room.put(events.turned(self.sensor) if self._rotate else events, 0)
        return kept


def _size_of(frames: StoredFrames) -> SensorSize | None:
    """Return the size of full pictures, None without any."""
    if not len(frames.rois):
        return None
    height, width = (int(length) for length in frames.rois[0, 2:])
    return SensorSize(height, width)


def _inferred(least: SensorSize, tally: Tally) -> SensorSize:
    for size in SENSORS:
        if least.height <= size.height and least.width <= size.width:
            tally.guess_sensor(
                f"sensor {size} inferred: the smallest well-known one that holds x to "
                f"{least.width - 1} and y to {least.height - 1}; give the size if it is another"
            )
            break
    else:
        size = least
        tally.guess_sensor(f"sensor {size} inferred: no well-known one holds the largest x and y")
    if least.height > least.width:
        tally.notes.append("y reaches further than x: are the two swapped?")
    return size
