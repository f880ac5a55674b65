"""Events a second from a file to arrays: Prophesee's formats, beside other readers, same file.

    uv run --group bench python benchmarks/bench_formats.py [FOLDER]

The file holds half a second of random events on 640x480, bursts along rows as cameras make them,
repeated until it has the events asked for. Each reader reads the whole file once before it is
timed; ours opens without a cached index, so that its first pass counts too, and is also timed with
one.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from paired import machine, save

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from recordings.prophesee_files import EVT2, EVT3, evt2_words, evt3_words, header

from eventseg.events import EventStream, SensorSize
from eventseg.recordings import open_recording

SENSOR = SensorSize(480, 640)
PERIOD_US = 2**19
PIECE, REPEATS, ROUNDS = 400_000, 40, 3


def a_piece() -> EventStream:
    """Return events in bursts of neighbouring columns of one row and time."""
    rng = np.random.default_rng(0)
    bursts = PIECE // 6
    t = np.sort(rng.integers(0, PERIOD_US - 5_000, bursts))
    y, x0 = rng.integers(0, SENSOR.height, bursts), rng.integers(0, SENSOR.width - 16, bursts)
    k = np.tile(np.arange(6) * 2, bursts)
    each = np.repeat(np.arange(bursts), 6)
    return EventStream.from_arrays(
        t[each], x0[each] + k, y[each], (each % 2).astype(np.int8), sensor=SENSOR
    )


def repeated(words: np.ndarray, kind_shift: int, time_shift: int) -> bytes:
    """Return words over and over, with the high part of their time going on."""
    high = words >> kind_shift == 8
    mask = (1 << kind_shift) - 1
    parts = []
    for k in range(REPEATS):
        part = words.copy()
        step = k * (PERIOD_US >> time_shift)
        part[high] = 8 << kind_shift | (words[high].astype(np.int64) + step & mask)
        parts.append(part)
    return np.concatenate(parts).tobytes()


def ours(path: Path) -> int:
    """Count the events as they stream."""
    with open_recording(path) as recording:
        return sum(len(part) for part in recording.stream(max_events=10**6))


def peers() -> dict[str, Callable[[Path], int]]:
    """Return the readers that are installed, each from a path to the number of its events."""
    found: dict[str, Callable[[Path], int]] = {}
    try:
        import evlib

        found[f"evlib {version('evlib')}"] = lambda path: len(
            evlib.load_events(str(path)).collect()
        )
    except ImportError:
        pass
    try:
        from evutils.io import EventReader

        def evutils(path: Path) -> int:
            reader = EventReader(path, n_events=10**6)
            return sum(len(part) for part in reader)

        found[f"evutils {version('evutils')}"] = evutils
    except ImportError:
        pass
    return found


def measure(path: Path, read: Callable[[Path], int], *, cached: bool) -> dict[str, Any]:
    """Return the events that a reader counts and its median rate."""
    rates = []
    for _ in range(ROUNDS + 1):
        if not cached:
            for index in Path(os.environ["EVENTSEG_CACHE"]).glob("*.npz"):
                index.unlink()
        begin = time.perf_counter()
        count = read(path)
        rates.append(count / (time.perf_counter() - begin))
    return {"events": count, "million_events_per_s": round(float(np.median(rates[1:])) / 1e6, 1)}


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
    os.environ["EVENTSEG_CACHE"] = str(folder / "cache")
    piece, result = a_piece(), {"machine": machine(), "sensor": str(SENSOR), "formats": {}}
    for name, words, dtype, kind, shift in (
        (EVT3, evt3_words(piece, vectors=True), "<u2", 12, 12),
        (EVT2, evt2_words(piece), "<u4", 28, 6),
    ):
        path = folder / f"{name}.raw"
        path.write_bytes(header(name, *SENSOR) + repeated(np.frombuffer(words, dtype), kind, shift))
        rows = {
            "eventseg, first opening and stream": measure(path, ours, cached=False),
            "eventseg, indexed, stream": measure(path, ours, cached=True),
        }
        for peer, read in peers().items():
            try:
                rows[peer] = measure(path, read, cached=True)
            except Exception as error:  # a peer's fault is a finding
                rows[peer] = {"error": f"{type(error).__name__}: {error}"[:200]}
        result["formats"][name] = {
            "bytes": path.stat().st_size,
            "written": PIECE // 6 * 6 * REPEATS,
            **rows,
        }
        print(name, result["formats"][name], flush=True)
    save("formats", result)


if __name__ == "__main__":
    main()
