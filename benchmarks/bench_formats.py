"""Events a second from a file to arrays, each format beside the readers of the package index.

    uv run --group bench --with faery --with pandas --with polars \
        python benchmarks/bench_formats.py [--folder FOLDER] [--only "DAT;CSV"]

Every reader of a format reads the same file whole, in turn, round after round, to columns or
records of all events: of ours as it streams in spans of a million, without an index in the cache
("first opening", which reads the file twice) and with one. Where a peer gives other types than
int64 us for the times, the conversion counts, since it is part of the work; so does that of the
words where a peer reads containers alone (bags, HDF5, NumPy). Rates are by processor time of the
process, least of the rounds, since other work shares the machine; wall time stands beside.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import format_files
import numpy as np
from format_files import WRITERS, a_piece
from paired import machine, save
from peers_formats import PEERS

from eventseg.recordings import open_recording

PIECE, REPEATS, ROUNDS = 400_000, 10, 5
FEWER = {"CSV": 2}
"""Repeats of formats that take long."""

NAMES = (
    *("aedat", "dv-processing", "event-stream", "evlib", "evutils", "faery", "hdf5plugin"),
    *("pandas", "polars", "rosbags"),
)
"""Packages of the peers."""


def ours(path: Path) -> int:
    """Count the events as they stream."""
    with open_recording(path) as recording:
        return sum(len(part) for part in recording.stream(max_events=10**6))


def first_opening(path: Path) -> int:
    """Count the events without an index in the cache."""
    for index in Path(os.environ["EVENTSEG_CACHE"]).glob("*.npz"):
        index.unlink()
    return ours(path)


def race(path: Path, readers: dict[str, Callable[[Path], int]]) -> dict[str, Any]:
    """Return events, rates by processor and by wall time, and the ratio to ours of each reader."""
    cpu: dict[str, list[float]] = {name: [] for name in readers}
    wall: dict[str, list[float]] = {name: [] for name in readers}
    counts: dict[str, int] = {}
    faults: dict[str, str] = {}
    for turn in range(ROUNDS + 1):
        for name, read in readers.items():
            if name in faults:
                continue
            begin_cpu, begin = time.process_time(), time.perf_counter()
            try:
                counts[name] = int(read(path))
            except Exception as error:  # a peer's fault is a finding
                faults[name] = f"{type(error).__name__}: {error}"[:200]
                continue
            if turn:
                cpu[name].append(time.process_time() - begin_cpu)
                wall[name].append(time.perf_counter() - begin)
    rows: dict[str, Any] = {}
    for name in readers:
        if name in faults:
            rows[name] = {"error": faults[name]}
            continue
        pairs = np.array(cpu[name]) / np.array(cpu["eventseg, indexed"])
        rows[name] = {
            "events": counts[name],
            "million_events_per_cpu_s": rounded(counts[name] / min(cpu[name]) / 1e6),
            "million_events_per_s": rounded(counts[name] / min(wall[name]) / 1e6),
            "cpu_time_to_ours": rounded(float(np.median(pairs))),
        }
    return rows


def rounded(value: float) -> float:
    """Return three figures of a number."""
    return float(f"{value:.3g}")


def installed() -> dict[str, str]:
    """Return the versions of the peers that are here."""
    found = {}
    for name in NAMES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", default="")
    parser.add_argument("--name", default="formats")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["EVENTSEG_CACHE"] = str(folder / "cache")
    piece = a_piece(PIECE)
    result: dict[str, Any] = {
        "machine": machine(),
        "peers": installed(),
        "sensor": str(format_files.SENSOR),
        "formats": {},
    }
    for name in given.only.split(";") if given.only else WRITERS:
        file, write = WRITERS[name]
        path, times = folder / file, FEWER.get(name, REPEATS)
        if not path.exists():
            write(path, piece, times)
        mine = {"eventseg, first opening": first_opening, "eventseg, indexed": ours}
        result["formats"][name] = {
            "bytes": path.stat().st_size,
            "written": len(piece) * times,
            "load": round(os.getloadavg()[0], 2),
            **race(path, mine | PEERS.get(name, {})),
        }
        print(name, flush=True)
        for reader, row in result["formats"][name].items():
            print(f"  {reader:<40} {row}", flush=True)
    save(given.name, result)


if __name__ == "__main__":
    main()
