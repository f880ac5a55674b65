"""Bytes of a file by position, without a memory map: a file that shrinks is an error, no signal."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from eventseg.errors import RecordingError
from eventseg.files.locks import open_for_writing_elsewhere

NEAR_BYTES: Final = 4096
"""Parts of a file this near to each other are read by one call, with the bytes between them."""

MOST_BUFFERS: Final = 1000
"""Buffers that one call may fill; Linux takes 1,024."""


class DamageError(RecordingError):
    """A structure of a file that contradicts itself or points outside the file."""


class Storage:
    """Read-only bytes of one file; threads and forked processes may share it.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    size : int
        Length of the file in bytes when it was opened.

    Raises
    ------
    RecordingError
        The file is missing, cannot be read, or is being written by another process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None
        try:
            if not path.is_file():
                raise RecordingError(f"{path}: no such file")
            self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            status = os.fstat(self._handle)
        except PermissionError as error:
            raise RecordingError(f"{path}: no permission to read it") from error
        except (OSError, ValueError) as error:  # a name that is too long or holds a NUL
            raise RecordingError(f"{path!s:.200}: cannot be read ({error})") from error
        self.size = status.st_size
        self._state = _state(status)
        self._seeking = threading.Lock()
        if open_for_writing_elsewhere(self._handle):
            self.close()
            raise RecordingError(
                f"{path}: open for writing in another process; wait until it is closed there"
            )

    def read(self, at: int, size: int) -> bytes:
        """Return `size` bytes from position `at`.

        Raises
        ------
        DamageError
            They lie outside the file.
        RecordingError
            The storage is closed, or the file changed since it was opened.
        """
        if at < 0 or size < 0 or at + size > self.size:
            raise DamageError(
                f"{self.path}: damaged: it points to bytes {at} to {at + size} of {self.size}"
            )
        if self._handle is not None and hasattr(os, "pread"):
            with contextlib.suppress(OSError):  # read again below
                whole = os.pread(self._handle, size, at)
                if len(whole) == size:
                    return whole
        content = bytearray(size)
        self.read_into(at, memoryview(content))
        return bytes(content)

    def read_into(self, at: int, target: memoryview) -> None:
        """Fill a buffer with the bytes from position `at`; errors as for :meth:`read`."""
        done = 0
        while done < len(target):
            try:
                count = self._read_some(at + done, target[done:])
            except OSError as error:
                raise RecordingError(f"{self.path}: cannot be read any more ({error})") from error
            if count == 0:
                raise self._changed()
            done += count

    def read_parts(self, places: Sequence[int], targets: Sequence[memoryview]) -> None:
        """Fill buffers with the bytes from as many positions; errors as for :meth:`read`.

        Parts that follow each other closely in the file are read by one call.
        """
        group: list[memoryview] = []
        begin = end = 0
        for at, target in zip(places, targets, strict=True):
            gap = at - end
            if not 0 <= gap <= NEAR_BYTES or len(group) > MOST_BUFFERS:
                self._read_group(begin, group)
                group, begin, gap = [], at, 0
            if gap:
                group.append(memoryview(bytearray(gap)))
            group.append(target)
            end = at + len(target)
        self._read_group(begin, group)

    def check_unchanged(self) -> None:
        """Raise RecordingError if the file changed since it was opened, or is closed."""
        if self._handle is None:
            raise RecordingError(f"{self.path}: the recording is closed; open it again")
        if _state(os.fstat(self._handle)) != self._state:
            raise self._changed()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = None

    def __del__(self) -> None:
        self.close()

    def _read_group(self, at: int, group: list[memoryview]) -> None:
        """Fill buffers with consecutive bytes."""
        if len(group) > 1 and self._handle is not None and hasattr(os, "preadv"):
            with contextlib.suppress(OSError):  # read again below, part by part
                if os.preadv(self._handle, group, at) == sum(map(len, group)):
                    return
        for target in group:
            self.read_into(at, target)
            at += len(target)

    def _read_some(self, at: int, target: memoryview) -> int:
        handle = self._handle
        if handle is None:
            raise RecordingError(f"{self.path}: the recording is closed; open it again")
        if hasattr(os, "preadv"):
            return os.preadv(handle, [target], at)
        with self._seeking:  # Windows reads from one position that threads share
            os.lseek(handle, at, os.SEEK_SET)
            content = os.read(handle, len(target))
        target[: len(content)] = content
        return len(content)

    def _changed(self) -> RecordingError:
        return RecordingError(f"{self.path}: changed since it was opened; open it again")


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
