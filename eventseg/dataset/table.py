"""Sample table of a data set: the rows of ``samples.csv``."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.dataset.layout import MOST_NAME_BYTES, checked_name
from eventseg.errors import DatasetError
from eventseg.files.texts import read_csv, read_text
from eventseg.files.whole import write_whole

BLOCK = 1 << 22
"""Characters of a table that are cut into cells at a time."""


class Row(NamedTuple):
    """One sample: a line of ``samples.csv``; ``events`` and ``covered`` hold one value a window.

    ``t_us`` is the frame's time (``frame``, ``centre``) or the window's end; ``frame`` is -1
    where the sample has none; ``split`` is ``train``, ``val``, ``test``, ``other`` or ``gap``.
    """

    id: str
    recording: str
    frame: int
    t_us: int
    split: str
    events: tuple[int, ...]
    covered: tuple[float, ...]


@dataclass(frozen=True, eq=False, slots=True)
class SampleTable:
    """All samples of a data set as columns of one length N.

    Parameters
    ----------
    ids, recording, split : tuple of str (N,)
        Sample id, name of the recording, and split.
    frame : int64 (N,)
        Index of the frame in its recording, -1 for none.
    t_us : int64 (N,)
        Time of the frame, or end of the window, in us of the sensor's clock.
    events : int64 (N, W)
        Events in each window, over all rows of the sensor, after the filters.
    covered : float64 (N, W)
        Share of each window that is within the recording's events.
    windows : tuple of str (W,)
        Names of the windows.
    """

    ids: tuple[str, ...]
    recording: tuple[str, ...]
    frame: NDArray[np.int64]
    t_us: NDArray[np.int64]
    split: tuple[str, ...]
    events: NDArray[np.int64]
    covered: NDArray[np.float64]
    windows: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.ids)

    @classmethod
    def from_rows(cls, rows: Sequence[Row], *, windows: tuple[str, ...]) -> SampleTable:
        """Build the table.

        Raises
        ------
        DatasetError
            Ids that occur twice.
        """
        ids = tuple(row.id for row in rows)
        check_unique(ids)
        shape = (len(rows), len(windows))
        return cls(
            ids,
            tuple(row.recording for row in rows),
            np.array([row.frame for row in rows], np.int64),
            np.array([row.t_us for row in rows], np.int64),
            tuple(row.split for row in rows),
            np.array([row.events for row in rows], np.int64).reshape(shape),
            np.array([row.covered for row in rows], np.float64).reshape(shape),
            windows,
        )


def check_unique(ids: Sequence[str]) -> None:
    """Check that no sample id occurs twice.

    Raises
    ------
    DatasetError
        Some do.
    """
    if len(set(ids)) == len(ids):
        return
    twice = sorted(sample_id for sample_id, count in Counter(ids).items() if count > 1)
    shown = ", ".join(twice[:10]) + (", ..." if len(twice) > 10 else "")
    raise DatasetError(f"{len(twice)} sample ids occur more than once: {shown}")


def header_of(windows: Sequence[str]) -> list[str]:
    """Return the columns of ``samples.csv`` for these windows."""
    counts = [f"events_{name}" for name in windows]
    shares = [f"covered_{name}" for name in windows]
    return ["id", "recording", "frame", "t_us", "split", *counts, *shares]


def write_rows(path: Path, rows: Sequence[Row], *, windows: Sequence[str]) -> None:
    """Write ``samples.csv``; shares in the shortest digits that read back the same."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header_of(windows))
    for row in rows:
        table.writerow([*row[:5], *row.events, *map(repr, row.covered)])
    write_whole(path, lambda file: file.write(text.getvalue().encode()))


def read_table(path: Path, *, windows: tuple[str, ...]) -> SampleTable:
    """Read ``samples.csv`` as columns, a million samples in seconds.

    A table without quoted cells, as :func:`write_rows` writes it, is cut into columns as a whole;
    any other, and one with a fault, is read line by line as :func:`read_rows` does.

    Raises
    ------
    DatasetError
        As :func:`read_rows`, and ids that occur twice.
    """
    try:
        table = _columns(read_text(path), windows)
    except (OSError, ValueError, OverflowError):
        table = None
    if table is None:
        return SampleTable.from_rows(read_rows(path, windows=windows), windows=windows)
    check_unique(table.ids)
    return table


