"""From a file in the DDD17 layout to tensors, against h5py alone reading the same bytes.

    uv run --group bench python benchmarks/bench_reading.py FOLDER

Writes files of 20 M and 100 M synthetic events into FOLDER (about 4 GB with frames) and leaves
none. Times are of warm files; memory is the peak of a fresh process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from paired import machine, ratio, rounds, save
from streams import SENSOR, edges_and_noise

import eventseg
from eventseg.events import EventStream
from eventseg.recordings import DDD17Writer, open_recording

ROUNDS = 7
FRAME_US = 29_000


def write(path: Path, *, blocks: int, frames: bool, n_events: int = 10_000_000) -> None:
    """Write ``blocks`` times ``n_events`` in 10 s, with a frame every 29 ms where wanted."""
    block_us = 10_000_000
    events = edges_and_noise(n_events, duration_us=block_us)
    image = np.random.default_rng(0).integers(0, 256, SENSOR, np.uint8)
    with DDD17Writer(path, sensor=SENSOR) as writer:
        for block in range(blocks):
            for begin in range(0, block_us, 500_000):
                part = events.between(begin, begin + 500_000)
                shift = block * block_us
                writer.add_events(
                    EventStream(
                        part.t + shift, part.x, part.y, part.p, SENSOR,
                        begin + shift, begin + shift + 500_000,
                    )
                )  # fmt: skip
                if frames:
                    for end in range(begin + shift + FRAME_US, begin + shift + 500_000, FRAME_US):
                        writer.add_frame(
                            image,
                            t_start_us=end - 12_000,
                            exposure_start_us=end - 11_000,
                            exposure_end_us=end - 3_000,
                            t_end_us=end,
                        )


def h5py_alone(path: Path) -> None:
    """Read every byte of the packets, block by block as the file is chunked."""
    with h5py.File(path) as file:
        data = file["dvs/data"]
        for row in range(0, len(data), 128):
            data[row : row + 128]


def read(path: Path) -> None:
    """Read and decode all events."""
    with open_recording(path) as recording:
        for _ in recording.stream():
            pass


def encode(path: Path, *lengths_us: int) -> None:
    """Read, decode and encode all events every 50 ms; nothing is stored."""
    anchor = eventseg.parse_anchor("stride:50ms")
    with open_recording(path) as recording:
        cuts = [eventseg.cut_windows(recording, anchor=anchor, window_us=w) for w in lengths_us]
        for _ in eventseg.encode_recording(recording, cuts):
            pass


def peak_mb(path: Path) -> float:
    """Return the peak memory of a process that indexes and encodes a file at three windows."""
    out = subprocess.run(
        [sys.executable, __file__, "--peak", str(path)], check=True, capture_output=True, text=True
    )
    return float(json.loads(out.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="Folder for the recordings.")
    parser.add_argument(
        "--peak",
        action="store_true",
        help="Print the peak memory in MB of encoding the recording FOLDER.",
    )
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    if arguments.peak:
        encode(folder, 10_000, 50_000, 250_000)
        # Not ru_maxrss, which a child inherits from the process that started it.
        status = Path("/proc/self/status").read_text()
        print(json.dumps(int(status.partition("VmHWM:")[2].split()[0]) / 1024))
        return
    folder.mkdir(parents=True, exist_ok=True)
    result: dict[str, object] = {"machine": machine(), "stream": "synthetic, 1 Mev/s, 346x260"}
    for name, frames in (("events only", False), ("events and 34 frames a second", True)):
        path = folder / "bench.hdf5"
        write(path, blocks=2, frames=frames)
        seconds = rounds(
            {
                "h5py alone": lambda path=path: h5py_alone(path),
                "read and decode": lambda path=path: read(path),
                "read, decode and encode 50 ms": lambda path=path: encode(path, 50_000),
            },
            count=ROUNDS,
        )
        result[f"20 M events, {name}"] = {
            "file_mb": path.stat().st_size / 1e6,
            "seconds": {key: float(np.median(values)) for key, values in seconds.items()},
            "speed_as_share_of_h5py_alone": {
                key: ratio(seconds, "h5py alone", key) for key in seconds if key != "h5py alone"
            },
            "peak_mb_three_windows": peak_mb(path),
        }
        print(name, result[f"20 M events, {name}"])
        path.unlink()
    path = folder / "long.hdf5"
    write(path, blocks=10, frames=False)
    result["100 M events, events only"] = {
        "file_mb": path.stat().st_size / 1e6,
        "peak_mb_three_windows": peak_mb(path),
    }
    path.unlink()
    print(result["100 M events, events only"])
    save("reading", result)


if __name__ == "__main__":
    main()
