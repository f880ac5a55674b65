"""The part of a recording that windows need: times of events and frames, order in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]


class _FrameTimes(Protocol):
    @property
    def t_us(self) -> Times: ...
    @property
    def t_end_us(self) -> Times: ...


class Timed(Protocol):
    """Attributes of a recording that windows need."""

    @property
    def name(self) -> str:
        """Name that sample ids begin with."""
        ...

    @property
    def t_first_us(self) -> int:
        """Time of the first event."""
        ...

    @property
    def t_last_us(self) -> int:
        """Time of the last event."""
        ...

    @property
    def frames(self) -> _FrameTimes:
        """Frame times, sorted by end of exposure."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class FileOrder:
    """Order in which a file holds its packets of events and its frames.

    Parameters
    ----------
    start_us : int
        Time of the first packet: its first event, or the end stamp of its first frame.
    packet : int64 (P,)
        Place in the file of each packet of events, ascending.
    latest_us : int64 (P,)
        Time of the latest event up to the end of each packet.
    frame : int64 (F,)
        Place of the packet of each frame, in the order of the recording's frames.
    """

    start_us: int
    packet: Times
    latest_us: Times
    frame: Times
