"""Large files of each format for races of readers, written in columns from the descriptions.

A piece of random events in bursts along rows, as cameras make them, is repeated with its time going
on. Nothing here uses the readers that are raced.
"""

from __future__ import annotations

import sqlite3
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from recordings.aedat2_files import header2
from recordings.aedat3_files import header3
from recordings.es_files import dvs_records, header_es
from recordings.prophesee_files import EVT2, EVT3, evt2_words, evt3_words, header
from recordings.rosbag_files import PACKET, packet

from eventseg.events import EventStream, SensorSize
from eventseg.recordings.writers.convert import convert

SENSOR = SensorSize(480, 640)
PERIOD_US = 2**19
PACKET_EVENTS = 4096


@dataclass(frozen=True, slots=True)
class Columns:
    """Events as the writers take them: int64 columns of one length."""

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray

    def __len__(self) -> int:
        return len(self.t)

    def packets(self) -> list[slice]:
        """Return the parts that containers of packets hold."""
        return [slice(k, k + PACKET_EVENTS) for k in range(0, len(self), PACKET_EVENTS)]


def a_piece(events: int) -> EventStream:
    """Return events in bursts of neighbouring columns of one row and time."""
    rng = np.random.default_rng(0)
    bursts = events // 6
    t = np.sort(rng.integers(0, PERIOD_US - 5_000, bursts))
    y, x0 = rng.integers(0, SENSOR.height, bursts), rng.integers(0, SENSOR.width - 16, bursts)
    k = np.tile(np.arange(6) * 2, bursts)
    each = np.repeat(np.arange(bursts), 6)
    return EventStream.from_arrays(
        t[each], x0[each] + k, y[each], (each % 2).astype(np.int8), sensor=SENSOR
    )


def repeated(piece: EventStream, times: int) -> Columns:
    """Return the events over and over, with their time going on."""
    t = np.concatenate([piece.t + k * PERIOD_US for k in range(times)])
    return Columns(t, *(np.tile(getattr(piece, name).astype(np.int64), times) for name in "xyp"))


def repeated_words(words: bytes, dtype: str, *, kind: int, time: int, times: int) -> bytes:
    """Return words of EVT2 or EVT3 over and over, with the high part of their time going on."""
    values = np.frombuffer(words, dtype)
    high = values >> kind == 8
    mask = (1 << kind) - 1
    parts = []
    for k in range(times):
        part = values.copy()
        step = k * (PERIOD_US >> time)
        part[high] = 8 << kind | (values[high].astype(np.int64) + step & mask)
        parts.append(part)
    return np.concatenate(parts).tobytes()


def write_evt3(path: Path, piece: EventStream, times: int) -> None:
    words = evt3_words(piece, vectors=True)
    path.write_bytes(
        header(EVT3, *SENSOR) + repeated_words(words, "<u2", kind=12, time=12, times=times)
    )


def write_evt2(path: Path, piece: EventStream, times: int) -> None:
    words = evt2_words(piece)
    path.write_bytes(
        header(EVT2, *SENSOR) + repeated_words(words, "<u4", kind=28, time=6, times=times)
    )


def write_dat(path: Path, piece: EventStream, times: int) -> None:
    events = repeated(piece, times)
    lines = f"% Version 2\n% Height {SENSOR.height}\n% Width {SENSOR.width}\n"
    words = np.stack([events.t, events.p << 28 | events.y << 14 | events.x], axis=1)
    path.write_bytes(lines.encode() + b"\x0c\x08" + words.astype("<u4").tobytes())


def write_aedat2(path: Path, piece: EventStream, times: int) -> None:
    """Columns count from the right, rows from the bottom."""
    events = repeated(piece, times)
    x, y = SENSOR.width - 1 - events.x, SENSOR.height - 1 - events.y
    words = np.stack([y << 22 | x << 12 | events.p << 11, events.t], axis=1)
    path.write_bytes(
        header2("eu.seebetter.ini.chips.davis.Davis640") + words.astype(">u4").tobytes()
    )


def write_aedat3(path: Path, piece: EventStream, times: int) -> None:
    events = repeated(piece, times)
    with path.open("wb") as file:
        file.write(header3("DAVIS640"))
        for part in events.packets():
            t = events.t[part]
            words = events.x[part] << 17 | events.y[part] << 2 | events.p[part] << 1 | 1
            n = len(t)
            file.write(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, n, n, n))
            file.write(np.stack([words, t], axis=1).astype("<u4").tobytes())


