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

BOM = b"\xef\xbb\xbf"

MOST_DECIMALS = 9
"""Decimals of a number that are read."""

MOST_DIGITS = 18
"""Digits of a number that always fit into 64 bits."""

MOST_TENTH = np.iinfo(np.int64).max // 10 - 1
"""Largest integer that takes one more digit."""


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
            self._first, names, sensor = self._header()
            sample, decimals, _ = self._parsed(self._first, self._block_at(self._first))
            if not len(sample):
                raise RecordingError(f"{path}: no lines of four numbers: an event is t, x, y, p")
            numbers = sample / 10.0**decimals
            self._order, unit, notes = _columns(names, numbers, path)
            if unit is None or time_unit is not None:
                unit, note = self._unit(numbers[:, self._order["t"]], time_unit)
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
        table, decimals, unread = self._parsed(offset, size)
        order = self._order
        t = _in_us(table[:, order["t"]], decimals[:, order["t"]], self._times_unit)
        x, y, p = (_plain(table[:, order[name]], decimals[:, order[name]]) for name in "xyp")
        return RawColumns(t, x, y, p, unread=unread)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _header(self) -> tuple[int, list[str], SensorSize | None]:
        """Return where the first event begins, the names of columns, and the sensor size."""
        begin = self._file.read(0, 2**16)
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

    def _unit(self, t: NDArray[np.float64], asked: Unit | None) -> tuple[Unit, str]:
        """Return the unit by the rate of events: their number follows from the length of lines."""
        tail = max(self._first, self._file.size - MOST_LINE)
        last, decimals, _ = self._parsed(tail, self._file.size - tail)
        end = float((last / 10.0**decimals)[-1, self._order["t"]]) if len(last) else float(t[-1])
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

    def _parsed(self, offset: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Return the integers and the decimals of the lines of a block, and the damaged lines."""
        content = np.frombuffer(self._file.read(offset, size), np.uint8)
        room = int((content == 10).sum()) + 1
        table, decimals = np.zeros((room, 4), np.int64), np.zeros((room, 4), np.int64)
        n, unread = _parse(content, table, decimals)
        return table[:n], decimals[:n], unread


def _columns(
    names: list[str], numbers: NDArray[np.float64], path: Path
) -> tuple[dict[str, int], Unit | None, tuple[str, ...]]:
    found = columns_of(names)
    if found is not None:
        if max(found[0].values()) > 3:
            raise RecordingError(f"{path}: t, x, y and p must be the first four columns")
        return found[0], found[1], ("columns by their names in the first line",)
    order = order_of(numbers, path=path)
    said = ", ".join(sorted(order, key=order.__getitem__))
    return order, None, (f"columns are taken for {said}, by their numbers",)


def _in_us(t: NDArray[np.int64], decimals: NDArray[np.int64], unit: Unit) -> NDArray[np.int64]:
    """Return times in us, to the nearest one; one that does not fit becomes the latest."""
    factor, divisor = PER_US[unit]
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


def _plain(values: NDArray[np.int64], decimals: NDArray[np.int64]) -> NDArray[np.generic]:
    return values / 10.0**decimals if decimals.any() else values


@compiled
def _plain_line(
    content: NDArray[np.uint8],
    place: int,
    n: int,
    table: NDArray[np.int64],
    decimals: NDArray[np.int64],
) -> int:
    """Parse a line of four numbers without signs, exponents and repeated separators, as most are.

    Returns
    -------
    int
        Place behind the line; 0 for any other line, of which nothing is kept.
    """
    at, end, one = np.uint64(place), np.uint64(len(content)), np.uint64(1)
    for column in range(4):
        value, digits, before = np.int64(0), 0, -1
        while at < end:
            digit = np.int64(content[at]) - 48
            if 0 <= digit <= 9:
                value = value * 10 + digit
                digits += 1
            elif digit == -2 and before < 0:  # the point
                before = digits
            else:
                break
            at += one
        after = digits - before if before >= 0 else 0
        if digits == 0 or digits > MOST_DIGITS or after > MOST_DECIMALS or at >= end:
            return 0
        table[n, column], decimals[n, column] = value, after
        byte = content[at]
        at += one
        if column == 3 and byte == 13 and at < end:
            byte = content[at]
            at += one
        ended = byte == 10 if column == 3 else byte == 44 or byte == 32 or byte == 9 or byte == 59
        if not ended:
            return 0
    return np.int64(at)


@compiled
def _parse(
    content: NDArray[np.uint8], table: NDArray[np.int64], decimals: NDArray[np.int64]
) -> tuple[int, int]:
    """Parse lines of four numbers or more.

    Parameters
    ----------
    content : uint8 (B,)
        Lines; the last one may lack its end.
    table, decimals : int64 (N, 4)
        Receive the digits of each number as an integer, and how many of them are decimals.

    Returns
    -------
    int, int
        Lines parsed, and lines that are neither empty, nor comments, nor four numbers.
    """
    n, unread, place = 0, 0, 0
    size = len(content)
    while place < size:
        behind = _plain_line(content, place, n, table, decimals)
        if behind:
            place = behind
            n += 1
            continue
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
            table[n, column] = -value if negative else value
            decimals[n, column] = after - exponent
            column += 1
        place += 1
        if comment or empty:
            continue
        if sound and column == 4:
            n += 1
        else:
            unread += 1
    return n, unread
