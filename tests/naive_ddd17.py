"""A second reader of DDD17 files: loops over bytes, straight from the format's description."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import h5py

WRAP = 2**31
JUMP = 1_000_000


@dataclass
class NaiveRecording:
    events: list[tuple[int, int, int, int]] = field(default_factory=list)
    frames: list[tuple[int, int, int, int]] = field(default_factory=list)
    imu: list[tuple[int, ...]] = field(default_factory=list)
    specials: list[tuple[int, int, int]] = field(default_factory=list)
    epochs: list[tuple[int, int, str]] = field(default_factory=list)
    found: int = 0


@dataclass
class _Epoch:
    row: int
    reason: str
    things: list[tuple[str, int, tuple[int, ...]]] = field(default_factory=list)
    polarity_times: list[int] = field(default_factory=list)
    leads: list[int] = field(default_factory=list)


def read(path: Path, *, height: int, width: int) -> NaiveRecording:
    """Read a file in which every header is sound and every frame has sane stamps."""
    result = NaiveRecording()
    epochs = [_Epoch(0, "start")]
    latest = None
    first_overflow = carry = wraps = 0
    with h5py.File(path) as file:
        rows = [
            (int(t), [bytes(cell) for cell in row])
            for t, row in zip(file["dvs/timestamp"], file["dvs/data"], strict=True)
        ]
    for number, (host, (digits, head, payload)) in enumerate(rows):
        if not head:
            continue
        assert int(digits) == host
        kind, _, size, _, overflow, capacity, count, _ = struct.unpack("<hhiiiiii", head)
        count = min(capacity, count, len(payload) // size)
        bodies = [payload[i * size : (i + 1) * size] for i in range(count)]
        if kind == 1:
            result.found += count
            events = []
            for body in bodies:
                word, t = struct.unpack("<Ii", body)
                x, y, p = word >> 17, (word >> 2) & 0x7FFF, (word >> 1) & 1
                if word & 1 and t >= 0:
                    events.append((t, x, y, p))
            if not events:
                continue
            top = max(t for t, *_ in events) + overflow * WRAP
            if latest is None:
                first_overflow = overflow
            else:
                while carry and wraps < overflow - first_overflow + carry // WRAP:
                    carry -= WRAP
                if top + carry < latest - JUMP:
                    if wraps > overflow - first_overflow + carry // WRAP:
                        carry += WRAP
                    else:
                        epochs.append(_Epoch(number, "clock jumped back"))
                        latest, wraps, carry, first_overflow = None, 0, 0, overflow
            base = overflow * WRAP + carry
            latest = top + carry if latest is None else max(latest, top + carry)
            epochs[-1].leads.append(host - top - carry)
            for t, x, y, p in events:
                epochs[-1].polarity_times.append(base + t)
                if x < width and y < height:
                    epochs[-1].things.append(("event", base + t, (x, y, p)))
        elif kind == 0:
            for body in bodies:
                word, t = struct.unpack("<Ii", body)
                special, data = (word >> 1) & 0x7F, word >> 8
                if special == 1:
                    epochs.append(_Epoch(number, "reset"))
                    latest, wraps, carry, t = None, 0, 0, 0
                wraps += special == 0
                epochs[-1].things.append(("special", overflow * WRAP + carry + t, (special, data)))
        elif kind == 3:
            for body in bodies:
                info, t, ax, *_ = struct.unpack("<Ii7f", body)
                if info & 1:
                    epochs[-1].things.append(("imu", overflow * WRAP + carry + t, (int(ax),)))
        elif kind == 2:
            for body in bodies:
                start, end, first, last = struct.unpack_from("<4i", body, 4)
                base = overflow * WRAP + carry
                stamps = (base + start, base + end, base + first)
                epochs[-1].things.append(("frame", base + last, stamps))
    offset = previous = 0
    lead = None
    for epoch in epochs:
        if not epoch.polarity_times:
            raise ValueError("the naive reader wants events in every epoch")
        if lead is None:
            lead = min(epoch.leads)
        else:
            offset = min(epoch.leads) - lead
            offset = max(offset, previous + 1 - min(epoch.polarity_times))
        previous = offset + max(epoch.polarity_times)
        result.epochs.append((epoch.row, offset, epoch.reason))
        for what, t, rest in epoch.things:
            if what == "event":
                result.events.append((t + offset, *rest))
            elif what == "special":
                result.specials.append((t + offset, *rest))
            elif what == "imu":
                result.imu.append((t + offset, *rest))
            else:
                start, end, first = (stamp + offset for stamp in rest)
                result.frames.append((t + offset, start, end, first))
    for things in (result.events, result.specials, result.imu, result.frames):
        things.sort(key=lambda thing: thing[0])
    once = {frame[0]: frame for frame in reversed(result.frames)}  # the first of each time
    result.frames = [once[t] for t in sorted(once)]
    return result
