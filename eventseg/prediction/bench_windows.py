"""Windows that are timed: spread over a recording, or made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from eventseg.encoding.settings import Encoding, Normalisation, encoding_of
from eventseg.encoding.tensors import encode
from eventseg.errors import NetworkError, WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.filters.filtered import FilteredRecording, filtered, survey_filters
from eventseg.filters.rules import parse_filters
from eventseg.recordings import Recording
from eventseg.windows import format_duration

MADE_UP_RATE = 0.01
"""Events a pixel and ms of made-up windows: 1 Mev/s on a DAVIS346."""


@dataclass(frozen=True, eq=False, slots=True)
class TimedWindows:
    """Windows that are timed: where events are read from, and their encoding."""

    read: Callable[[int], EventStream]
    spans: tuple[tuple[int, int], ...]
    encoding: Encoding
    name: str

    def tensor(self, events: EventStream, i: int) -> torch.Tensor:
        """Return the tensor of window `i`, float32 (C, H, W)."""
        return torch.from_numpy(encode(events, window=self.spans[i], encoding=self.encoding))


def recorded_windows(
    recording: Recording,
    encoding: Encoding | None,
    window_us: int,
    normalise: Normalisation,
    count: int,
) -> TimedWindows:
    """Return windows spread over a recording."""
    encoding = encoding or encoding_of(recording.sensor, normalise=normalise)
    if encoding.sensor != recording.sensor:
        rows = (0, recording.sensor.height)
        encoding = replace(encoding, sensor=recording.sensor, rows=rows)
    first, last = recording.t_first_us + window_us, recording.t_last_us + 1
    if last < first:
        raise WindowError(
            f"{recording.name} is shorter than a window of {format_duration(window_us)}"
        )
    ends = np.linspace(first, last, count).round().astype(np.int64).tolist()
    filters = parse_filters(encoding.filters)
    hot = survey_filters(recording, filters).hot_pixels
    source: Recording | FilteredRecording = filtered(recording, filters, hot_pixels=hot)
    spans = tuple((end - window_us, end) for end in ends)
    name = f"{count} windows of {format_duration(window_us)} of {recording.name}"
    return TimedWindows(
        lambda i: source.events(*spans[i]), spans, encoding, f"{name}, {recording.sensor}"
    )


def made_up_windows(
    encoding: Encoding | None,
    size: SensorSize | None,
    window_us: int,
    normalise: Normalisation,
    count: int,
) -> TimedWindows:
    """Return windows of random events."""
    sensor = size or (encoding.sensor if encoding else None)
    if sensor is None:
        raise NetworkError("the checkpoint does not tell the size of the sensor; give --size")
    encoding = encoding or encoding_of(sensor, normalise=normalise)
    if encoding.sensor != sensor:
        encoding = replace(encoding, sensor=sensor, rows=(0, sensor.height))
    rng = np.random.default_rng(0)
    n = max(1, round(MADE_UP_RATE * sensor.height * sensor.width * window_us / 1000))
    streams = []
    for _ in range(min(count, 8)):
        streams.append(
            EventStream(
                np.sort(rng.integers(0, window_us, n)),
                rng.integers(0, sensor.width, n).astype(np.uint16),
                rng.integers(0, sensor.height, n).astype(np.uint16),
                rng.integers(0, 2, n).astype(np.int8),
                sensor, 0, window_us,
            )
        )  # fmt: skip
    return TimedWindows(
        lambda i: streams[i % len(streams)],
        ((0, window_us),) * count,
        encoding,
        f"{count} made-up windows of {format_duration(window_us)} with {n:,} events, {sensor}",
    )
