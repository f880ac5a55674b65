"""Size of the sensor, and selection of the events on it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from eventseg.events import SensorSize
from eventseg.recordings.base import GAP_US
from eventseg.recordings.ddd17 import decode
from eventseg.recordings.ddd17.layout import EVENT_BYTES, POLARITY, SENSORS
from eventseg.recordings.ddd17.packets import (
    ISLAND_DTYPE,
    SCANNED,
    find_islands,
)
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.report import Tally

PACKETS_AT_ONCE = 128
EVENTS_AT_ONCE = 2**17
"""A batch holds a megabyte of events, so that it is still in a core's cache when decoded."""


def infer_sensor(
    packets: NDArray[np.void], frames: NDArray[np.void], *, tally: Tally
) -> SensorSize:
    """Infer the sensor's size, which stands nowhere in the file.

    A frame that fills its packet has the sensor's size; without one, the smallest well-known
    sensor that holds every event is taken.
    """
    full = frames[frames["full"]]
    if len(full):
        sizes = Counter(zip(full["height"].tolist(), full["width"].tolist(), strict=True))
        size = SensorSize(*sizes.most_common(1)[0][0])
        tally.notes.append(f"sensor {size} inferred from {len(full):,} full frames")
        return size
    events = packets[packets["kind"] == POLARITY]
    bottoms = [events["y_max"] + 1, frames["row"].astype(np.int64) + frames["height"]]
    rights = [events["x_max"] + 1, frames["col"].astype(np.int64) + frames["width"]]
    height, width = (int(np.concatenate(ends).max(initial=1)) for ends in (bottoms, rights))
    for name, size in SENSORS.items():
        if height <= size.height and width <= size.width:
            tally.guess_sensor(
                f"sensor {size} ({name}) inferred: the smallest well-known one that holds "
                f"x to {width - 1} and y to {height - 1}; give the size if it is another"
            )
            return size
    size = SensorSize(height, width)
    tally.guess_sensor(f"sensor {size} inferred: no well-known one holds the largest x and y")
    return size


def fit_to_sensor(
    packets: NDArray[np.void],
    islands: NDArray[np.void],
    sensor: SensorSize,
    *,
    file: PacketSource,
    tally: Tally,
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Return packets and islands without the events that lie outside the sensor.

    Only packets that have such events are read again.
    """
    packets = packets.copy()
    suspects = np.flatnonzero(
        (packets["x_max"] >= sensor.width) | (packets["y_max"] >= sensor.height)
    )
    if not len(suspects):
        return packets, islands
    again: list[tuple[int, int, int]] = []
    size = EVENT_BYTES[POLARITY]
    for part in packet_batches(packets, suspects):
        chosen = packets[part]
        stored, starts = file.events_of(chosen, size)
        events = stored.view("<u8")
        spans = np.stack([chosen["t_min"], chosen["t_max"]], axis=1) - chosen["base"][:, None]
        scanned = decode.scan(events, starts, spans, sensor.height, sensor.width)
        tally.skip("events", f"outside the sensor {sensor}", int(scanned[:, decode.OUTSIDE].sum()))
        for field, column in SCANNED.items():
            chosen[field] = scanned[:, column]
        bases = dict(zip(chosen["row"].tolist(), chosen["base"].tolist(), strict=True))
        again += [
            (row, low + bases[row], high + bases[row])
            for row, low, high in find_islands(chosen, events, starts, spans, sensor)
        ]
        for field in ("t_first", "t_last", "t_min", "t_max"):
            chosen[field] += chosen["base"]
        packets[part] = chosen
    old = islands[~np.isin(islands["row"], packets["row"][suspects])]
    return packets[packets["kept"] > 0], np.concatenate([old, np.array(again, ISLAND_DTYPE)])


def packet_batches(packets: NDArray[np.void], chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Cut ascending packet numbers into batches that are read at once: few, or few events."""
    weight = np.cumsum(packets["number"][chosen]) // EVENTS_AT_ONCE
    count = np.arange(len(chosen)) // PACKETS_AT_ONCE
    cuts = np.flatnonzero((np.diff(weight) != 0) | (np.diff(count) != 0)) + 1
    return [batch for batch in np.split(chosen, cuts) if len(batch)]


def find_gaps(packets: NDArray[np.void], islands: NDArray[np.void]) -> list[tuple[int, int]]:
    """Return the stretches between events longer than ``GAP_US``, as (before, after) in us."""
    simple = packets[~np.isin(packets["row"], islands["row"])]
    low = np.concatenate([simple["t_min"], islands["t_min"]])
    high = np.concatenate([simple["t_max"], islands["t_max"]])
    order = np.argsort(low, kind="stable")
    before, after = np.maximum.accumulate(high[order])[:-1], low[order][1:]
    wide = after - before > GAP_US
    return list(zip(before[wide].tolist(), after[wide].tolist(), strict=True))
