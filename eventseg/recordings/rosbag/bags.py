"""Containers of messages: ROS 2 in SQLite, ROS 2 in MCAP, ROS 1 bags.

SQLite is read by Python's own module, the other two by the package ``rosbags`` (extra ``formats``).
"""

from __future__ import annotations

import importlib
import os
import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import MissingExtraError, RecordingError

SQLITE, MCAP, ROS1 = b"SQLite format 3\x00", b"\x89MCAP0\r\n", b"#ROSBAG V2.0\n"

AHEAD = 64
"""Messages that are read at once: containers keep them in compressed chunks."""


class Topic(NamedTuple):
    """A row of messages of one type.

    Parameters
    ----------
    key : int
        Its number in the bag.
    name, type : str
        Such as ``/event_camera/events`` and ``event_camera_msgs/msg/EventPacket``.
    definition : str
        Text of the type where the bag holds it.
    """

    key: int
    name: str
    type: str
    definition: str


class Bag(Protocol):
    """An open bag."""

    ros1: bool
    topics: tuple[Topic, ...]

    def messages(self, topic: Topic) -> Iterator[tuple[int, bytes]]:
        """Yield the place and the content of each message of a topic, in file order."""
        ...

    def read(self, topic: Topic, place: int) -> bytes:
        """Return the content of the message at a place; all must have been read, or known."""
        ...

    def times(self, topic: Topic) -> NDArray[np.int64]:
        """Return what reading has found of the places of a topic, for :meth:`know`."""
        ...

    def know(self, topic: Topic, times: NDArray[np.int64]) -> None:
        """Take what an earlier reading has found of the places of a topic."""
        ...

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        ...


def open_bag(path: Path) -> Bag:
    """Open a bag.

    Raises
    ------
    RecordingError
        The file cannot be opened, is no bag or is damaged.
    MissingExtraError
        The package for ROS 1 bags or MCAP is not installed.
    """
    begin = beginning(path)
    if begin.startswith(SQLITE):
        return SqliteBag(path)
    if begin.startswith((MCAP, ROS1)):
        return PackagedBag(path, ros1=begin.startswith(ROS1))
    raise RecordingError(f"{path} is no ROS bag: neither SQLite, MCAP nor '#ROSBAG V2.0'")


def beginning(path: Path) -> bytes:
    """Return the first bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError as error:
        raise RecordingError(f"cannot open {path}: {error.strerror}") from error


class SqliteBag:
    """A ROS 2 bag in SQLite: tables ``topics`` and ``messages``."""

    ros1 = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = -1
        self._closed = False
        _check_whole(path)
        columns = {row[1] for row in self._rows("PRAGMA table_info(topics)")}
        if not {"id", "name", "type"} <= columns:
            self.close()
            raise RecordingError(f"{path} is no ROS 2 bag: it has no table of topics")
        self.topics = tuple(
            Topic(self._key(key), str(name), str(kind), "")
            for key, name, kind in self._rows("SELECT id, name, type FROM topics ORDER BY id")
        )

    def messages(self, topic: Topic) -> Iterator[tuple[int, bytes]]:
        """Yield the place and the content of each message of a topic, in file order."""
        after = -(2**62)
        words = (
            f"SELECT id, data FROM messages WHERE topic_id = ? AND id > ? ORDER BY id LIMIT {AHEAD}"
        )
        while rows := self._rows(words, topic.key, after):
            for place, data in rows:
                after = self._key(place)
                yield after, _bytes(data)

    def read(self, topic: Topic, place: int) -> bytes:  # noqa: ARG002 - as every bag has it
        """Return the content of the message at a place."""
        rows = self._rows("SELECT data FROM messages WHERE id = ?", place)
        if not rows:
            raise RecordingError(f"{self._path} cannot be read any more: message {place} is gone")
        return _bytes(rows[0][0])

    def times(self, topic: Topic) -> NDArray[np.int64]:  # noqa: ARG002 - as every bag has it
        """Return nothing: places are keys of the database."""
        return np.empty(0, np.int64)

    def know(self, topic: Topic, times: NDArray[np.int64]) -> None:
        """Take nothing."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._closed = True
        # A connection of another process is that one's to close.
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()
        self._connection = None

    def _key(self, value: object) -> int:
        """Return the key of a row; one of a damaged table may be missing or a text."""
        if isinstance(value, int):
            return value
        self.close()
        raise RecordingError(
            f"{self._path}: the database is damaged: the key of a row is {value!r} and no number"
        )

    def _rows(self, words: str, *values: int) -> list[Any]:
        if self._closed:
            raise RecordingError(f"{self._path} is closed")
        with self._lock:
            try:
                # SQLite's connections do not survive a fork.
                if self._connection is None or self._process != os.getpid():
                    where = f"{self._path.resolve().as_uri()}?mode=ro&immutable=1"
                    self._connection = sqlite3.connect(where, uri=True, check_same_thread=False)
                    self._connection.text_factory = _text
                    self._process = os.getpid()
                return self._connection.execute(words, values).fetchall()
            # The library's own words of a damaged name may be no text either.
            except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
                why = "a name is no text" if isinstance(error, UnicodeDecodeError) else error
                raise RecordingError(f"{self._path}: the database is damaged: {why}") from error


