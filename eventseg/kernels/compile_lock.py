"""One process at a time compiles a function: others wait, and find it in the cache.

Processes that start together need the same kernels. Each would compile them for itself, which
takes as long as one does and as many processors as there are processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from eventseg.files.locks import give_back_byte, take_byte

FILE = "compiling.lock"
"""File in the cache's folder whose bytes stand for its functions."""

LONGEST_WAIT_S = 120.0
"""A process that is stopped while it compiles holds others up no longer than that."""

_PAUSE_S = 0.05

# Kept open: the first handle of a file that a process closes ends all of its locks on it.
_handles: dict[str, int] = {}


@contextlib.contextmanager
def alone(folder: Path, function: str, *, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold a function of a cache folder; where that cannot be, go on after a while.

    A lock may be held several times by one process. It ends with the process, however that ends.

    Parameters
    ----------
    folder : Path
        Folder of the cache; where nothing can be written or locked, nothing is held.
    function : str
        Name of the function within the folder.
    waiting : function
        Called once where another process holds the function.
    """
    try:
        handle = _handle(folder)
    except OSError:
        yield
        return
    place = int.from_bytes(hashlib.sha256(function.encode()).digest()[:4], "big") >> 1
    held = _held(handle, place, waiting)
    try:
        yield
    finally:
        if held:
            give_back_byte(handle, place)


def _handle(folder: Path) -> int:
    path = str(folder / FILE)
    if path not in _handles:
        folder.mkdir(parents=True, exist_ok=True)
        _handles[path] = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    return _handles[path]


def _held(handle: int, place: int, waiting: Callable[[], object]) -> bool:
    """Take a lock; return whether it is held."""
    end = time.monotonic() + LONGEST_WAIT_S
    free = take_byte(handle, place)
    if free is False:
        waiting()
    while free is False and time.monotonic() < end:
        time.sleep(_PAUSE_S)
        free = take_byte(handle, place)
    return free is True
