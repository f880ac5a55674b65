"""Rows of a DDD17 file on their way to disk: put in time order, cut into blocks of 128."""

from __future__ import annotations

import heapq
import struct
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.ddd17.layout import (
    POLARITY,
    ROWS_PER_BLOCK,
    ROWS_PER_GROWTH,
    TS_OFFSET,
    WORD_DTYPE,
)

MOST_READY_ROWS: Final = 8 * ROWS_PER_BLOCK
"""Rows kept back for lack of events among them; beyond that they are written all the same."""


@dataclass(frozen=True)
class WrittenRecording:
    """Summary of a written file.

    `part_block_rows` is the number of rows at the end that fill no block of 128: the original
    reader does not see them. It is 0 unless the recording ends in too few events to cut.
    """

    path: Path
    n_rows: int
    n_events: int
    n_frames: int
    n_imu: int
    n_specials: int
    signals: dict[str, int]
    n_cuts: int
    part_block_rows: int


@dataclass(frozen=True, order=True)
class Packet:
    """One packet before it becomes a row; packets sort by host time, then by arrival.

    `start_us` is the host time of a sensor time of zero in the packet's overflow. A packet that is
    `contained` has the host time of the end of its container, and so have its pieces.
    """

    host_us: int
    sequence: int
    kind: int = field(compare=False)
    size: int = field(compare=False)
    overflow: int = field(compare=False)
    start_us: int = field(compare=False)
    payload: NDArray[np.uint8] = field(compare=False)
    contained: bool = field(default=False, compare=False)

    @property
    def number(self) -> int:
        """Return the number of events."""
        return len(self.payload) // self.size

    def header(self) -> bytes:
        """Return the 28 bytes of the header."""
        source, number = 1, self.number
        return struct.pack(
            "<hhiiiiii",
            *(self.kind, source, self.size, TS_OFFSET[self.kind], self.overflow),
            *(number, number, number),
        )

    def split(self, pieces: int) -> list[Packet]:
        """Return the polarity packet in pieces, each with its own host time unless contained."""
        cuts = np.array_split(self.payload.view(WORD_DTYPE), pieces)
        hosts = [
            self.host_us if self.contained else self.start_us + int(cut["t"][-1]) for cut in cuts
        ]
        return [
            replace(self, host_us=host_us, payload=cut.view(np.uint8))
            for host_us, cut in zip(hosts, cuts, strict=True)
        ]


class RowWriter:
    """The ``dvs`` group of an open HDF5 file, filled in order of host time.

    Rows are held until `release` says that nothing earlier can come any more.
    """

    def __init__(self, file: Any) -> None:
        group = file.create_group("dvs")
        self._data = group.create_dataset(
            "data",
            (ROWS_PER_GROWTH, 3),
            h5py.vlen_dtype(np.uint8),
            maxshape=(None, 3),
            chunks=(ROWS_PER_BLOCK, 3),
        )
        self._times = new_timestamps(group, ROWS_PER_GROWTH)
        self._waiting: list[Packet] = []
        self._ready: list[Packet] = []
        self._last_host_us = 0
        self.n_rows = 0
        self.n_cuts = 0

    def put(self, packet: Packet) -> None:
        """Take a packet."""
        heapq.heappush(self._waiting, packet)

    def release(self, host_us: int) -> None:
        """Write packets up to this host time, in full blocks.

        The last ones with events to spare stay back, for :meth:`finish`.
        """
        while self._waiting and self._waiting[0].host_us <= host_us:
            self._ready.append(heapq.heappop(self._waiting))
        while len(self._ready) > ROWS_PER_BLOCK and (
            spare_events(self._ready[ROWS_PER_BLOCK:]) >= ROWS_PER_BLOCK
            or len(self._ready) > MOST_READY_ROWS
        ):
            self._write(self._ready[:ROWS_PER_BLOCK])
            del self._ready[:ROWS_PER_BLOCK]

    def finish(self) -> int:
        """Write all that is left; return the number of rows in a last block that is not whole.

        The original reader drops such a block, so the last event packets are cut smaller until
        the rows fill blocks completely, where there are events enough.
        """
        rest = self._ready + sorted(self._waiting)
        self._ready, self._waiting = [], []
        missing = -len(rest) % ROWS_PER_BLOCK
        if missing <= spare_events(rest):
            self.n_cuts = missing
            for i in range(len(rest) - 1, -1, -1):
                if missing and rest[i].kind == POLARITY:
                    pieces = 1 + min(missing, rest[i].number - 1)
                    missing -= pieces - 1
                    rest[i : i + 1] = rest[i].split(pieces)
        rest.sort()
        for first in range(0, len(rest), ROWS_PER_BLOCK):
            self._write(rest[first : first + ROWS_PER_BLOCK])
        return self.n_rows % ROWS_PER_BLOCK

    def _write(self, packets: list[Packet]) -> None:
        first, stop = self.n_rows, self.n_rows + len(packets)
        if stop > len(self._data):
            size = -(-stop // ROWS_PER_GROWTH) * ROWS_PER_GROWTH
            self._data.resize(size, axis=0)
            self._times.resize(size, axis=0)
        block = np.empty((len(packets), 3), object)
        times = np.empty(len(packets), np.int64)
        for i, packet in enumerate(packets):
            # A piece of a cut packet may be older than a row that is written already.
            self._last_host_us = max(self._last_host_us, packet.host_us)
            times[i] = self._last_host_us
            block[i, 0] = np.frombuffer(str(self._last_host_us).encode(), np.uint8)
            block[i, 1] = np.frombuffer(packet.header(), np.uint8)
            block[i, 2] = packet.payload
        self._data[first:stop] = block
        self._times[first:stop] = times
        self.n_rows = stop


def spare_events(packets: list[Packet]) -> int:
    """Return into how many more packets the polarity packets can be cut."""
    return sum(packet.number - 1 for packet in packets if packet.kind == POLARITY)


def new_timestamps(group: Any, n_rows: int) -> Any:
    """Create the dataset ``timestamp`` of a group, zero throughout."""
    return group.create_dataset(
        "timestamp", (n_rows,), np.int64, maxshape=(None,), chunks=(ROWS_PER_BLOCK,)
    )


def write_signal(
    file: Any, name: str, host_us: NDArray[np.int64], value: NDArray[np.float64]
) -> None:
    """Write one vehicle signal: (host time, value) rows, a tail of zeros, the times again."""
    n_rows = max(1, -(-len(value) // ROWS_PER_GROWTH)) * ROWS_PER_GROWTH
    group = file.create_group(name)
    data = group.create_dataset(
        "data", (n_rows, 2), np.float64, maxshape=(None, 2), chunks=(ROWS_PER_BLOCK, 2)
    )
    data[: len(value)] = np.stack([host_us.astype(np.float64), value], axis=1)
    times = new_timestamps(group, n_rows)
    times[: len(value)] = host_us
    # Not left to the end of the last reference: a profiler holds some, and bytes would differ.
    for dataset in (times, data):
        dataset.flush()
