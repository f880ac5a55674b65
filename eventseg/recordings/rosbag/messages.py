"""Messages of event cameras, as ROS 1 and ROS 2 (CDR) write them.

ROS 1 packs fields without gaps. CDR aligns each number to its size, counted from the fourth byte
on, and ends texts with a zero byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

MOST_TEXT = 2**12
"""Longest text of a field."""

PACKETS = ("event_camera_msgs/msg/EventPacket", "event_array_msgs/msg/EventArray")
ARRAYS = ("dvs_msgs/msg/EventArray", "prophesee_event_msgs/msg/EventArray")
TYPES = (*PACKETS, *ARRAYS)
"""Types of messages that hold events."""

FIELDS = {
    **dict.fromkeys(
        PACKETS,
        ("header", "height", "width", "seq", "time_base", "encoding", "is_bigendian", "events"),
    ),
    **dict.fromkeys(ARRAYS, ("header", "height", "width", "events")),
}
"""Fields of each type, in order."""

ROS1_EVENT = np.dtype(
    [("x", "<u2"), ("y", "<u2"), ("s", "<u4"), ("ns", "<u4"), ("p", "u1")], align=False
)


class MessageDamage(Exception):
    """A message that is no message of its type."""


@dataclass(frozen=True, eq=False, slots=True)
class EventMessage:
    """Events of one message as they are stored.

    Parameters
    ----------
    height, width : int
        Size of the sensor; 0 where the message does not say.
    encoding : str
        ``mono``, ``libcaer``, ``libcaer_cmp``, ``evt3``, or ``array`` of single events.
    content : uint8 (B,), or structured (N,)
        Bytes in the encoding, or the fields ``x y s ns p`` of single events.
    time_base_ns : int
        Time that those of the events are counted from.
    sequence : int
        Number of the message; -1 where it has none.
    big_endian : bool
        Words of the content are big-endian.
    stamp_ns : int
        Time of the host in the header.
    """

    height: int
    width: int
    encoding: str
    content: NDArray[np.generic]
    time_base_ns: int = 0
    sequence: int = -1
    big_endian: bool = False
    stamp_ns: int = 0


def normal_type(name: str) -> str:
    """Return the name of a type as ROS 2 has it."""
    package, _, rest = name.partition("/")
    return f"{package}/msg/{rest.removeprefix('msg/')}"


def has_known_fields(kind: str, definition: str) -> bool:
    """Return whether the definition in a bag, if any, has the fields in the known order."""
    own = definition.partition("\n===")[0].splitlines()
    lines = [line.partition("#")[0].split() for line in own]
    fields = tuple(words[1] for words in lines if len(words) == 2 and "=" not in words[1])
    return not fields or fields == FIELDS[kind]


def parse_message(content: bytes, *, kind: str, ros1: bool) -> EventMessage:
    """Return the events of a message.

    Raises
    ------
    MessageDamage
        It ends too early, or its numbers make no sense.
    """
    fields = Fields(content, ros1=ros1)
    stamp_ns = fields.header()
    height, width = fields.number("I"), fields.number("I")
    if kind in ARRAYS:
        return EventMessage(height, width, "array", fields.events(), stamp_ns=stamp_ns)
    sequence, time_base_ns = fields.number("Q"), fields.number("Q")
    encoding, big_endian = fields.text(), bool(fields.number("B"))
    stored = fields.bytes()
    return EventMessage(
        height, width, encoding, stored, time_base_ns, sequence, big_endian, stamp_ns
    )


class Fields:
    """Reader of the fields of a message, one after the other.

    Parameters
    ----------
    content : bytes
    ros1 : bool
        Fields are packed without gaps, else as CDR has them.
    """

    def __init__(self, content: bytes, *, ros1: bool) -> None:
        self._content, self._ros1 = content, ros1
        self._place = self._base = 0 if ros1 else 4
        self._order: Literal["<", ">"] = "<"
        if not ros1:
            if len(content) < 4 or content[0] != 0 or content[1] not in (0, 1):
                raise MessageDamage("it does not begin as CDR does")
            self._order = "<" if content[1] else ">"

    def header(self) -> int:
        """Return the stamp of the next header in ns."""
        if self._ros1:
            self.number("I")
        seconds, ns = self.number("I"), self.number("I")
        self.text()
        return seconds * 1_000_000_000 + ns

    def number(self, kind: str) -> int:
        """Return the next integer, of a letter of :mod:`struct`."""
        return int(self.number_of(kind))

    def number_of(self, kind: str) -> float:
        """Return the next number, of a letter of :mod:`struct`."""
        size = struct.calcsize(f"={kind}")
        if not self._ros1:
            self._place += -(self._place - self._base) % size
        try:
            (value,) = struct.unpack_from(f"{self._order}{kind}", self._content, self._place)
        except struct.error as error:
            raise MessageDamage("it ends too early") from error
        self._place += size
        number: float = value
        return number

    def text(self) -> str:
        """Return the next text."""
        size = self.number("I")
        if size > min(MOST_TEXT, len(self._content) - self._place):
            raise MessageDamage(f"a text of {size} bytes")
        raw = self._content[self._place : self._place + size]
        self._place += size
        return raw.rstrip(b"\0").decode(errors="replace")

    def bytes(self) -> NDArray[np.uint8]:
        """Return the next sequence of bytes."""
        size = self.number("I")
        if size > len(self._content) - self._place:
            raise MessageDamage(f"{len(self._content) - self._place} of {size} bytes of events")
        return np.frombuffer(self._content, np.uint8, size, self._place)

    def events(self) -> NDArray[np.void]:
        """Return the next sequence of single events."""
        count = self.number("I")
        left = len(self._content) - self._place
        if count * 13 > left:
            raise MessageDamage(f"{left} bytes of {count} events")
        if self._ros1:
            return np.frombuffer(self._content, ROS1_EVENT, count, self._place)
        if not count:
            return np.empty(0, ROS1_EVENT)
        # Each number lies at a multiple of its size: the second event begins after a gap of one
        # byte, and the seconds of the first may lie nearer to its row than those of the others.
        events = np.empty(count, ROS1_EVENT)
        events[0] = tuple(self.number(kind) for kind in "HHIIB")
        if count == 1:
            return events
        second = self._place
        events[1] = tuple(self.number(kind) for kind in "HHIIB")
        start = second + -(second - self._base) % 2
        gap = self._place - 9 - start
        order = self._order
        stored = np.dtype(
            {
                "names": ["x", "y", "s", "ns", "p"],
                "formats": [f"{order}u2", f"{order}u2", f"{order}u4", f"{order}u4", "u1"],
                "offsets": [0, 2, gap, gap + 4, gap + 8],
                "itemsize": 16,
            }
        )
        whole = self._content[start:] + bytes(16)
        if (count - 2) * 16 + gap + 9 > len(self._content) - start:
            raise MessageDamage(f"{left} bytes of {count} events")
        events[1:] = np.frombuffer(whole, stored, count - 1)
        return events
