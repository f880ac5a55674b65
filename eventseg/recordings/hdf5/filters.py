"""Decompression of chunks in bounded memory; missing filters are named."""

from __future__ import annotations

import contextlib
import importlib
import struct
import zlib
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from eventseg.errors import RecordingError
from eventseg.recordings.hdf5.ecf import ECF_ID, unpack_ecf
from eventseg.recordings.hdf5.library import ChunkUnpacker
from eventseg.recordings.hdf5.storage import DamageError

DEFLATE: Final = 1
SHUFFLE: Final = 2
FLETCHER32: Final = 3
OWN: Final = (DEFLATE, SHUFFLE, FLETCHER32, ECF_ID)
"""Filters that are undone here."""

MOST_CHUNK_BYTES: Final = 2**26
"""A compressed chunk that declares more than this is not unpacked."""

PLUGINS: Final = {
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32026: "blosc2",
}
"""Registered filters that the package hdf5plugin brings."""


class Filter(NamedTuple):
    """One filter of a pipeline: its registered number, name and settings."""

    id: int
    name: str
    flags: int
    values: tuple[int, ...]


def missing_filter(filters: tuple[Filter, ...]) -> str | None:
    """Return the name of the first filter that cannot be undone here and the cure, or None."""
    for each in filters:
        if each.id in OWN or _library_has(each.id):
            continue
        name = PLUGINS.get(each.id) or each.name or "unknown"
        cure = (
            "install the extra that brings hdf5plugin: uv sync --extra formats"
            if each.id in PLUGINS
            else "install its plugin"
        )
        return (
            f"compressed by the HDF5 filter {each.id} ({name}), which is not installed; {cure}, "
            "or repack the file with: h5repack -f GZIP=1 IN OUT"
        )
    return None


def unpack(
    content: bytes,
    filters: tuple[Filter, ...],
    *,
    skipped: int,
    item_bytes: int,
    size: int,
    needed: int,
) -> bytes | memoryview:
    """Undo the filters of one chunk.

    Parameters
    ----------
    content : bytes
        The chunk as stored.
    filters : tuple of Filter
        In the order in which they were applied.
    skipped : int
        Bit `i` is set where filter `i` was not applied to this chunk.
    item_bytes : int
        Length of one element.
    size : int
        Length of the chunk once unpacked.
    needed : int
        Bytes of it within the dataset: the last chunk of a dataset of ECF may hold no more, and is
        filled with zeros.

    Raises
    ------
    DamageError
        The chunk does not unpack to `size` bytes.
    """
    applied = [each for i, each in enumerate(filters) if not skipped >> i & 1]
    by_library: memoryview | None = None
    if any(each.id not in OWN for each in applied):
        by_library = _unpacked_by_library(content, applied, item_bytes=item_bytes, size=size)
    else:
        for each in reversed(applied):
            if each.id == FLETCHER32:
                content = content[:-4]
            elif each.id == DEFLATE:
                content = _inflated(content, size + 4 * len(filters))
            elif each.id == ECF_ID:
                content = unpack_ecf(content)
                if needed <= len(content) < size:
                    content = content.ljust(size, b"\0")
            else:
                content = _unshuffled(content, item_bytes)
    unpacked = content if by_library is None else by_library
    if len(unpacked) != size:
        raise DamageError(f"a compressed chunk has {len(unpacked)} bytes once unpacked, not {size}")
    return unpacked


def _inflated(content: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        inflated = inflater.decompress(content, most)
    except zlib.error as error:
        raise DamageError(f"a compressed chunk is damaged ({error})") from error
    if not inflater.eof:
        raise DamageError("a compressed chunk is cut or unpacks to more than it declares")
    return inflated


def _unshuffled(content: bytes, item_bytes: int) -> bytes:
    whole = len(content) // item_bytes * item_bytes
    planes = np.frombuffer(content, np.uint8, whole).reshape(item_bytes, -1)
    return planes.T.tobytes() + content[whole:]


def _library_has(filter_id: int) -> bool:
    import h5py

    if filter_id in PLUGINS:
        with contextlib.suppress(ImportError):
            importlib.import_module("hdf5plugin")  # registers its filters
    return bool(h5py.h5z.filter_avail(filter_id))


def _unpacked_by_library(
    content: bytes, filters: list[Filter], *, item_bytes: int, size: int
) -> memoryview:
    """Unpack a chunk with the HDF5 library."""
    pipeline = tuple((each.id, each.flags, each.values) for each in filters)
    try:
        return _unpacker(pipeline, item_bytes, size // item_bytes).unpack(content)
    except (OSError, RuntimeError, ValueError, struct.error) as error:
        raise DamageError(f"a compressed chunk is damaged ({error})") from error


@lru_cache(maxsize=8)
def _unpacker(
    pipeline: tuple[tuple[int, int, tuple[int, ...]], ...], item_bytes: int, count: int
) -> ChunkUnpacker:
    return ChunkUnpacker(pipeline, item_bytes, count)


def refuse_missing(path: object, name: str, filters: tuple[Filter, ...]) -> None:
    """Raise RecordingError if a dataset is compressed by a filter that is not installed."""
    missing = missing_filter(filters)
    if missing is not None:
        raise RecordingError(f"{path}: {name} is {missing}")
