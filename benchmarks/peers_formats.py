"""Readers of the package index by format: each counts the events of a file that it has read whole.

Readers of containers alone are given the rest of the work: words decoded, and columns converted,
by NumPy, to int64 microseconds, columns, rows and polarities.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Read = Callable[[Path], int]


def by_evutils(path: Path) -> int:
    from evutils.io import EventReader

    return sum(len(part) for part in EventReader(path, n_events=10**6))


def by_evlib(path: Path) -> int:
    """Collect a frame of columns; its times are durations."""
    import evlib

    return len(evlib.load_events(str(path)).collect())


def by_faery(path: Path) -> int:
    import faery

    size = (640, 480)
    more = {"dimensions_fallback": size} if path.suffix in (".csv", ".dat", ".raw") else {}
    return sum(len(part) for part in faery.events_stream_from_file(path, **more))


def by_dv(path: Path) -> int:
    import dv_processing as dv

    opened, count = dv.io.MonoCameraRecording(str(path)), 0
    while (batch := opened.getNextEventBatch()) is not None:
        count += len(batch.numpy())
    return count


def by_aedat(path: Path) -> int:
    import aedat

    packets = aedat.Decoder(str(path))
    return sum(len(packet["events"]) for packet in packets if "events" in packet)


def by_event_stream(path: Path) -> int:
    import event_stream

    with event_stream.Decoder(str(path)) as decoder:
        return sum(len(part) for part in decoder)


def by_rosbags(path: Path) -> int:
    """Read the messages by rosbags, and decode the words of libcaer by NumPy."""
    from rosbags.highlevel import AnyReader
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    fields = (
        "std_msgs/Header header\nuint32 height\nuint32 width\nuint64 seq\nuint64 time_base\n"
        "string encoding\nbool is_bigendian\nuint8[] events\n"
    )
    store.register(get_types_from_msg(fields, "event_camera_msgs/msg/EventPacket"))
    count = 0
    with AnyReader([path], default_typestore=store) as reader:
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            words = np.frombuffer(message.events, "<u4").reshape(-1, 2)
            t = words[:, 1].astype(np.int64) + message.time_base // 1_000
            address = words[:, 0]
            x, y = (address >> 17).astype(np.uint16), (address >> 2 & 0x7FFF).astype(np.uint16)
            p = (address >> 1 & 1).astype(np.int8)
            count += len(t) * (len(t) == len(x) == len(y) == len(p))
    return count


def dsec_by_h5py(path: Path) -> int:
    import h5py
    import hdf5plugin  # noqa: F401 - registers blosc

    with h5py.File(path) as file:
        t = file["events/t"][:].astype(np.int64) + int(file["t_offset"][()])
        x, y = file["events/x"][:], file["events/y"][:]
        p = file["events/p"][:].astype(np.int8)
    return len(t) * (len(x) == len(y) == len(p))


def mvsec_by_h5py(path: Path) -> int:
    import h5py

    count = 0
    with h5py.File(path) as file:
        rows = file["davis/left/events"]
        for k in range(0, len(rows), 10**6):
            part = rows[k : k + 10**6]
            t = np.round(part[:, 2] * 1e6).astype(np.int64)
            x, y = part[:, 0].astype(np.uint16), part[:, 1].astype(np.uint16)
            p = (part[:, 3] > 0).astype(np.int8)
            count += len(t) * (len(x) == len(y) == len(p))
    return count


def by_numpy(path: Path) -> int:
    with np.load(path) as file:
        t, x, y = file["t"].astype(np.int64), file["x"], file["y"]
        p = file["p"].astype(np.int8)
    return len(t) * (len(x) == len(y) == len(p))


def by_pandas(path: Path) -> int:
    import pandas

    kinds = {"t": np.int64, "x": np.uint16, "y": np.uint16, "p": np.int8}
    return len(pandas.read_csv(path, dtype=kinds))


def by_polars(path: Path) -> int:
    """Several threads."""
    import polars

    kinds = {"t": polars.Int64, "x": polars.UInt16, "y": polars.UInt16, "p": polars.Int8}
    table = polars.read_csv(path, schema=kinds)
    return len(table["t"].to_numpy())


_GENERAL: dict[str, Read] = {"evutils": by_evutils, "evlib": by_evlib}

PEERS: dict[str, dict[str, Read]] = {
    "EVT3": {**_GENERAL, "faery": by_faery},
    "EVT2": {**_GENERAL, "faery": by_faery},
    "DAT": {"evutils": by_evutils, "faery": by_faery},
    "AEDAT 2": _GENERAL,
    "AEDAT 3.1": _GENERAL,
    "AEDAT 4": {"dv-processing": by_dv, "aedat": by_aedat, **_GENERAL, "faery": by_faery},
    "Event Stream": {"event_stream": by_event_stream, "faery": by_faery},
    "ROS 2 bag, libcaer": {"rosbags and NumPy": by_rosbags},
    "DSEC": {"h5py": dsec_by_h5py, **_GENERAL},
    "MVSEC": {"h5py": mvsec_by_h5py, **_GENERAL},
    "NPZ": {"NumPy": by_numpy, "evutils": by_evutils},
    "CSV": {"pandas": by_pandas, "polars": by_polars, **_GENERAL, "faery": by_faery},
}
"""Readers of each format."""
