"""Files that are there whole or not at all, and the folders and space that they need."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from eventseg.errors import OutputError

TEMPORARY = ".tmp"
"""Ending of a file that is being written."""


RETRY_WAITS_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Waiting times between the tries to replace a file."""


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name in its folder, then rename it.

    Raises
    ------
    OutputError
        The file cannot be written; nothing is left under its name.
    """
    # Apart from other writers of the file: one that outlives a killed run, one of another machine.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(5)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
        replace_file(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        # NumPy loses the system's reason for a write that is cut short.
        cut_short = error.errno is None and "requested and" in str(error)
        reason = "the disk is full or the file too large" if cut_short else error.strerror or error
        raise OutputError(f"cannot write {path}: {reason}") from error
    except BaseException:  # an interrupt, or a source that cannot be read any more
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def check_folder(path: Path) -> None:
    """Raise an OutputError where no folder can be made or written at a path; nothing is written.

    Reports come at the end of long work: this is asked before it.
    """
    there = next((place for place in (path, *path.absolute().parents) if place.exists()), path)
    if there.exists() and not there.is_dir():
        raise OutputError(f"output {path}: {there} is a file; give a folder")
    if there.exists() and not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"output {path}: {there} cannot be written; give a folder that can")


def replace_file(source: Path, target: Path) -> None:
    """Rename a file over another one, again after a while where another program holds that one.

    On Windows a virus scanner or an indexer may have a file open for a moment, and it cannot be
    replaced while it is.

    Raises
    ------
    OSError
        It cannot be replaced, after some 1.5 s of trying where permission is refused.
    """
    for wait_s in RETRY_WAITS_S:
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(wait_s)
        else:
            return
    source.replace(target)


def temporary_files(root: Path) -> list[Path]:
    """Return the files that a killed run left under a temporary name, sorted."""
    found = (
        Path(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(TEMPORARY)
    )
    return sorted(path for path in found if path.is_file())


def free_bytes(path: Path) -> int:
    """Return the free space in bytes of the file system that will hold a path."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    return shutil.disk_usage(existing).free
