"""Seconds that a conversion takes into each format, and what 100 million events would take.

    uv run --extra formats python benchmarks/bench_convert.py [--events 10_000_000]

Events in bursts along rows at random places, 640x480, in the layout of DDD17 with an index in the
cache, are converted once into each format after a small recording that compiles the kernels; so
is the real DAVIS346 recording, where it is at hand, the least of three times. Processor time,
since other work shares the machine. 100 million events are extrapolated: every writer is one pass
(.npz four) of constant memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from format_files import PERIOD_US, SENSOR, a_piece
from paired import machine, save

from eventseg.events import EventStream
from eventseg.recordings import DDD17Writer
from eventseg.recordings.writers.convert import WRITTEN, convert

PIECE, ASKED = 400_000, 100_000_000

REAL = Path(__file__).parents[1] / "shared/data/events/davis346_emlb_demo-01.aedat4"


def write_source(path: Path, times: int, events: int = PIECE) -> None:
    """Write a piece of events so many times over in the layout of DDD17."""
    piece = a_piece(events)
    with DDD17Writer(path, sensor=SENSOR) as writer:
        for k in range(times):
            writer.add_events(
                EventStream.from_arrays(
                    piece.t + k * PERIOD_US, piece.x, piece.y, piece.p, sensor=SENSOR, t_unit="us"
                )
            )


def time_of(source: Path, out: Path) -> dict[str, Any]:
    """Convert once and return processor and wall seconds and the bytes of the file."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    made = convert(source, out)
    spent = {"cpu_s": time.process_time() - cpu_s, "wall_s": time.perf_counter() - wall_s}
    size = out.stat().st_size
    out.unlink()
    return {
        **spent,
        "events": made.events,
        "bytes_an_event": size / made.events,
        "extrapolated_cpu_s": spent["cpu_s"] * ASKED / made.events,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    asked = parser.parse_args().events
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ["EVENTSEG_CACHE"] = str(root / "cache")
        write_source(root / "warm.hdf5", 1, 6_000)
        write_source(root / "large.hdf5", max(1, asked // PIECE))
        load = os.getloadavg()
        convert(root / "large.hdf5", root / "first.raw")  # the index
        for suffix in WRITTEN:
            time_of(root / "warm.hdf5", root / f"small{suffix}")
            rows[suffix] = {"bursts": time_of(root / "large.hdf5", root / f"made{suffix}")}
            if REAL.is_file():
                tries = [time_of(REAL, root / f"real{suffix}") for _ in range(3)]
                rows[suffix]["real"] = min(tries, key=lambda row: row["cpu_s"])
            print(suffix, rows[suffix], flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    save(
        "convert",
        {"machine": machine(), "load": load, "peak_mb": peak, "formats": rows},
    )


if __name__ == "__main__":
    main()
