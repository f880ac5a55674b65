"""Events as bytes, on standard input and on sockets: records of 16 bytes, little-endian.

========  =======  =============================================================
offset    type     content
========  =======  =============================================================
0         int64    time in us of the sensor's clock
8         uint16   column
10        uint16   row
12        uint8    polarity: 1 ON, 0 OFF; 255 is no event but a mark of the time
13        3 bytes  0
========  =======  =============================================================

A stream may begin with a header of 16 bytes: ``EVSTREAM``, uint16 width, uint16 height and four
bytes 0; without one the sensor is that of the network's training. A mark tells that the clock has
come to a time, so that windows end while nothing moves. A UDP datagram holds complete records.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.prediction.live.packets import Packet

RECORD_DTYPE = np.dtype(
    {
        "names": ["t", "x", "y", "p"],
        "formats": ["<i8", "<u2", "<u2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": 16,
    }
)
"""One record."""

TIME_MARK = 255
"""Polarity of a record that is a mark of the time."""

MAGIC = b"EVSTREAM"
"""First bytes of a header; as a time they would be one that no sensor has."""

HEADER = struct.Struct("<8sHH4x")


def header(sensor: SensorSize) -> bytes:
    """Return the header of a stream."""
    return HEADER.pack(MAGIC, sensor.width, sensor.height)


def pack_events(events: EventStream) -> bytes:
    """Return events as records."""
    records = np.zeros(len(events), RECORD_DTYPE)
    for name in "txyp":
        records[name] = getattr(events, name)
    return records.tobytes()


def pack_time(t_us: int) -> bytes:
    """Return a mark of the time as a record."""
    return np.array([(t_us, 0, 0, TIME_MARK)], RECORD_DTYPE).tobytes()


class Unpacker:
    """Takes bytes in pieces of any size and returns packets of the records that are complete.

    Attributes
    ----------
    sensor : SensorSize or None
        Size that the header gives.
    """

    def __init__(self) -> None:
        self.sensor: SensorSize | None = None
        self._rest = b""
        self._begun = False

    @property
    def begun(self) -> bool:
        """Whether the first record or the header has come."""
        return self._begun

    @property
    def truncated(self) -> int:
        """Bytes at the end that are no complete record."""
        return len(self._rest)

    def feed(self, content: bytes) -> Packet:
        """Return the records that are complete with more bytes.

        Raises
        ------
        RecordingError
            A header with a sensor of no pixels.
        """
        content = self._rest + content
        if not self._begun and len(content) >= HEADER.size:
            self._begun = True
            content = self._without_header(content)
        whole = len(content) // RECORD_DTYPE.itemsize * RECORD_DTYPE.itemsize if self._begun else 0
        self._rest = content[whole:]
        return packet_of(np.frombuffer(content[:whole], RECORD_DTYPE))

    def datagram(self, content: bytes) -> tuple[Packet, int]:
        """Return the records of a datagram and its bytes that are no complete record."""
        self._begun = True
        if len(content) >= HEADER.size:
            content = self._without_header(content)
        whole = len(content) // RECORD_DTYPE.itemsize * RECORD_DTYPE.itemsize
        return packet_of(np.frombuffer(content[:whole], RECORD_DTYPE)), len(content) - whole

    def _without_header(self, content: bytes) -> bytes:
        magic, width, height = HEADER.unpack(content[: HEADER.size])
        if magic != MAGIC:
            return content
        if not (width and height):
            raise RecordingError(
                f"the header of the stream gives a sensor of {width}x{height} pixels"
            )
        self.sensor = SensorSize(height, width)
        return content[HEADER.size :]


def packet_of(records: NDArray[np.void]) -> Packet:
    """Return the events of records as a packet, and the latest mark of the time."""
    marks = records["p"] == TIME_MARK
    if not marks.any():
        return Packet.from_records(records)
    return Packet.from_records(records[~marks], now_us=int(records["t"][marks].max()))
