"""Events as columns: NumPy archives, HDF5, text."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from typing import BinaryIO

import h5py
import numpy as np

from eventseg.events import EventStream, SensorSize
from eventseg.recordings.hdf5.disk import Disk

DTYPES = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "|i1"}

CHUNK_ROWS = 2**16


def write_npz(
    file: BinaryIO, spans: Callable[[], Iterable[EventStream]], *, sensor: SensorSize, events: int
) -> None:
    """Write arrays ``t x y p`` and the numbers ``width`` and ``height``, one span at a time.

    Parameters
    ----------
    file : BinaryIO
    spans : callable
        Gives the spans; called once for each array.
    sensor : SensorSize
    events : int
        Number of all events.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, kind in DTYPES.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": kind, "fortran_order": False, "shape": (events,)}
                np.lib.format.write_array_header_1_0(member, header)
                for span in spans():
                    member.write(getattr(span, name).astype(kind).tobytes())
        for name, number in (("width", sensor.width), ("height", sensor.height)):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.array(number))


def write_hdf5(file: BinaryIO, spans: Iterable[EventStream], *, sensor: SensorSize) -> None:
    """Write ``events/{t,x,y,p}`` with the size of the sensor, and ``ms_to_idx``.

    Times count from ``t_offset``, the millisecond of the first event, which readers of this layout
    add. ``ms_to_idx[k]`` is the first event at or after the k-th millisecond from there on.
    """
    disk = Disk(file)
    with h5py.File(disk, "w") as out:
        group = out.create_group("events")
        group.attrs.update(width=sensor.width, height=sensor.height)
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        columns = {
            name: group.create_dataset(
                name, (0,), kind, maxshape=(None,), chunks=(CHUNK_ROWS,), **options
            )
            for name, kind in DTYPES.items()
        }
        index, rows, next_ms, offset_us = [], 0, 0, 0
        for span in spans:
            if not len(span):
                continue
            if not rows:
                first_ms = int(span.t[0]) // 1_000
                offset_us = first_ms * 1_000
                out["first_ms"], out["t_offset"] = first_ms, np.int64(offset_us)
            t = span.t - offset_us
            for name, column in columns.items():
                column.resize(rows + len(span), axis=0)
                column[rows:] = t if name == "t" else getattr(span, name)
            disk.check()
            last_ms = int(t[-1]) // 1_000
            edges = np.arange(next_ms, last_ms + 1) * 1_000
            index.append(rows + np.searchsorted(t, edges))
            next_ms, rows = max(next_ms, last_ms + 1), rows + len(span)
        out["ms_to_idx"] = np.concatenate([*index, [rows]]).astype(np.uint64)
    disk.check()


def write_text(file: BinaryIO, spans: Iterable[EventStream]) -> None:
    """Write a line of names, ``t_us,x,y,p``, and a line for each event."""
    file.write(b"t_us,x,y,p\n")
    for span in spans:
        columns = (getattr(span, name).tolist() for name in "txyp")
        lines = (f"{t},{x},{y},{p}\n" for t, x, y, p in zip(*columns, strict=True))
        file.write("".join(lines).encode())
