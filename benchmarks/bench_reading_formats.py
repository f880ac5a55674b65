"""From files of each format to tensors, against the reader of that format alone.

    uv run --group bench python benchmarks/bench_reading_formats.py FOLDER [--quick]

One synthetic recording in the layout of DDD17 is converted to EVT3, AEDAT 4 and columns in HDF5, in
FOLDER, and nothing is left there. Each file is read in three ways in turn, warm and with its index
cached: its bytes alone (blocks of 1 MiB; HDF5 by h5py, chunk after chunk), all events by our reader
alone on one thread, and all events encoded into 50 ms tensors that are not stored. The share is
the time of the reader alone in that of all: above 1 where workers read side by side.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import h5py
import numpy as np
from bench_reading import encode, read, write
from paired import machine, ratio, rounds, save

from eventseg.recordings import convert, open_recording

SUFFIXES = {
    ".hdf5": "layout of DDD17",
    ".raw": "Prophesee EVT3",
    ".aedat4": "AEDAT 4, LZ4",
    ".h5": "columns in HDF5",
}
ROUNDS = 5


def bytes_alone(path: Path) -> None:
    """Read all bytes of a file, or all stored arrays of events of an HDF5 file."""
    if path.suffix not in (".h5", ".hdf5"):
        with path.open("rb", buffering=0) as file:
            while file.read(2**20):
                pass
        return
    with h5py.File(path) as file:
        tables = [file["dvs/data"]] if "dvs" in file else list(file["events"].values())
        for table in tables:
            step = (table.chunks or (2**16,))[0]
            for row in range(0, len(table), step):
                table[row : row + step]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="Folder for the recordings.")
    parser.add_argument("--quick", action="store_true", help="A short run, which is not saved.")
    arguments = parser.parse_args()
    quick, folder = arguments.quick, arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("EVENTSEG_CACHE", str(folder / "cache"))
    source = folder / "formats.hdf5"
    write(source, blocks=1, frames=False, n_events=500_000 if quick else 10_000_000)
    result: dict[str, object] = {"machine": machine(), "stream": "synthetic, 10 s, 346x260"}
    for suffix, name in SUFFIXES.items():
        path = source.with_suffix(suffix)
        if path != source:
            convert(source, path, overwrite=True)
        seconds = rounds(
            {
                "bytes alone": lambda path=path: bytes_alone(path),
                "reader alone": lambda path=path: read(path),
                "to tensors": lambda path=path: encode(path, 50_000),
            },
            count=1 if quick else ROUNDS,
        )
        with open_recording(path) as recording:
            n_events = recording.n_events
        result[name] = {
            "events": n_events,
            "file_mb": round(path.stat().st_size / 1e6, 1),
            "seconds": {key: round(float(np.median(each)), 4) for key, each in seconds.items()},
            "million_events_a_second": {
                key: round(n_events / float(np.median(each)) / 1e6, 1)
                for key, each in seconds.items()
            },
            "reader_alone_to_tensors": round(ratio(seconds, "reader alone", "to tensors"), 3),
            "bytes_alone_to_tensors": round(ratio(seconds, "bytes alone", "to tensors"), 3),
        }
        print(name, result[name], flush=True)
        if path != source:
            path.unlink()
    source.unlink()
    if not quick:
        save("reading_formats", result)


if __name__ == "__main__":
    main()
