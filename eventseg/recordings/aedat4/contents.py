"""Contents of AEDAT 4 packets: events, frames, inertial samples and triggers."""

# mypy: disable-error-code="untyped-decorator, no-any-return, return-value"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.kernels.compiled import compiled, inlined
from eventseg.recordings.aedat4.flatbuffer import Buffer, BufferDamage, Table, root
from eventseg.recordings.contents import IMU_DTYPE, SPECIALS_DTYPE
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.pixels import gray_values

KINDS = ("EVTS", "FRME", "IMUS", "TRIG")
"""Identifiers of the packets that are read: events, frames, inertial samples, triggers."""

EVENT_BYTES = 16

EVENT_DTYPE = np.dtype(
    {
        "names": ["t", "x", "y", "on"],
        "formats": ["<i8", "<i2", "<i2", "u1"],
        "offsets": [0, 8, 10, 12],
        "itemsize": EVENT_BYTES,
    }
)
"""One event as stored: a struct of 16 bytes."""

FRAME_DTYPE = np.dtype(
    [
        ("offset", "<i8"),  # packet's position in the file
        ("size", "<i8"),  # packet's bytes in the file
        ("t_start", "<i8"),
        ("t_end", "<i8"),
        ("exposure_start", "<i8"),
        ("exposure_end", "<i8"),
        ("row", "<i8"),
        ("col", "<i8"),
        ("height", "<i8"),
        ("width", "<i8"),
    ]
)
"""Index entry of a frame."""

PIXEL_FORMATS = {0: (1, 1), 2: (2, 1), 16: (1, 3), 18: (2, 3), 24: (1, 4), 26: (2, 4)}
"""Bytes of a value and values of a pixel by OpenCV's number of the format; colours are BGR."""


TRIGGER_TYPES = {0: 1, 1: 2, 2: 3, 3: 4, 4: 12, 5: 13, 6: 14, 7: 15, 8: 16, 9: 17}
"""Types of special events, as in all formats, by those of triggers here: reset, rising, falling and
pulse, rising and falling of the generator, begin and end of a frame and of an exposure."""

OTHER_TRIGGER = 127
"""Type of special events for triggers of unknown types."""

START_US = 10_000_000
"""A stamp of 0 is one of a recording whose frames lie before; of others it is missing."""


def identifier(content: Buffer) -> str:
    """Return the four letters that name a packet's content."""
    return bytes(content[4:8]).decode("ascii", "replace")


def stored_events(content: Buffer) -> NDArray[np.int64]:
    """Return the events of a packet as pairs of 64-bit words, int64 (2 N,).

    Raises
    ------
    BufferDamage
        The vector of events is outside the packet.
    """
    first, count = root(content).vector(0, EVENT_BYTES)
    stored = np.frombuffer(content, "<i8", 2 * count, first)
    # Packets of other writers may lie at any byte; compiled code wants whole words.
    return stored if stored.flags.aligned else np.require(stored, requirements="A")


