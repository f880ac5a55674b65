"""Datasets of an HDF5 file as tables of rows: bounded before anything is allocated."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.hdf5.filters import MOST_CHUNK_BYTES, Filter, unpack
from eventseg.recordings.hdf5.objects import Hdf5File

CELL_DTYPE: Final = np.dtype([("size", "<u4"), ("address", "<u8"), ("object", "<u4")])
"""A variable-length element: its length, and where in the file's global heaps it lies."""

Corner = tuple[int, ...]
"""Index of the first element of a chunk."""


@dataclass(frozen=True)
class Chunk:
    """Place of one chunk: address, stored length, and bits of the filters it skipped."""

    address: int
    size: int
    skipped_filters: int = 0


@dataclass(frozen=True, eq=False)
class Table:
    """A dataset, read by ranges of its first axis.

    Parameters
    ----------
    file : Hdf5File
    shape : tuple of int
        As declared; nothing of that size is allocated.
    dtype : numpy.dtype
        Type of an element; CELL_DTYPE for variable-length ones.
    item : str
        Type of the members of variable-length elements: ``uint8``, ``text`` or empty for another.
    chunk_shape : tuple of int
        Shape of a chunk; that of the table where it is in one piece.
    chunks : dict
        Chunks that are stored, by their corners: each within the file, on the grid and once.
    filters : tuple of Filter
        How chunks are compressed.
    damaged : tuple of str
        Faults in the index of chunks; rows there are unknown.
    compact : bytes, optional
        The content, where it is in the object header.
    """

    file: Hdf5File
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    item: str = ""
    chunk_shape: tuple[int, ...] = ()
    chunks: dict[Corner, Chunk] = field(default_factory=dict)
    filters: tuple[Filter, ...] = ()
    damaged: tuple[str, ...] = ()
    compact: bytes | None = None
    _corners: dict[int, list[Corner]] = field(default_factory=dict)
    _last: dict[int, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for corner in self.chunks:
            self._corners.setdefault(corner[0] if corner else 0, []).append(corner)

    def spans(self) -> list[tuple[int, int]]:
        """Return the sorted ranges of rows ``[first, stop)`` that are stored."""
        if not self.shape:
            return []
        if self.compact is not None:
            return [(0, self.shape[0])]
        step = self.chunk_shape[0]
        return [(first, min(first + step, self.shape[0])) for first in sorted(self._corners)]

    def rows(self, first: int, stop: int) -> NDArray[Any]:
        """Return the rows [first, stop), zero where nothing is stored.

        Raises
        ------
        DamageError
            A chunk among them cannot be read.
        """
        first, stop = max(first, 0), min(stop, self.shape[0])
        columns = self.shape[1:]
        if math.prod(columns) * self.dtype.itemsize > MOST_CHUNK_BYTES:
            raise self.file.damage(f"rows of {columns} elements are absurdly wide")
        if (whole := self._in_one_chunk(first, stop)) is not None:
            return whole
        table = np.zeros((max(stop - first, 0), *columns), self.dtype)
        if self.compact is not None:
            table[...] = self._array(self.compact, self.shape)[first:stop]
            return table
        step = self.chunk_shape[0]
        for start in range(first // step * step, stop, step):
            for corner in self._corners.get(start, ()):
                low, high = max(first, start), min(stop, start + step)
                held = min(step, self.shape[0] - start)
                part = self._chunk_rows(self.chunks[corner], low - start, high - start, held)
                place = tuple(
                    slice(at, min(at + size, whole))
                    for at, size, whole in zip(
                        corner[1:], self.chunk_shape[1:], columns, strict=True
                    )
                )
                fits = tuple(slice(0, cut.stop - cut.start) for cut in place)
                table[(slice(low - first, high - first), *place)] = part[(slice(None), *fits)]
        return table

    def _in_one_chunk(self, first: int, stop: int) -> NDArray[Any] | None:
        """Return the rows [first, stop) of a single chunk as they lie there, None of others."""
        if self.compact is not None or first >= stop or self.chunk_shape[1:] != self.shape[1:]:
            return None
        start = first // self.chunk_shape[0] * self.chunk_shape[0]
        corners = self._corners.get(start, ())
        if stop > start + self.chunk_shape[0] or len(corners) != 1:
            return None
        held = min(self.chunk_shape[0], self.shape[0] - start)
        return self._chunk_rows(self.chunks[corners[0]], first - start, stop - start, held)

    def scalar(self) -> Any:
        """Return the only element of a table without axes."""
        size = self.dtype.itemsize
        content = self.compact
        if content is None:
            chunk = self.chunks.get(())
            content = bytes(size) if chunk is None else self.file.read(chunk.address, size)
        return self._array(content, (1,))[0]

    def _chunk_rows(self, chunk: Chunk, first: int, stop: int, held: int) -> NDArray[Any]:
        """Return some rows of a chunk, which has `held` rows within the table.

        Only an unpacked chunk is read as a whole, and kept.
        """
        columns = self.chunk_shape[1:]
        row_bytes = math.prod(columns) * self.dtype.itemsize
        if not self.filters:
            content = self.file.read(chunk.address + first * row_bytes, (stop - first) * row_bytes)
            return self._array(content, (stop - first, *columns))
        unpacked = self._last.get(chunk.address)  # other threads change it
        if unpacked is None:
            whole = unpack(
                self.file.read(chunk.address, chunk.size),
                self.filters,
                skipped=chunk.skipped_filters,
                item_bytes=self.dtype.itemsize,
                size=row_bytes * self.chunk_shape[0],
                needed=row_bytes * held,
            )
            unpacked = self._array(whole, self.chunk_shape)
            self._last.clear()
            self._last[chunk.address] = unpacked
        return unpacked[first:stop]

    def _array(self, content: bytes | memoryview, shape: tuple[int, ...]) -> NDArray[Any]:
        wanted = math.prod(shape) * self.dtype.itemsize
        if len(content) < wanted:
            raise self.file.damage(f"a dataset has {len(content)} bytes of {wanted}")
        return np.frombuffer(content, self.dtype, math.prod(shape)).reshape(shape)
