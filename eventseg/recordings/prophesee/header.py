"""The text before the words of a Prophesee file: lines ``% key value``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from eventseg.errors import RecordingError
from eventseg.events import SensorSize

MOST_BYTES = 2**16
"""Longest header; real ones have less than a thousand bytes."""

ENCODINGS = {"EVT2": "EVT2", "EVT21": "EVT2.1", "EVT2.1": "EVT2.1", "EVT3": "EVT3"}
VERSIONS = {"2.0": "EVT2", "2": "EVT2", "2.1": "EVT2.1", "3.0": "EVT3", "3": "EVT3"}


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a RAW or DAT file.

    Parameters
    ----------
    keys : mapping of str to str
        Its values, by keys in small letters.
    encoding : str
        ``EVT2``, ``EVT2.1`` or ``EVT3``; empty where it names none.
    legacy : bool, optional
        Whether the halves of EVT2.1 words are swapped; None where the header does not say.
    sensor : SensorSize, optional
        Size of the sensor; None where the header does not say.
    bytes : int
        Length of the header.
    """

    keys: Mapping[str, str]
    encoding: str
    legacy: bool | None
    sensor: SensorSize | None
    bytes: int


def parse_header(content: bytes, *, path: object) -> Header:
    """Return the header that a file begins with.

    It ends at the line ``% end``, or before the first line that does not begin with ``% `` or is
    no text: a word of events may begin with the same two bytes.

    Raises
    ------
    RecordingError
        There is none, or it names an encoding that is not read.
    """
    keys: dict[str, str] = {}
    place = 0
    while content.startswith(b"% ", place):
        stop = content.find(b"\n", place, MOST_BYTES)
        line = content[place : stop if stop >= 0 else place].rstrip(b"\r")
        if not line or not all(32 <= byte < 127 or byte == 9 for byte in line):
            break
        place = stop + 1
        key, _, value = line[2:].decode().strip().partition(" ")
        if key == "end" and not value:
            break
        keys[key.lower()] = value.strip()
    if not place:
        raise RecordingError(f"{path}: no Prophesee header; it begins with lines '% key value'")
    legacy = _options(keys).get("endianness")
    return Header(
        keys,
        _encoding(keys, path),
        None if legacy is None else legacy.strip().lower() == "legacy",
        sensor_of(keys),
        place,
    )


def _encoding(keys: Mapping[str, str], path: object) -> str:
    name = keys.get("format", "").partition(";")[0].strip().upper()
    version = keys.get("evt", "").strip()
    encoding = ENCODINGS.get(name) or (VERSIONS.get(version) if not name else None)
    if encoding is None and (name or version):
        raise RecordingError(
            f"{path}: the encoding {name or 'evt ' + version} is none of EVT2, EVT2.1, EVT3, "
            "which can be read"
        )
    return encoding or ""


def _options(keys: Mapping[str, str]) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in keys.get("format", "").split(";")[1:])


def sensor_of(keys: Mapping[str, str]) -> SensorSize | None:
    """Return the size of the sensor that the values of a header give; None where none do."""
    options = _options(keys)
    sizes = (
        (options.get("width"), options.get("height")),
        re.fullmatch(r"(\d{1,6})x(\d{1,6})", keys.get("geometry", "").strip()) or (None, None),
        (keys.get("width"), keys.get("height")),
    )
    for found in sizes:
        width, height = found.groups() if isinstance(found, re.Match) else found
        if width and height and width.isdecimal() and height.isdecimal():
            size = SensorSize(int(height[:6]), int(width[:6]))
            if min(size) > 0 and max(size) <= 2**15:
                return size
    return None
