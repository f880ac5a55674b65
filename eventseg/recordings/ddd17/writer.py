"""Write recordings in exactly the layout of DDD17: for simulation, conversion and tests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self, get_args

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from eventseg.errors import EventsError, OutputError
from eventseg.events import EventStream, SensorSize
from eventseg.files.whole import replace_file
from eventseg.recordings.ddd17.encode import (
    PACKET_EVENTS,
    event_words,
    frame_payload,
    packet_cuts,
    special_words,
    stored_imu,
)
from eventseg.recordings.ddd17.layout import (
    FRAME,
    IMU6,
    IMU6_DTYPE,
    NO_TIME,
    PACKET_US,
    POLARITY,
    SPECIAL,
    TIMESTAMP_RESET,
    TIMESTAMP_WRAP,
    WORD_DTYPE,
    WRAP_US,
)
from eventseg.recordings.ddd17.packets import MAX_OVERFLOW
from eventseg.recordings.ddd17.rows import Packet, RowWriter, WrittenRecording, write_signal
from eventseg.recordings.hdf5.disk import Disk

PacketOrder = Literal["sorted", "containers"]

MOST_PACKETS = 2**40
"""More packets than any recording has: kinds in a container are told apart by multiples of it."""


class DDD17Writer:
    """Writes a recording in the DDD17 layout, packet by packet, in bounded memory.

    Use it as a context manager: the file has its name only after a clean end, and after an
    exception there is no file. An existing file is replaced.

    All times are int64 microseconds of the sensor's clock since the start or the last
    :meth:`reset`; they may pass 2^31, the 31-bit stamps and overflows follow. Rows are sorted by
    host time, which is ``host_t0_us + latency_us +`` the time since the first start. To do so in
    bounded memory, nothing may be added that is more than `reorder_us` older than the newest time
    added so far; events among themselves must be sorted. Signals may come in any order.

    Parameters
    ----------
    path : str or Path
    sensor : SensorSize
        Size of the sensor, and of a full frame.
    host_t0_us : int
        Host time at sensor time zero, microseconds since 1970.
    latency_us : int
        How much later than the last event of a packet the host gets it.
    reorder_us : int
        Longest time something may be added late.
    packets : {"sorted", "containers"}
        Order of the packets. ``sorted``: by the time of their last event. ``containers``: as the
        camera software sends them, together at the end of every 10 ms, in each of these special
        events first, then events, frames and inertial samples.

    Raises
    ------
    OutputError
        The file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        sensor: SensorSize | tuple[int, int],
        host_t0_us: int = 1_487_339_175_000_000,
        latency_us: int = 1_000,
        reorder_us: int = 2_000_000,
        packets: PacketOrder = "sorted",
    ) -> None:
        self.path = Path(path)
        self.sensor = SensorSize(int(sensor[0]), int(sensor[1]))
        self._host_us = host_t0_us + latency_us  # host time at the sensor's present zero
        self._reorder_us = reorder_us
        if packets not in get_args(PacketOrder):
            raise EventsError(f"packets must be sorted or containers, got {packets!r}")
        self._containers = packets == "containers"
        self._newest_us = 0  # latest time added, on the present sensor clock
        self._overflow: int | None = None
        self._sequence = 0
        self._full_frame = False
        self._last_event_us = 0
        self._open_t = np.empty(0, np.int64)  # events of the packet that is not complete yet
        self._open_words = np.empty(0, np.uint32)
        self._signals: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {}
        self._counts = {"events": 0, "frames": 0, "imu": 0, "specials": 0}
        self._written: WrittenRecording | None = None
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        if self.path.is_dir():
            raise OutputError(f"{self.path} is a folder; give the name of a file")
        with self._output_errors():
            self._out = self._part.open("w+b", buffering=0)
            self._disk = Disk(self._out)
            self._file: Any = h5py.File(self._disk, "w")
            self._rows = RowWriter(self._file)

    def add_events(
        self,
        events: EventStream | ArrayLike,
        x: ArrayLike = (),
        y: ArrayLike = (),
        p: ArrayLike = (),
    ) -> None:
        """Add polarity events: a stream, or the columns t, x, y and p.

        Raises
        ------
        EventsError
            Events that are not sorted, earlier than events added before, at a negative time,
            or outside the sensor.
        """
        if not isinstance(events, EventStream) or events.sensor != self.sensor:
            columns = (
                (events.t, events.x, events.y, events.p)
                if isinstance(events, EventStream)
                else (events, x, y, p)
            )
            events = EventStream.from_arrays(*columns, sensor=self.sensor)
        if len(events) == 0:
            return
        if events.t[0] < self._last_event_us:
            raise EventsError(
                f"events begin at {events.t[0]} us, before the last one at "
                f"{self._last_event_us} us; add them in time order"
            )
        self._admit(int(events.t[0]), int(events.t[-1]), "events")
        self._last_event_us = int(events.t[-1])
        self._counts["events"] += len(events)
        t = np.concatenate([self._open_t, events.t])
        words = np.concatenate([self._open_words, event_words(events)])
        cuts = packet_cuts(t)
        if cuts[-1] - cuts[-2] < PACKET_EVENTS:
            cuts = cuts[:-1]  # more events of the last packet may come
        for first, stop in pairwise(cuts.tolist()):
            self._put_words(POLARITY, t[first:stop], words[first:stop])
        self._open_t, self._open_words = t[cuts[-1] :].copy(), words[cuts[-1] :].copy()
        self._release()

    def add_frame(
        self,
        image: NDArray[np.uint8] | NDArray[np.uint16],
        *,
        t_start_us: int,
        t_end_us: int,
        exposure_start_us: int,
        exposure_end_us: int,
        position: tuple[int, int] = (0, 0),
    ) -> None:
        """Add one grey frame.

        Parameters
        ----------
        image : uint8 or uint16 (height, width)
            Grey values; 8-bit ones are stored shifted up by 8, 16-bit ones as they are.
        t_start_us, t_end_us, exposure_start_us, exposure_end_us : int
            Start and end of the frame, and of its exposure, which is inside.
        position : (row, column)
            Row and column of the upper left corner of a region of interest.

        Raises
        ------
        EventsError
            Another type or shape, a picture that does not fit, or stamps out of order.
        """
        stamps = t_start_us, exposure_start_us, exposure_end_us, t_end_us
        payload = frame_payload(image, stamps, position=position, sensor=self.sensor)
        self._admit(t_end_us, t_end_us, "a frame", first=t_start_us)
        self._put(FRAME, len(payload), t_end_us, payload)
        self._counts["frames"] += 1
        self._full_frame |= position == (0, 0) and image.shape == tuple(self.sensor)
        self._release()

    def add_specials(self, t_us: ArrayLike, kind: ArrayLike, data: ArrayLike = 0) -> None:
        """Add special events: times, types (2 to 127) and 24 bits of data, sorted by time.

        The clock's own, 0 TIMESTAMP_WRAP and 1 TIMESTAMP_RESET, are written by themselves.
        """
        t = np.atleast_1d(np.asarray(t_us, np.int64))
        if t.size == 0:
            return
        words = special_words(t.shape, kind, data)
        self._admit_sorted(t, "special events")
        for first, stop in pairwise(packet_cuts(t).tolist()):
            self._put_words(SPECIAL, t[first:stop], words[first:stop])
        self._counts["specials"] += len(t)
        self._release()

    def add_imu(self, samples: NDArray[np.void]) -> None:
        """Add inertial samples, sorted by time: IMU_DTYPE, as `Recording.imu` gives them."""
        if samples.size == 0:
            return
        stored = stored_imu(samples)
        t = samples["t"].astype(np.int64)
        self._admit_sorted(t, "inertial samples")
        for first, stop in pairwise(packet_cuts(t).tolist()):
            payload = stored[first:stop].view(np.uint8)
            self._put(IMU6, IMU6_DTYPE.itemsize, int(t[stop - 1]), payload)
        self._counts["imu"] += len(samples)
        self._release()

    def add_signal(self, name: str, t_us: ArrayLike, value: ArrayLike) -> None:
        """Add values of a vehicle signal at times of the sensor's present clock, in any order."""
        t, values = (np.atleast_1d(np.asarray(column)) for column in (t_us, value))
        if t.shape != values.shape or t.ndim != 1 or t.dtype.kind not in "iu":
            raise EventsError(
                f"signal {name}: times (integer us) and values must be of one length, "
                f"got {t.dtype} {t.shape} and {values.shape}"
            )
        if name == "dvs" or not name or "/" in name:
            raise EventsError(f"a signal cannot be named {name!r}")
        self._signals.setdefault(name, []).append(
            (self._host_us + t.astype(np.int64), values.astype(np.float64))
        )

    def reset(self, *, t_us: int | None = None) -> None:
        """Restart the sensor's clock: times added from now on count from zero again.

        Parameters
        ----------
        t_us : int, optional
            When, on the clock so far: after everything added. By default 1 us after it.
        """
        at = self._newest_us + 1 if t_us is None else t_us
        if at <= self._newest_us:
            raise EventsError(
                f"a reset at {at} us must come after the last time added, {self._newest_us} us"
            )
        self._close_packet()
        self._host_us += at
        self._newest_us, self._last_event_us, self._overflow = 0, 0, 0
        self._put_special(TIMESTAMP_RESET, t_us=0)

    def close(self) -> WrittenRecording:
        """Write the remaining packets, give the file its name and return its summary."""
        if self._written is None:
            with self._output_errors():
                self._close_packet()
                part_block = self._rows.finish()
                signals = {}
                for name, parts in sorted(self._signals.items()):
                    host, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
                    order = np.argsort(host, kind="stable")
                    write_signal(self._file, name, host[order], value[order])
                    signals[name] = len(value)
                if not self._full_frame:
                    # The layout has no place for the size of the sensor, which full frames have.
                    size = {"width": self.sensor.width, "height": self.sensor.height}
                    self._file["dvs"].attrs.update(size)
                self._file.close()
                self._disk.check()
                self._out.close()
                replace_file(self._part, self.path)
            counts = {f"n_{kind}": count for kind, count in self._counts.items()}
            self._written = WrittenRecording(
                path=self.path,
                n_rows=self._rows.n_rows,
                signals=signals,
                n_cuts=self._rows.n_cuts,
                part_block_rows=part_block,
                **counts,
            )
        return self._written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def _admit_sorted(self, t: NDArray[np.int64], what: str) -> None:
        if bool((t[1:] < t[:-1]).any()):
            raise EventsError(f"{what} must be sorted by time")
        self._admit(int(t[0]), int(t[-1]), what)

    def _admit(self, oldest_us: int, newest_us: int, what: str, first: int | None = None) -> None:
        """Refuse events that come too late, and write the WRAP events before them."""
        if self._written is not None:
            raise OutputError(f"{self.path}: the recording is closed, nothing can be added")
        if newest_us >= MAX_OVERFLOW * WRAP_US:
            raise EventsError(
                f"{what} at {newest_us} us: a sensor's clock counts from its start, and readers "
                "take more than 400 days for damage; subtract the first time, as convert does"
            )
        if min(oldest_us, oldest_us if first is None else first) < 0:
            raise EventsError(f"{what} at {oldest_us} us: the sensor's clock begins at 0")
        if oldest_us < self._newest_us - self._reorder_us:
            raise EventsError(
                f"{what} at {oldest_us} us come more than {self._reorder_us} us behind the newest "
                f"time added, {self._newest_us} us; add things in time order or raise reorder_us"
            )
        if self._overflow is None:
            self._overflow = oldest_us // WRAP_US
        while self._overflow < newest_us // WRAP_US:
            self._overflow += 1
            self._put_special(TIMESTAMP_WRAP, t_us=self._overflow * WRAP_US - 1)
        self._newest_us = max(self._newest_us, newest_us)

    def _put_words(self, kind: int, t: NDArray[np.int64], words: NDArray[np.uint32]) -> None:
        events = np.empty(len(t), WORD_DTYPE)
        events["word"] = words
        events["t"] = t % WRAP_US
        self._put(kind, WORD_DTYPE.itemsize, int(t[-1]), events.view(np.uint8))

    def _put_special(self, kind: int, *, t_us: int) -> None:
        event = np.array([(kind << 1 | 1, NO_TIME)], WORD_DTYPE)
        self._put(SPECIAL, WORD_DTYPE.itemsize, t_us, event.view(np.uint8))

    def _put(self, kind: int, size: int, t_us: int, payload: NDArray[np.uint8]) -> None:
        overflow = t_us // WRAP_US
        self._sequence += 1
        sent_us, place = t_us, self._sequence
        if self._containers:
            sent_us = (t_us // PACKET_US + 1) * PACKET_US
            place += kind * MOST_PACKETS
        self._rows.put(
            Packet(
                self._host_us + sent_us,
                place,
                kind,
                size,
                overflow,
                self._host_us + overflow * WRAP_US,
                payload,
                self._containers,
            )
        )

    def _close_packet(self) -> None:
        if len(self._open_t):
            self._put_words(POLARITY, self._open_t, self._open_words)
            self._open_t, self._open_words = np.empty(0, np.int64), np.empty(0, np.uint32)

    def _release(self) -> None:
        settled_us = self._newest_us - self._reorder_us
        if len(self._open_t) and self._open_t[-1] // PACKET_US < settled_us // PACKET_US:
            self._close_packet()
        elif len(self._open_t):
            settled_us = min(settled_us, int(self._open_t[-1]))
        with self._output_errors():
            self._rows.release(self._host_us + settled_us - 1)

    def _discard(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._file.close()
        self._out.close()
        self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _output_errors(self) -> Iterator[None]:
        """Turn errors of the disk into one clear error, and leave no part of a file."""
        try:
            yield
            if hasattr(self, "_disk"):
                self._disk.check()
        except (OSError, RuntimeError) as error:
            if hasattr(self, "_file"):
                self._discard()
            # The HDF5 library breaks lines.
            reason = " ".join(str(error).split())
            raise OutputError(f"{self.path} cannot be written: {reason}") from error
