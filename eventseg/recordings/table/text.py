"""Columns of events in text: lines of four numbers, with or without a first line of names.

Numbers are separated by blanks, commas, semicolons or tabs. A first column without a name, such as
the index that pandas writes, is left out. Lines that begin with ``#`` are
comments. A first line of two numbers is the width and the height of the sensor. Times are kept as
integers and their decimals: 18 digits, as many as always fit into 64 bits, and of those at most
nine behind the point.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.kernels import reused
from eventseg.recordings.beside import NOTHING, Beside
from eventseg.recordings.cameras import ONE_CAMERA, choose_camera
from eventseg.recordings.file_bytes import FileBytes
from eventseg.recordings.table.column_order import columns_of, order_of
from eventseg.recordings.table.columns import Meaning, RawColumns
from eventseg.recordings.table.text_lines import PADDING, POWERS, parse_lines
from eventseg.recordings.table.units import PER_US, Unit, unit_of

BLOCK_BYTES = 2**20
MOST_LINE = 2**12
"""Longest line; longer ones are damage."""

LEAST_LINE = 8
"""Bytes of the shortest line of four numbers."""

BOM = b"\xef\xbb\xbf"


def names_columns(path: Path) -> bool:
    """Return whether a first line names the columns and the next one has four numbers.

    Such a file can be opened; of others only their first block of lines tells.
    """
    file = FileBytes(path)
    try:
        header = _header_of(file)
        found = columns_of(header.names)
        if found is None or max(found[0].values()) > 3:
            return False
        whole_lines = file.read(header.first, MOST_LINE).rfind(b"\n") + 1
        return _lines(file, header.first, whole_lines, header.numbered)[0].size > 0
    finally:
        file.close()


class TextColumns:
    """An open text file; see :class:`eventseg.recordings.table.columns.ColumnFile`."""

    unread = "lines that are no four numbers"

    def __init__(
        self, path: Path, *, time_unit: Unit | None = None, camera: str | None = None
    ) -> None:
        choose_camera(ONE_CAMERA, camera, path=path)
        self._path = path
        self._file = FileBytes(path)
        try:
            header = _header_of(self._file)
            self._first, self._numbered = header.first, header.numbered
            size = self._block_at(self._first)
            sample, decimals, _ = _lines(self._file, self._first, size, self._numbered)
            if not sample.size:
                raise RecordingError(f"{path}: no lines of four numbers: an event is t, x, y, p")
            self._order, unit, notes = _columns(header.names, sample, decimals, path)
            if unit is None or time_unit is not None:
                k = self._order["t"]
                unit, note = self._unit(_floats(sample[k], decimals[k]), time_unit)
                notes = (*notes, note)
            if self._numbered:
                notes = (*notes, "the first column, which has no name, is left out")
            self._times_unit = unit
            # Times leave here as microseconds: an integer of all digits cannot go on as it is.
            self.meaning = Meaning("us", sensor=header.sensor, notes=(*notes, f"times in {unit}"))
        except BaseException:
            self.close()
            raise

    def contents(self) -> Beside:
        """Return nothing: there are events only."""
        return NOTHING

    def verify(self) -> None:
        """Do nothing: all is checked when it is read."""

    def places(self) -> list[tuple[int, int]]:
        """Return the first byte and the length of each block of lines."""
        places, begin = [], self._first
        while begin < self._file.size:
            places.append((begin, self._block_at(begin)))
            begin += places[-1][1]
        return places

    def read(self, offset: int, size: int) -> RawColumns:
        """Return the rows of a block."""
        table, decimals, unread = _lines(self._file, offset, size, self._numbered)
        order = self._order
        t = _in_us(table[order["t"]], decimals[order["t"]], self._times_unit)
        x, y, p = (_plain(table[order[name]], decimals[order[name]]) for name in "xyp")
        return RawColumns(t, x, y, p, unread=unread)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _unit(self, t: NDArray[np.float64], asked: Unit | None) -> tuple[Unit, str]:
        """Return the unit by the rate of events: their number follows from the length of lines."""
        tail = max(self._first, self._file.size - MOST_LINE)
        last, decimals, _ = _lines(self._file, tail, self._file.size - tail, self._numbered)
        end = float(t[-1])
        if last.size:
            k = self._order["t"]
            end = float(_floats(last[k, -1:], decimals[k, -1:])[0])
        size = self._block_at(self._first)
        events = int(len(t) * (self._file.size - self._first) / max(1, size))
        return unit_of(t, events=events, span=end - float(t[0]), asked=asked)

    def _block_at(self, begin: int) -> int:
        """Return the length of the block of lines that begins at a byte."""
        stop = min(begin + BLOCK_BYTES, self._file.size)
        if stop < self._file.size:
            cut = self._file.read(stop, MOST_LINE).find(b"\n")
            stop = min(self._file.size, stop + (cut + 1 if cut >= 0 else MOST_LINE))
        return stop - begin


def _lines(
    file: FileBytes, offset: int, size: int, numbered: bool
) -> tuple[NDArray[np.int64], NDArray[np.int8], int]:
    """Return the integers and the decimals of the lines of a block, and the damaged lines.

    Arrays are (4, N), int64 and int8.
    """
    content = reused.empty(size + PADDING, np.uint8)
    size = file.read_into(offset, content[:size])
    content[size : size + PADDING] = 0
    room = size // LEAST_LINE + 1  # one more for a line that proves to be none
    table, decimals = reused.empty((4, room), np.int64), reused.empty((4, room), np.int8)
    decimals.fill(0)
    n, unread = parse_lines(content, size, table, decimals, numbered)
    return table[:, :n], decimals[:, :n], unread


class Header(NamedTuple):
    """Begin of a file: the first lines, before those of events.

    Parameters
    ----------
    first : int
        Byte at which the first event begins.
    names : list of str
        Names of the columns; empty where no line has them.
    numbered : bool
        A column without a name stands before those of the names.
    sensor : SensorSize, optional
    """

    first: int
    names: list[str]
    numbered: bool
    sensor: SensorSize | None


def _header_of(file: FileBytes) -> Header:
    """Return the begin of a file."""
    begin = file.read(0, 2**16)
    place = len(BOM) if begin.startswith(BOM) else 0
    names: list[str] = []
    sensor: SensorSize | None = None
    line = b""
    while place < len(begin):
        stop = begin.find(b"\n", place)
        stop = len(begin) if stop < 0 else stop
        indent, line = begin[place:stop].lstrip(b" ")[:1], begin[place:stop].strip()
        words = _words(line.lstrip(b"#% "))
        if words and columns_of([word.decode(errors="replace") for word in words]):
            fields = re.split(rb"\s*[,;\t]\s*|\s+", line.lstrip(b"#% "))
            names = [word.strip(b"\"'").decode(errors="replace") for word in fields]
            names = ["", *names] if indent == b"\t" else names
        elif len(words) == 2 and all(word.isdigit() and len(word) < 6 for word in words):
            size = SensorSize(int(words[1]), int(words[0]))
            sensor = size if min(size) > 0 else sensor
        elif line and not line.startswith((b"#", b"%")):
            break
        place = stop + 1
    named = [name for name in names if name]
    if len(_words(line)) == len(named):  # names that are empty stand for no numbers
        names = named
    numbered = names[:1] == [""]
    return Header(place, names[numbered:], numbered, sensor)


def _words(line: bytes) -> list[bytes]:
    return [word for word in re.split(rb"[\s,;]+", line) if word]


def _columns(
    names: list[str], sample: NDArray[np.int64], decimals: NDArray[np.int8], path: Path
) -> tuple[dict[str, int], Unit | None, tuple[str, ...]]:
    found = columns_of(names)
    if found is not None:
        if max(found[0].values()) > 3:
            raise RecordingError(f"{path}: t, x, y and p must be the first four columns")
        return found[0], found[1], ("columns by their names in the first line",)
    numbers = [_floats(*column) for column in zip(sample, decimals, strict=True)]
    order = order_of(np.stack(numbers, axis=1), path=path)
    said = ", ".join(sorted(order, key=order.__getitem__))
    return order, None, (f"columns are taken for {said}, by their numbers",)


def _in_us(t: NDArray[np.int64], decimals: NDArray[np.int8], unit: Unit) -> NDArray[np.int64]:
    """Return times in us, to the nearest one; one that does not fit becomes the latest."""
    factor, divisor = PER_US[unit]
    least, most = int(t.min(initial=0)), int(t.max(initial=0))
    if unit == "us" and max(-least, most) < 2**62 and not decimals.any():
        return t
    us = np.empty(len(t), np.int64)
    same = len(decimals) > 0 and (decimals == decimals[0]).all()
    for places in decimals[:1].tolist() if same else np.unique(decimals).tolist():
        rows = slice(None) if same else decimals == places
        up, down = (factor, 10**places * divisor) if places > 0 else (factor * 10**-places, divisor)
        common = np.gcd(up, down)
        up, down = int(up // common), int(down // common)
        most = np.iinfo(np.int64).max // max(1, up)
        fits = np.abs(t[rows]) < min(most, 2**62)
        whole = np.where(fits, t[rows], 0) * up
        us[rows] = np.where(fits, (whole + down // 2) // down, np.iinfo(np.int64).max)
    return us


def _plain(values: NDArray[np.int64], decimals: NDArray[np.int8]) -> NDArray[np.generic]:
    return _floats(values, decimals) if decimals.any() else values


def _floats(values: NDArray[np.int64], decimals: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return numbers with their decimals; those that are whole come out whole."""
    # Digits of more than 53 bits that were divided as one number would get fractions.
    below = POWERS[np.maximum(decimals, 0)]
    whole, rest = np.divmod(values, below)
    numbers: NDArray[np.float64] = whole + rest / below
    return numbers * POWERS[np.maximum(-decimals, 0)] if (decimals < 0).any() else numbers
