"""Paths and names as they were typed, as they are on disk, and relative to a folder."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from pathlib import Path


def on_disk(path: Path) -> Path:
    """Return a path as it is spelled on disk, where letters with marks may be one character or two.

    Unicode has two forms of such letters; file systems and programs that copy files choose either.
    A path that is there, or in neither form, is returned as given.
    """
    if str(path).isascii() or path.exists():
        return path
    parent = path.parent if path.parent == path else on_disk(path.parent)
    wanted = composed(path.name)
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(parent)):  # noqa: PTH208 - names only
            if composed(name) == wanted:
                return parent / name
    return path


def composed(name: str) -> str:
    """Return a name in the form in which a letter and its marks are one character (NFC)."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """Return a name as systems compare it that tell neither case nor forms of marks apart."""
    return composed(name).casefold()


def canonical(path: Path) -> Path:
    """Return an absolute path without links among its folders.

    The file itself may be a link and keeps its name, which names the recording: stores such as
    git-annex keep files under other names.
    """
    return path.parent.resolve() / path.name


def relative_to(path: Path, root: Path) -> str:
    """Return a canonical path relative to a folder, or absolute where they share no root."""
    try:
        return Path(os.path.relpath(path, root.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return path.as_posix()