def _columns(text: str, windows: tuple[str, ...]) -> SampleTable | None:
    """Return a table of plain cells; None, or a ValueError, for any other."""
    header = header_of(windows)
    first, _, _ = text.partition("\n")
    if first != ",".join(header) or '"' in text or "\0" in text:
        return None
    width, count = len(header), len(windows)
    ids: list[str] = []
    names: dict[str, str] = {}  # one object for a recording or a split, however often
    recordings: list[str] = []
    splits: list[str] = []
    numbers: list[NDArray[np.int64]] = []
    shares: list[NDArray[np.float64]] = []
    begin = len(first) + 1
    while begin < len(text):
        end = text.find("\n", begin + BLOCK)
        end = len(text) if end < 0 else end
        lines = text[begin:end].split("\n")
        lines = lines[:-1] if not lines[-1] else lines
        begin = end + 1
        if {line.count(",") for line in lines} - {width - 1}:
            return None
        cells = ",".join(lines).split(",")
        block = cells[0::width]
        _check_names(block)
        ids += block
        recordings += [names.setdefault(name, name) for name in cells[1::width]]
        splits += [names.setdefault(name, name) for name in cells[4::width]]
        whole = [cells[k::width] for k in (2, 3, *range(5, 5 + count))]
        numbers.append(
            np.array([np.fromiter(map(int, column), np.int64, len(block)) for column in whole])
        )
        shared = [cells[k::width] for k in range(5 + count, width)]
        shares.append(
            np.array([np.fromiter(map(float, column), np.float64, len(block)) for column in shared])
        )
    _check_names(set(recordings))
    if not ids:
        return SampleTable.from_rows([], windows=windows)
    integers, floats = np.concatenate(numbers, axis=1), np.concatenate(shares, axis=1)
    return SampleTable(
        tuple(ids),
        tuple(recordings),
        integers[0].copy(),
        integers[1].copy(),
        tuple(splits),
        np.ascontiguousarray(integers[2:].T),
        np.ascontiguousarray(floats.T),
        windows,
    )


def _check_names(names: Collection[str]) -> None:
    """Check many names as :func:`checked_name` does each."""
    joined = "".join(names)
    plain = joined.isascii() and joined.isprintable() and not set(joined).intersection("/\\:")
    longest = max(map(len, names), default=1)
    if not plain or longest > MOST_NAME_BYTES or not all(names) or {".", ".."}.intersection(names):
        for name in names:
            checked_name(name)


def read_rows(path: Path, *, windows: Sequence[str]) -> list[Row]:
    """Read ``samples.csv``.

    Raises
    ------
    DatasetError
        The file cannot be read, has other columns, or a line that does not parse.
    """
    try:
        lines = read_csv(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error
    header = header_of(windows)
    if next(iter(lines.values()), None) != header:
        raise DatasetError(f"{path} must begin with the columns {','.join(header)}")
    rows = []
    for number, line in list(lines.items())[1:]:
        try:
            sample_id, recording, frame, t_us, split, *rest = line
            if len(line) != len(header):
                raise ValueError(f"{len(line)} fields")
            events = tuple(map(_integer, rest[: len(windows)]))
            covered = tuple(map(float, rest[len(windows) :]))
            checked_name(sample_id)
            checked_name(recording)
            numbers = _integer(frame), _integer(t_us)
            rows.append(Row(sample_id, recording, *numbers, split, events, covered))
        except ValueError as error:
            raise DatasetError(f"{path}, line {number}: {error}") from error
    return rows


def _integer(text: str) -> int:
    """Return an integer of at most 64 bits, or raise ValueError."""
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{text:.40} does not fit into 64 bits")
    return value
