"""The packets of one DDD17 file as rows: open, check the layout, read blocks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.kernels import reused
from eventseg.recordings.ddd17.layout import HEADER_DTYPE, ROWS_PER_BLOCK
from eventseg.recordings.ddd17.source import RawBlock
from eventseg.recordings.hdf5.datasets import ElsewhereError, attributes, open_table
from eventseg.recordings.hdf5.filters import missing_filter
from eventseg.recordings.hdf5.heaps import HeapReader
from eventseg.recordings.hdf5.objects import Hdf5File, UnsupportedError
from eventseg.recordings.hdf5.repack import repacked
from eventseg.recordings.hdf5.storage import DamageError
from eventseg.recordings.hdf5.tables import CELL_DTYPE, Table

FOLLOW: Final = "EVENTSEG_FOLLOW_LINKS"
"""Environment variable: ``1`` lets recordings take values from other files."""

MOST_ROWS: Final = 2**28
"""Most packets that a file may declare: those of nine days."""

MOST_SIGNAL_ROWS: Final = 2**24
"""Most values that a signal may declare: those of nineteen days."""

MOST_SIDE: Final = 2**15
"""Most rows or columns that the coordinates of events reach."""

WANTED: Final = "a DDD17 or DDD20 recording has dvs/data with three byte strings a row"


Tables = dict[str, Table | RecordingError | None]
"""Tables by their path; the reason where one cannot be opened, None where there is none."""


class PacketFile:
    """The open ``dvs`` group of a recording, and the tables of its signals.

    Threads and forked processes may share it.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    n_rows : int
        Rows that ``dvs/data`` declares.
    notes : list of str
        Notes about opening the file.
    plain : bool
        The bytes are read from the file itself, not from a repacked copy.
    sensor : SensorSize or None
        Attributes ``width`` and ``height`` of ``dvs``, which files of the recorder do not have;
        :class:`~eventseg.recordings.ddd17.writer.DDD17Writer` writes them without full frames.
    variant : str
        Empty: all of the file is read.
    signals : dict
        By name, the table ``data`` of every other group, or the reason why there is none.

    Raises
    ------
    RecordingError
        No such file, not HDF5, truncated, damaged, or another layout.
    """

    variant = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.plain = True
        self._file, self._tables = self._opened(follow=os.environ.get(FOLLOW) == "1")
        try:
            self._data = self._checked_data()
            self._times = self._checked_times()
            self.signals = dict(self._signals())
            self.sensor = _stored_size(self._file)
        except BaseException:
            self.close()
            raise
        self.n_rows = self._data.shape[0]
        self.notes += [f"dvs/data has {what}" for what in self._data.damaged]
        if self._file.unfinished:
            self.notes.append(
                "the file is longer than it says: its writer may have been killed before it closed "
                "the file, and rows be missing"
            )
        self._heap = HeapReader(self._file)
        self._bytes_left = self._file.storage.size

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def blocks(self) -> list[tuple[int, int]]:
        """Return the ranges of at most 128 rows, aligned to 128, with anything stored."""
        self._bytes_left = self._file.storage.size
        firsts = {
            first
            for start, stop in self._data.spans()
            for first in range(start // ROWS_PER_BLOCK * ROWS_PER_BLOCK, stop, ROWS_PER_BLOCK)
        }
        return [(first, min(first + ROWS_PER_BLOCK, self.n_rows)) for first in sorted(firsts)]

    def host_times(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return the host time of some rows in us, int64, 0 where there is none."""
        times = np.zeros(stop - first, np.int64)
        if self._times is not None:
            # Rows without a time are told from their digits, row by row.
            with contextlib.suppress(DamageError):
                stored = self._times.rows(first, stop)
                times[: len(stored)] = stored.astype(np.int64)
        return times

    def host_digits(self, row: int) -> int:
        """Return the host time of a row from its digits in column 0, or 0."""
        try:
            at, size = self._heap.locate(self._data.rows(row, row + 1)[:, :1])
            if not 0 < size[0, 0] <= 18 or at[0, 0] < 0:
                return 0
            digits = self._file.storage.read(int(at[0, 0]), int(size[0, 0]))
        except DamageError:
            return 0
        return int(digits) if digits.isdigit() else 0

    def left_out(self) -> dict[str, int]:
        """Return how many rows have a host time where no part of ``dvs/data`` is stored."""
        count = 0
        spans = self._times.spans() if self._times is not None else []
        covered = {first for first, _ in self.blocks()}
        for start, stop in spans:
            for first in range(start, min(stop, self.n_rows), 2**16):
                times = self.host_times(first, min(first + 2**16, stop, self.n_rows))
                rows = first + np.flatnonzero(times > 0)
                count += sum(
                    row // ROWS_PER_BLOCK * ROWS_PER_BLOCK not in covered for row in rows.tolist()
                )
        return {"row with a host time but no bytes": count}

    def block(self, first: int, stop: int) -> RawBlock:
        """Return the rows [first, stop); a row that cannot be read is empty."""
        try:
            cells = self._data.rows(first, stop)[:, 1:]
        except DamageError:
            cells = np.zeros((stop - first, 2), CELL_DTYPE)
            damaged = np.ones(stop - first, np.bool_)
        else:
            damaged = np.zeros(stop - first, np.bool_)
        positions, sizes = self._heap.locate(cells)
        # Every byte string is the string of one row: together they are no larger than the file.
        left = self._bytes_left - np.cumsum(sizes.sum(axis=1))
        damaged |= (positions < 0).any(axis=1) | (left < 0)
        sizes[damaged] = 0
        self._bytes_left -= int(sizes.sum())
        headers = [
            self._file.storage.read(at, size) if size == HEADER_DTYPE.itemsize else b""
            for at, size in zip(positions[:, 0].tolist(), sizes[:, 0].tolist(), strict=True)
        ]
        rows = (first + np.flatnonzero(damaged)).tolist()
        return RawBlock(sizes[:, 0], sizes[:, 1], headers, positions[:, 1], rows)

    def events_of(
        self, packets: NDArray[np.void], size: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the complete events of packets as one array of bytes, and each packet's begin.

        Parameters
        ----------
        packets : structured array (P,)
            Fields ``number at``.
        size : int
            Bytes of one event.

        Raises
        ------
        RecordingError
            They cannot be read, though they could when the index was built.
        """
        storage = self._file.storage
        storage.check_unchanged()
        starts = np.zeros(len(packets) + 1, np.int64)
        np.cumsum(packets["number"], out=starts[1:])
        if int(starts[-1]) * size > storage.size:
            raise RecordingError(f"{self.path}: the index does not fit the file; open it again")
        content = reused.empty(int(starts[-1]) * size, np.uint8)
        view = memoryview(content.data)
        bounds = (starts * size).tolist()
        storage.read_parts(
            packets["at"].tolist(), [view[first:stop] for first, stop in pairwise(bounds)]
        )
        return content, starts

    def frame_of(self, at: int, first: int, stop: int) -> NDArray[np.uint8]:
        """Return the bytes [first, stop) of the payload that begins at byte `at`."""
        self._file.storage.check_unchanged()
        return np.frombuffer(self._file.storage.read(at + first, stop - first), np.uint8)

    def _opened(self, *, follow: bool) -> tuple[Hdf5File, Tables]:
        """Open the file, or a plain copy of it where its form of HDF5 is a newer one."""
        try:
            file = Hdf5File(self.path)
            try:
                return file, _tables(file, follow=follow)
            except BaseException:
                file.close()
                raise
        except UnsupportedError as reason:
            file = _of_copy(self.path, repacked(self.path, follow=follow))
            self.plain = False
            self.notes.append(f"read from a repacked copy, because of {reason}")
            return file, _tables(file, follow=False)

    def _checked_data(self) -> Table:
        data = self._tables.get("dvs/data")
        if isinstance(data, ElsewhereError):
            raise RecordingError(f"{data}; other files are read only with {FOLLOW}=1") from data
        if isinstance(data, RecordingError):
            raise data
        if data is None:
            raise RecordingError(
                f"{self.path}: no dvs/data among {self._file.names()[:30]}; {WANTED}"
            )
        if len(data.shape) != 2 or data.shape[1] != 3 or data.item != "uint8":
            kind = data.item or data.dtype
            raise RecordingError(f"{self.path}: dvs/data is {data.shape} of {kind}; {WANTED}")
        if data.shape[0] > MOST_ROWS:
            raise RecordingError(
                f"{self.path}: dvs/data declares {data.shape[0]:,} rows, at most {MOST_ROWS:,} are "
                "possible: its header is damaged; copy or download it again"
            )
        missing = missing_filter(data.filters)
        if missing is not None:
            raise RecordingError(f"{self.path}: dvs/data is {missing}")
        return data

    def _checked_times(self) -> Table | None:
        times = self._tables.get("dvs/timestamp")
        if isinstance(times, RecordingError):
            self.notes.append(f"dvs/timestamp cannot be read ({times})")
            return None
        if times is None or len(times.shape) != 1 or times.dtype.kind not in "iu":
            return None
        missing = missing_filter(times.filters)
        if missing is not None:
            self.notes.append(f"dvs/timestamp is {missing}")
            return None
        return times

    def _signals(self) -> Iterator[tuple[str, Table | str]]:
        for name in self._file.names():
            if name == "dvs":
                continue
            table = self._tables.get(f"{name}/data")
            if isinstance(table, ElsewhereError):
                yield name, f"lies in another file, which is read only with {FOLLOW}=1"
            elif isinstance(table, RecordingError):
                yield name, "damaged"
            else:
                yield name, _sound_signal(table)


def _tables(file: Hdf5File, *, follow: bool) -> Tables:
    """Return every ``data`` and ``timestamp`` one level below the root, by path."""
    tables: Tables = {}
    for name in file.names():
        for path in (f"{name}/data", f"{name}/timestamp"):
            try:
                tables[path] = open_table(file, path)
            except ElsewhereError as error:
                if follow:
                    raise UnsupportedError("values in other files") from error
                tables[path] = error
            except RecordingError as error:
                tables[path] = error
    return tables


def _stored_size(file: Hdf5File) -> SensorSize | None:
    """Return the size of the sensor where the file tells a possible one."""
    found: dict[str, Any] = {}
    with contextlib.suppress(RecordingError, UnsupportedError):
        found = attributes(file, "dvs")
    width, height = (found.get(name) for name in ("width", "height"))
    if not isinstance(width, Integral) or not isinstance(height, Integral):
        return None
    size = SensorSize(int(height), int(width))
    return size if min(size) > 0 and max(size) <= MOST_SIDE else None


def _sound_signal(table: Table | None) -> Table | str:
    """Return a table of (host time, value), or why it is none."""
    if table is None or len(table.shape) != 2 or table.shape[1] != 2:
        return "no table of (host time, value)"
    if table.dtype.kind not in "iuf":
        return "no table of (host time, value)"
    if table.shape[0] > MOST_SIGNAL_ROWS:
        return f"declares {table.shape[0]:,} rows, at most {MOST_SIGNAL_ROWS:,} are possible"
    return missing_filter(table.filters) or table


def _of_copy(path: Path, copy: Path) -> Hdf5File:
    """Open a temporary copy under the name of the original and remove it."""
    try:
        file = Hdf5File(copy)
    finally:
        # Where an open file cannot be removed, it stays in the folder for temporary files.
        with contextlib.suppress(OSError):
            copy.unlink()
    file.path = file.storage.path = path
    return file
