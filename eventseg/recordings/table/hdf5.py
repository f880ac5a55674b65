"""Columns of events in HDF5, in the layouts of several data sets and tools."""

from __future__ import annotations

import contextlib
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.beside import Beside
from eventseg.recordings.cameras import Camera, choose_camera
from eventseg.recordings.hdf5.datasets import attributes, is_dataset, open_table
from eventseg.recordings.hdf5.filters import refuse_missing
from eventseg.recordings.hdf5.objects import Hdf5File, UnsupportedError
from eventseg.recordings.hdf5.repack import repacked
from eventseg.recordings.hdf5.storage import DamageError
from eventseg.recordings.hdf5.tables import Table
from eventseg.recordings.packet_recording import MOST_PIXELS
from eventseg.recordings.prophesee.header import sensor_of
from eventseg.recordings.table.column_order import order_of
from eventseg.recordings.table.columns import Meaning, RawColumns
from eventseg.recordings.table.hdf5_beside import beside
from eventseg.recordings.table.layouts import LAYOUTS, Layout
from eventseg.recordings.table.units import Unit, unit_of, unit_of_layout

ROWS = 2**16

MOST_ROWS = 2**36
"""Most rows that a file may declare."""

MOST_BESIDE = 2**27
"""Most elements of a list beside the events, such as an index of milliseconds."""


