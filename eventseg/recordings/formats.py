"""Formats of recordings, and the function that opens any of them.

The modules that need h5py and numba load when a recording is opened or written.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.base import Recording

FORMATS = {
    ".hdf5": ("eventseg.recordings.ddd17.reader", "open_ddd17"),
    ".h5": ("eventseg.recordings.ddd17.reader", "open_ddd17"),
}
"""Module and function that open a file with this suffix."""


def open_recording(
    path: str | Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Recording:
    """Open a recording; the format follows from the suffix.

    The first time, the whole file is read once and an index is kept in the user's cache folder
    (``EVENTSEG_CACHE``); after that, opening takes milliseconds.

    Parameters
    ----------
    path : str or Path
        A DDD17 or DDD20 recording, ``.hdf5`` or ``.h5``.
    sensor : SensorSize, optional
        Size of the sensor; by default that of the frames, or else the smallest well-known sensor
        that holds all events. Events and frames outside are dropped and counted.
    rotate180 : bool, default False
        Turn events and frames by 180 degrees: for DDD20, whose camera hung upside down.
    progress : callable, optional
        Called with the share done, 0 to 1, while the index is built.

    Raises
    ------
    RecordingError
        No such file, an unknown suffix, a damaged file, another layout, or neither an event nor a
        frame inside.
    """
    path = Path(path)
    if path.name.endswith(".truth.h5"):
        raise RecordingError(
            f"{path} is the truth about a simulated recording; open "
            f"{path.name.removesuffix('.truth.h5')}.hdf5"
        )
    if path.suffix.lower() not in FORMATS:
        raise RecordingError(
            f"{path}: the suffix {path.suffix!r} is none of {', '.join(FORMATS)}, "
            "the formats that can be read"
        )
    module, function = FORMATS[path.suffix.lower()]
    opener: Callable[..., Recording] = getattr(import_module(module), function)
    return opener(path, sensor=sensor, rotate180=rotate180, progress=progress)
