"""AEDAT 2 and AEDAT 3.1 recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.aedat.header import version_of
from eventseg.recordings.aedat.recording2 import Aedat2Recording
from eventseg.recordings.aedat.version3 import Aedat3File
from eventseg.recordings.base import Recording
from eventseg.recordings.ddd17.reader import DDD17Recording

READ = ("2.0", "3.1")
"""Versions that are read."""


def recognises(path: Path) -> bool:
    """Return whether a file begins as AEDAT of these versions does."""
    try:
        return version_of(path) in READ
    except RecordingError:
        return False


def open_aedat(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
    **choices: str,
) -> Recording:
    """Open an AEDAT recording; see :func:`eventseg.recordings.open_recording`."""
    version = version_of(path)
    if version == "2.0":
        if "camera" in choices:
            raise RecordingError(f"{path}: AEDAT 2 holds one camera; leave --camera out")
        return Aedat2Recording(path, sensor=sensor, rotate180=rotate180, progress=progress)
    if version == "3.1":
        return Aedat3Recording(
            path, sensor=sensor, rotate180=rotate180, progress=progress, **choices
        )
    raise RecordingError(
        f"{path}: AEDAT {version or 'of no version'} is not read; known are {', '.join(READ)} "
        "and 4.0; write it again in one of them"
    )


class Aedat3Recording(DDD17Recording):
    """An AEDAT 3.1 recording; parameters as for `open_recording`.

    The packets are those of a DDD17 recording in another container; there are no vehicle signals
    and no times of the host.
    """

    def _container(self, path: Path) -> Aedat3File:
        return Aedat3File(path, camera=self._choices.get("camera"))