def _check_whole(path: Path) -> None:
    """Raise RecordingError where a database is cut: SQLite would read zeros for what is missing."""
    with path.open("rb") as file:
        begin = file.read(100)
    if len(begin) < 100:
        raise RecordingError(f"{path}: the database is damaged: it is {len(begin)} bytes long")
    page, counter = int.from_bytes(begin[16:18], "big"), begin[24:28]
    size, valid_for = int.from_bytes(begin[28:32], "big"), begin[92:96]
    needed = size * (2**16 if page == 1 else page)
    # Older writers leave the size out, or do not renew it.
    if counter == valid_for and path.stat().st_size < needed:
        raise RecordingError(
            f"{path}: the file is cut: {path.stat().st_size:,} of {needed:,} bytes; copy it again, "
            "or save what is there with: sqlite3 IN .recover | sqlite3 OUT"
        )


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _bytes(value: object) -> bytes:
    """Return the content of a message; nothing where a damaged row holds something else."""
    return value if isinstance(value, bytes) else b""


class PackagedBag:
    """A ROS 1 bag or a ROS 2 bag in MCAP, through the package ``rosbags``.

    The place of a message is its number in the topic; those beside it are read at once.
    """

    def __init__(self, path: Path, *, ros1: bool) -> None:
        self.ros1 = ros1
        self._path = path
        self._lock = threading.Lock()
        self._reader: Any = None
        self._process = -1
        self._closed = False
        self._connections: dict[int, frozenset[int]] = {}
        self._times: dict[int, list[int]] = {}
        self._near: dict[tuple[int, int], bytes] = {}
        self.topics = self._topics()

    def messages(self, topic: Topic) -> Iterator[tuple[int, bytes]]:
        """Yield the place and the content of each message of a topic, by the time of its record."""
        times: list[int] = []
        for place, (time, data) in enumerate(self._between(topic, None, None)):
            times.append(time)
            yield place, data
        self._times[topic.key] = times

    def read(self, topic: Topic, place: int) -> bytes:
        """Return the content of the message at a place."""
        with self._lock:
            self._opened()
            near = self._near.get((topic.key, place))
            if near is None:
                times = self._times[topic.key]
                # From the first message of that time on, whose number counts.
                first = bisect_left(times, times[place])
                last = times[min(len(times) - 1, place + AHEAD)]
                found = self._between(topic, times[place], last + 1)
                self._near = {(topic.key, first + k): data for k, (_, data) in enumerate(found)}
                near = self._near.get((topic.key, place))
        if near is None:
            raise RecordingError(f"{self._path} cannot be read any more: message {place} is gone")
        return near

    def times(self, topic: Topic) -> NDArray[np.int64]:
        """Return the times of the messages, by which they are found again."""
        return np.array(self._times[topic.key], np.int64)

    def know(self, topic: Topic, times: NDArray[np.int64]) -> None:
        """Take the times of the messages."""
        self._times[topic.key] = times.tolist()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._closed = True
        if self._reader is not None and self._process == os.getpid():
            self._reader.close()
        self._reader = None

    def _opened(self) -> Any:
        if self._closed:
            raise RecordingError(f"{self._path} is closed")
        if self._reader is None or self._process != os.getpid():
            name = "rosbags.rosbag1" if self.ros1 else "rosbags.rosbag2.storage_mcap"
            try:
                module = importlib.import_module(name)
            except ImportError as error:
                raise MissingExtraError(
                    f"{self._path} needs the package rosbags: uv sync --extra formats"
                ) from error
            reader = module.Reader(self._path) if self.ros1 else module.McapReader(self._path)
            reader.open()
            self._reader, self._process = reader, os.getpid()
        return self._reader

    def _topics(self) -> tuple[Topic, ...]:
        try:
            # ROS 1 has a connection for each publisher of a topic.
            of_topics: dict[tuple[str, str, str], list[int]] = {}
            for each in sorted(self._opened().connections, key=lambda each: each.id):
                place = (each.topic, each.msgtype, str(each.msgdef.data))
                of_topics.setdefault(place, []).append(int(each.id))
            self._connections = {ids[0]: frozenset(ids) for ids in of_topics.values()}
            return tuple(Topic(ids[0], *place) for place, ids in of_topics.items())
        except (RecordingError, MissingExtraError):
            raise
        except Exception as error:  # damaged bytes raise errors of any kind
            raise self._damage(error) from error

    def _between(
        self, topic: Topic, start: int | None, stop: int | None
    ) -> Iterator[tuple[int, bytes]]:
        try:
            reader = self._opened()
            ids = self._connections[topic.key]
            wanted = [each for each in reader.connections if each.id in ids]
            for _, time, data in reader.messages(wanted, start=start, stop=stop):
                yield int(time), bytes(data)
        except (RecordingError, MissingExtraError, GeneratorExit):
            raise
        except Exception as error:  # damaged bytes raise errors of any kind
            raise self._damage(error) from error

    def _damage(self, error: Exception) -> RecordingError:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return RecordingError(f"{self._path}: the bag is damaged: {first}")
