"""The packets of one AEDAT 3.1 file as rows; they are those of a DDD17 recording."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.kernels import reused
from eventseg.recordings.aedat.chain import HEADER_BYTES, Lost, Packet, packets
from eventseg.recordings.aedat.header import MOST_BYTES, parse_header
from eventseg.recordings.cameras import Camera, choose_camera
from eventseg.recordings.ddd17.layout import FRAME, POLARITY, ROWS_PER_BLOCK
from eventseg.recordings.ddd17.source import RawBlock
from eventseg.recordings.hdf5.storage import Storage
from eventseg.recordings.hdf5.tables import Table

CHIPS = {
    "DVS128": SensorSize(128, 128),
    "DAVIS128": SensorSize(128, 128),
    "DAVIS208": SensorSize(192, 208),
    "DAVIS240": SensorSize(180, 240),
    "DAVIS346": SensorSize(260, 346),
    "DAVIS640": SensorSize(480, 640),
}
"""Sensors by the beginning of a camera's name."""


MOST_PLACES = 10
"""Damaged places that the report lists one by one."""


def chip_size(name: str) -> SensorSize | None:
    """Return the size of the sensor that a camera's name begins with, None for others."""
    compact = re.sub(r"[\s_-]", "", name).upper()
    return next((size for chip, size in CHIPS.items() if compact.startswith(chip)), None)


class Aedat3File:
    """An open AEDAT 3.1 file; see :class:`eventseg.recordings.ddd17.source.PacketSource`.

    Parameters
    ----------
    path : Path
    camera : str, optional
        Number or name of the source to read; by default the first one with events.

    Raises
    ------
    RecordingError
        The file cannot be opened, its header cannot be read, or it has no such camera.
    """

    plain = True

    def __init__(self, path: Path, *, camera: str | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        self.signals: dict[str, Table | str] = {}
        self._storage = Storage(path)
        self._rows: list[Packet] | None = None
        self._left_out: Counter[str] = Counter()
        try:
            names = self._header()
            self._camera = self._chosen(names, camera)
            self.sensor = chip_size(names.get(self._camera, ""))
            self.variant = f"source {self._camera}"
        except BaseException:
            self.close()
            raise

    def blocks(self) -> list[tuple[int, int]]:
        """Return the ranges of at most 128 packets."""
        n = len(self._packets())
        return [(i, min(i + ROWS_PER_BLOCK, n)) for i in range(0, n, ROWS_PER_BLOCK)]

    def block(self, first: int, stop: int) -> RawBlock:
        """Return the packets [first, stop)."""
        part = self._packets()[first:stop]
        return RawBlock(
            np.full(len(part), HEADER_BYTES, np.int64),
            np.array([packet.size for packet in part], np.int64),
            [packet.header for packet in part],
            np.array([packet.at for packet in part], np.int64),
            [],
        )

    def host_times(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return zeros: packets have no time of the host."""
        return np.zeros(stop - first, np.int64)

    def host_digits(self, row: int) -> int:  # noqa: ARG002 - as every file of packets has it
        """Return 0: packets have no time of the host."""
        return 0

    def left_out(self) -> dict[str, int]:
        """Return the number of packets of other cameras and of damaged headers."""
        self._packets()
        return dict(self._left_out)

    def events_of(
        self, packets: NDArray[np.void], size: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the events of packets as one array of bytes, and each packet's begin."""
        self._storage.check_unchanged()
        starts = np.zeros(len(packets) + 1, np.int64)
        np.cumsum(packets["number"], out=starts[1:])
        if int(starts[-1]) * size > self._storage.size:
            raise RecordingError(f"{self.path}: the index does not fit the file; open it again")
        content = reused.empty(int(starts[-1]) * size, np.uint8)
        view = memoryview(content.data)
        bounds = (starts * size).tolist()
        self._storage.read_parts(
            packets["at"].tolist(), [view[first:stop] for first, stop in pairwise(bounds)]
        )
        return content, starts

    def frame_of(self, at: int, first: int, stop: int) -> NDArray[np.uint8]:
        """Return the bytes [first, stop) of the payload that begins at byte `at`."""
        self._storage.check_unchanged()
        return np.frombuffer(self._storage.read(at + first, stop - first), np.uint8)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._storage.close()

    def _header(self) -> dict[int, str]:
        """Check the header; return the names of the sources."""
        header = parse_header(self._storage.read(0, min(MOST_BYTES, self._storage.size)))
        if header.version != "3.1" or not header.ended:
            raise RecordingError(f"{self.path}: no AEDAT 3.1: a header of it ends '#!END-HEADER'")
        coding = next((line[7:].strip() for line in header.lines if line.startswith("Format:")), "")
        if coding.upper() not in ("RAW", ""):
            raise RecordingError(
                f"{self.path}: packets in the format {coding}; only RAW is read: write the file "
                "again with the format RAW"
            )
        self._first = header.bytes
        found = (re.fullmatch(r"Source (\d+):\s*(.*)", line) for line in header.lines)
        return {int(match[1]): match[2].strip() for match in found if match}

    def _chosen(self, names: dict[int, str], camera: str | None) -> int:
        """Return the number of the source to read."""
        numbers = list(names)
        if camera is None or not numbers:
            found = next(
                (
                    packet.source
                    for packet in packets(self._storage, self._first)
                    if isinstance(packet, Packet) and packet.kind in (POLARITY, FRAME)
                ),
                numbers[0] if numbers else 0,
            )
            numbers = [found, *(number for number in numbers if number != found)]
        cameras = [Camera(str(number), names.get(number, "")) for number in numbers]
        chosen, note = choose_camera(cameras, camera, path=self.path)
        self.notes += [note] if note else []
        return numbers[chosen]

    def _packets(self) -> list[Packet]:
        """Return the packets of the camera; the chain is followed when it is first asked for."""
        if self._rows is None:
            rows: list[Packet] = []
            self._left_out = Counter()
            damages = 0
            for found in packets(self._storage, self._first):
                if isinstance(found, Lost):
                    damages += 1
                    place = f"{found.size:,} bytes at byte {found.at:,}"
                    self._left_out[
                        f"damaged: {place if damages <= MOST_PLACES else 'at other places'}"
                    ] += 1
                elif found.source != self._camera:
                    self._left_out[f"of another camera, source {found.source}"] += 1
                else:
                    rows.append(found)
            self._rows = rows
        return self._rows
