"""Bytes of an open file, at any place, from any thread; never mapped.

A mapped file that shrinks kills the process that reads it; here the end of the file is an answer.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError


class FileBytes:
    """An open file.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    size : int
        Bytes of the file when it was opened.

    Raises
    ------
    RecordingError
        It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError as error:
            why = "no such file" if isinstance(error, FileNotFoundError) else error.strerror
            raise RecordingError(f"cannot open {path}: {why}") from error
        self.size = os.fstat(self._handle).st_size

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the file, fewer where it ends.

        Raises
        ------
        RecordingError
            The file is closed, or the disk fails.
        """
        if self._handle < 0:
            raise RecordingError(f"{self.path} is closed")
        parts = []
        while size > 0:
            try:
                part = os.pread(self._handle, size, offset)
            except OSError as error:
                raise RecordingError(f"{self.path} cannot be read: {error.strerror}") from error
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def read_into(self, offset: int, target: NDArray[np.uint8]) -> int:
        """Fill an array with bytes of the file; return their number, fewer where it ends.

        Errors are those of :meth:`read`.
        """
        if self._handle < 0:
            raise RecordingError(f"{self.path} is closed")
        done = 0
        while done < len(target):
            try:
                count = self._read_some(offset + done, target[done:])
            except OSError as error:
                raise RecordingError(f"{self.path} cannot be read: {error.strerror}") from error
            if not count:
                break
            done += count
        return done

    def _read_some(self, offset: int, target: NDArray[np.uint8]) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._handle, [target.data], offset)
        content = os.pread(self._handle, len(target), offset)
        target[: len(content)] = np.frombuffer(content, np.uint8)
        return len(content)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