class Hdf5Columns:
    """An open HDF5 file of events; see :class:`eventseg.recordings.table.columns.ColumnFile`."""

    unread = "rows of damaged chunks"

    def __init__(
        self, path: Path, *, time_unit: Unit | None = None, camera: str | None = None
    ) -> None:
        self._path = path
        self._asked = camera
        self._notes: list[str] = []
        self._closed = False
        try:
            self._file = Hdf5File(path)
            try:
                self._layout, self._tables = self._found()
            except BaseException:
                self._file.close()
                raise
        except UnsupportedError as reason:
            self._file = _copy_of(path)
            self._notes.append(f"read from a repacked copy, because of {reason}")
            self._layout, self._tables = self._found()
        try:
            self._rows = self._checked_rows()
            self.meaning = self._meaning(time_unit)
        except BaseException:
            self.close()
            raise

    def contents(self) -> Beside:
        """Return the data beside the events."""
        return beside(self._file, self._layout, path=self._path)

    def verify(self) -> None:
        """Do nothing: all is checked when it is read."""

    def places(self) -> list[tuple[int, int]]:
        """Return the first row and the number of rows of each block."""
        # Blocks of whole chunks, each of which is unpacked for one block only.
        chunk = (self._tables[0].chunk_shape or (0,))[0]
        step = chunk if ROWS // 4 <= chunk <= 4 * ROWS else ROWS
        return [(first, min(step, self._rows - first)) for first in range(0, self._rows, step)]

    def read(self, offset: int, size: int) -> RawColumns:
        """Return the rows of a block."""
        if self._closed:
            raise RecordingError(f"{self._path} is closed")
        try:
            return self._read(offset, size)
        except DamageError:
            return self._sound_rows(offset, size)

    def beside(self, path: str) -> NDArray[Any] | None:
        """Return a small dataset of one axis beside the events; None without one.

        Raises
        ------
        RecordingError
            It cannot be read, has other axes, or is longer than :data:`MOST_BESIDE`.
        """
        table = open_table(self._file, path)
        if table is None:
            return None
        refuse_missing(self._path, path, table.filters)
        if len(table.shape) != 1 or table.dtype.kind not in "iuf" or table.shape[0] > MOST_BESIDE:
            raise RecordingError(f"{self._path}: {path} is {table.dtype} {table.shape}, no list")
        return table.rows(0, table.shape[0])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._closed = True
        self._file.close()

    def _sound_rows(self, offset: int, size: int) -> RawColumns:
        """Return the rows of a block in chunks that can be read."""
        step = min((table.chunk_shape or table.shape)[0] for table in self._tables)
        parts = [self._read(offset, 0)]
        unread = 0
        for first in range(offset // step * step, offset + size, max(1, step)):
            begin, stop = max(first, offset), min(first + step, offset + size)
            try:
                parts.append(self._read(begin, stop - begin))
            except DamageError:
                unread += stop - begin
        t, x, y, p = (np.concatenate([getattr(part, name) for part in parts]) for name in "txyp")
        return RawColumns(t, x, y, p, unread=unread)

    def _read(self, offset: int, size: int) -> RawColumns:
        if self._layout.fields:
            stored = self._tables[0].rows(offset, offset + size)
            return RawColumns(stored["t"], stored["x"], stored["y"], stored["p"])
        if self._layout.order is None:
            t, x, y, p = (table.rows(offset, offset + size) for table in self._tables)
            return RawColumns(t, x, y, p)
        rows = self._tables[0].rows(offset, offset + size)
        found = {name: rows[:, place] for name, place in self._layout.order.items()}
        return RawColumns(found["t"], found["x"], found["y"], found["p"])

    def _found(self) -> tuple[Layout, tuple[Table, ...]]:
        """Return the first layout whose datasets are all there, of the camera asked for."""
        there: list[tuple[Layout, tuple[Table, ...]]] = []
        for layout in LAYOUTS:
            if there and layout.name != there[0][0].name:
                break  # others of one name are other cameras
            tables = self._tables_of(layout)
            if tables is not None:
                there.append((layout, tables))
        if not there:
            names = ", ".join(self._file.names()[:30])
            known = "; ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
            raise RecordingError(f"{self._path}: no events among {names}; known are {known}")
        cameras = [Camera(layout.camera or "events") for layout, _ in there]
        place, note = choose_camera(cameras, self._asked, path=self._path)
        self._notes += [note] if note else []
        layout, tables = there[place]
        for path, table in zip(layout.paths, tables, strict=True):
            refuse_missing(self._path, path, table.filters)
        return layout, tables

    def _tables_of(self, layout: Layout) -> tuple[Table, ...] | None:
        """Return the tables of a layout, None where they are not all there."""
        tables: list[Table] = []
        for path in layout.paths:
            table = open_table(self._file, path)
            if table is None or len(table.shape) != (1 if layout.order is None else 2):
                return None
            if layout.fields and not set("txyp") <= set(table.dtype.names or ()):
                return None
            tables.append(table)
        return tuple(tables)

    def _checked_rows(self) -> int:
        lengths = [table.shape[0] for table in self._tables]
        if len(set(lengths)) > 1:
            raise RecordingError(
                f"{self._path}: {', '.join(self._layout.paths)} have {lengths} rows; they must "
                "have as many"
            )
        if self._layout.order is not None and self._tables[0].shape[1] != 4:
            raise RecordingError(f"{self._path}: {self._layout.paths[0]} must have 4 columns")
        if lengths[0] > MOST_ROWS:
            raise RecordingError(f"{self._path}: {lengths[0]:,} rows are absurdly many")
        types = [table.dtype for table in self._tables]
        if self._layout.fields:
            types = [types[0].fields[name][0] for name in "txyp"] if types[0].fields else []
        kinds = [each.kind for each in types]
        if any(kind not in "iufb" for kind in kinds):
            raise RecordingError(f"{self._path}: {', '.join(self._layout.paths)} are no numbers")
        return lengths[0]

    def _meaning(self, asked: Unit | None) -> Meaning:
        notes = [*self._notes, f"layout {self._layout.name}"]
        usual = self._layout.unit
        try:
            unit, more = self._unit(asked)
        except DamageError:
            # Rows that cannot be read tell no unit; they are counted when all are read.
            if usual is None or asked is not None:
                raise
            unit, more = usual, []
        notes += more
        offset = 0
        if self._layout.offset:
            table = open_table(self._file, self._layout.offset)
            if table is not None and table.dtype.kind in "iu" and table.shape in ((), (1,)):
                value = table.scalar() if not table.shape else table.rows(0, 1)[0]
                offset = int(value)
                notes.append(f"times begin at {self._layout.offset} = {offset} us")
        return Meaning(unit, offset, self._sensor(), tuple(notes))

    def _unit(self, asked: Unit | None) -> tuple[Unit, list[str]]:
        """Return the unit of the times by the first and last of them, with notes.

        Columns that stand in another order than the layout's are put in theirs.
        """
        notes: list[str] = []
        sample = self.read(0, min(self._rows, ROWS))
        order = self._other_order(sample)
        if order is not None:
            self._layout = self._layout._replace(order=order)
            sample = self.read(0, min(self._rows, ROWS))
            said = ", ".join(sorted(order, key=order.__getitem__))
            notes.append(f"columns are taken for {said}, by their numbers")
        last = self.read(max(0, self._rows - 1), min(self._rows, 1))
        span = float(last.t[-1]) - float(sample.t[0]) if len(last) and len(sample) else 0.0
        usual = self._layout.unit
        note: str | None
        if asked is not None or usual is None:
            unit, note = unit_of(sample.t, events=self._rows, span=span, asked=asked)
        else:
            unit, note = unit_of_layout(sample.t, events=self._rows, span=span, usual=usual)
        return unit, [*notes, *([note] if note else [])]

    def _other_order(self, sample: RawColumns) -> dict[str, int] | None:
        """Return the order of columns by their numbers, None where that of the layout fits.

        It does not where its times fall and other columns make sense: times that are not in order
        are no pixels.
        """
        usual = self._layout.order
        if usual is None or (np.diff(sample.t.astype(np.float64)) >= 0).all():
            return None
        columns = sorted(usual, key=usual.__getitem__)
        rows = np.stack([getattr(sample, name) for name in columns], axis=1).astype(np.float64)
        try:
            order = order_of(rows, path=self._path)
        except RecordingError:
            return None
        places = rows[:, [order["x"], order["y"]]]
        pixels = (places >= 0) & (places < MOST_PIXELS) & (np.floor(places) == places)
        return order if pixels.all() else None

    def _sensor(self) -> SensorSize | None:
        for path in ("/", self._layout.paths[0].rpartition("/")[0] or "/"):
            found: dict[str, Any] = {}
            with contextlib.suppress(DamageError, UnsupportedError):
                found = attributes(self._file, path)
            width, height = (found.get(name) for name in ("width", "height"))
            if isinstance(width, Integral) and isinstance(height, Integral):
                size = SensorSize(int(height), int(width))
                if min(size) > 0 and max(size) <= 2**15:
                    return size
            words = {key.lower(): str(value) for key, value in found.items()}
            if (told := sensor_of(words)) is not None:
                return told
        return None


def holds_datasets(path: Path) -> bool:
    """Return whether a file is HDF5 with the datasets of a layout, which are not opened.

    True of a newer form too: what it holds is told once, when a repacked copy is opened.
    """
    try:
        file = Hdf5File(path)
    except UnsupportedError:
        return True
    except RecordingError:
        return False
    try:
        return any(all(is_dataset(file, name) for name in each.paths) for each in LAYOUTS)
    except UnsupportedError:
        return True
    except RecordingError:
        return False
    finally:
        file.close()


def _copy_of(path: Path) -> Hdf5File:
    """Open a repacked copy under the name of the original and remove it."""
    copy = repacked(path, tables=True)
    try:
        file = Hdf5File(copy)
    finally:
        # Where an open file cannot be removed, it stays in the folder for temporary files.
        with contextlib.suppress(OSError):
            copy.unlink()
    file.path = file.storage.path = path
    return file
