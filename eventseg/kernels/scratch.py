"""Sums that live between calls: allocating them for each window would cost more than encoding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
from numpy.typing import NDArray

from eventseg.kernels.accumulate import BLOCK

Arrays = tuple[NDArray[np.int64] | NDArray[np.int32], ...]

# Spare sets by form and size. Appending to and popping from a list is atomic, so threads need no
# lock, and a forked child finds the lists as they were, with nothing to unlock.
_spare: defaultdict[tuple[str, int], list[Arrays]] = defaultdict(list)


def _new_packed(cells: int) -> Arrays:
    sums = tuple(np.zeros(2 * cells + 1, np.int64) for _ in range(2))
    return (*sums, np.empty(BLOCK, np.int32), np.empty(BLOCK, np.int32))


def _new_wide(cells: int) -> Arrays:
    return tuple(np.zeros(2 * cells, np.int64) for _ in range(4))


@contextmanager
def _lent(key: tuple[str, int], new: Callable[[int], Arrays]) -> Iterator[Arrays]:
    """Lend a set of zeroed arrays; one that comes back from an exception is thrown away."""
    spare = _spare[key]
    try:
        arrays = spare.pop()
    except IndexError:
        arrays = new(key[1])
    yield arrays
    spare.append(arrays)


def packed(cells: int) -> AbstractContextManager[Arrays]:
    """Lend the two packed words of ``2 cells + 1`` cells, all zero, and two staging buffers."""
    return _lent(("packed", cells), _new_packed)


def wide(cells: int) -> AbstractContextManager[Arrays]:
    """Lend the four wide words of ``2 cells`` cells, all zero."""
    return _lent(("wide", cells), _new_wide)
