"""Bounds-checked access to FlatBuffers: tables, scalars, strings and vectors.

A table begins with the signed distance back to its field list, whose 16-bit entries are the
distance of each field from the table; 0 marks a field that equals its default. The layout is that
of the FlatBuffers documentation, "Internals". Positions beyond the buffer raise an error that the
reader counts as a damaged packet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

Buffer = bytes | memoryview
"""Bytes of a buffer."""


class BufferDamage(ValueError):
    """A position in a FlatBuffer that is outside it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table within a buffer.

    Parameters
    ----------
    data : bytes or memoryview
        The buffer.
    position : int
        First byte of the table.
    """

    data: Buffer
    position: int

    def scalar(self, field: int, kind: str, default: float = 0) -> int | float:
        """Return a scalar field; `kind` is its :mod:`struct` character."""
        offset = self._field(field)
        return _unpack(self.data, self.position + offset, kind) if offset else default

    def has(self, field: int) -> bool:
        """Return whether a field is stored, and not left at its default."""
        return self._field(field) != 0

    def integer(self, field: int, kind: str = "q", default: int = 0) -> int:
        """Return an integer field."""
        return int(self.scalar(field, kind, default))

    def vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Return the first byte and the number of items of a vector; absent is ``(0, 0)``."""
        offset = self._field(field)
        if not offset:
            return 0, 0
        place = self.position + offset
        place += int(_unpack(self.data, place, "I"))
        count = int(_unpack(self.data, place, "I"))
        if place + 4 + count * item_bytes > len(self.data):
            raise BufferDamage(f"a vector of {count} items of {item_bytes} bytes at {place}")
        return place + 4, count

    def string(self, field: int) -> str:
        """Return a text field; undecodable bytes are replaced."""
        first, count = self.vector(field, 1)
        return bytes(self.data[first : first + count]).decode("utf-8", "replace")

    def tables(self, field: int) -> list[Table]:
        """Return the tables of a vector of tables."""
        first, count = self.vector(field, 4)
        places = range(first, first + 4 * count, 4)
        return [Table(self.data, place + int(_unpack(self.data, place, "I"))) for place in places]

    def _field(self, field: int) -> int:
        """Return the distance of a field from the table, 0 where it has its default."""
        fields = self.position - int(_unpack(self.data, self.position, "i"))
        if 4 + 2 * field >= int(_unpack(self.data, fields, "H")):
            return 0
        return int(_unpack(self.data, fields + 4 + 2 * field, "H"))


def root(data: Buffer, start: int = 0) -> Table:
    """Return the root table of a buffer that begins at `start`."""
    return Table(data, start + int(_unpack(data, start, "I")))


def _unpack(data: Buffer, position: int, kind: str) -> int | float:
    if position < 0:
        raise BufferDamage(f"a position of {position}")
    try:
        value: int | float = struct.unpack_from(f"<{kind}", data, position)[0]
    except struct.error as error:
        raise BufferDamage(f"{error}, at {position} of {len(data)} bytes") from error
    return value
