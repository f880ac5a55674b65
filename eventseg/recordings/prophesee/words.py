"""An open RAW or DAT file: its header, its encoding, and its words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.recordings.file_bytes import FileBytes
from eventseg.recordings.prophesee import dat, evt2, evt3
from eventseg.recordings.prophesee.header import MOST_BYTES, parse_header


@dataclass(frozen=True, slots=True)
class Coding:
    """How the words of a file are decoded.

    Parameters
    ----------
    name : str
        Name of the encoding.
    dtype : dtype
        Of a word.
    most : int
        Most events of a word.
    decode : callable
        Decoder of many words; see :func:`eventseg.recordings.prophesee.evt3.decode`.
    swapped : bool
        The halves of words are swapped before.
    """

    name: str
    dtype: np.dtype[Any]
    most: int
    decode: Callable[..., int]
    swapped: bool = False


class WordFile:
    """An open RAW or DAT file.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    header : Header
    coding : Coding
    first, end : int
        First byte of the words and the byte after the last complete one.
    tail : int
        Bytes after the last complete word.

    Raises
    ------
    RecordingError
        The file cannot be opened, or its header cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = FileBytes(path)
        try:
            self.header = parse_header(self._bytes.read(0, MOST_BYTES), path=path)
            self.first = self.header.bytes
            self.coding = self._coding()
            words, self.tail = divmod(
                max(0, self._bytes.size - self.first), self.coding.dtype.itemsize
            )
            self.end = self.first + words * self.coding.dtype.itemsize
        except BaseException:
            self.close()
            raise

    def words(self, offset: int, size: int) -> NDArray[Any]:
        """Return words of the file, fewer where it ends."""
        size = max(0, min(size, self.end - offset))
        content = self._bytes.read(offset, size)
        if len(content) < size:
            raise RecordingError(f"{self.path} cannot be read any more: it became shorter")
        words = np.frombuffer(content, self.coding.dtype)
        return evt2.in_plain_order(words) if self.coding.swapped else words

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._bytes.close()

    def __enter__(self) -> WordFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _coding(self) -> Coding:
        encoding = self.header.encoding
        if encoding == "EVT3":
            return Coding("EVT3", np.dtype("<u2"), evt3.MOST_EVENTS, evt3.decode)
        if encoding == "EVT2":
            return Coding("EVT2", np.dtype("<u4"), evt2.MOST_EVENTS_EVT2, evt2.decode_evt2)
        if encoding == "EVT2.1":
            swapped = self.header.legacy
            if swapped is None:
                sample = self._bytes.read(self.first, 8 * 4096)
                swapped = evt2.is_legacy(np.frombuffer(sample[: len(sample) // 8 * 8], "<u8"))
            most, decode = evt2.MOST_EVENTS_EVT21, evt2.decode_evt21
            return Coding("EVT2.1", np.dtype("<u8"), most, decode, swapped)
        if self.path.suffix.lower() != ".dat":
            raise RecordingError(
                f"{self.path}: the header names no encoding: neither 'evt' nor 'format'; an older "
                "file needs the line '% evt 2.0'"
            )
        return self._dat_coding()

    def _dat_coding(self) -> Coding:
        kind = self._bytes.read(self.first, 2)
        if len(kind) < 2 or kind[0] not in (0x00, 0x0C) or kind[1] != 8:
            found = kind.hex(" ") or "nothing"
            raise RecordingError(
                f"{self.path}: a DAT file of changes has '0c 08' or '00 08' after its header, "
                f"here is {found}"
            )
        self.first += 2
        decode = {"1": dat.decode_version1}.get(self.header.keys.get("version", "2"))
        return Coding("DAT", np.dtype("<u8"), dat.MOST_EVENTS, decode or dat.decode_version2)
