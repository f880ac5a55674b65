"""Index of an AEDAT 2 file: one pass over its blocks, with the clock's state before each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.recordings.aedat import aps, words
from eventseg.recordings.aedat.version2 import Aedat2File
from eventseg.recordings.contents import IMU_DTYPE, SPECIALS_DTYPE, Epoch
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.index_cache import load_arrays, store_arrays
from eventseg.recordings.packets import PACKET_DTYPE, packet_row
from eventseg.recordings.report import Tally

BLOCK_WORDS = 2**14
AHEAD = 2
"""Words beyond a block that are looked at."""

BLOCK_DTYPE = np.dtype([*PACKET_DTYPE.descr, ("state", "<i8", (words.STATES,))])

EXTERNAL = 4
"""Type of special events for pulses at the connector, as in the other formats."""

DTYPES = {
    "blocks": BLOCK_DTYPE,
    "frames": aps.FRAME_DTYPE,
    "imu": IMU_DTYPE,
    "specials": SPECIALS_DTYPE,
}


@dataclass(frozen=True, eq=False, slots=True)
class Index:
    """Places, times and states of a file's contents; times are continuous, in us.

    Parameters
    ----------
    blocks : structured array (B,)
        :data:`BLOCK_DTYPE`; offset and size are numbers of words.
    frames : structured array (F,)
        :data:`eventseg.recordings.aedat.aps.FRAME_DTYPE`, in file order.
    imu, specials : structured array
        Inertial samples and external events, sorted by time.
    epochs : tuple of Epoch
        Their rows are numbers of words.
    tally : Tally
    """

    blocks: NDArray[np.void]
    frames: NDArray[np.void]
    imu: NDArray[np.void]
    specials: NDArray[np.void]
    epochs: tuple[Epoch, ...]
    tally: Tally


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """Words of a block with their continuous times, -1 for damaged ones."""

    addresses: NDArray[np.uint32]
    times: NDArray[np.int64]
    restarts: NDArray[np.int64]


def read_block(
    file: Aedat2File, first: int, size: int, state: NDArray[np.int64], counts: NDArray[np.int64]
) -> Block:
    """Return the words of a block; `state` becomes that after it."""
    addresses, stamps = file.read(first, size + AHEAD)
    size = min(size, len(stamps))
    times, restarts = np.empty(size, np.int64), np.empty(size, np.int64)
    words.unwrap(stamps, size, state, times, restarts, counts)
    return Block(addresses[:size], times, restarts)


def events_of(file: Aedat2File, block: Block, sensor: SensorSize) -> tuple[EventColumns, int]:
    """Return the events of a block on the sensor, and the number of those outside."""
    n = len(block.times)
    room = empty_columns(n)
    decode = words.decode_dvs128 if file.layout == "DVS128" else words.decode_davis
    kept, outside = decode(
        block.addresses, block.times, file.chip, sensor, room.t, room.x, room.y, room.p
    )
    return room[:kept], outside


def load_index(file: Aedat2File, *, sensor: SensorSize, progress: Callable[[float], None]) -> Index:
    """Return the index of a file, from the cache if it is there.

    Parameters
    ----------
    file : Aedat2File
    sensor : SensorSize
        Events outside are left out and counted.
    progress : callable
        Called with the share of the file that is read.
    """
    variant = f"{file.layout} {file.chip} {sensor}"
    cached = load_arrays(file.path, variant=variant)
    if cached is not None and {n: a.dtype for n, a in cached[0].items()} == DTYPES:
        arrays, facts = cached
        progress(1.0)
        epochs = tuple(Epoch(**epoch) for epoch in facts["epochs"])
        return Index(**arrays, epochs=epochs, tally=Tally.from_dict(facts["tally"]))
    index = build_index(file, sensor=sensor, progress=progress)
    arrays = {name: getattr(index, name) for name in DTYPES}
    facts = {
        "epochs": [asdict(epoch) for epoch in index.epochs],
        "tally": index.tally.to_dict(),
    }
    why = store_arrays(file.path, arrays, facts, variant=variant)
    if why is not None:
        index.tally.notes.append(why)
    return index


def build_index(
    file: Aedat2File, *, sensor: SensorSize, progress: Callable[[float], None]
) -> Index:
    """Read the file once; parameters as of :func:`load_index`."""
    tally, rows, epochs = Tally(), [], [Epoch(0, 0, "start")]
    state, counts = np.array([-1, 0], np.int64), np.zeros(words.COUNTS, np.int64)
    pixels = file.chip.height * file.chip.width
    seen, frame_state = np.zeros(pixels, np.uint8), aps.new_state()
    frames: list[NDArray[np.int64]] = []
    inertial: list[tuple[NDArray[np.uint32], NDArray[np.int64]]] = []
    specials: list[NDArray[np.void]] = []
    for first in range(0, file.words, BLOCK_WORDS):
        progress(first / max(1, file.words))
        began = state.copy()
        block = read_block(file, first, min(BLOCK_WORDS, file.words - first), state, counts)
        events, outside = events_of(file, block, sensor)
        tally.found["packets"] += 1
        tally.found["events"] += len(events) + outside
        tally.skip("events", f"outside the sensor {sensor}", outside)
        for i in np.flatnonzero(block.restarts).tolist():
            epochs.append(Epoch(first + i, int(block.restarts[i]), "clock jumped back"))
        if len(events):
            rows.append((*packet_row(first, len(block.times), events), began))
        specials.append(_external(file, block))
        if file.layout == "DAVIS":
            is_imu = (block.addresses & 0x80000C00) == 0x80000C00
            is_imu &= block.times >= 0
            inertial.append((block.addresses[is_imu], block.times[is_imu]))
            room = np.empty((len(block.times) // (2 * pixels) + 2, 6), np.int64)
            n = aps.find_frames(
                block.addresses, block.times, first, file.chip, seen, frame_state, room
            )
            frames.append(room[:n])
    progress(1.0)
    tally.found["events"] += int(counts[words.DAMAGED])
    tally.skip("events", "time stamp far from those around", int(counts[words.DAMAGED]))
    tally.repair("restarts of the clock, inferred from a jump", int(counts[words.RESTARTS]))
    for place, what in ((words.WRAPS, "wraps of the clock undone"), (words.JUMPS, "pauses")):
        if counts[place]:
            tally.notes.append(f"{counts[place]:,} {what}")
    if file.tail:
        tally.notes.append(f"{file.tail} bytes after the last whole word, not read")
    imu = _samples(inertial, tally)
    found = np.concatenate([np.empty(0, SPECIALS_DTYPE), *specials])
    tally.found["specials"] += len(found)
    return Index(
        np.array(rows, BLOCK_DTYPE),
        _frames(frames, frame_state, tally),
        imu,
        found[np.argsort(found["t"], kind="stable")],
        tuple(epochs),
        tally,
    )


def _external(file: Aedat2File, block: Block) -> NDArray[np.void]:
    if file.layout == "DVS128":
        chosen = block.addresses >> 15 & 1 == 1
    else:
        chosen = (block.addresses >> 31 == 0) & (block.addresses & 0xC00 == 0x400)
    times = block.times[chosen & (block.times >= 0)]
    specials = np.zeros(len(times), SPECIALS_DTYPE)
    specials["t"], specials["type"] = times, EXTERNAL
    return specials


def _frames(
    parts: list[NDArray[np.int64]], state: NDArray[np.int64], tally: Tally
) -> NDArray[np.void]:
    """Return the frames; stamps that are not in order become the latest one before them."""
    table = np.concatenate([np.empty((0, 6), np.int64), *parts])
    order = [2, 4, 5, 3]  # start, exposure, end
    table[:, order] = np.maximum.accumulate(table[:, order], axis=1)
    tally.found["frames"] += int(state[aps.FOUND])
    tally.skip("frames", "without both readings of each pixel", int(state[aps.FOUND]) - len(table))
    if state[aps.OUTSIDE]:
        tally.notes.append(f"{state[aps.OUTSIDE]:,} readings of frames outside the sensor")
    frames = np.zeros(len(table), aps.FRAME_DTYPE)
    for k, name in enumerate(aps.FRAME_DTYPE.names or ()):
        frames[name] = table[:, k]
    return frames


def _samples(
    parts: list[tuple[NDArray[np.uint32], NDArray[np.int64]]], tally: Tally
) -> NDArray[np.void]:
    addresses = np.concatenate([np.empty(0, np.uint32), *(part for part, _ in parts)])
    times = np.concatenate([np.empty(0, np.int64), *(part for _, part in parts)])
    samples, stray = aps.imu_of(addresses, times)
    tally.found["imu"] += len(samples)
    if stray:
        tally.notes.append(f"{stray:,} words of inertial samples that are not whole")
    return samples
