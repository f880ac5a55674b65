"""Objects of global heaps: the byte strings of variable-length elements.

HDF5 stores such a string in a "global heap collection" and keeps its length, the collection's
address and the object's number in the dataset (HDF5 File Format Specification, III.E). The chain of
objects is walked here only as far as each step stays inside its collection and moves on.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.hdf5.objects import Hdf5File
from eventseg.recordings.hdf5.storage import DamageError

WINDOW_BYTES: Final = 2**14
"""Read at once while a collection is walked: objects larger than that are stepped over."""

MOST_COLLECTIONS: Final = 256
"""Collections whose objects are remembered; consecutive rows share few."""

Objects = dict[int, tuple[int, int]]
"""Position of the first byte in the file, and length, of each object of a collection."""


class HeapReader:
    """Finds objects in the global heaps of a file.

    Parameters
    ----------
    file : Hdf5File
        Collections that overlap to be walked again and again are given up after as many steps
        as a sound file of this size could need.
    """

    def __init__(self, file: Hdf5File) -> None:
        self._file = file
        self._known: OrderedDict[int, Objects] = OrderedDict()
        # Each object has 16 bytes of its own; a collection may be forgotten and walked again.
        self._steps_left = 65_536 + file.storage.size // 4

    def objects(self, address: int) -> Objects:
        """Return the objects of the collection at an address, empty where there is none."""
        if address in self._known:
            self._known.move_to_end(address)
            return self._known[address]
        try:
            found = _walk(self._file, address) if self._steps_left > 0 else {}
        except DamageError:
            found = {}
        self._steps_left -= len(found)
        self._known[address] = found
        if len(self._known) > MOST_COLLECTIONS:
            self._known.popitem(last=False)
        return found

    def locate(self, cells: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the byte strings of variable-length elements.

        Parameters
        ----------
        cells : CELL_DTYPE, any shape

        Returns
        -------
        positions, sizes : int64, the same shape
            First byte of each string in the file, and its length; the position is 0 for an empty
            string and -1 where the heap has no object of that number and length.
        """
        sizes = cells["size"].astype(np.int64)
        positions = np.zeros(cells.size, np.int64)
        used = np.flatnonzero(sizes.ravel())
        flat = cells.ravel()[used]
        for i, size, address, number in zip(
            used.tolist(),
            flat["size"].tolist(),
            flat["address"].tolist(),
            flat["object"].tolist(),
            strict=True,
        ):
            at, length = self.objects(address).get(number, (-1, -1))
            positions[i] = at if length == size else -1
        return positions.reshape(cells.shape), sizes


def heap_object(file: Hdf5File, address: int, number: int) -> bytes:
    """Return the bytes of one object of a collection.

    Raises
    ------
    DamageError
        It is not there.
    """
    at, size = _walk(file, address).get(number, (-1, 0))
    if at < 0:
        raise file.damage(f"no object {number} in the heap at byte {address}")
    return file.storage.read(at, size)


def _walk(file: Hdf5File, address: int) -> Objects:
    storage = file.storage
    start = file.base + address
    head = storage.read(start, 16)
    (size,) = struct.unpack_from("<Q", head, 8)
    end = start + size
    if head[:5] != b"GCOL\1" or size < 16 or end > storage.size:
        raise file.damage(f"no heap at byte {address}")
    found: Objects = {}
    at, base, window = start + 16, 0, b""
    while at + 16 <= end:
        if at + 16 > base + len(window):
            base, window = at, storage.read(at, min(WINDOW_BYTES, end - at))
        number, length = struct.unpack_from("<H6xQ", window, at - base)
        if number == 0 or number in found or length > end - at - 16:
            break  # the free space at the end of a collection has number 0
        found[number] = (at + 16, length)
        at += 16 + -(-length // 8) * 8
    return found
