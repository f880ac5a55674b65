"""Writers of small ROS bags, made from the descriptions of messages and not from the reader."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from recordings.prophesee_files import evt3_words

from eventseg.events import EventStream

PACKET = "event_camera_msgs/msg/EventPacket"
ARRAY = "dvs_msgs/msg/EventArray"

PACKET_FIELDS = """std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""
ARRAY_FIELDS = "std_msgs/Header header\nuint32 height\nuint32 width\ndvs_msgs/Event[] events\n"
HEADER = "================\nMSG: std_msgs/Header\nuint32 seq\ntime stamp\nstring frame_id\n"
EVENT = "================\nMSG: dvs_msgs/Event\nuint16 x\nuint16 y\ntime ts\nbool polarity\n"

Message = tuple[int, bytes]


class Cdr:
    """Fields in CDR: each at a multiple of its size after the four bytes of the beginning."""

    def __init__(self, *, ros1: bool) -> None:
        self.ros1, self.body = ros1, bytearray()

    def add(self, kind: str, value: Any) -> None:
        size = struct.calcsize(f"<{kind}")
        if not self.ros1:
            self.body += bytes(-len(self.body) % size)
        self.body += struct.pack(f"<{kind}", value)

    def text(self, value: str) -> None:
        raw = value.encode() + (b"" if self.ros1 else b"\0")
        self.add("I", len(raw))
        self.body += raw

    def done(self) -> bytes:
        return bytes(self.body) if self.ros1 else b"\x00\x01\x00\x00" + bytes(self.body)


