"""A reader of a toy format in one file: a header line, then one event a line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from eventseg.errors import EventsError, RecordingError
from eventseg.events import EventStream, SensorSize
from eventseg.recordings import Frames, Recording
from eventseg.recordings.report import Tally

MAGIC = "TOY"


def recognises(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC.encode()


class ToyRecording(Recording):
    def __init__(self, path: Path, *, sensor: SensorSize | None, rotate180: bool) -> None:
        try:
            header, *lines = path.read_text().splitlines()
            magic, height, width, count = header.split()
            columns = np.array([line.split() for line in lines], np.int64).reshape(-1, 4).T
        except (OSError, ValueError) as error:
            raise RecordingError(f"{path}: no toy recording ({error})") from error
        if magic != MAGIC or int(count) != len(lines):
            raise RecordingError(f"{path}: {count} events in the header, {len(lines)} in the file")
        if not lines:
            raise RecordingError(f"{path}: no event")
        self.path, self.sensor = path, sensor or SensorSize(int(height), int(width))
        t, x, y, p = columns
        inside = (x < self.sensor.width) & (y < self.sensor.height)
        tally = Tally()
        tally.found["events"] = len(lines)
        tally.skip("events", "outside the sensor", int((~inside).sum()))
        if rotate180:
            x, y = self.sensor.width - 1 - x, self.sensor.height - 1 - y
        order = np.flatnonzero(inside)[np.argsort(t[inside], kind="stable")]
        try:
            self._events: EventStream | None = EventStream.from_arrays(
                t[order], x[order], y[order], p[order], sensor=self.sensor
            )
        except EventsError as error:
            raise RecordingError(f"{path}: {error}") from error
        self.n_events = len(self._events)
        self.t_first_us, self.t_last_us = self._events.t0_us, self._events.t1_us - 1
        self.frames, self.report = Frames.none(self.sensor), tally.report()
        self._options = (sensor, rotate180)

    def events(self, t0_us: int | None = None, t1_us: int | None = None) -> EventStream:
        if self._events is None:
            raise RecordingError(f"{self.path}: the recording is closed; open it again")
        return self._events.between(*self.span(t0_us, t1_us))

    def close(self) -> None:
        self._events = None

    def __reduce__(self) -> tuple[Any, ...]:
        sensor, rotate180 = self._options
        return partial(open_toy, self.path, sensor=sensor, rotate180=rotate180), ()


def open_toy(
    path: Path,
    *,
    sensor: SensorSize | None = None,
    rotate180: bool = False,
    progress: Callable[[float], None] | None = None,
) -> ToyRecording:
    recording = ToyRecording(path, sensor=sensor, rotate180=rotate180)
    if progress is not None:
        progress(1.0)
    return recording


def write_toy(path: Path, events: EventStream) -> None:
    lines = [f"{MAGIC} {events.sensor.height} {events.sensor.width} {len(events)}"]
    lines += [
        f"{t} {x} {y} {p}"
        for t, x, y, p in zip(events.t, events.x, events.y, events.p, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
