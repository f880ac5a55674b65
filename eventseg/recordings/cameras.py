"""Choice of one camera among several in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from eventseg.errors import RecordingError


class Camera(NamedTuple):
    """One camera of a file.

    Parameters
    ----------
    key : str
        Its short name in the file, such as ``left``, a topic or the number of a source.
    name : str
        More about it, such as the device; may be empty.
    """

    key: str
    name: str = ""

    def __str__(self) -> str:
        """Return the camera as listed for people."""
        return f"{self.key} ({self.name})" if self.name else self.key


ONE_CAMERA = (Camera("events"),)
"""Cameras of a file that cannot hold several."""


def choose_camera(
    cameras: Sequence[Camera], asked: str | None, *, path: Path
) -> tuple[int, str | None]:
    """Return the place of the camera to read, and a note where others are not read.

    Parameters
    ----------
    cameras : sequence of Camera
        In the order of the file; the first one is read by default.
    asked : str, optional
        Key, name, or number from 1 on in that order. A key counts before a number.
    path : Path
        File, for messages.

    Raises
    ------
    RecordingError
        There is no such camera, or several have that name.
    """
    listed = ", ".join(f"{number} {each}" for number, each in enumerate(cameras, start=1))
    if asked is None:
        if len(cameras) == 1:
            return 0, None
        return 0, f"cameras of the file: {listed}; read is {cameras[0]}, --camera chooses"
    word = asked.strip().casefold()
    for names in ([each.key for each in cameras], [each.name for each in cameras]):
        found = [i for i, name in enumerate(names) if name.casefold() == word]
        if len(found) == 1:
            return found[0], f"camera {cameras[found[0]]}, as asked"
    if word.isdecimal() and 1 <= int(word) <= len(cameras):
        return int(word) - 1, f"camera {cameras[int(word) - 1]}, as asked"
    raise RecordingError(f"{path}: no single camera {asked!r}; the file has {listed}")
