"""Locks of folders, of files, and of single bytes; they end with the process that holds them."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from eventseg.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows has no advisory locks on folders
    fcntl = None  # type: ignore[assignment]


LOG = logging.getLogger("eventseg")


@contextlib.contextmanager
def locked(root: Path, *, doing: str = "encoding", shared: bool = False) -> Iterator[None]:
    """Hold a folder for one writing process, or for several that share it and exclude that one.

    The lock ends with the process and leaves no file. On a file system without locks a file beside
    the folder takes its place, which names the process that holds it; processes that share a
    folder have none there.

    Raises
    ------
    OutputError
        Another process writes into the folder.
    """
    if fcntl is None:
        yield
        return
    try:
        handle = os.open(root, os.O_RDONLY)
    except OSError as error:  # removed since by another process that had nothing to write
        raise OutputError(f"cannot open {root}: {error.strerror or error}; run again") from error
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(
                f"another process is {doing} into {root}; wait for it or give another folder"
            ) from error
        except OSError as error:
            if shared:
                yield
                return
            with _lock_file(root, doing=doing, reason=error.strerror or str(error)):
                yield
        else:
            yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _lock_file(root: Path, *, doing: str, reason: str) -> Iterator[None]:
    """Hold a folder by a file beside it, where the file system has no locks."""
    path = root.resolve()
    path = path.with_name(f".{path.name}.lock")
    mine = f"{socket.gethostname()} {os.getpid()}"
    with contextlib.suppress(OSError):
        if _is_over(path.read_text(encoding="utf-8", errors="replace")):
            path.unlink()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(mine)
    except FileExistsError as error:
        raise OutputError(
            f"another process may be {doing} into {root}: {path} names its computer and number; "
            "wait for it, or remove that file if it has ended"
        ) from error
    except OSError:
        LOG.warning(
            "%s has no locks (%s): see to it that no other process is %s into %s",
            *(root.parent, reason, doing, root),
        )
        yield
        return
    LOG.warning("%s has no locks (%s): %s stands for one", root.parent, reason, path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _is_over(holder: str) -> bool:
    """Return whether the process that a lock file names ran on this computer and has ended."""
    host, _, number = holder.partition(" ")
    if host != socket.gethostname() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return int(number) == os.getpid()


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


def marked_by_this_process(path: Path) -> bool:
    """Lock a file, made where it is missing, until the process ends; return whether it was free.

    Where the system has no locks every file is free.

    Raises
    ------
    OSError
        The file cannot be opened or made.
    """
    if fcntl is None:
        return True
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return False
    return True  # the handle stays open, and with it the lock


def take_byte(handle: int, place: int) -> bool | None:
    """Lock one byte of an open file; return whether it was free, None where there are no locks.

    The byte need not be there. A process may take it several times, and gives back all at once:
    by :func:`give_back_byte`, by closing any handle of the file, or by its end.
    """
    if fcntl is None:
        return None
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except (BlockingIOError, PermissionError):  # either may say that another process holds it
        return False
    except OSError:
        return None
    return True


def give_back_byte(handle: int, place: int) -> None:
    """Unlock a byte that :func:`take_byte` has locked."""
    fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)
