"""Events of a directory of the ESS repack: two raw files of one length, read by event number.

``events.dat.t`` holds one int64 an event, nanoseconds; ``events.dat.xyp`` three int16: x, y and a
polarity of 0 or 1. Neither has a header. Loaders map both into memory; here they are read, since a
mapped file that shrinks kills its reader.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.event_columns import EventColumns
from eventseg.recordings.file_bytes import FileBytes

TIMES, PLACES = "events.dat.t", "events.dat.xyp"

SENSOR = SensorSize(260, 346)
"""Sensor of DDD17, a DAVIS346; the files do not tell it."""

NS_PER_US = 1_000
TIME_BYTES, PLACE_BYTES = 8, 6

XYP_DTYPE = np.dtype("<i2")
"""Type of x, y and polarity: a comment in the published loader says uint8, its code int16."""


class EssEvents:
    """Events of one directory by their number in the file.

    Parameters
    ----------
    folder : Path
        A directory such as ``dir0``.

    Raises
    ------
    RecordingError
        A file is missing, is cut within an event, or the two hold different numbers of events.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._closed = False
        if problems := file_problems(folder):
            raise RecordingError("; ".join(problems))
        self._times = FileBytes(folder / TIMES)
        try:
            self._places = FileBytes(folder / PLACES)
        except RecordingError:
            self._times.close()
            raise
        self._count = self._times.size // TIME_BYTES

    def __len__(self) -> int:
        """Return the number of events."""
        return self._count

    def __reduce__(self) -> tuple[Callable[[Path], EssEvents], tuple[Path]]:
        return type(self), (self.folder,)

    def times_ns(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the times of the events ``[start, stop)`` in ns, int64 (N,), in file order."""
        content = self._read(self._times, start, stop, TIME_BYTES)
        times: NDArray[np.int64] = np.frombuffer(content, "<i8").astype(np.int64)
        return times

    def places(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return x, y and polarity of the events ``[start, stop)``, int16 (N, 3)."""
        content = self._read(self._places, start, stop, PLACE_BYTES)
        return np.frombuffer(content, XYP_DTYPE).astype(np.int16).reshape(-1, 3)

    def columns(
        self, start: int, stop: int, *, sensor: SensorSize = SENSOR
    ) -> tuple[EventColumns, int]:
        """Return the events ``[start, stop)`` on a sensor, and the number of those that are none.

        Times are microseconds, rounded down. An event whose place is outside the sensor, or whose
        polarity is neither 0 nor 1, is damage and left out.
        """
        times_ns = self.times_ns(start, stop)
        x, y, p = self.places(start, stop).T
        sound = (x >= 0) & (x < sensor.width) & (y >= 0) & (y < sensor.height)
        sound &= (p == 0) | (p == 1)
        columns = EventColumns(
            times_ns // NS_PER_US, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.int8)
        )
        return (columns if sound.all() else columns[sound]), int((~sound).sum())

    def first_not_before(self, t_ns: int) -> int:
        """Return the number of the first event at or after a time, by bisection of sorted times."""
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if int(self.times_ns(middle, middle + 1)[0]) < t_ns:
                low = middle + 1
            else:
                high = middle
        return low

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._times.close()
            self._places.close()

    def _read(self, file: FileBytes, start: int, stop: int, item_bytes: int) -> Any:
        if not 0 <= start <= stop <= self._count:
            raise RecordingError(
                f"{file.path} holds {self._count:,} events; those from {start:,} to {stop:,} lie "
                "outside"
            )
        wanted = (stop - start) * item_bytes
        content = file.read(start * item_bytes, wanted)
        if len(content) < wanted:
            raise RecordingError(f"{file.path} cannot be read any more: it became shorter")
        return content


def file_problems(folder: Path) -> list[str]:
    """Return the faults of the event files of a directory that their sizes tell, one a line."""
    counts, problems = [], []
    for name, item_bytes in ((TIMES, TIME_BYTES), (PLACES, PLACE_BYTES)):
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
            continue
        size = path.stat().st_size
        counts.append(size // item_bytes)
        if size % item_bytes:
            problems.append(
                f"{path} has {size:,} bytes, which is no multiple of {item_bytes}: it is cut; "
                "download it again"
            )
    if not problems and counts[0] != counts[1]:
        problems.append(
            f"{folder / TIMES} holds {counts[0]:,} events and {PLACES} {counts[1]:,}: one is cut; "
            "download both again"
        )
    return problems
