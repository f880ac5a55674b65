"""From the header of an HDF5 dataset to a table: extent, type, filters and chunks."""

from __future__ import annotations

import math
import struct
from typing import Any, Final

import numpy as np

from eventseg.errors import RecordingError
from eventseg.recordings.hdf5.filters import MOST_CHUNK_BYTES, Filter
from eventseg.recordings.hdf5.heaps import heap_object
from eventseg.recordings.hdf5.objects import (
    UNDEFINED,
    Hdf5File,
    Link,
    Message,
    UnsupportedError,
    tree_leaves,
)
from eventseg.recordings.hdf5.storage import DamageError
from eventseg.recordings.hdf5.tables import CELL_DTYPE, Chunk, Corner, Table

DATASPACE, DATATYPE, EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE = 0x01, 0x03, 0x07, 0x08, 0x0B, 0x0C
MOST_DIMENSIONS: Final = 32
MOST_MEMBERS: Final = 64
"""Members of a compound type that are read."""


class ElsewhereError(RecordingError):
    """Values that lie in another file than the one that was opened."""


def open_table(file: Hdf5File, path: str) -> Table | None:
    """Return the dataset at a path, or None if there is none.

    Raises
    ------
    ElsewhereError
        Its values lie in another file.
    DamageError
        Its header is damaged.
    UnsupportedError
        It is stored in a newer form of HDF5.
    """
    address = file.find(path)
    if isinstance(address, Link):
        raise ElsewhereError(f"{file.path}: {path} is a link into the file {address.file!r}")
    if address is None:
        return None
    messages = {message.type: message for message in reversed(file.messages(address))}
    if not {DATASPACE, DATATYPE, LAYOUT} <= set(messages):
        return None
    if EXTERNAL in messages:
        raise ElsewhereError(f"{file.path}: the values of {path} are stored in other files")
    for message in messages.values():
        if message.flags & 2:
            raise UnsupportedError("messages that datasets share")
    shape = _shape(file, messages[DATASPACE].content)
    dtype, item = _dtype(messages[DATATYPE].content)
    filters = _filters(file, messages[FILTERS]) if FILTERS in messages else ()
    return _table(file, messages[LAYOUT].content, shape, dtype, item, filters, path)


def is_dataset(file: Hdf5File, path: str) -> bool:
    """Return whether there is a dataset at a path of this file, whose chunks are not listed.

    Raises
    ------
    DamageError
        Its header is damaged.
    UnsupportedError
        It is stored in a newer form of HDF5.
    """
    address = file.find(path)
    if not isinstance(address, int):
        return False
    return {DATASPACE, DATATYPE, LAYOUT} <= {message.type for message in file.messages(address)}


def attributes(file: Hdf5File, path: str = "/") -> dict[str, Any]:
    """Return the attributes of an object that are one number or one text, by name."""
    address = file.find(path)
    found: dict[str, Any] = {}
    for message in file.messages(address) if isinstance(address, int) else ():
        if message.type != ATTRIBUTE:
            continue
        content = message.content
        try:
            version = content[0]
            sizes = struct.unpack_from("<3H", content, 2)
            at = 8 + (version == 3)
            padded = [size + (-size % 8 if version == 1 else 0) for size in sizes]
            bounds = np.cumsum([at, *padded]).tolist()
            name, kind, space = (
                content[start : start + size] for start, size in zip(bounds[:3], sizes, strict=True)
            )
            dtype, item = _dtype(kind)
            shape = _shape(file, space)
            if math.prod(shape) != 1:
                continue
            value = np.frombuffer(content[bounds[3] :], dtype, 1)[0]
        except (IndexError, ValueError, struct.error) as error:
            raise file.damage("an attribute is cut") from error
        if item == "text":
            text = heap_object(file, int(value["address"]), int(value["object"]))
            value = text[: int(value["size"])].decode("utf-8", "replace")
        elif dtype == CELL_DTYPE:
            continue
        found[name.split(b"\0")[0].decode("utf-8", "replace")] = value
    return found


def _shape(file: Hdf5File, content: bytes) -> tuple[int, ...]:
    try:
        version, rank = content[0], content[1]
        if version not in (1, 2) or rank > MOST_DIMENSIONS:
            raise file.damage("absurd extent of a dataset")
        return struct.unpack_from(f"<{rank}Q", content, 8 if version == 1 else 4)
    except (IndexError, struct.error) as error:
        raise file.damage("the extent of a dataset is cut") from error


def _dtype(content: bytes) -> tuple[np.dtype[Any], str]:
    """Return the type of an element, and of the members of a variable-length one."""
    if len(content) < 8:
        raise DamageError("the type of a dataset is cut")
    kind, bits = content[0] & 15, content[1]
    (size,) = struct.unpack_from("<I", content, 4)
    order = ">" if bits & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8):
        return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}"), ""
    if kind == 1 and size in (2, 4, 8):
        return np.dtype(f"{order}f{size}"), ""
    if kind == 9 and size == CELL_DTYPE.itemsize:
        member, _ = _dtype(content[8:])
        text = bits & 15 == 1
        return CELL_DTYPE, "text" if text else str(member)
    # Other types are told by their size only: nothing here reads them.
    if not 0 < size <= MOST_CHUNK_BYTES:
        raise DamageError("absurd type of a dataset")
    if kind == 6:
        fields = _fields(content, size)
        if fields is not None:
            return fields, ""
    return np.dtype((np.void, size)), ""


