r"""Text header of AEDAT files: lines that begin with ``#`` and end in ``\r\n``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from eventseg.errors import RecordingError

MOST_BYTES = 2**20
"""Longest header: cameras' settings in XML take some 100 kB."""

FIRST_LINE = re.compile(rb"#!AER-DAT(\d\.\d)\s*$")
"""First line, with the version."""

LAST_LINES = (b"#!END-HEADER", b"#End Of ASCII Header")
"""Lines that end the header: of AEDAT 3.1, and of newer AEDAT 2 files."""


@dataclass(frozen=True, slots=True)
class Header:
    """Header of an AEDAT file.

    Parameters
    ----------
    version : str
        Such as ``2.0``; empty for a file that does not name it.
    lines : tuple of str
        Its lines without ``#``, the first and the last one left out.
    bytes : int
        Its length.
    ended : bool
        Whether a line ends it; else it ends before the first line that is no text.
    """

    version: str
    lines: tuple[str, ...]
    bytes: int
    ended: bool


def parse_header(content: bytes) -> Header:
    """Return the header that a file begins with.

    Old files have no line that ends it, and the first word of an event may begin with ``#``:
    a line with a byte that is no text belongs to the events.
    """
    lines: list[str] = []
    version, place = "", 0
    while content.startswith(b"#", place):
        stop = content.find(b"\n", place, MOST_BYTES)
        if stop < 0:
            break
        line = content[place:stop].rstrip(b"\r")
        if not all(32 <= byte < 127 or byte == 9 for byte in line):
            break
        place = stop + 1
        if line in LAST_LINES:
            return Header(version, tuple(lines), place, True)
        first = FIRST_LINE.match(line)
        if first is not None:
            version = first.group(1).decode()
        else:
            lines.append(line[1:].decode().strip())
    return Header(version, tuple(lines), place, False)


def version_of(path: Path) -> str:
    """Return the version in the first line of a file; empty where there is none.

    Raises
    ------
    RecordingError
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            line = file.read(64).partition(b"\n")[0]
    except OSError as error:
        raise RecordingError(f"cannot open {path}: {error.strerror}") from error
    found = FIRST_LINE.match(line)
    return found.group(1).decode() if found else ""