def begun(stamp_ns: int, events: EventStream, *, ros1: bool, frame: str) -> Cdr:
    message = Cdr(ros1=ros1)
    if ros1:
        message.add("I", 7)
    message.add("I", stamp_ns // 10**9)
    message.add("I", stamp_ns % 10**9)
    message.text(frame)
    message.add("I", events.sensor.height)
    message.add("I", events.sensor.width)
    return message


def rows(events: EventStream) -> list[tuple[int, int, int, int]]:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def encoded(events: EventStream, encoding: str) -> tuple[int, bytes]:
    """Return time base in ns and the bytes of the events."""
    first_us = int(events.t[0]) if len(events) else 0
    if encoding == "mono":
        words = [
            (t - first_us) * 1_000 + 999 | x << 32 | y << 48 | p << 63
            for t, x, y, p in rows(events)
        ]
        return first_us * 1_000, struct.pack(f"<{len(words)}Q", *words)
    if encoding == "libcaer":
        base = first_us >> 31 << 31
        pairs = [(x << 17 | y << 2 | p << 1 | 1, t & 0x7FFFFFFF) for t, x, y, p in rows(events)]
        return base * 1_000, b"".join(struct.pack("<II", *pair) for pair in pairs)
    if encoding == "libcaer_cmp":
        compressed: list[int] = []
        for t, x, y, p in rows(events):
            dt = t - first_us
            compressed += [dt >> 12 & 0xFFF, 0x1000 | dt & 0xFFF, 0x2000 | x, 0x3000 | p << 11 | y]
        return first_us * 1_000, struct.pack(f"<{len(compressed)}H", *compressed)
    assert encoding == "evt3"
    return 0, evt3_words(events)


def packet(
    events: EventStream, *, sequence: int, encoding: str, ros1: bool = False, content: Any = None
) -> bytes:
    base, raw = encoded(events, encoding) if content is None else content
    message = begun(123, events, ros1=ros1, frame="camera")
    message.add("Q", sequence)
    message.add("Q", base)
    message.text(encoding)
    message.add("B", 0)
    message.add("I", len(raw))
    message.body += raw
    return message.done()


def array(events: EventStream, *, ros1: bool = False, frame: str = "camera") -> bytes:
    message = begun(123, events, ros1=ros1, frame=frame)
    message.add("I", len(events))
    for t, x, y, p in rows(events):
        for kind, value in zip("HHIIB", (x, y, t // 10**6, t % 10**6 * 1_000, p), strict=True):
            message.add(kind, value)
    return message.done()


def pieces(events: EventStream, size: int = 400) -> list[EventStream]:
    return [
        EventStream.from_arrays(
            *(getattr(events, name)[k : k + size] for name in "txyp"), sensor=events.sensor
        )
        for k in range(0, len(events), size)
    ]


def messages(events: EventStream, encoding: str, *, ros1: bool) -> list[bytes]:
    """Return messages of 400 events each."""
    if encoding == "array":
        return [array(part, ros1=ros1) for part in pieces(events)]
    return [
        packet(part, sequence=10 + k, encoding=encoding, ros1=ros1)
        for k, part in enumerate(pieces(events))
    ]


IMAGE, IMU = "sensor_msgs/msg/Image", "sensor_msgs/msg/Imu"

Topics = dict[str, tuple[str, Sequence[bytes]]]
"""Type and messages by topic."""


def headed(stamp_us: int, *, ros1: bool) -> Cdr:
    message = Cdr(ros1=ros1)
    if ros1:
        message.add("I", 3)
    message.add("I", stamp_us // 10**6)
    message.add("I", stamp_us % 10**6 * 1_000 + 999)
    message.text("camera")
    return message


def image_message(
    pixels: np.ndarray, stamp_us: int, *, encoding: str = "mono8", ros1: bool = False, pad: int = 0
) -> bytes:
    """Rows may be padded."""
    message = headed(stamp_us, ros1=ros1)
    height, width = pixels.shape[:2]
    rows_of = [row.tobytes() + bytes(pad) for row in pixels]
    message.add("I", height)
    message.add("I", width)
    message.text(encoding)
    message.add("B", 0)
    message.add("I", len(rows_of[0]))
    message.add("I", sum(map(len, rows_of)))
    message.body += b"".join(rows_of)
    return message.done()


def imu_message(stamp_us: int, acceleration: Any, rotation: Any, *, ros1: bool = False) -> bytes:
    """In m/s^2 and rad/s; no orientation."""
    message = headed(stamp_us, ros1=ros1)
    for value in [*[0.0] * 4, -1.0, *[0.0] * 8, *rotation, *[0.5] * 9, *acceleration, *[0.25] * 9]:
        message.add("d", value)
    return message.done()


def write_topics(path: Path, topics: Topics) -> None:
    """Write a ROS 2 bag in SQLite of several topics."""
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT)")
        base.execute(
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, "
            "data BLOB)"
        )
        for k, (name, (kind, contents)) in enumerate(topics.items(), start=1):
            base.execute("INSERT INTO topics VALUES (?, ?, ?)", (k, name, kind))
            for content in contents:
                base.execute(
                    "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, 5, ?)", (k, content)
                )
    base.close()


def write_topics1(path: Path, topics: Topics) -> None:
    """Write a ROS 1 bag of several topics."""
    from rosbags.rosbag1 import Writer

    with Writer(path) as bag:
        for name, (kind, contents) in topics.items():
            fields = PACKET_FIELDS if kind == PACKET else "std_msgs/Header header"
            topic = bag.add_connection(name, kind, msgdef=fields, md5sum="0" * 32)
            for k, content in enumerate(contents):
                bag.write(topic, 1_000 + k // 3, content)


def write_db3(path: Path, contents: Iterable[bytes], *, kind: str = PACKET) -> None:
    """Write a ROS 2 bag in SQLite, with a topic of another type before that of the events."""
    with sqlite3.connect(path) as base:
        base.execute(
            "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, "
            "serialization_format TEXT, offered_qos_profiles TEXT)"
        )
        base.execute(
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, "
            "data BLOB)"
        )
        base.execute("INSERT INTO topics VALUES (1, '/imu', 'sensor_msgs/msg/Imu', 'cdr', '')")
        base.execute("INSERT INTO topics VALUES (2, '/events', ?, 'cdr', '')", (kind,))
        base.execute("INSERT INTO messages VALUES (1, 1, 5, ?)", (b"imu",))
        for k, content in enumerate(contents):
            base.execute("INSERT INTO messages VALUES (?, 2, ?, ?)", (k + 2, k // 2, content))
    base.close()


def write_bag(path: Path, contents: Iterable[bytes], *, kind: str, fields: str) -> None:
    """Write a ROS 1 bag; several messages may be of one time."""
    from rosbags.rosbag1 import Writer

    with Writer(path) as bag:
        topic = bag.add_connection("/events", kind, msgdef=fields, md5sum="0" * 32)
        for k, content in enumerate(contents):
            bag.write(topic, 1_000 + k // 3, content)


def write_mcap(path: Path, contents: Iterable[bytes], *, fields: str = PACKET_FIELDS) -> None:
    """Write a ROS 2 bag in MCAP."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    folder = path.with_suffix(".folder")
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        topic = bag.add_connection("/events", PACKET, msgdef=fields + HEADER, rihs01="0")
        for k, content in enumerate(contents):
            bag.write(topic, 1_000 + k // 3, content)
    (file,) = folder.glob("*.mcap")
    file.rename(path)


def joined(parts: Iterable[EventStream]) -> list[tuple[int, int, int, int]]:
    return [row for part in parts for row in rows(part)]


def some_events(sensor: Any, n: int, *, seed: int = 0, first_us: int = 5_000) -> EventStream:
    rng = np.random.default_rng(seed)
    return EventStream.from_arrays(
        first_us + np.sort(rng.integers(0, 100 * n, n)),
        rng.integers(0, sensor.width, n),
        rng.integers(0, sensor.height, n),
        rng.integers(0, 2, n),
        sensor=sensor,
    )
