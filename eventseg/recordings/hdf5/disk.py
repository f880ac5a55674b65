"""File for the HDF5 library to write to, whose errors the library never sees."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import BinaryIO


class Disk(io.RawIOBase):
    """A file that takes every write, and remembers the first one that the system refused.

    The HDF5 library frees a file that it could not flush, and touches it again when its objects
    are collected: some time after the error of a full disk the process would end by a
    segmentation fault.

    Parameters
    ----------
    file : BinaryIO
        Open to write and to read, without a buffer; who has opened it closes it.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._place, self._end = 0, file.seek(0, io.SEEK_END)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the first error of the system, if there was one."""
        if self._error is not None:
            raise self._error

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def seekable(self) -> bool:
        """Return that it has places."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place and return it."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._end}[whence]
        self._place = base + offset
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; what the system has refused is zeros."""
        with memoryview(buffer).cast("B") as target:
            content = b""
            with self._remembered():
                self._file.seek(self._place)
                content = self._file.read(len(target))
            target[:] = content.ljust(len(target), b"\0")
            self._place += len(target)
            return len(target)

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """Take all bytes."""
        with memoryview(data).cast("B") as content:
            with self._remembered():
                self._file.seek(self._place)
                done = 0
                while done < len(content):  # a file without a buffer may take a part
                    done += self._file.write(content[done:])
            self._place += len(content)
            self._end = max(self._end, self._place)
            return len(content)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file."""
        self._end = self._place if size is None else size
        with self._remembered():
            self._file.truncate(self._end)
        return self._end

    def flush(self) -> None:
        """Hand what is in a buffer to the system."""
        if not self.closed:
            with self._remembered():
                self._file.flush()

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = self._error or error
