"""From events, frames and samples to the bytes of cAER packets."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventseg.errors import EventsError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings.contents import IMU_DTYPE
from eventseg.recordings.ddd17.layout import FRAME_DTYPE, IMU6_DTYPE, PACKET_US, WRAP_US

PACKET_EVENTS: Final = 8192
"""A packet ends with its time, or when it holds this many events."""


def event_words(events: EventStream) -> NDArray[np.uint32]:
    """Return the first word of each polarity event, uint32 (N,): x, y, polarity, valid."""
    x, y, on = (column.astype(np.uint32) for column in (events.x, events.y, events.p))
    return (x << 17 | y << 2 | on << 1 | 1).astype(np.uint32, copy=False)


def special_words(shape: tuple[int, ...], kind: ArrayLike, data: ArrayLike) -> NDArray[np.uint32]:
    """Return the first word of each special event: data, type, valid.

    Raises
    ------
    EventsError
        A type or data that does not fit, or one of the two types of the clock itself.
    """
    kinds, values = (np.broadcast_to(np.asarray(value, np.int64), shape) for value in (kind, data))
    if kinds.min() < 2 or kinds.max() > 127 or values.min() < 0 or values.max() >= 2**24:
        raise EventsError(
            "special events have types 2 to 127 and data 0 to 2^24 - 1 (wraps are written by "
            f"themselves, resets by reset()), got types {np.unique(kinds).tolist()}"
        )
    return (values << 8 | kinds << 1 | 1).astype(np.uint32)


def stored_imu(samples: NDArray[np.void]) -> NDArray[np.void]:
    """Return inertial samples (IMU_DTYPE) as they are stored (IMU6_DTYPE)."""
    names = IMU_DTYPE.names or ()
    if set(names) - set(samples.dtype.names or ()):
        raise EventsError(f"inertial samples need the fields {names}, got {samples.dtype}")
    stored = np.zeros(len(samples), IMU6_DTYPE)
    for name in names:
        stored[name] = samples[name] % WRAP_US if name == "t" else samples[name]
    stored["info"] = 1
    return stored


def frame_payload(
    image: NDArray[np.uint8] | NDArray[np.uint16],
    stamps: tuple[int, int, int, int],
    *,
    position: tuple[int, int],
    sensor: SensorSize,
) -> NDArray[np.uint8]:
    """Return a frame as it is stored: header, pixels, zeros up to the size of a full frame.

    `stamps` are start of frame, start and end of exposure, end of frame, in us.
    """
    row, col = position
    if image.ndim != 2 or image.dtype not in (np.uint8, np.uint16):
        raise EventsError(
            f"a frame is uint8 or uint16 (height, width), got {image.dtype} {image.shape}"
        )
    height, width = image.shape
    fits = 0 <= row <= sensor.height - height and 0 <= col <= sensor.width - width
    if not fits or image.size == 0:
        raise EventsError(
            f"a frame of {width}x{height} at row {row}, column {col} "
            f"does not fit on the sensor {sensor}"
        )
    if sorted(stamps) != list(stamps):
        raise EventsError(
            "frame start, exposure start, exposure end and frame end must follow each other, "
            f"got {stamps} us"
        )
    head = np.zeros((), FRAME_DTYPE)
    head["info"] = 1 | 1 << 1  # valid, one channel
    for name, stamp in zip(
        ("t_start", "exposure_start", "exposure_end", "t_end"), stamps, strict=True
    ):
        head[name] = stamp % WRAP_US
    head["height"], head["width"], head["row"], head["col"] = height, width, row, col
    # A packet's events have the size of a full frame, whatever part of it is used.
    size = FRAME_DTYPE.itemsize + 2 * sensor.height * sensor.width
    payload = np.zeros(size, np.uint8)
    payload[: FRAME_DTYPE.itemsize] = np.frombuffer(head.tobytes(), np.uint8)
    pixels = image.astype("<u2") << (8 if image.dtype == np.uint8 else 0)
    raw = np.frombuffer(pixels.astype("<u2").tobytes(), np.uint8)
    payload[FRAME_DTYPE.itemsize : FRAME_DTYPE.itemsize + len(raw)] = raw
    return payload


def packet_cuts(t_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the packets of sorted times (N,) begin, and N.

    A packet ends with its ``PACKET_US`` of time, at a wrap of the 31-bit clock, or when it holds
    ``PACKET_EVENTS`` events.
    """
    changes = np.diff(t_us // PACKET_US) + np.diff(t_us // WRAP_US) > 0
    bounds = np.concatenate([[0], np.flatnonzero(changes) + 1, [len(t_us)]])
    lengths = np.diff(bounds)
    pieces = -(-lengths // PACKET_EVENTS)
    begins = np.repeat(bounds[:-1], pieces)
    nth = np.arange(len(begins)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.append(begins + nth * PACKET_EVENTS, len(t_us))