def _fields(content: bytes, size: int) -> np.dtype[Any] | None:
    """Return a compound type whose members are plain numbers; None for others."""
    version, number = content[0] >> 4, struct.unpack_from("<H", content, 1)[0]
    offset_bytes = 4 if version < 3 else (size.bit_length() + 7) // 8
    names: list[str] = []
    formats: list[np.dtype[Any]] = []
    offsets: list[int] = []
    at = 8
    while len(names) < min(number, MOST_MEMBERS):
        end = content.find(b"\0", at)
        if end < 0:
            return None
        names.append(content[at:end].decode("utf-8", "replace"))
        at = end + 1 if version == 3 else at + (end - at) // 8 * 8 + 8
        offsets.append(int.from_bytes(content[at : at + offset_bytes], "little"))
        at += offset_bytes + (28 if version == 1 else 0)
        kind = content[at] & 15 if at < len(content) else -1
        if kind not in (0, 1):
            return None
        formats.append(_dtype(content[at:])[0])
        at += 12 if kind == 0 else 20
    try:
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})
    except (TypeError, ValueError):
        return None  # members that overlap, or lie beyond the element


def _filters(file: Hdf5File, message: Message) -> tuple[Filter, ...]:
    content = message.content
    try:
        version, number = content[0], content[1]
        at = 8 if version == 1 else 2
        found = []
        for _ in range(number):
            (code,) = struct.unpack_from("<H", content, at)
            named = version == 1 or code >= 256
            length = struct.unpack_from("<H", content, at + 2)[0] if named else 0
            flags, count = struct.unpack_from("<2H", content, at + (4 if named else 2))
            at += 8 if named else 6
            room = length + (-length % 8 if version == 1 else 0)
            name = content[at : at + length].split(b"\0")[0].decode("utf-8", "replace")
            at += room
            values = struct.unpack_from(f"<{count}I", content, at)
            at += 4 * (count + (count % 2 if version == 1 else 0))
            found.append(Filter(code, name, flags, values))
    except (IndexError, struct.error) as error:
        raise file.damage("the list of filters of a dataset is cut") from error
    return tuple(found)


def _table(
    file: Hdf5File,
    content: bytes,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    item: str,
    filters: tuple[Filter, ...],
    path: str,
) -> Table:
    try:
        version, kind = content[0], content[1]
        if version == 4 and kind == 3:
            raise ElsewhereError(f"{file.path}: {path} is a virtual data set of other files")
        if version != 3:
            if version in (1, 2, 4, 5):
                raise UnsupportedError(f"layout of version {version}")
            raise file.damage(f"{path} has an unknown layout")
        if kind == 0:
            (size,) = struct.unpack_from("<H", content, 2)
            return Table(file, shape, dtype, item, compact=content[4 : 4 + size])
        if kind == 1:
            address, size = struct.unpack_from("<QQ", content, 2)
            chunks = {}
            needed = math.prod(shape) * dtype.itemsize
            if address != UNDEFINED and needed:
                if address + needed > file.storage.size or size < needed:
                    raise file.damage(f"{path} declares {shape} and has {size} bytes")
                chunks = {(0,) * len(shape): Chunk(address, needed)}
            whole = tuple(max(1, length) for length in shape)
            return Table(file, shape, dtype, item, whole, chunks)
        rank = content[2] - 1
        (tree,) = struct.unpack_from("<Q", content, 3)
        chunk_shape = struct.unpack_from(f"<{rank + 1}I", content, 11)[:-1]
    except (IndexError, struct.error) as error:
        raise file.damage(f"the layout of {path} is cut") from error
    unpacked = math.prod(chunk_shape) * dtype.itemsize
    if kind != 2 or rank != len(shape) or rank < 1 or not unpacked:
        raise file.damage(f"{path} has an unknown layout")
    if filters and unpacked > MOST_CHUNK_BYTES:
        raise file.damage(f"{path} has compressed chunks of {unpacked:,} bytes")
    chunks, damaged = _chunks(file, tree, shape, chunk_shape, 0 if filters else unpacked)
    return Table(file, shape, dtype, item, chunk_shape, chunks, filters, damaged)


def _chunks(
    file: Hdf5File,
    tree: int,
    shape: tuple[int, ...],
    chunk_shape: tuple[int, ...],
    exact_size: int,
) -> tuple[dict[Corner, Chunk], tuple[str, ...]]:
    """Return the sound chunks by their corners, and the faults of the others.

    `exact_size` is the length of every chunk, or 0 where they are compressed.
    """
    rank = len(shape)
    chunks: dict[Corner, Chunk] = {}
    nodes: list[int] = []
    unsound = stored = 0
    for key, address in tree_leaves(file, tree, kind=1, key_bytes=16 + 8 * rank, damaged=nodes):
        size, skipped = struct.unpack_from("<II", key)
        corner = struct.unpack_from(f"<{rank}Q", key, 8)
        on_grid = all(
            at < whole and at % step == 0
            for at, whole, step in zip(corner, shape, chunk_shape, strict=True)
        )
        stored += size
        if (
            not on_grid
            or corner in chunks
            or size != (exact_size or size)
            or file.base + address + size > file.storage.size
            or stored > file.storage.size
        ):
            unsound += 1
            continue
        chunks[corner] = Chunk(address, size, skipped)
    damaged = [f"{len(nodes)} damaged nodes of its index"] if nodes else []
    damaged += [f"{unsound} chunks that are not where its index says"] if unsound else []
    return chunks, tuple(damaged)
