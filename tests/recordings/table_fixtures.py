"""Events to write as columns, and the reading of what was written."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording

SENSOR = SensorSize(24, 40)


def some_events(n: int = 2_000, *, first_us: int = 7_000) -> EventStream:
    rng = np.random.default_rng(2)
    t = first_us + np.sort(rng.integers(0, 90_000, n))
    x, y = rng.integers(0, SENSOR.width, n), rng.integers(0, SENSOR.height, n)
    return EventStream.from_arrays(t, x, y, rng.integers(0, 2, n), sensor=SENSOR)


EVENTS = some_events()


def rows(events: EventStream) -> list[tuple[int, int, int, int]]:
    return list(zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True))


def read(path: Path, **options) -> tuple[list[tuple[int, int, int, int]], str]:
    with open_recording(path, **options) as recording:
        report = recording.report
        for kind, found in report.found.items():
            assert report.kept[kind] + sum(report.skipped.get(kind, {}).values()) == found
        assert rows(recording.events()) == [
            row for part in recording.stream(max_events=333) for row in rows(part)
        ]
        return rows(recording.events()), "\n".join(report.lines())


def write_h5(path: Path, content: dict[str, np.ndarray], **options) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            file.create_dataset(name, data=values, **(options if values.ndim else {}))
    return path


def table(*names: str, dtype=np.int64) -> np.ndarray:
    return np.stack([getattr(EVENTS, name).astype(dtype) for name in names], axis=1)
