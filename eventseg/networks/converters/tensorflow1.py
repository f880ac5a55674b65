"""Checkpoints of TensorFlow 1 without TensorFlow: an index of tensors and shards of their bytes.

``PREFIX.index`` is a sorted table in LevelDB's format: blocks of entries whose keys leave out the
part that they share with the key before, each block followed by its compression and a checksum, and
a footer that locates the block of blocks. A value is a protocol buffer, ``BundleEntryProto`` of
TensorFlow's ``tensor_bundle.proto``: type, shape, shard, offset, size and checksum of a tensor. The
tensors lie bare in ``PREFIX.data-00000-of-00001`` and so on. All checksums are verified.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eventseg.errors import CheckpointError
from eventseg.networks.converters.crc32c import masked_crc32c

MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
FOOTER_BYTES = 48
TRAILER_BYTES = 5
"""After each block: its compression, one byte, and its checksum."""

MAX_INDEX_BYTES = 1 << 22
"""Room for some 80 000 tensors; no file of another kind is taken for an index and read whole."""
MAX_KEY_BYTES = 1024
MAX_DIMENSIONS = 8

DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}
"""TensorFlow's numbers of the types that are read."""

Fields = dict[int, list[int | bytes]]


@dataclass(frozen=True, slots=True)
class Entry:
    """Place, type and shape of one tensor."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    sliced: bool


def read_tf1_checkpoint(prefix: Path) -> dict[str, Tensor]:
    """Read all tensors of a TensorFlow checkpoint.

    Parameters
    ----------
    prefix : Path
        Prefix of its file names: ``best`` for ``best.index`` and
        ``best.data-00000-of-00001``.

    Returns
    -------
    dict of str to Tensor
        By the names in the file, sorted, as TensorFlow lays them out (height, width, in, out).

    Raises
    ------
    CheckpointError
        A file that is missing, truncated, damaged or of another format, or a tensor of a type or
        in parts that networks do not have.
    """
    index = prefix.with_name(f"{prefix.name}.index")
    try:
        with index.open("rb") as file:
            table = file.read(MAX_INDEX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint's index: {error}") from error
    try:
        shards, entries = _bundle(table)
    except ValueError as error:
        raise CheckpointError(
            f"{index} is no index of a TensorFlow checkpoint, or damaged: {error}"
        ) from error
    files = {
        shard: prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}")
        for shard in sorted({entry.shard for entry in entries.values()})
    }
    sizes = {shard: _size(path) for shard, path in files.items()}
    if sum(entry.size for entry in entries.values()) > sum(sizes.values()):
        listed = ", ".join(path.name for path in files.values())
        raise CheckpointError(
            f"{index} lists more bytes of tensors than its shards hold ({listed}): one is "
            "truncated, or of another checkpoint"
        )
    return {
        name: _tensor(name, entry, path=files[entry.shard], available=sizes[entry.shard])
        for name, entry in entries.items()
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"cannot read a shard of the checkpoint: {error}") from error


def _tensor(name: str, entry: Entry, *, path: Path, available: int) -> Tensor:
    if entry.dtype not in DTYPES or entry.sliced:
        what = "stored in slices" if entry.sliced else f"of type {entry.dtype}"
        raise CheckpointError(
            f"tensor {name!r} of {path} is {what}; whole tensors of types "
            f"{', '.join(map(str, DTYPES))} of TensorFlow (float, double, int32, int64) can be "
            "read: save the variables by name, with tf.train.Saver"
        )
    dtype = np.dtype(DTYPES[entry.dtype])
    if entry.size != math.prod(entry.shape) * dtype.itemsize:
        raise CheckpointError(f"tensor {name!r} of {path}: {entry.size} bytes are no {entry.shape}")
    if entry.offset + entry.size > available:
        raise CheckpointError(
            f"tensor {name!r} lies outside {path}: the file is truncated, or of another checkpoint"
        )
    try:
        stored = np.fromfile(path, np.uint8, entry.size, offset=entry.offset)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if masked_crc32c(stored) != entry.checksum:
        raise CheckpointError(
            f"tensor {name!r} of {path} is damaged (checksum): fetch the file again"
        )
    values = stored.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(values.reshape(entry.shape))


def _bundle(table: bytes) -> tuple[int, dict[str, Entry]]:
    """Return the number of shards and the tensors that an index lists."""
    if len(table) > MAX_INDEX_BYTES:
        raise ValueError(f"it is larger than {MAX_INDEX_BYTES} bytes")
    values = dict(_entries(table))
    if b"" not in values:
        raise ValueError("it has no header")
    header = _fields(values.pop(b""))
    shards = _number(header, 1)
    if not 1 <= shards <= 99999:
        raise ValueError(f"its header tells of {shards} shards")
    if _number(header, 2):
        raise ValueError("it is of a big-endian machine")
    entries = {key.decode(): _entry(value) for key, value in values.items()}
    for name, entry in entries.items():
        if entry.shard >= shards:
            raise ValueError(f"tensor {name!r} lies in shard {entry.shard} of {shards}")
    return shards, entries


def _entry(value: bytes) -> Entry:
    fields = _fields(value)
    dimensions = [size for shape in _messages(fields, 2) for size in _messages(_fields(shape), 2)]
    shape = tuple(_number(_fields(size), 1) for size in dimensions)
    if len(shape) > MAX_DIMENSIONS or not all(0 < size < 1 << 31 for size in shape):
        raise ValueError(f"a tensor of shape {shape}")
    return Entry(
        dtype=_number(fields, 1),
        shape=shape,
        shard=_number(fields, 3),
        offset=_number(fields, 4),
        size=_number(fields, 5),
        checksum=_number(fields, 6),
        sliced=7 in fields,
    )


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return keys and values of a table, in the order of the keys, each key once."""
    if len(table) < FOOTER_BYTES or not table.endswith(MAGIC):
        raise ValueError("it does not end as a table does")
    footer = table[-FOOTER_BYTES:]
    properties, at = _handle(footer, 0)
    root, _ = _handle(footer, at)
    if list(_block(table, *properties)):
        raise ValueError("it has properties, which TensorFlow does not write")
    end, last = 0, b""
    for _, value in _block(table, *root):
        (offset, size), _ = _handle(value, 0)
        if offset < end:
            raise ValueError("its blocks overlap")
        end = offset + size
        for key, entry in _block(table, offset, size):
            if key <= last and last:
                raise ValueError("its keys are not in order")
            last = key
            yield key, entry


