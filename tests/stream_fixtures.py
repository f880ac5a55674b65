"""A recording in memory, sources of live events, and a network that costs nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from eventseg.encoding import encoding_of
from eventseg.events import EventStream, SensorSize
from eventseg.labels import ClassTable
from eventseg.networks import (
    Blueprint,
    InputSpec,
    SegmentationNetwork,
    TrainedNetwork,
    save_network,
)
from eventseg.prediction import Packet
from eventseg.recordings import Recording
from eventseg.recordings.base import GAP_US
from eventseg.recordings.contents import Frames
from eventseg.recordings.report import ReadingReport

SENSOR = SensorSize(4, 6)
TABLE = ClassTable(("a", "b", "c"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))


class PixelNetwork(SegmentationNetwork):
    """A linear classifier of single pixels."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__(in_channels, classes)
        torch.manual_seed(0)
        self.layer = nn.Conv2d(in_channels, classes, 1)

    def heads(self, x):
        return [self.layer(x)]


def pixel_network(*, sensor=SENSOR, kind="events", window="20ms", **encoding) -> TrainedNetwork:
    encoded = encoding_of(sensor, **{"normalise": "sqrt", **encoding})
    channels = {"events": 0, "gray": 1, "both": 1}[kind]
    channels += encoded.representation.channels * (kind != "gray")
    inputs = InputSpec(
        kind, channels, windows=(window,), normalise=encoded.normalise, encoding=encoded
    )
    network = PixelNetwork(channels, 3).eval()
    return TrainedNetwork(network, Blueprint("enet", channels, 3), inputs, TABLE)


def save_random_network(path: Path, *, sensor: SensorSize) -> Path:
    """Write a checkpoint of a random network on events, with the encoding of a sensor."""
    torch.manual_seed(0)
    blueprint = Blueprint("enet", 6, 3)
    inputs = InputSpec("events", 6, windows=("50ms",), normalise="sqrt",
                       encoding=encoding_of(sensor, normalise="sqrt"))  # fmt: skip
    save_network(path, TrainedNetwork(blueprint.build().eval(), blueprint, inputs, TABLE))
    return path


class MemoryRecording(Recording):
    """A recording whose events are given."""

    def __init__(self, events: EventStream) -> None:
        self.path = Path("memory.hdf5")
        self.sensor = events.sensor
        self.n_events = len(events)
        self.t_first_us, self.t_last_us = int(events.t[0]), int(events.t[-1])
        self.frames = Frames.none(events.sensor)
        long = np.flatnonzero(np.diff(events.t) > GAP_US)
        self.gaps = [(int(events.t[i]), int(events.t[i + 1])) for i in long]
        self.report = ReadingReport({}, {}, {}, {}, ())
        self._events = events

    def events(self, t0_us=None, t1_us=None):
        return self._events.between(*self.span(t0_us, t1_us))

    def close(self) -> None:
        pass


def events_at(t, *, seed: int = 0, sensor: SensorSize = SENSOR) -> EventStream:
    t = np.asarray(t, np.int64)
    rng = np.random.default_rng(seed)
    return EventStream.from_arrays(
        t, rng.integers(0, sensor.width, len(t)), rng.integers(0, sensor.height, len(t)),
        rng.integers(0, 2, len(t)), sensor=sensor, t_unit="us",
    )  # fmt: skip


def packet(events: EventStream, selected) -> Packet:
    return Packet(events.t[selected], events.x[selected], events.y[selected], events.p[selected])


class Given:
    """A source of packets that are given."""

    def __init__(self, packets, sensor: SensorSize = SENSOR) -> None:
        self.sensor = sensor
        self.packets = iter(packets)
        self.closed = 0

    def read(self, timeout_s: float):
        return next(self.packets, None)

    def close(self) -> None:
        self.closed += 1
