"""Weak scaling of encoding: twice the recordings by two processes, beside one by one process.

    uv run python benchmarks/bench_scaling.py            # about two minutes on two idle cores
    uv run python benchmarks/bench_scaling.py --tiny     # tries it, and saves nothing

Each run is a command of its own, start included: drive A and drive B by one process each, then both
by two processes, each with one thread, in turn, round after round. The efficiency is the events a
second of two processes over twice those of one, as the median over the rounds: 1 where the second
process doubles the throughput. It is given by wall time, which other work on the machine changes,
and by processor time, which it hardly does: its loss is what starting and sharing costs. Drives
are a simulated street, repeated in time.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from paired import machine, save

from eventseg.events import EventStream, SensorSize
from eventseg.recordings import DDD17Writer, open_recording
from eventseg.simulate.street import simulate_street

ROUNDS = 5


def write_drive(street: Path, out: Path, *, copies: int, begin_us: int) -> int:
    """Write a street several times in a row, from a time on; return the number of events."""
    with open_recording(street) as recording:
        length_us = recording.t_last_us - recording.t_first_us + 20_000
        frames = recording.frames
        events = 0
        # Frames of a copy come after all of its events.
        with DDD17Writer(out, sensor=recording.sensor, reorder_us=length_us) as writer:
            for copy in range(copies):
                shift_us = begin_us + copy * length_us - recording.t_first_us
                for part in recording.stream():
                    span = (part.t0_us + shift_us, part.t1_us + shift_us)
                    moved = EventStream(
                        part.t + shift_us, part.x, part.y, part.p, recording.sensor, *span
                    )
                    writer.add_events(moved)
                    events += len(part)
                for k in range(len(frames.t_us)):
                    end_us = int(frames.t_us[k]) + shift_us
                    writer.add_frame(
                        frames.image(k),
                        t_start_us=end_us - 9_000,
                        exposure_start_us=end_us - 8_000,
                        exposure_end_us=end_us - 2_000,
                        t_end_us=end_us,
                    )
    return events


def encode(recordings: list[Path], *, workers: int, folder: Path) -> tuple[float, float]:
    """Return wall and processor seconds of a command that encodes recordings."""
    out = folder / "encoded"
    shutil.rmtree(out, ignore_errors=True)
    command = [
        str(Path(sys.executable).with_name("eventseg")), "encode", *map(str, recordings),
        "--out", str(out), "--workers", str(workers), "--threads", "1", "--quiet",
    ]  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin_s = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    wall_s = time.perf_counter() - begin_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(out)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="a small sensor, one round, no file")
    tiny = parser.parse_args().tiny
    sensor = SensorSize(48, 64) if tiny else SensorSize(260, 346)
    copies, rounds = (2, 1) if tiny else (4, ROUNDS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        street = folder / "street.hdf5"
        simulate_street(street, duration_us=200_000 if tiny else 1_500_000, seed=1, sensor=sensor)
        drives = [folder / "a.hdf5", folder / "b.hdf5"]
        events = [
            write_drive(street, path, copies=copies, begin_us=1_000_000 + k)
            for k, path in enumerate(drives)
        ]
        runs = {"a by 1": (drives[:1], 1), "b by 1": (drives[1:], 1), "a and b by 2": (drives, 2)}
        taken: dict[str, list[tuple[float, float]]] = {run: [] for run in runs}
        for turn in range(rounds + 1):
            for run, (recordings, workers) in runs.items():
                seconds = encode(recordings, workers=workers, folder=folder)
                if turn:  # the first round compiles, indexes and fills the caches
                    taken[run].append(seconds)
    wall, cpu = (
        {run: np.array([pair[k] for pair in found]) for run, found in taken.items()} for k in (0, 1)
    )
    efficiency = {
        clock: float(
            np.median((seconds["a by 1"] + seconds["b by 1"]) / share / seconds["a and b by 2"])
        )
        for clock, seconds, share in (("wall", wall, 2), ("processor", cpu, 1))
    }
    result: dict[str, Any] = {
        "machine": machine(),
        "rounds": rounds,
        "sensor": str(sensor),
        "events_a_drive": events,
        "runs": {
            run: {
                "workers": workers,
                "events": sum(events[: len(recordings)]),
                "wall_s": round(float(np.median(wall[run])), 2),
                "processor_s": round(float(np.median(cpu[run])), 2),
                "million_events_a_wall_s": round(
                    float(np.median(sum(events[: len(recordings)]) / wall[run])) / 1e6, 3
                ),
            }
            for run, (recordings, workers) in runs.items()
        },
        "weak_scaling_efficiency": {clock: round(value, 3) for clock, value in efficiency.items()},
    }
    for run, row in result["runs"].items():
        print(run, row)
    print("weak scaling efficiency", result["weak_scaling_efficiency"])
    if not tiny:
        save("scaling", result)


if __name__ == "__main__":
    main()
