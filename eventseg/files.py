"""Whole writes, folder locks, file digests and free space."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

from eventseg.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no advisory locks on folders
    fcntl = None  # type: ignore[assignment]

TEMPORARY = ".tmp"
"""Ending of a file that is being written."""


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name in its folder, then rename it.

    Raises
    ------
    OutputError
        The file cannot be written; nothing is left under its name.
    """
    # The process id keeps a process that outlives a killed run apart from the run that resumes.
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error


def digest_of(path: Path) -> str:
    """Return the SHA-256 digest of a file, computed once for each state of it."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@cache
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def temporary_files(root: Path) -> list[Path]:
    """Return the files that a killed run left under a temporary name, sorted."""
    return sorted(path for path in root.rglob(f"*{TEMPORARY}") if path.is_file())


def free_bytes(path: Path) -> int:
    """Return the free space in bytes of the file system that will hold a path."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(existing).free


@contextlib.contextmanager
def locked(root: Path, *, doing: str = "encoding") -> Iterator[None]:
    """Hold a folder for one writing process; the lock ends with the process and leaves no file.

    Raises
    ------
    OutputError
        Another process writes into the folder.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"another process is {doing} into {root}") from error
        yield
    finally:
        os.close(handle)


def open_for_writing_elsewhere(handle: int) -> bool:
    """Return whether another process holds a file for writing, as the HDF5 library marks it.

    On a file system without locks nobody can know: the answer is no.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_UN)
    return False
