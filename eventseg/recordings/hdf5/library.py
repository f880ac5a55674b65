"""Chunks unpacked by the HDF5 library, for filters that it brings as plugins.

The library unpacks chunks of datasets only. Here the dataset has one chunk and is in a file in
memory, which takes chunk after chunk of one kind: a file for each would take most of the time.
"""

from __future__ import annotations

import itertools
import os
import threading
from typing import Any, Final

import numpy as np

from eventseg.kernels import reused

MOST_CHUNKS: Final = 256
"""Chunks after which a file in memory is begun anew: parts of it that are free stay with it."""

_NUMBERS = itertools.count()


class ChunkUnpacker:
    """Unpacker of chunks of one size and one pipeline of filters, for any thread.

    Parameters
    ----------
    filters : tuple of (int, int, tuple of int)
        Number, flags and settings of each filter, in the order in which they were applied.
    item_bytes : int
        Length of an element.
    count : int
        Elements of a chunk.
    """

    def __init__(
        self, filters: tuple[tuple[int, int, tuple[int, ...]], ...], item_bytes: int, count: int
    ) -> None:
        self._filters, self._count = filters, count
        self._type = np.dtype((np.void, item_bytes))
        self._lock = threading.Lock()
        self._file: Any = None
        self._chunk: Any = None
        self._used, self._process = 0, -1

    def unpack(self, content: bytes) -> memoryview:
        """Return the bytes of a chunk, in memory of their own.

        Raises
        ------
        OSError, RuntimeError, ValueError
            The library cannot unpack it.
        """
        import h5py

        with self._lock:
            # A file that a process was forked with may have been in use at that moment.
            if self._chunk is None or self._used >= MOST_CHUNKS or self._process != os.getpid():
                self._begin()
            self._used += 1
            unpacked = reused.empty(self._count * self._type.itemsize, np.uint8)
            elements = unpacked.view(self._type)
            try:
                self._chunk.write_direct_chunk((0,), content)
                self._chunk.read(h5py.h5s.ALL, h5py.h5s.ALL, elements)
            except BaseException:
                self._chunk = None
                raise
        return unpacked.data

    def _begin(self) -> None:
        """Begin a file in memory whose dataset has one chunk, and keep none in a cache."""
        import h5py

        self._chunk = None
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_fapl_core(backing_store=False)
        name = f"eventseg-chunk-{os.getpid()}-{next(_NUMBERS)}".encode()
        self._file = h5py.h5f.create(name, h5py.h5f.ACC_TRUNC, fapl=access)
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((self._count,))
        for number, flags, values in self._filters:
            settings.set_filter(number, flags, values)
        reading = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        reading.set_chunk_cache(0, 0, 0.75)
        space = h5py.h5s.create_simple((self._count,))
        kind = h5py.h5t.py_create(self._type)
        self._chunk = h5py.h5d.create(self._file, b"chunk", kind, space, settings, dapl=reading)
        self._used, self._process = 0, os.getpid()
