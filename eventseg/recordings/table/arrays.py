"""Columns of events in NumPy's files: ``.npz`` by names, ``.npy`` of four columns or of fields.

A ``.npy``, or an ``.npz`` that is not compressed, is read block by block and not mapped: a mapped
file that shrinks kills its reader. Arrays that are compressed have no rows that could be read
alone, and are in memory.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.kernels import reused
from eventseg.recordings.beside import NOTHING, Beside
from eventseg.recordings.cameras import ONE_CAMERA, choose_camera
from eventseg.recordings.file_bytes import FileBytes
from eventseg.recordings.table.column_order import columns_of, order_of
from eventseg.recordings.table.columns import Meaning, RawColumns
from eventseg.recordings.table.units import Unit, unit_of

ROWS = 2**16

MOST_HEADER_BYTES = 2**16
"""Longest header of an array that is read; NumPy refuses those of more than 10,000 characters."""

LOCAL_MAGIC, LOCAL_HEADER_BYTES = b"PK\x03\x04", 30
"""Begin of the header of a file in an archive, and its bytes before the name."""

CHECKED_BYTES = 2**20
"""Bytes whose checksum is taken at once."""

MOST_BYTES = 2**34
"""Largest content of an ``.npz`` in memory: a small file that is compressed can hold any size."""

Columns = dict[str, NDArray[Any]]


class NpyRows:
    """The rows of an array in an open file.

    Parameters
    ----------
    file : FileBytes
    start, stop : int
        First byte of the array with its header, and the byte behind it.
    name : str
        Name of the file in an archive.

    Raises
    ------
    RecordingError
        The array is shorter than it says, or holds objects.
    """

    def __init__(self, file: FileBytes, start: int, stop: int, *, name: str = "") -> None:
        self._file, self.name = file, name
        header = BytesIO(file.read(start, min(MOST_HEADER_BYTES, stop - start)))
        version = np.lib.format.read_magic(header)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        self.shape, by_columns, self.dtype = read(header)
        self._start = start + header.tell()
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        stored = stop - self._start
        if self.dtype.hasobject or not self.shape or (by_columns and len(self.shape) > 1):
            raise RecordingError(f"{file.path}: an array of objects, of no rows, or by columns")
        if stored < self.shape[0] * row_bytes:
            raise RecordingError(f"{file.path}: {stored:,} bytes of {self.shape[0] * row_bytes:,}")
        self._row_bytes = row_bytes

    def read(self, offset: int, size: int) -> NDArray[Any]:
        """Return some rows."""
        size = max(0, min(size, self.shape[0] - offset))
        content = reused.empty(size * self._row_bytes, np.uint8)
        if self._file.read_into(self._start + offset * self._row_bytes, content) < len(content):
            raise RecordingError(f"{self._file.path} cannot be read any more: it became shorter")
        return content.view(self.dtype).reshape(size, *self.shape[1:])


class ArrayColumns:
    """An open NumPy file; see :class:`eventseg.recordings.table.columns.ColumnFile`."""

    unread = ""

    def __init__(
        self, path: Path, *, time_unit: Unit | None = None, camera: str | None = None
    ) -> None:
        choose_camera(ONE_CAMERA, camera, path=path)
        self._path = path
        self._file = FileBytes(path)
        self._rows: dict[str, NpyRows] = {}
        self._arrays: Columns = {}
        self._closed = False
        sensor: SensorSize | None = None
        notes: tuple[str, ...] = ()
        try:
            if path.suffix.lower() == ".npy":
                rows = NpyRows(self._file, 0, self._file.size)
                self._length = int(rows.shape[0])
                self._pick, unit, notes = _picker(rows, path)
            else:
                sensor, unit = self._open_archive()
                self._length = self._common_length()
                self._pick = self._by_name
            first = self._pick(0, ROWS)
            self._check_numbers(first)
            if unit is None or time_unit is not None:
                last = self._pick(max(0, self._length - 1), 1)["t"]
                span = float(last[-1]) - float(first["t"][0]) if self._length else 0.0
                unit, note = unit_of(first["t"], events=self._length, span=span, asked=time_unit)
                notes = (*notes, note)
            self.meaning = Meaning(unit, sensor=sensor, notes=notes)
        except Exception as error:
            self.close()
            raise _damage(path, error) from error

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

    def verify(self) -> None:
        """Compare the content of the arrays that are read in parts with their checksums.

        Raises
        ------
        RecordingError
            They differ.
        """
        if not self._rows:
            return
        try:
            with ZipFile(self._path) as archive:
                for rows in self._rows.values():
                    with archive.open(rows.name) as content:
                        while content.read(CHECKED_BYTES):
                            pass
        except Exception as error:
            raise _damage(self._path, error) from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._closed, self._arrays = True, {}
        self._file.close()

    def _open_archive(self) -> tuple[SensorSize | None, Unit | None]:
        """Find the columns of an ``.npz``; return the sensor and the unit that it names."""
        path = self._path
        with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:
            entries = {entry.filename: entry for entry in loaded.zip.infolist()}
            plain = {name: entry for name, entry in entries.items() if _is_plain(entry)}
            declared = sum(entries[name].file_size for name in entries.keys() - plain.keys())
            if declared > MOST_BYTES:
                raise RecordingError(
                    f"{path}: its arrays take {declared:,} bytes unpacked, more than "
                    f"{MOST_BYTES:,}; save them as .npy or HDF5, which are read in parts"
                )
            columns, unit = _of_names(loaded.files, path)
            for column, name in columns.items():
                if f"{name}.npy" in plain:
                    self._rows[column] = self._rows_of(plain[f"{name}.npy"])
            in_parts = {columns[column] for column in self._rows}
            arrays = {name: loaded[name] for name in loaded.files if name not in in_parts}
        self._arrays = {column: arrays[name] for column, name in columns.items() if name in arrays}
        return _sensor(arrays), unit

    def _rows_of(self, entry: ZipInfo) -> NpyRows:
        """Return the rows of an array that is not compressed."""
        begin = entry.header_offset
        header = self._file.read(begin, LOCAL_HEADER_BYTES)
        if len(header) < LOCAL_HEADER_BYTES or not header.startswith(LOCAL_MAGIC):
            raise BadZipFile(f"no header of {entry.filename} at byte {begin:,}")
        begin += LOCAL_HEADER_BYTES + sum(struct.unpack_from("<2H", header, 26))
        stop = min(begin + entry.file_size, self._file.size)
        return NpyRows(self._file, begin, stop, name=entry.filename)

    def _by_name(self, offset: int, size: int) -> Columns:
        found = {name: rows.read(offset, size) for name, rows in self._rows.items()}
        found.update({name: a[offset : offset + size] for name, a in self._arrays.items()})
        return found

    def _common_length(self) -> int:
        columns: dict[str, NpyRows | NDArray[Any]] = {**self._rows, **self._arrays}
        self._check_numbers(columns)
        shapes = {tuple(column.shape) for column in columns.values()}
        if len(shapes) > 1 or len(columns["t"].shape) != 1:
            raise RecordingError(f"{self._path}: the columns t, x, y and p must be of one length")
        return int(columns["t"].shape[0])

    def _check_numbers(self, columns: Mapping[str, NpyRows | NDArray[Any]]) -> None:
        if any(column.dtype.kind not in "iufb" for column in columns.values()):
            raise RecordingError(f"{self._path}: the columns t, x, y and p must be numbers")


def _is_plain(entry: ZipInfo) -> bool:
    """Return whether the content of an entry stands in the archive as it is."""
    encrypted = bool(entry.flag_bits & 1)
    stored = entry.compress_type == ZIP_STORED and entry.compress_size == entry.file_size
    return stored and not encrypted


def _damage(path: Path, error: Exception) -> RecordingError:
    """Return an error of recordings for one of an archive or header, of any module."""
    if isinstance(error, RecordingError):
        return error
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return RecordingError(f"{path}: no file of NumPy, or damaged: {line}")


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


def names_arrays(path: Path) -> bool:
    """Return whether the arrays of an ``.npz`` are named as columns of events."""
    try:
        with ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, NotImplementedError, BadZipFile):
        return False
    return columns_of(names) is not None


def _of_names(names: Sequence[str], path: Path) -> tuple[dict[str, str], Unit | None]:
    """Return the names of the four columns among those of arrays, and the unit of the times."""
    found = columns_of(names)
    if found is None:
        raise RecordingError(
            f"{path}: no arrays t, x, y and p among {', '.join(map(repr, names)) or 'none'}"
        )
    return {column: names[place] for column, place in found[0].items()}, found[1]


def _sensor(arrays: Mapping[str, NDArray[Any]]) -> SensorSize | None:
    try:
        size = SensorSize(int(arrays["height"]), int(arrays["width"]))
    except (KeyError, TypeError, ValueError):
        return None
    return size if min(size) > 0 and max(size) <= 2**15 else None
