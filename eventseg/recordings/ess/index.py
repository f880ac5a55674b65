"""Index files of the ESS repack: for each frame its time and the events of a window before it.

A row is ``[frame time in ns, end, start]``; the loaders take the events ``[start, end)``, the end
excluded, and set a negative start to 0. Row j belongs to the frame of number j + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.recordings.ess.events import NS_PER_US

FOLDER = "index"

WINDOWS_US = (10_000, 50_000, 250_000)
"""Windows that the repack has index files of."""

SPACINGS_NS = (1_000_000, 1_000_000_000)
"""Usual distances of frames in ns: others mean that the times have another unit."""


@dataclass(frozen=True, eq=False, slots=True)
class EssIndex:
    """Frame times of a directory and the events of one window before each.

    Parameters
    ----------
    path : Path
    frame_ns : int64 (F,)
        Time of each frame.
    start, end : int64 (F,)
        First event of each window and the one after its last; `start` is not below 0.
    """

    path: Path
    frame_ns: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frame_ns)

    @property
    def frame_us(self) -> NDArray[np.int64]:
        """Time of each frame in us, int64 (F,), rounded up.

        An event is before the frame in ns exactly if its time in us, rounded down, is before this,
        as long as events have whole microseconds, as those of a DAVIS do.
        """
        return -(-self.frame_ns // NS_PER_US)


def index_file(folder: Path, window_us: int) -> Path:
    """Return the path of the index file of a window in a directory such as ``dir0``."""
    return folder / FOLDER / f"index_{window_us // 1000}ms.npy"


def read_index(path: Path, *, events: int) -> EssIndex:
    """Read an index file and check it against the number of events.

    Raises
    ------
    RecordingError
        The file is missing, damaged or of another shape, or a row is outside the events, or times
        of frames run backwards or have another unit.
    """
    try:
        with path.open("rb") as file:
            table = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise RecordingError(f"{path} is missing") from error
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror or error}") from error
    except (EOFError, ValueError) as error:  # NumPy speaks of pickles where a file is damaged
        raise RecordingError(
            f"{path} is no array of NumPy, or damaged; download it again"
        ) from error
    if table.ndim != 2 or table.shape[1] != 3 or table.dtype.kind not in "iu" or not len(table):
        raise RecordingError(
            f"{path} is {table.dtype} {table.shape}; an index has integers of shape (frames, 3)"
        )
    if table.dtype.itemsize < 8:
        raise RecordingError(
            f"{path} is {table.dtype}, which cannot hold nanoseconds; an index has int64"
        )
    frame_ns, end, start = (column.astype(np.int64) for column in table.T)
    start = np.maximum(start, 0)
    for wrong, what in (
        ((end < start) | (end < 0), "end before they start"),
        (end > events, f"reach past the {events:,} events"),
        (np.r_[False, np.diff(frame_ns) <= 0], "have a time that is not after the row before"),
    ):
        if wrong.any():
            first = int(np.argmax(wrong))
            raise RecordingError(
                f"{path}: {int(wrong.sum()):,} rows {what}, first row {first}: "
                f"{table[first].tolist()}"
            )
    spacing_ns = float(np.median(np.diff(frame_ns))) if len(frame_ns) > 1 else None
    if spacing_ns is not None and not SPACINGS_NS[0] <= spacing_ns <= SPACINGS_NS[1]:
        raise RecordingError(
            f"{path}: frames are {spacing_ns:g} apart at the median, which in nanoseconds is no "
            "camera's distance: the times must be of another unit"
        )
    return EssIndex(path, frame_ns, start, end)