def _block(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Return keys and values of one block."""
    end = offset + size
    if end + TRAILER_BYTES > len(table) - FOOTER_BYTES or size < 4:
        raise ValueError("a block lies outside it")
    compression, stored = table[end], table[end + 1 : end + TRAILER_BYTES]
    if masked_crc32c(table[offset : end + 1]) != int.from_bytes(stored, "little"):
        raise ValueError("the checksum of a block is wrong")
    if compression:
        raise ValueError("its blocks are compressed, which TensorFlow does not do in checkpoints")
    block = table[offset:end]
    restarts = int.from_bytes(block[-4:], "little")
    entries_end = size - 4 - 4 * restarts
    if entries_end < 0:
        raise ValueError("a block holds more restarts than bytes")
    at, key = 0, b""
    while at < entries_end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or shared + own > MAX_KEY_BYTES or at + own + length > entries_end:
            raise ValueError("an entry does not fit its block")
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Return offset and size of a block, and where the next value starts."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return (offset, size), at


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, lowest first, and where the next value starts."""
    number = 0
    for i, byte in enumerate(data[offset : offset + 10]):
        number |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return number, offset + i + 1
    raise ValueError("a number does not end")


def _fields(message: bytes) -> Fields:
    """Return the fields of a protocol buffer by number: integers, and bytes of messages."""
    fields: Fields = {}
    offset = 0
    while offset < len(message):
        tag, offset = _varint(message, offset)
        number, kind = tag >> 3, tag & 7
        value: int | bytes
        if kind == 0:
            value, offset = _varint(message, offset)
        else:
            size, offset = (
                _varint(message, offset) if kind == 2 else ({1: 8, 5: 4}.get(kind, -1), offset)
            )
            if size < 0 or offset + size > len(message):
                raise ValueError("a field does not fit its message")
            content = message[offset : offset + size]
            value = content if kind == 2 else int.from_bytes(content, "little")
            offset += size
        fields.setdefault(number, []).append(value)
    return fields


def _number(fields: Fields, number: int) -> int:
    """Return a field that holds a number; protocol buffers leave out zeros."""
    value = fields.get(number, [0])[-1]
    if isinstance(value, bytes):
        raise ValueError("a field holds a message where a number belongs")
    return value


def _messages(fields: Fields, number: int) -> list[bytes]:
    """Return a field that holds any number of messages."""
    values = [value for value in fields.get(number, []) if isinstance(value, bytes)]
    if len(values) < len(fields.get(number, [])):
        raise ValueError("a field holds a number where a message belongs")
    return values
