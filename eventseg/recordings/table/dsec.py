"""Events of DSEC by spans of time, without a pass over the file, and rectified.

``ms_to_idx`` holds for each millisecond since ``t_offset`` the first event at or after it, so that
a span is read by itself. ``rectify_map.h5`` tells for each raw pixel where it is in the rectified
view, in fractions of pixels, possibly outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings.event_columns import EventColumns
from eventseg.recordings.hdf5.datasets import open_table
from eventseg.recordings.hdf5.filters import refuse_missing
from eventseg.recordings.hdf5.objects import Hdf5File, UnsupportedError
from eventseg.recordings.hdf5.repack import repacked
from eventseg.recordings.table.columns import events_of
from eventseg.recordings.table.hdf5 import Hdf5Columns

SENSOR = SensorSize(480, 640)
"""Sensor of DSEC's event cameras."""

MS_US = 1_000

Rectification = Literal["nearest", "truncate", "none"]
"""Pixel of a rectified event: the nearest, the one that EISNet truncates to, or the raw one."""


class DsecEvents:
    """Events of one camera of a sequence; times are on the clock of images and labels.

    Parameters
    ----------
    path : Path
        ``events.h5``.
    rectify_map : Path, optional
        ``rectify_map.h5``, for any `rectification` but ``none``.
    rectification : {"nearest", "truncate", "none"}
        How the fractional place of a rectified event becomes a pixel.

    Raises
    ------
    RecordingError
        A file is missing, damaged, or in another layout.

    Attributes
    ----------
    t_first_us, t_last_us : int
        Times of the first and of the last event, with ``t_offset``.
    """

    def __init__(
        self,
        path: Path,
        *,
        rectify_map: Path | None = None,
        rectification: Rectification = "nearest",
    ) -> None:
        self.path = path
        self._targets = None
        if rectification not in get_args(Rectification):
            raise RecordingError(
                f"rectification {rectification!r} is none of {', '.join(get_args(Rectification))}"
            )
        if rectification != "none":
            if rectify_map is None:
                raise RecordingError(f"{path} has no rectify_map.h5 beside it; give one, or none")
            self._targets = pixel_targets(read_rectify_map(rectify_map), rectification)
        if not path.is_file():
            raise RecordingError(f"{path}: no such file")
        self._file = Hdf5Columns(path)
        try:
            self._count = sum(self._file.places()[-1]) if self._file.places() else 0
            if not self._count:
                raise RecordingError(f"{path} holds no events")
            self._offset_us = self._file.meaning.offset_us
            index = self._file.beside("ms_to_idx")
            if index is None or index.dtype.kind not in "iu" or not len(index):
                raise RecordingError(
                    f"{path} has no ms_to_idx of integers, which DSEC's files have"
                )
            self._index = index.astype(np.int64)
            if (np.diff(self._index) < 0).any() or not 0 <= self._index[0] <= self._count:
                raise RecordingError(f"{path}: ms_to_idx runs backwards")
            if self._index[-1] > self._count:
                raise RecordingError(f"{path}: ms_to_idx reaches past the {self._count:,} events")
            self.t_first_us = int(self._times(0, 1)[0])
            self.t_last_us = int(self._times(self._count - 1, self._count)[0])
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        """Return the number of events, of which some leave the view when they are rectified."""
        return self._count

    def events(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of ``[t0_us, t1_us)`` on the rectified view, sorted by time.

        Raises
        ------
        RecordingError
            The file is damaged, or ``ms_to_idx`` does not fit the times.
        """
        low = self._bound((t0_us - self._offset_us) // MS_US)
        high = self._bound(-(-(t1_us - self._offset_us) // MS_US))
        # One event more on both sides shows whether the index fits.
        begin, stop = max(0, low - 1), min(self._count, high + 1)
        times = self._times(begin, stop)
        if (low > 0 and times[0] >= t0_us) or (high < self._count and times[-1] < t1_us):
            raise RecordingError(
                f"{self.path}: ms_to_idx does not fit the times near {t0_us} us: it must count "
                "milliseconds since t_offset"
            )
        if (times[1:] < times[:-1]).any():
            raise RecordingError(f"{self.path}: times run backwards near {t0_us} us")
        first, last = np.searchsorted(times, (t0_us, t1_us))
        columns = self._columns(begin + int(first), begin + int(last))
        return columns.stream(SENSOR, t0_us, t1_us)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def _bound(self, millisecond: int) -> int:
        """Return the first event at or after a millisecond since the offset."""
        if millisecond < 0:
            return 0
        return int(self._index[millisecond]) if millisecond < len(self._index) else self._count

    def _times(self, start: int, stop: int) -> NDArray[np.int64]:
        raw = self._file.read(start, stop - start)
        return raw.t.astype(np.int64) + self._offset_us

    def _columns(self, start: int, stop: int) -> EventColumns:
        raw = self._file.read(start, stop - start)
        events, senseless = events_of(raw, self._file.meaning)
        on = events.on(SENSOR)
        if senseless or len(on) < len(events):
            raise RecordingError(
                f"{self.path}: {senseless + len(events) - len(on):,} of the events {start:,} to "
                f"{stop - 1:,} lie outside {SENSOR}"
            )
        if self._targets is None:
            return on
        place = self._targets[on.y, on.x]
        inside = place >= 0
        y, x = np.divmod(place[inside], SENSOR.width)
        return EventColumns(on.t[inside], x.astype(np.uint16), y.astype(np.uint16), on.p[inside])


def read_rectify_map(path: Path) -> NDArray[np.float64]:
    """Return the places (x, y) of the raw pixels in the rectified view, float64 (480, 640, 2).

    Raises
    ------
    RecordingError
        The file is missing, damaged, or holds no such map.
    """
    if not path.is_file():
        raise RecordingError(f"{path}: no such file; rectified events need it")
    try:
        file = Hdf5File(path)
        try:
            return _map_of(file, path)
        finally:
            file.close()
    except UnsupportedError:
        copy = repacked(path, tables=True)
        try:
            file = Hdf5File(copy)
            try:
                return _map_of(file, path)
            finally:
                file.close()
        finally:
            copy.unlink(missing_ok=True)


def pixel_targets(places: NDArray[np.float64], rectification: Rectification) -> NDArray[np.int32]:
    """Return the rectified pixel of each raw pixel, int32 (480, 640): row x 640 + column, or -1.

    -1 is for places outside the view, and for those that are no number.
    """
    known = np.isfinite(places[..., 0]) & np.isfinite(places[..., 1])
    whole = np.where(known[..., None], places, -1.0)
    # EISNet converts to integers, which truncates towards 0: places above -1 come to lie on 0.
    rounded = np.trunc(whole) if rectification == "truncate" else np.floor(whole + 0.5)
    rounded = np.clip(rounded, -1, 2**15)
    x, y = rounded[..., 0].astype(np.int32), rounded[..., 1].astype(np.int32)
    inside = (x >= 0) & (x < SENSOR.width) & (y >= 0) & (y < SENSOR.height) & known
    return np.where(inside, y * SENSOR.width + x, -1).astype(np.int32)


def _map_of(file: Hdf5File, path: Path) -> NDArray[np.float64]:
    table = open_table(file, "rectify_map")
    wanted = (*SENSOR, 2)
    if table is None or table.shape != wanted or table.dtype.kind != "f":
        found: Any = "none" if table is None else f"{table.dtype} {table.shape}"
        raise RecordingError(f"{path}: rectify_map must be floats of shape {wanted}, got {found}")
    refuse_missing(path, "rectify_map", table.filters)
    if table.damaged:
        raise RecordingError(f"{path}: {'; '.join(table.damaged)}")
    return table.rows(0, SENSOR.height).astype(np.float64)
