"""Build DDD17 files byte by byte, sound or damaged, without the package's own writer."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

HOST_T0 = 1_487_339_175_000_000
NO_TIME = 2**31 - 1

Row = tuple[int, bytes, bytes]
"""Host time in us, header, payload."""


def header(
    kind: int,
    size: int,
    number: int,
    *,
    overflow: int = 0,
    capacity: int | None = None,
    valid: int | None = None,
) -> bytes:
    capacity = number if capacity is None else capacity
    valid = number if valid is None else valid
    offset = 8 if kind == 2 else 4
    return struct.pack("<hhiiiiii", kind, 1, size, offset, overflow, capacity, number, valid)


def polarity(
    events: Iterable[Sequence[int]],
    *,
    overflow: int = 0,
    host: int | None = None,
    **claimed: int,
) -> Row:
    """Events (t, x, y, p) or (t, x, y, p, valid), 31-bit times."""
    events = list(events)
    payload = b"".join(
        struct.pack("<Ii", x << 17 | y << 2 | p << 1 | (rest[0] if rest else 1), t)
        for t, x, y, p, *rest in events
    )
    number = claimed.pop("number", len(events))
    last = max((event[0] for event in events), default=0)
    when = HOST_T0 + (overflow << 31) + last if host is None else host
    return when, header(1, 8, number, overflow=overflow, **claimed), payload


def special(
    events: Iterable[tuple[int, int, int]], *, overflow: int = 0, host: int | None = None
) -> Row:
    """Special events (t, type, data)."""
    events = list(events)
    payload = b"".join(struct.pack("<Ii", data << 8 | kind << 1 | 1, t) for t, kind, data in events)
    when = HOST_T0 + (overflow << 31) if host is None else host
    return when, header(0, 8, len(events), overflow=overflow), payload


def wrap(*, overflow: int = 0, host: int | None = None) -> Row:
    return special([(NO_TIME, 0, 0)], overflow=overflow, host=host)


def reset(*, host: int | None = None) -> Row:
    return special([(NO_TIME, 1, 0)], host=host)


def imu(samples: Iterable[tuple[int, float]], *, overflow: int = 0, kind: int = 3) -> Row:
    """Samples (t, ax); the other six values follow from ax."""
    samples = list(samples)
    payload = b"".join(
        struct.pack("<Ii7f", 1, t, *(value + i for i in range(7))) for t, value in samples
    )
    last = max((t for t, _ in samples), default=0)
    return (
        HOST_T0 + (overflow << 31) + last,
        header(kind, 36, len(samples), overflow=overflow),
        payload,
    )


def frame_bytes(
    pixels: np.ndarray,
    stamps: tuple[int, int, int, int],
    *,
    size: int,
    at: tuple[int, int] = (0, 0),
    info: int = 3,
    shape: tuple[int, int] | None = None,
) -> bytes:
    """One frame: stamps are start, end, exposure start, exposure end, as they are stored."""
    height, width = shape or pixels.shape
    head = struct.pack("<I8i", info, *stamps, width, height, at[1], at[0])
    return (head + pixels.astype("<u2").tobytes()).ljust(size, b"\0")


def frames(bodies: Sequence[bytes], *, overflow: int = 0, host: int | None = None) -> Row:
    end = max(struct.unpack_from("<i", body, 8)[0] for body in bodies)
    when = HOST_T0 + (overflow << 31) + end if host is None else host
    return when, header(2, len(bodies[0]), len(bodies), overflow=overflow), b"".join(bodies)


def write_file(
    path: Path,
    rows: Sequence[Row],
    *,
    signals: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    n_rows: int = 256,
    times: bool = True,
) -> Path:
    """Write rows, then empty ones up to `n_rows`, and signals of (host time, value)."""
    n_rows = max(n_rows, len(rows))
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "dvs/data",
            (n_rows, 3),
            h5py.vlen_dtype(np.uint8),
            maxshape=(None, 3),
            chunks=(128, 3),
        )
        if rows:
            block = np.empty((len(rows), 3), object)
            for i, (host, head, payload) in enumerate(rows):
                texts = (str(host).encode() if host else b"", head, payload)
                for column, text in enumerate(texts):
                    block[i, column] = np.frombuffer(text, np.uint8)
            data[: len(rows)] = block
        if times:
            stamps = np.zeros(n_rows, np.int64)
            stamps[: len(rows)] = [host for host, _, _ in rows]
            file["dvs/timestamp"] = stamps
        for name, values in (signals or {}).items():
            table = np.zeros((256, 2))
            if len(values):
                table[: len(values)] = values
            file[f"{name}/data"] = table
            file[f"{name}/timestamp"] = table[:, 0].astype(np.int64)
    return path
