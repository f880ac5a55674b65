"""Columns of events in text: lines of four numbers, with or without a first line of names.

Numbers are separated by blanks, commas, semicolons or tabs. Lines that begin with ``#`` are
comments. A first line of two numbers is the width and the height of the sensor. Times are kept as
integers and their decimals, so that no digit of them is lost.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return, assignment, return-value"

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.kernels import reused
from eventseg.kernels.compiled import compiled
from eventseg.recordings.beside import NOTHING, Beside
from eventseg.recordings.cameras import ONE_CAMERA, choose_camera
from eventseg.recordings.file_bytes import FileBytes
from eventseg.recordings.table.columns import (
    PER_US,
    Meaning,
    RawColumns,
    Unit,
    columns_of,
    order_of,
    unit_of,
)

BLOCK_BYTES = 2**20
MOST_LINE = 2**12
"""Longest line; longer ones are damage."""

LEAST_LINE = 8
"""Bytes of the shortest line of four numbers."""

BOM = b"\xef\xbb\xbf"

MOST_DECIMALS = 9
"""Decimals of a number that are read."""

MOST_DIGITS = np.uint64(18)
"""Digits of a number that always fit into 64 bits."""

PADDING = 2
"""Zeros behind the lines, which end their last number."""

DIGIT_0, MINUS, POINT = 48, 45, 46

MOST_TENTH = np.iinfo(np.int64).max // 10 - 1
"""Largest integer that takes one more digit."""


def names_columns(path: Path) -> bool:
    """Return whether a first line names the columns and the next one has four numbers.

    Such a file can be opened; of others only their first block of lines tells.
    """
    file = FileBytes(path)
    try:
        first, names, _ = _header_of(file)
        found = columns_of(names)
        if found is None or max(found[0].values()) > 3:
            return False
        whole_lines = file.read(first, MOST_LINE).rfind(b"\n") + 1
        return _lines(file, first, whole_lines)[0].size > 0
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
            self._first, names, sensor = _header_of(self._file)
            sample, decimals, _ = _lines(self._file, self._first, self._block_at(self._first))
            if not sample.size:
                raise RecordingError(f"{path}: no lines of four numbers: an event is t, x, y, p")
            self._order, unit, notes = _columns(names, sample, decimals, path)
            if unit is None or time_unit is not None:
                k = self._order["t"]
                unit, note = self._unit(_floats(sample[k], decimals[k]), time_unit)
                notes = (*notes, note)
            self._times_unit = unit
            # Times leave here as microseconds: an integer of all digits cannot go on as it is.
            self.meaning = Meaning("us", sensor=sensor, notes=(*notes, f"times in {unit}"))
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
        table, decimals, unread = _lines(self._file, offset, size)
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
        last, decimals, _ = _lines(self._file, tail, self._file.size - tail)
        end = float(t[-1])
        if last.size:
            k = self._order["t"]
            end = float(last[k, -1] / 10.0 ** decimals[k, -1])
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
    file: FileBytes, offset: int, size: int
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
    n, unread = _parse(content, size, table, decimals)
    return table[:, :n], decimals[:, :n], unread


def _header_of(file: FileBytes) -> tuple[int, list[str], SensorSize | None]:
    """Return where the first event begins, the names of columns, and the sensor size."""
    begin = file.read(0, 2**16)
    place = len(BOM) if begin.startswith(BOM) else 0
    names: list[str] = []
    sensor: SensorSize | None = None
    while place < len(begin):
        stop = begin.find(b"\n", place)
        stop = len(begin) if stop < 0 else stop
        line = begin[place:stop].strip()
        words = [word for word in re.split(rb"[\s,;]+", line.lstrip(b"#% ")) if word]
        if words and columns_of([word.decode(errors="replace") for word in words]):
            names = [word.decode() for word in words]
        elif len(words) == 2 and all(word.isdigit() and len(word) < 6 for word in words):
            size = SensorSize(int(words[1]), int(words[0]))
            sensor = size if min(size) > 0 else sensor
        elif line and not line.startswith((b"#", b"%")):
            break
        place = stop + 1
    return place, names, sensor


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
    return values / 10.0 ** decimals.astype(np.float64)


@compiled
def _plain_lines(
    content: NDArray[np.uint8],
    place: int,
    n: int,
    table: NDArray[np.int64],
    decimals: NDArray[np.int8],
) -> tuple[int, int]:
    """Parse lines of four numbers without exponents and repeated separators, as most are.

    Many at a call: to hand arrays to a function takes as long as to parse half a line.

    Returns
    -------
    int, int
        Place of the first other line, of which nothing is kept, and lines parsed until there.
    """
    # An unsigned place needs no look at whether it counts from the end, and none is needed at the
    # end of the lines: the zeros behind it are no digits and end no number.
    at, row, one = np.uint64(place), np.uint64(n), np.uint64(1)
    while True:
        line = at
        for column in range(4):
            begin, value, sign = at, np.int64(0), np.int64(1)
            while True:
                digit = np.int64(content[at]) - DIGIT_0
                if digit < 0 or digit > 9:
                    break
                value = value * 10 + digit
                at += one
            if at == begin and content[at] == MINUS:  # asked so late, it costs others no time
                at += one
                begin, sign = at, np.int64(-1)
                while True:
                    digit = np.int64(content[at]) - DIGIT_0
                    if digit < 0 or digit > 9:
                        break
                    value = value * 10 + digit
                    at += one
            digits = at - begin
            if content[at] == POINT:
                at += one
                begin = at
                while True:
                    digit = np.int64(content[at]) - DIGIT_0
                    if digit < 0 or digit > 9:
                        break
                    value = value * 10 + digit
                    at += one
                after = at - begin
                digits += after
                if after > MOST_DECIMALS:
                    return np.int64(line), np.int64(row)
                decimals[column, row] = after
            if digits - one >= MOST_DIGITS:  # too many, or none
                return np.int64(line), np.int64(row)
            table[column, row] = value * sign
            byte = content[at]
            at += one
            if column < 3:
                if byte != 44 and byte != 32 and byte != 9 and byte != 59:
                    return np.int64(line), np.int64(row)
            else:
                if byte == 13:
                    byte = content[at]
                    at += one
                if byte != 10:
                    return np.int64(line), np.int64(row)
        row += one


@compiled
def _parse(
    content: NDArray[np.uint8],
    size: int,
    table: NDArray[np.int64],
    decimals: NDArray[np.int8],
) -> tuple[int, int]:
    """Parse lines of four numbers or more.

    Parameters
    ----------
    content : uint8 (B,)
        Lines; the last one may lack its end. Behind them are :data:`PADDING` bytes.
    size : int
        Bytes of the lines.
    table : int64 (4, N)
        Receives the digits of each number as an integer.
    decimals : int8 (4, N)
        Zeros; receives how many of them are decimals.

    Returns
    -------
    int, int
        Lines parsed, and lines that are neither empty, nor comments, nor four numbers.
    """
    n, unread, place = 0, 0, 0
    while True:
        place, n = _plain_lines(content, place, n, table, decimals)
        if place >= size:
            return n, unread
        column = 0
        sound = True
        empty = True
        comment = False
        while place < size and content[place] != 10:
            byte = content[place]
            if byte == 32 or byte == 9 or byte == 13 or byte == 44 or byte == 59:
                place += 1
                continue
            if empty and byte == 35:
                comment = True
            empty = False
            if comment or not sound or column >= 4:
                place += 1
                continue
            negative = byte == 45
            if byte == 45 or byte == 43:
                place += 1
            value, after, exponent = np.int64(0), 0, 0
            dot, some, fits = False, False, True
            while place < size:
                byte = content[place]
                if 48 <= byte <= 57:
                    some = True
                    if value > MOST_TENTH:
                        fits = False
                    elif not (dot and after == MOST_DECIMALS):
                        value = value * 10 + np.int64(byte - 48)
                        after += dot
                elif byte == 46 and not dot:
                    dot = True
                else:
                    break
                place += 1
            if some and place < size and (content[place] == 101 or content[place] == 69):
                place += 1
                down = place < size and content[place] == 45
                if place < size and (content[place] == 45 or content[place] == 43):
                    place += 1
                some = False
                while place < size and 48 <= content[place] <= 57 and exponent < 100:
                    exponent = exponent * 10 + (content[place] - 48)
                    some = True
                    place += 1
                if down:
                    exponent = -exponent
            ended = place >= size or (
                content[place] == 32
                or content[place] == 9
                or content[place] == 13
                or content[place] == 44
                or content[place] == 59
                or content[place] == 10
            )
            if not some or not fits or not ended or abs(after - exponent) > 18:
                sound = False
                continue
            table[column, n] = -value if negative else value
            decimals[column, n] = after - exponent
            column += 1
        place += 1
        if sound and column == 4:
            n += 1
            continue
        decimals[:, n] = 0  # of a number before the one that is none
        if not comment and not empty:
            unread += 1
