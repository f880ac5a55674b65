"""Small recordings in the DDD17 layout, and digests of folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from eventseg.events import EventStream, SensorSize
from eventseg.recordings import DDD17Writer

SMALL = SensorSize(24, 32)


def write_recording(
    path: Path,
    *,
    events: int = 4_000,
    frames: int = 10,
    duration_us: int = 1_000_000,
    sensor: SensorSize = SMALL,
    seed: int = 0,
) -> Path:
    """Write events spread over a duration and frames at equal distances, with one signal."""
    rng = np.random.default_rng(seed)
    t = np.sort(rng.integers(1_000, 1_000 + duration_us, events))
    stream = EventStream.from_arrays(
        t,
        rng.integers(0, sensor.width, events),
        rng.integers(0, sensor.height, events),
        rng.integers(0, 2, events),
        sensor=sensor,
    )
    ends = 1_000 + duration_us * np.arange(1, frames + 1) // max(1, frames)
    with DDD17Writer(path, sensor=sensor, reorder_us=2 * duration_us) as writer:
        writer.add_events(stream)
        for end in ends.tolist():
            writer.add_frame(
                rng.integers(0, 256, sensor, dtype=np.uint8),
                t_start_us=end - 9_000,
                exposure_start_us=end - 8_000,
                exposure_end_us=end - 2_000,
                t_end_us=end,
            )
        writer.add_signal("vehicle_speed", ends, np.linspace(10.0, 20.0, frames))
    return path


def tree(root: Path) -> dict[str, str]:
    """Return the digest of every file below a folder, by its path in it."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
