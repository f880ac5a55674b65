"""An open AEDAT 2 file: its camera and its words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.aedat.chips import Chip, Layout, chip_of
from eventseg.recordings.aedat.header import MOST_BYTES, parse_header
from eventseg.recordings.aedat.version3 import CHIPS
from eventseg.recordings.aedat.words import largest
from eventseg.recordings.file_bytes import FileBytes

WORD_BYTES = 8
WORDS_AT_ONCE = 2**20


class Aedat2File:
    """An open AEDAT 2 file.

    Parameters
    ----------
    path : Path
    given : SensorSize, optional
        Size of the sensor that a caller gives.

    Attributes
    ----------
    layout : {"DVS128", "DAVIS"}
    chip : SensorSize
        Size of the camera's sensor, which addresses are mirrored about.
    notes : list of str
        Origin of both.
    sensor_guessed : bool
        Whether the size was guessed from the addresses of the events.
    words : int
        Number of complete words.
    tail : int
        Bytes after the last complete word.

    Raises
    ------
    RecordingError
        The file cannot be opened, or is of another camera.
    """

    def __init__(self, path: Path, *, given: SensorSize | None) -> None:
        self.path = path
        self.notes: list[str] = []
        self.sensor_guessed = False
        self._bytes = FileBytes(path)
        try:
            header = parse_header(self._bytes.read(0, MOST_BYTES))
            self._first = header.bytes
            self.words, self.tail = divmod(self._bytes.size - header.bytes, WORD_BYTES)
            chip = chip_of(header.lines)
            if chip.name and chip.layout is None and given is None:
                raise RecordingError(
                    f"{path}: the camera {chip.name} is none of {', '.join(CHIPS)}, whose "
                    "addresses are known; give its sensor size to read it as one of them"
                )
            self.layout, self.chip = self._camera(chip, given)
        except BaseException:
            self.close()
            raise

    def read(self, first: int, count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
        """Return addresses and stamps of words, uint32 (N,) each, fewer where the file ends."""
        count = max(0, min(count, self.words - first))
        content = self._bytes.read(self._first + first * WORD_BYTES, count * WORD_BYTES)
        if len(content) < count * WORD_BYTES:
            raise RecordingError(f"{self.path} cannot be read any more: it became shorter")
        stored = np.frombuffer(content, ">u4").reshape(-1, 2)
        return stored[:, 0].astype(np.uint32), stored[:, 1].astype(np.uint32)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._bytes.close()

    def _camera(self, chip: Chip, given: SensorSize | None) -> tuple[Layout, SensorSize]:
        """Return layout and size of the camera: those of its class, or of the addresses."""
        if chip.layout is not None and chip.size is not None:
            self.notes.append(f"camera {chip.name} from the header, {chip.size}")
            return chip.layout, chip.size
        found, high = np.full(4, -1, np.int64), False
        for first in range(0, self.words, WORDS_AT_ONCE):
            addresses, _ = self.read(first, WORDS_AT_ONCE)
            high = high or bool((addresses >> 16).any())
            largest(addresses, found)
        if not high:
            self.notes.append("the header names no camera; addresses of 16 bits are of a DVS128")
            return "DVS128", CHIPS["DVS128"]
        event_x, event_y, frame_x, frame_y = (int(value) for value in found)
        if frame_x >= event_x and frame_y >= event_y and frame_x > 0 and frame_y > 0:
            size = SensorSize(frame_y + 1, frame_x + 1)  # a frame reads all pixels
            self.notes.append(f"the header names no camera; {size} pixels are read in frames")
            return "DAVIS", size
        if given is not None:
            return "DAVIS", given
        for name, size in CHIPS.items():
            if name in ("DVS128", "DAVIS128", "DAVIS208"):
                continue  # rare ones, which hold few events of the others
            if max(event_x, frame_x) < size.width and max(event_y, frame_y) < size.height:
                break
        else:
            size = SensorSize(max(event_y, frame_y) + 1, max(event_x, frame_x) + 1)
        self.sensor_guessed = True
        self.notes.append(
            f"the header names no camera; sensor {size} inferred from the largest addresses, and "
            "columns are mirrored about it: give the size if it is another"
        )
        return "DAVIS", size