def events_on(content: Buffer, sensor: SensorSize) -> tuple[EventColumns, int, int]:
    """Return the events of a packet that lie on the sensor and have a time.

    Coordinates are signed in the file; a negative one is on no sensor.

    Returns
    -------
    EventColumns, int, int
        The events in file order, the number outside the sensor, and the number with a negative
        time.

    Raises
    ------
    BufferDamage
        As :func:`stored_events`.
    """
    stored = stored_events(content)
    room = empty_columns(len(stored) // 2)
    kept, outside, untimed = unpack_events(stored, *sensor, room.t, room.x, room.y, room.p)
    return room[:kept], outside, untimed


@compiled
def unpack_events(
    stored: NDArray[np.int64],
    height: int,
    width: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> tuple[int, int, int]:
    """Write events that lie on a sensor and have a time into columns.

    Each event is a time and a word of x, y (16 bits each, signed) and polarity (8 bits).

    Parameters
    ----------
    stored : int64 (2 N,)
    height, width : int
        At most 32768, so that a negative coordinate is beyond them.
    t, x, y, p : (E,)
        Where E are written, decoding stops.

    Returns
    -------
    int, int, int
        Events written, outside the sensor, and with a negative time.
    """
    count = len(stored) // 2
    if count <= len(t) and _unpack_all(stored, height, width, t, x, y, p):
        return count, 0, 0
    # An unsigned place needs no look at whether it counts from the end.
    n, one, room, inside = np.uint64(0), np.uint64(1), np.uint64(len(t)), 0
    for i in range(count):
        if n >= room:
            break
        time, word = stored[2 * i], stored[2 * i + 1]
        column, row = word & 0xFFFF, (word >> 16) & 0xFFFF
        on = (column < width) & (row < height)
        inside += on
        # Each is written, and kept if it may be.
        t[n], x[n], y[n], p[n] = time, column, row, ((word >> 32) & 0xFF) != 0
        if on & (time >= 0):
            n += one
    kept = np.int64(n)
    return kept, count - inside, inside - kept


@inlined
def _unpack_all(
    stored: NDArray[np.int64],
    height: int,
    width: int,
    t: NDArray[np.int64],
    x: NDArray[np.uint16],
    y: NDArray[np.uint16],
    p: NDArray[np.int8],
) -> bool:
    """Write all events, without a branch, and return whether none had to be left out."""
    earliest = x_max = y_max = np.int64(0)
    for i in range(len(stored) // 2):
        time, word = stored[2 * i], stored[2 * i + 1]
        column, row = word & 0xFFFF, (word >> 16) & 0xFFFF
        t[i], x[i], y[i], p[i] = time, column, row, ((word >> 32) & 0xFF) != 0
        earliest, x_max, y_max = min(earliest, time), max(x_max, column), max(y_max, row)
    return (earliest >= 0) & (x_max < width) & (y_max < height)


def largest_place(content: Buffer) -> tuple[int, int]:
    """Return the largest row and column of a packet's events, of negative ones 0."""
    places = stored_events(content)[1::2]
    rows, columns = (places >> 16).astype(np.int16), places.astype(np.int16)
    possible = (rows >= 0) & (columns >= 0)
    return int(rows[possible].max(initial=0)), int(columns[possible].max(initial=0))


def frame_of(content: Buffer) -> tuple[int, ...]:
    """Return the stamps and the place of a frame, as :data:`FRAME_DTYPE` from ``t_start`` on.

    Recorders that do not know a stamp leave it out, or 0; then the frame's main time is taken. A
    read-out without stamps begins no later than the exposure and ends no earlier.

    Raises
    ------
    BufferDamage
        The frame's pixels do not fit its size.
    """
    table = root(content)
    main = table.integer(0)
    early = main < START_US
    known = [table.integer(field) != 0 or (early and table.has(field)) for field in (1, 2, 3, 4)]
    start, end, exposure_start, exposure_end = (
        table.integer(field) if stamped else main
        for field, stamped in zip((1, 2, 3, 4), known, strict=True)
    )
    if not known[0]:
        start = min(start, exposure_start)
    if not known[1]:
        end = max(end, exposure_end)
    width, height, col, row = (table.integer(field, "h") for field in (6, 7, 8, 9))
    if width <= 0 or height <= 0 or row < 0 or col < 0:
        raise BufferDamage(f"a frame of {width}x{height} at ({col}, {row})")
    _stored_pixels(table, height, width)
    return start, end, exposure_start, exposure_end, row, col, height, width


def pixels_of(content: Buffer) -> NDArray[np.uint16]:
    """Return the gray values of a frame, uint16 (H, W), 8-bit values in the upper byte.

    16-bit values hold the 10 bits of the camera's converter and are shifted up by 6; colours
    become their luma.
    """
    table = root(content)
    values = _stored_pixels(table, table.integer(7, "h"), table.integer(6, "h"))
    return gray_values(values, order="bgr")


def imu_of(content: Buffer) -> NDArray[np.void]:
    """Return the inertial samples of a packet in g, degrees a second and degrees C."""
    samples = root(content).tables(0)
    stored = [
        (sample.integer(0), *(sample.scalar(field, "f") for field in (2, 3, 4, 5, 6, 7, 1)))
        for sample in samples
    ]
    return np.array(stored, IMU_DTYPE)


def triggers_of(content: Buffer) -> NDArray[np.void]:
    """Return the triggers of a packet as special events: time and type."""
    stored = [
        (trigger.integer(0), TRIGGER_TYPES.get(trigger.integer(1, "b"), OTHER_TRIGGER), 0)
        for trigger in root(content).tables(0)
    ]
    return np.array(stored, SPECIALS_DTYPE)


def _stored_pixels(table: Table, height: int, width: int) -> NDArray[np.unsignedinteger]:
    number = table.integer(5, "b")
    if number not in PIXEL_FORMATS:
        raise BufferDamage(f"a frame of pixel format {number}; known are {sorted(PIXEL_FORMATS)}")
    value_bytes, channels = PIXEL_FORMATS[number]
    first, count = table.vector(10, 1)
    if count != height * width * value_bytes * channels:
        raise BufferDamage(f"{count} bytes of pixels in a frame of {width}x{height}")
    kind = "u1" if value_bytes == 1 else "<u2"
    values = np.frombuffer(table.data, kind, height * width * channels, first)
    return values.reshape(height, width, channels)