def write_es(path: Path, piece: EventStream, times: int) -> None:
    """Write steps of time, which are relative: a piece begins where the one before it ended."""
    shifted = EventStream.from_arrays(
        piece.t - piece.t[0], piece.x, piece.y, piece.p, sensor=SENSOR
    )
    path.write_bytes(header_es(1, SENSOR) + dvs_records(shifted) * times)


def write_bag(path: Path, piece: EventStream, times: int) -> None:
    """Write a ROS 2 bag in SQLite of packets in libcaer's encoding."""
    events = repeated(piece, times)
    empty = EventStream.from_arrays(*(np.empty(0, np.int64) for _ in range(4)), sensor=SENSOR)
    with sqlite3.connect(path) as base:
        base.execute(
            "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, "
            "serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL)"
        )
        base.execute(
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, "
            "timestamp INTEGER NOT NULL, data BLOB NOT NULL)"
        )
        base.execute("INSERT INTO topics VALUES (1, '/events', ?, 'cdr', '')", (PACKET,))
        for k, part in enumerate(events.packets()):
            words = events.x[part] << 17 | events.y[part] << 2 | events.p[part] << 1 | 1
            raw = np.stack([words, events.t[part]], axis=1).astype("<u4").tobytes()
            content = packet(empty, sequence=k, encoding="libcaer", content=(0, raw))
            stamp_ns = int(events.t[part][-1]) * 1_000
            base.execute("INSERT INTO messages VALUES (?, 1, ?, ?)", (k + 1, stamp_ns, content))
    base.close()


def write_aedat4(path: Path, piece: EventStream, times: int) -> None:
    """Write AEDAT 4 with LZ4 by `convert`; dv-processing and aedat read it too."""
    table = path.with_suffix(".h5")
    write_dsec(table, piece, times)
    convert(table, path)
    table.unlink()


def write_dsec(path: Path, piece: EventStream, times: int) -> None:
    """Write DSEC's columns with blosc and zstd, as they are published."""
    import hdf5plugin

    events = repeated(piece, times)
    filters = hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.SHUFFLE)
    with h5py.File(path, "w") as file:
        for name, kind in (("t", "<u4"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")):
            column = getattr(events, name).astype(kind)
            file.create_dataset(f"events/{name}", data=column, chunks=(100_000,), **filters)
        file["t_offset"] = np.int64(0)
        last_ms = int(events.t[-1]) // 1_000 + 1
        file["ms_to_idx"] = np.searchsorted(events.t, np.arange(last_ms + 1) * 1_000)
        file["events"].attrs["width"], file["events"].attrs["height"] = SENSOR.width, SENSOR.height


def write_mvsec(path: Path, piece: EventStream, times: int) -> None:
    """Write MVSEC's rows of float64: x, y, seconds since 1970, polarity -1 or 1."""
    events = repeated(piece, times)
    rows = np.stack(
        [events.x, events.y, 1.5e9 + events.t / 1e6, np.where(events.p > 0, 1, -1)], axis=1
    )
    with h5py.File(path, "w") as file:
        file.create_dataset("davis/left/events", data=rows.astype(np.float64), chunks=(65_536, 4))


def write_npz(path: Path, piece: EventStream, times: int) -> None:
    events = repeated(piece, times)
    columns = {
        "t": events.t,
        "x": events.x.astype(np.uint16),
        "y": events.y.astype(np.uint16),
        "p": events.p.astype(np.uint8),
    }
    np.savez(path, width=SENSOR.width, height=SENSOR.height, **columns)


def write_csv(path: Path, piece: EventStream, times: int) -> None:
    events = repeated(piece, times)
    rows = np.stack([events.t, events.x, events.y, events.p], axis=1)
    with path.open("w") as file:
        file.write("t,x,y,p\n")
        for part in events.packets():
            file.write("\n".join(map(",".join, rows[part].astype(str).tolist())) + "\n")


WRITERS: dict[str, tuple[str, Callable[[Path, EventStream, int], None]]] = {
    "EVT3": ("evt3.raw", write_evt3),
    "EVT2": ("evt2.raw", write_evt2),
    "DAT": ("rec.dat", write_dat),
    "AEDAT 2": ("two.aedat", write_aedat2),
    "AEDAT 3.1": ("three.aedat", write_aedat3),
    "AEDAT 4": ("rec.aedat4", write_aedat4),
    "Event Stream": ("rec.es", write_es),
    "ROS 2 bag, libcaer": ("rec.db3", write_bag),
    "DSEC": ("dsec.h5", write_dsec),
    "MVSEC": ("mvsec.h5", write_mvsec),
    "NPZ": ("rec.npz", write_npz),
    "CSV": ("rec.csv", write_csv),
}
"""File and writer of each format."""
