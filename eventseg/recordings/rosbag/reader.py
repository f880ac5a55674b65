"""ROS bags: the events of one camera, in ROS 1, ROS 2 with SQLite, and ROS 2 with MCAP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import RecordingError
from eventseg.events import SensorSize
from eventseg.recordings.beside import NO_FRAMES, NO_IMU
from eventseg.recordings.cameras import Camera, choose_camera
from eventseg.recordings.contents import Epoch
from eventseg.recordings.event_columns import EventColumns
from eventseg.recordings.index_cache import load_arrays, store_arrays
from eventseg.recordings.packet_recording import PacketRecording
from eventseg.recordings.packets import PACKET_DTYPE, PacketReader, packet_row
from eventseg.recordings.prophesee import state
from eventseg.recordings.prophesee.index import REPAIRS
from eventseg.recordings.report import Tally
from eventseg.recordings.rosbag.bags import MCAP, ROS1, SQLITE, Bag, Topic, beginning, open_bag
from eventseg.recordings.rosbag.beside import IMAGE, IMU, read_frames, read_imu, topics_beside
from eventseg.recordings.rosbag.encodings import events_of, no_state
from eventseg.recordings.rosbag.messages import (
    TYPES,
    EventMessage,
    MessageDamage,
    has_known_fields,
    normal_type,
    parse_message,
)

SAME_CLOCK_US = 10_000_000
"""Delay of messages behind their events up to which both are on one clock."""

BLOCK_DTYPE = np.dtype([*PACKET_DTYPE.descr, ("state", "<i8", (state.STATES,))])

MOST_PIXELS = 2**14
"""Larger sizes in a message are damage."""


def recognises(path: Path) -> bool:
    """Return whether a file begins as a bag does."""
    try:
        return beginning(path).startswith((SQLITE, MCAP, ROS1))
    except RecordingError:
        return False


def open_rosbag(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
    **choices: str,
) -> RosbagRecording:
    """Open a ROS bag; see :func:`eventseg.recordings.open_recording`."""
    return RosbagRecording(path, sensor=sensor, rotate180=rotate180, progress=progress, **choices)


class RosbagRecording(PacketRecording):
    """Events, frames and inertial samples of one camera; parameters as for `open_recording`.

    Times are those of the messages in microseconds: since 1970 where the driver wrote them so,
    those of the sensor's words in the encoding ``evt3``. Frames and samples have the host's time;
    where the events have another, it is brought to theirs by the least delay of the messages.
    """

    _file: Bag

    def _container(self, path: Path) -> Bag:
        return open_bag(path)

    def _contents(self, progress: Callable[[float], None]) -> None:
        self._topic, note = self._choose()
        rows, self.sensor, tally = self._indexed(progress)
        tally.notes += [note] if note else []
        tally.notes.append(f"events of {self._topic.name}, {self._topic.type}")
        if self._rotate:
            tally.notes.append("events are turned by 180 degrees, as asked")
        self.n_events = int(rows["kept"].sum())
        self._read_beside(tally)
        self.epochs, self.report = (Epoch(0, 0, "start"),), tally.report()
        self._set_times(rows, tally)
        self._reader = PacketReader(rows, self._decode, sensor=self.sensor)
        self.gaps = self._reader.gaps()

    def imu(self, t0_us: int | None = None, t1_us: int | None = None) -> NDArray[np.void]:
        """Return the inertial samples of ``[t0_us, t1_us)``; see :meth:`Recording.imu`."""
        t = self._imu["t"]
        held = (t[0], t[-1]) if len(t) else None
        first, stop = np.searchsorted(t, self.span(t0_us, t1_us, held=held))
        return self._imu[first:stop].copy()

    def _choose(self) -> tuple[Topic, str | None]:
        """Return the topic of events of the camera asked for, by default the first, and a note."""
        of_events = [each for each in self._file.topics if normal_type(each.type) in TYPES]
        if not of_events:
            kinds = ", ".join(sorted({each.type for each in self._file.topics})) or "none"
            raise RecordingError(
                f"{self.path} has no topic of events ({', '.join(TYPES)}); its types are {kinds}"
            )
        cameras = [Camera(each.name) for each in of_events]
        place, note = choose_camera(cameras, self._choices.get("camera"), path=self.path)
        chosen = of_events[place]
        if not has_known_fields(normal_type(chosen.type), chosen.definition):
            raise RecordingError(
                f"{self.path}: the fields of {chosen.type} in this bag are not those of the known "
                "message; write it again with the current definition"
            )
        return chosen, note

    def _indexed(
        self, progress: Callable[[float], None]
    ) -> tuple[NDArray[np.void], SensorSize, Tally]:
        """Return the messages, from the cache if they are there, the sensor, and the counts."""
        variant = f"{self._topic.name} of all publishers {self._given_sensor}"
        cached = load_arrays(self.path, variant=variant)
        if cached is not None and {"rows", "times"} <= cached[0].keys():
            progress(1.0)
            self._file.know(self._topic, cached[0]["times"])
            facts = cached[1]
            self._least_delay_us = facts["least_delay_us"]
            tally = Tally.from_dict(facts["tally"])
            return cached[0]["rows"], SensorSize(*facts["sensor"]), tally
        tally = Tally()
        rows, sensor = self._index(tally, progress)
        facts = {
            "sensor": list(sensor),
            "least_delay_us": self._least_delay_us,
            "tally": tally.to_dict(),
        }
        arrays = {"rows": rows, "times": self._file.times(self._topic)}
        why = store_arrays(self.path, arrays, facts, variant=variant)
        tally.notes += [] if why is None else [why]
        return rows, sensor, tally

    def _read_beside(self, tally: Tally) -> None:
        """Read frames and inertial samples of the camera."""
        topics = topics_beside(self._file.topics, self._topic, tally)
        least = self._least_delay_us
        delay_us = 0 if least is None or abs(least) < SAME_CLOCK_US else least
        if topics and delay_us:
            tally.notes.append(
                f"frames and samples have the host's clock, {delay_us:,} us ahead of that of the "
                "events by the least delay of their messages; it is taken off"
            )

        def clock(stamp_ns: int) -> int:
            return stamp_ns // 1_000 - delay_us

        frames = NO_FRAMES
        if IMAGE in topics:
            frames = read_frames(self._file, topics[IMAGE], clock=clock, tally=tally)
            tally.notes.append(f"frames of {topics[IMAGE].name}, of which one time is known")
        self.frames = frames.on(self.sensor, rotate180=self._rotate, tally=tally)
        self._imu = NO_IMU
        if IMU in topics:
            self._imu = read_imu(self._file, topics[IMU], clock=clock, tally=tally)

    def _index(
        self, tally: Tally, progress: Callable[[float], None]
    ) -> tuple[NDArray[np.void], SensorSize]:
        """Read all messages once."""
        kind, ros1 = normal_type(self._topic.type), self._file.ros1
        sizes: Counter[tuple[int, int]] = Counter()
        rows, spans = [], np.zeros(2, np.int64)
        before, counts = no_state(), np.zeros(state.COUNTS, np.int64)
        expected = -1
        delays: list[int] = []
        for place, content in self._file.messages(self._topic):
            tally.found["packets"] += 1
            try:
                message = parse_message(content, kind=kind, ros1=ros1)
                lost = message.sequence - expected if 0 <= expected < message.sequence else 0
                if lost:
                    tally.repair("messages that never reached the bag, by their numbers", lost)
                if lost or message.encoding != "evt3":
                    before = no_state()
                began = before.copy()
                events = events_of(message, before, counts)
            except MessageDamage as damage:
                tally.skip("packets", f"damaged: {damage}")
                before = no_state()
                continue
            if message.sequence >= 0:
                expected = message.sequence + 1
            size = self._given_sensor or _size_of(message)
            if size is not None:
                sizes[size] += 1
            on = events.on(size)
            tally.found["events"] += len(events)
            tally.skip("events", f"outside the sensor {size}", len(events) - len(on))
            if len(on):
                delays.append(message.stamp_ns // 1_000 - int(on.t[0]))
                spans = np.maximum(spans, [int(on.y.max()) + 1, int(on.x.max()) + 1])
                rows.append((*packet_row(place, len(content), on), began))
        progress(1.0)
        self._least_delay_us = min(delays, default=None)
        for number, reason in (
            (state.NO_TIME, "before the first time, or after a lost message"),
            (state.NO_PLACE, "before the first row, or after a lost message"),
        ):
            tally.found["events"] += int(counts[number])
            tally.skip("events", reason, int(counts[number]))
        for number, what in REPAIRS.items():
            tally.repair(what, int(counts[number]))
        size = self._given_sensor
        if size is None and sizes:
            (most, _), *others = sizes.most_common()
            size = SensorSize(*most)
            tally.notes.append(f"sensor {size} from the messages")
            if others:
                raise RecordingError(
                    f"{self.path}: messages of {self._topic.name} are of sensors of {size} and "
                    f"{SensorSize(*others[0][0])}; give the size"
                )
        if size is None:
            size = SensorSize(*(max(1, int(n)) for n in spans))
            tally.guess_sensor(f"sensor {size} inferred from the largest row and column")
        return np.array(rows, BLOCK_DTYPE), size

    def _decode(self, block: np.void) -> EventColumns:
        content = self._file.read(self._topic, int(block["offset"]))
        kind = normal_type(self._topic.type)
        try:
            message = parse_message(content, kind=kind, ros1=self._file.ros1)
            counts = np.zeros(state.COUNTS, np.int64)
            events = events_of(message, block["state"].copy(), counts).on(self.sensor)
        except MessageDamage as damage:
            raise RecordingError(f"{self.path} cannot be read any more: {damage}") from damage
        return events.turned(self.sensor) if self._rotate else events


def _size_of(message: EventMessage) -> SensorSize | None:
    """Return the size that a message gives, None where it gives none that can be."""
    height, width = message.height, message.width
    if not (0 < height <= MOST_PIXELS and 0 < width <= MOST_PIXELS):
        return None
    return SensorSize(height, width)
