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

try:
    import fcntl
except ImportError:  # Windows: each process compiles for itself
    fcntl = None  # type: ignore[assignment]

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
    if handle is None:
        yield
        return
    place = int.from_bytes(hashlib.sha256(function.encode()).digest()[:4], "big") >> 1
    held = _held(handle, place, waiting)
    try:
        yield
    finally:
        if held:
            fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)


def _handle(folder: Path) -> int | None:
    if fcntl is None:
        return None
    path = str(folder / FILE)
    if path not in _handles:
        folder.mkdir(parents=True, exist_ok=True)
        _handles[path] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    return _handles[path]


def _held(handle: int, place: int, waiting: Callable[[], object]) -> bool:
    """Take a lock; return whether it is held."""
    end = time.monotonic() + LONGEST_WAIT_S
    told = False
    while time.monotonic() < end:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # either may say that another holds it
            if not told:
                waiting()
                told = True
            time.sleep(_PAUSE_S)
        except OSError:  # a file system without locks
            return False
        else:
            return True
    return False
