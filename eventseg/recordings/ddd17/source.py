"""Interface of a file of cAER packets, whatever container they lie in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.recordings.hdf5.tables import Table


class RawBlock(NamedTuple):
    """Some rows as they are stored.

    `header_sizes` and `payload_sizes` are lengths in bytes, `headers` the sound headers (empty for
    others), `at` the first byte of each payload in the file; `damaged` are the rows that could not
    be read.
    """

    header_sizes: NDArray[np.int64]
    payload_sizes: NDArray[np.int64]
    headers: list[bytes]
    at: NDArray[np.int64]
    damaged: list[int]


class PacketSource(Protocol):
    """An open file of packets, one a row; threads and forked processes may share it.

    Attributes
    ----------
    path : Path
    notes : list of str
        Notes about opening the file.
    plain : bool
        The bytes are read from the file itself, not from a repacked copy.
    sensor : SensorSize or None
        Size of the sensor where the file tells it.
    variant : str
        Part of the file that is read, for its cached index; empty for all of it.
    signals : mapping
        By name, the table of every vehicle signal, or the reason why there is none.
    """

    path: Path
    notes: list[str]
    plain: bool
    sensor: SensorSize | None
    variant: str

    @property
    def signals(self) -> Mapping[str, Table | str]:
        """Return the tables of the vehicle signals."""
        ...

    def blocks(self) -> list[tuple[int, int]]:
        """Return the ranges of at most 128 rows with anything stored."""
        ...

    def block(self, first: int, stop: int) -> RawBlock:
        """Return the rows [first, stop); a row that cannot be read is empty."""
        ...

    def host_times(self, first: int, stop: int) -> NDArray[np.int64]:
        """Return the host time of some rows in us, int64, 0 where there is none."""
        ...

    def host_digits(self, row: int) -> int:
        """Return the host time of a row from another place than `host_times`, or 0."""
        ...

    def left_out(self) -> dict[str, int]:
        """Return the number of packets that no row stands for, by reason."""
        ...

    def events_of(
        self, packets: NDArray[np.void], size: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the complete events of packets as one array of bytes, and each packet's begin.

        Parameters
        ----------
        packets : structured array (P,)
            Fields ``number at``.
        size : int
            Bytes of one event.

        Raises
        ------
        RecordingError
            They cannot be read, though they could when the index was built.
        """
        ...

    def frame_of(self, at: int, first: int, stop: int) -> NDArray[np.uint8]:
        """Return the bytes [first, stop) of the payload that begins at byte `at`."""
        ...

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        ...
