"""Index of a file of words: one pass over its blocks, with the state of the decoder before each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.recordings.contents import SPECIALS_DTYPE
from eventseg.recordings.event_columns import EventColumns, empty_columns
from eventseg.recordings.index_cache import load_arrays, store_arrays
from eventseg.recordings.packets import PACKET_DTYPE, packet_row
from eventseg.recordings.prophesee import state
from eventseg.recordings.prophesee.words import WordFile
from eventseg.recordings.report import Tally

BLOCK_BYTES, AHEAD_BYTES = 2**18, 2**13
"""Bytes decoded at once, and those beyond in which the next time is looked for."""

BLOCK_DTYPE = np.dtype([*PACKET_DTYPE.descr, ("state", "<i8", (state.STATES,))])

SENSORS = (
    SensorSize(240, 304),
    SensorSize(320, 320),
    SensorSize(480, 640),
    SensorSize(720, 1280),
)
"""Sensors of this maker, for files that do not say their size."""

ANY_SENSOR = SensorSize(2**14, 2**14)
"""Holds every row and column that a word can name."""

RISING, FALLING = 2, 3
"""Types of special events, as in the other formats."""

REASONS = {
    state.OUTSIDE: "outside the sensor",
    state.NO_TIME: "without a time: before the first, or with a stray one",
    state.NO_PLACE: "without a row or a column: before the first ones, or of gray levels",
}
REPAIRS = {
    state.TIMES_DAMAGED: "words of time that do not fit those around, left out",
    state.TIMES_BACK: "steps back in time, events put in order",
}
NOTES = {
    state.WRAPS: "wraps of the clock undone",
    state.TIMES_JUMPED: "jumps of the clock, as they stand in the file",
    state.OTHER: "words of inertial samples, counters and other contents, not read",
    state.UNKNOWN: "words of unknown types, not read",
}


@dataclass(frozen=True, eq=False, slots=True)
class Index:
    """Places, times and states of a file's blocks.

    Parameters
    ----------
    blocks : structured array (B,)
        :data:`BLOCK_DTYPE`, in file order.
    specials : structured array
        Triggers, sorted by time.
    sensor : SensorSize
    tally : Tally
    """

    blocks: NDArray[np.void]
    specials: NDArray[np.void]
    sensor: SensorSize
    tally: Tally


def decode_block(
    file: WordFile,
    offset: int,
    size: int,
    before: NDArray[np.int64],
    *,
    events: EventColumns,
    sensor: SensorSize,
    counts: NDArray[np.int64],
    triggers: NDArray[np.int64] | None = None,
) -> EventColumns:
    """Return the events of a block in file order.

    Parameters
    ----------
    file : WordFile
    offset, size : int
        The block in bytes.
    before : int64 (5,)
        State of the decoder before the block; becomes that after it.
    events : EventColumns
        Room for the events, from :func:`room_for`.
    sensor : SensorSize
        Events outside are left out.
    counts : int64 (13,)
        Go up by the number of each found.
    triggers : int64 (T, 3), optional
        Receives time, channel and edge of the triggers.

    Raises
    ------
    RecordingError
        The file is closed or became shorter.
    """
    coding = file.coding
    words = file.words(offset, size + AHEAD_BYTES)
    stop = size // coding.dtype.itemsize
    none = np.empty((0, 3), np.int64)
    n = coding.decode(
        words,
        stop,
        before,
        *sensor,
        events.t,
        events.x,
        events.y,
        events.p,
        none if triggers is None else triggers,
        counts,
    )
    return events[:n]


def room_for(events: int, file: WordFile) -> EventColumns:
    """Return columns that hold a number of events and those of one more word."""
    n = events + file.coding.most
    return empty_columns(n)


def load_index(
    file: WordFile, *, given: SensorSize | None, progress: Callable[[float], None]
) -> Index:
    """Return the index of a file, from the cache if it is there.

    Parameters
    ----------
    file : WordFile
    given : SensorSize, optional
        Size that a caller gives; by default that of the header, or else the smallest known one
        that holds all events.
    progress : callable
        Called with the share of the file that is read.
    """
    cached = load_arrays(file.path)
    wanted = None if given is None else list(given)
    if cached is not None and cached[1].get("given") == wanted and "blocks" in cached[0]:
        arrays, facts = cached
        progress(1.0)
        blocks, specials = arrays["blocks"], arrays["specials"]
        sensor, tally = SensorSize(*facts["sensor"]), Tally.from_dict(facts["tally"])
        return Index(blocks, specials, sensor, tally)
    index = build_index(file, given=given, progress=progress)
    facts = {"given": wanted, "sensor": list(index.sensor), "tally": index.tally.to_dict()}
    why = store_arrays(file.path, {"blocks": index.blocks, "specials": index.specials}, facts)
    if why is not None:
        index.tally.notes.append(why)
    return index


def build_index(
    file: WordFile, *, given: SensorSize | None, progress: Callable[[float], None]
) -> Index:
    """Read the file once; parameters as of :func:`load_index`."""
    known = given or file.header.sensor
    tally, rows, triggers = Tally(), [], []
    tally.notes.append(f"words of {file.coding.name}")
    before, counts = state.new_state(), np.zeros(state.COUNTS, np.int64)
    # Whatever the words of a block may hold; pages that no event touches are never there.
    room = room_for(BLOCK_BYTES // file.coding.dtype.itemsize * file.coding.most, file)
    for offset in range(file.first, file.end, BLOCK_BYTES):
        progress((offset - file.first) / max(1, file.end - file.first))
        size = min(BLOCK_BYTES, file.end - offset)
        began = before.copy()
        found = np.empty((size // file.coding.dtype.itemsize, 3), np.int64)
        counts[state.TRIGGERS] = 0
        events = decode_block(
            file, offset, size, before, events=room,
            sensor=known or ANY_SENSOR, counts=counts, triggers=found,
        )  # fmt: skip
        tally.found["packets"] += 1
        triggers.append(found[: counts[state.TRIGGERS]].copy())
        if len(events):
            rows.append((*packet_row(offset, size, events), began))
    progress(1.0)
    specials = _specials(triggers)
    tally.found["specials"] = len(specials)
    tally.found["events"] = int(counts[state.FOUND])
    for place, reason in REASONS.items():
        tally.skip("events", reason, int(counts[place]))
    for place, what in REPAIRS.items():
        tally.repair(what, int(counts[place]))
    for place, what in NOTES.items():
        if counts[place]:
            tally.notes.append(f"{counts[place]:,} {what}")
    if file.tail:
        tally.notes.append(f"{file.tail} bytes after the last whole word, not read")
    sensor = known or _inferred(counts, tally)
    if given is None and file.header.sensor is not None:
        tally.notes.append(f"sensor {sensor} from the header")
    return Index(np.array(rows, BLOCK_DTYPE), specials, sensor, tally)


def _specials(parts: list[NDArray[np.int64]]) -> NDArray[np.void]:
    found = np.concatenate([np.empty((0, 3), np.int64), *parts])
    specials = np.zeros(len(found), SPECIALS_DTYPE)
    specials["t"], specials["data"] = found[:, 0], found[:, 1]
    specials["type"] = np.where(found[:, 2] == 1, RISING, FALLING)
    return specials[np.argsort(specials["t"], kind="stable")]


def _inferred(counts: NDArray[np.int64], tally: Tally) -> SensorSize:
    height, width = int(counts[state.Y_MAX]) + 1, int(counts[state.X_MAX]) + 1
    for size in SENSORS:
        if height <= size.height and width <= size.width:
            tally.guess_sensor(
                f"sensor {size} inferred: the smallest of this maker that holds x to {width - 1} "
                f"and y to {height - 1}; give the size if it is another"
            )
            return size
    size = SensorSize(height, width)
    tally.guess_sensor(f"sensor {size} inferred: no known one holds the largest x and y")
    return size
