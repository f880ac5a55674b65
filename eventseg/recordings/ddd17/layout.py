"""The bytes of a DDD17 or DDD20 recording: packet headers, events, frames and signal units.

One row of ``dvs/data`` is one cAER event packet in three byte strings: the host time as ASCII
digits, a 28-byte header and the payload. All numbers are little-endian.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from eventseg.events import SensorSize

SPECIAL, POLARITY, FRAME, IMU6, IMU9 = range(5)
"""Packet types."""

HEADER_DTYPE: Final = np.dtype(
    [
        ("type", "<i2"),
        ("source", "<i2"),
        ("size", "<i4"),  # bytes of one event
        ("ts_offset", "<i4"),
        ("overflow", "<i4"),  # 31-bit wraps of the sensor's clock so far
        ("capacity", "<i4"),
        ("number", "<i4"),
        ("valid", "<i4"),
    ]
)
WORD_DTYPE: Final = np.dtype([("word", "<u4"), ("t", "<i4")])
"""A polarity or special event. Bit 0 of the word is "valid" in every kind of event."""

FRAME_DTYPE: Final = np.dtype(
    [
        ("info", "<u4"),
        ("t_start", "<i4"),
        ("t_end", "<i4"),
        ("exposure_start", "<i4"),
        ("exposure_end", "<i4"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("col", "<i4"),
        ("row", "<i4"),
    ]
)
"""What stands in front of a frame's uint16 pixels."""

IMU6_DTYPE: Final = np.dtype(
    [
        ("info", "<u4"),
        ("t", "<i4"),
        *((name, "<f4") for name in ("ax", "ay", "az", "gx", "gy", "gz", "temperature")),
    ]
)

PACKET_US: Final = 10_000
"""Sensor time after which the camera's software begins another packet of events."""

EVENT_BYTES: Final = {SPECIAL: 8, POLARITY: 8, IMU6: IMU6_DTYPE.itemsize}
"""Bytes of one event of the kinds whose size is fixed."""

TS_OFFSET: Final = {SPECIAL: 4, POLARITY: 4, FRAME: 8, IMU6: 4}
"""Where the main time stamp stands in an event; that of a frame is its end."""

TIMESTAMP_WRAP, TIMESTAMP_RESET = 0, 1
"""Special events of the clock; their own time stamp is INT32_MAX and means nothing."""

NO_TIME: Final = 2**31 - 1
WRAP_US: Final = 2**31
"""The sensor's clock counts 31 bits of microseconds, 35.8 minutes."""

ROWS_PER_BLOCK, ROWS_PER_GROWTH = 128, 2048
"""Rows are appended 128 at a time and a dataset grows by 2048."""

SENSORS: Final = {
    "DVS128": SensorSize(128, 128),
    "DAVIS240": SensorSize(180, 240),
    "DAVIS346": SensorSize(260, 346),
    "DVXplorer": SensorSize(480, 640),
    "HD": SensorSize(720, 1280),
}
"""Well-known sensors, smallest first."""

SIGNAL_UNITS: Final = {
    "accelerator_pedal_position": "%",
    "brake_pedal_status": "0/1",
    "engine_speed": "rpm",
    "fine_odometer_since_restart": "m",
    "fuel_consumed_since_restart": "L",
    "fuel_level": "%",
    "gear_lever_position": "code",  # DDD20 only
    "headlamp_status": "0/1",
    "high_beam_status": "0/1",
    "ignition_status": "code",
    "lateral_acceleration": "m/s^2",
    "latitude": "deg",
    "longitude": "deg",
    "longitudinal_acceleration": "m/s^2",
    "odometer": "km",
    "parking_brake_status": "0/1",
    "steering_wheel_angle": "deg",
    "torque_at_transmission": "Nm",
    "transmission_gear_position": "code",
    "vehicle_speed": "km/h",
    "windshield_wiper_status": "0/1",
}
"""Vehicle signals as they are named in a file, with their units (OpenXC's message set)."""
