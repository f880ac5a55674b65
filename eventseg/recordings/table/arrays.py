"""Columns of events in NumPy's files: ``.npz`` by names, ``.npy`` of four columns or of fields.

A ``.npy`` is read block by block and not mapped: a mapped file that shrinks kills its reader. An
``.npz``, whose arrays have no rows that could be read alone, is in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.beside import NOTHING, Beside
from eventseg.recordings.cameras import ONE_CAMERA, choose_camera
from eventseg.recordings.file_bytes import FileBytes
from eventseg.recordings.table.columns import (
    Meaning,
    RawColumns,
    Unit,
    columns_of,
    order_of,
    unit_of,
)

ROWS = 2**16

MOST_BYTES = 2**34
"""Largest content of an ``.npz``, which is in memory as a whole: a small file can hold any size."""

Columns = dict[str, NDArray[Any]]


class NpyRows:
    """The rows of an open ``.npy`` file.

    Raises
    ------
    RecordingError
        The file cannot be opened, is shorter than it says, or holds objects.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            self.shape, by_columns, self.dtype = read(file)
            self._start = file.tell()
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        stored = path.stat().st_size - self._start
        if self.dtype.hasobject or not self.shape or (by_columns and len(self.shape) > 1):
            raise RecordingError(f"{path}: an array of objects, of no rows, or stored by columns")
        if stored < self.shape[0] * row_bytes:
            raise RecordingError(f"{path}: {stored:,} bytes of {self.shape[0] * row_bytes:,}")
        self._row_bytes = row_bytes
        self._file = FileBytes(path)

    def read(self, offset: int, size: int) -> NDArray[Any]:
        """Return some rows."""
        size = max(0, min(size, self.shape[0] - offset))
        wanted = size * self._row_bytes
        stored = self._file.read(self._start + offset * self._row_bytes, wanted)
        if len(stored) < wanted:
            raise RecordingError(f"{self._path} cannot be read any more: it became shorter")
        content = np.frombuffer(stored, self.dtype)
        return content.reshape(size, *self.shape[1:])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()


class ArrayColumns:
    """An open NumPy file; see :class:`eventseg.recordings.table.columns.ColumnFile`."""

    unread = ""

    def __init__(
        self, path: Path, *, time_unit: Unit | None = None, camera: str | None = None
    ) -> None:
        choose_camera(ONE_CAMERA, camera, path=path)
        self._path = path
        self._rows: NpyRows | None = None
        self._arrays: Columns = {}
        self._closed = False
        sensor: SensorSize | None = None
        notes: tuple[str, ...] = ()
        try:
            if path.suffix.lower() == ".npy":
                self._rows = NpyRows(path)
                self._pick, unit, notes = _picker(self._rows, path)
            else:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:
                    declared = sum(entry.file_size for entry in loaded.zip.infolist())
                    if declared > MOST_BYTES:
                        raise RecordingError(
                            f"{path}: its arrays take {declared:,} bytes unpacked, more than "
                            f"{MOST_BYTES:,}; save them as .npy or HDF5, which are read in parts"
                        )
                    arrays = {name: loaded[name] for name in loaded.files}
                sensor = _sensor(arrays)
                self._arrays, unit = _of_names(arrays, path)
                self._pick = self._of_memory
            first = self._pick(0, ROWS)
            self._length = self._checked_length(first)
            if unit is None or time_unit is not None:
                last = self._pick(max(0, self._length - 1), 1)["t"]
                span = float(last[-1]) - float(first["t"][0]) if self._length else 0.0
                unit, note = unit_of(first["t"], events=self._length, span=span, asked=time_unit)
                notes = (*notes, note)
            self.meaning = Meaning(unit, sensor=sensor, notes=notes)
        except RecordingError:
            self.close()
            raise
        # A damaged archive or header raises errors of several modules.
        except Exception as error:
            self.close()
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise RecordingError(f"{path}: no file of NumPy, or damaged: {line}") from error

    def contents(self) -> Beside:
        """Return nothing: there are events only."""
        return NOTHING

    def places(self) -> list[tuple[int, int]]:
        """Return the first row and the number of rows of each block."""
        starts = range(0, self._length, ROWS)
        return [(first, min(ROWS, self._length - first)) for first in starts]

    def read(self, offset: int, size: int) -> RawColumns:
        """Return the rows of a block."""
        if self._closed:
            raise RecordingError(f"{self._path} is closed")
        found = self._pick(offset, size)
        return RawColumns(found["t"], found["x"], found["y"], found["p"])

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._closed, self._arrays = True, {}
        if self._rows is not None:
            self._rows.close()

    def _of_memory(self, offset: int, size: int) -> Columns:
        return {name: array[offset : offset + size] for name, array in self._arrays.items()}

    def _checked_length(self, first: Columns) -> int:
        if any(column.dtype.kind not in "iufb" for column in first.values()):
            raise RecordingError(f"{self._path}: the columns t, x, y and p must be numbers")
        arrays = self._arrays or first
        lengths = {len(array) for array in arrays.values()}
        if len(lengths) > 1 or any(array.ndim != 1 for array in arrays.values()):
            raise RecordingError(f"{self._path}: the columns t, x, y and p must be of one length")
        return lengths.pop() if self._rows is None else int(self._rows.shape[0])


def _picker(
    rows: NpyRows, path: Path
) -> tuple[Callable[[int, int], Columns], Unit | None, tuple[str, ...]]:
    """Return how the columns are taken from rows, the unit of time in their names, and notes."""
    if rows.dtype.names:
        found = columns_of(rows.dtype.names)
        if found is None or len(rows.shape) != 1:
            raise RecordingError(f"{path}: no fields t, x, y and p among {rows.dtype.names}")
        fields = {column: rows.dtype.names[place] for column, place in found[0].items()}

        def by_field(offset: int, size: int) -> Columns:
            table = rows.read(offset, size)
            return {column: table[name] for column, name in fields.items()}

        return by_field, found[1], ()
    if len(rows.shape) != 2 or rows.shape[1] != 4 or rows.dtype.kind not in "iuf":
        raise RecordingError(
            f"{path}: an array of {rows.dtype} and shape {rows.shape} holds no events: give "
            "numbers of shape (N, 4), fields named t, x, y and p, or an .npz with these names"
        )
    order = order_of(rows.read(0, ROWS).astype(np.float64), path=path)

    def by_place(offset: int, size: int) -> Columns:
        table = rows.read(offset, size)
        return {column: table[:, place] for column, place in order.items()}

    said = ", ".join(sorted(order, key=order.__getitem__))
    return by_place, None, (f"columns are taken for {said}, by their numbers",)


def names_columns(path: Path) -> bool:
    """Return whether the arrays of an ``.npz`` are named as columns of events."""
    try:
        with ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, NotImplementedError, BadZipFile):
        return False
    return columns_of(names) is not None


def _of_names(arrays: Mapping[str, NDArray[Any]], path: Path) -> tuple[Columns, Unit | None]:
    found = columns_of(list(arrays))
    if found is None:
        raise RecordingError(
            f"{path}: no arrays t, x, y and p among {', '.join(map(repr, arrays)) or 'none'}"
        )
    names = list(arrays)
    return {column: arrays[names[place]] for column, place in found[0].items()}, found[1]


def _sensor(arrays: Mapping[str, NDArray[Any]]) -> SensorSize | None:
    try:
        size = SensorSize(int(arrays["height"]), int(arrays["width"]))
    except (KeyError, TypeError, ValueError):
        return None
    return size if min(size) > 0 and max(size) <= 2**15 else None
