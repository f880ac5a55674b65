"""Memory of large arrays that is used again when they are gone.

A fresh array costs a page fault every 4 KiB and the clearing of its pages, which takes longer than
to decode events or to encode a window into it.
"""

from __future__ import annotations

import math
import weakref
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SMALLEST_BYTES = 1 << 17
"""Smaller arrays are left to the allocator, which keeps their memory itself."""

SPARE_BYTES = 48 << 20
"""Memory that is kept for later arrays: two spans of a million events, and what an index takes."""

# Spare buffers by size, and those in use. Single operations on lists and dictionaries are atomic,
# so threads need no lock, and a forked child finds them as they were, with nothing to unlock.
_spare: defaultdict[int, list[NDArray[np.uint8]]] = defaultdict(list)
_lent: dict[int, tuple[weakref.ref[NDArray[Any]], NDArray[np.uint8]]] = {}


def empty(shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an uninitialised array; its memory is used again when it and its views are gone."""
    dimensions = (shape,) if isinstance(shape, int) else shape
    kind = np.dtype(dtype)
    count = math.prod(dimensions)
    if count * kind.itemsize < SMALLEST_BYTES:
        return np.empty(dimensions, kind)
    size = _rounded(count * kind.itemsize)
    try:
        buffer = _spare[size].pop()
    except IndexError:
        buffer = np.empty(size, np.uint8)
    # Views of this array hold it and not the buffer, since its own base is no array.
    array = np.frombuffer(buffer.data, kind, count)
    watch = weakref.ref(array, _give_back)
    _lent[id(watch)] = watch, buffer
    return array.reshape(dimensions)


def _rounded(size: int) -> int:
    """Return a size of few, at most an eighth larger."""
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step


def _give_back(watch: weakref.ref[NDArray[Any]]) -> None:
    """Keep the buffer of an array that is gone."""
    _, buffer = _lent.pop(id(watch))
    kept = sum(len(spare) * size for size, spare in list(_spare.items()))
    if kept + len(buffer) <= SPARE_BYTES:
        _spare[len(buffer)].append(buffer)
