"""Packets whose times fall apart: the stretch of time to keep of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.base import GAP_US
from eventseg.recordings.ddd17.clock import JUMP_BACK_US
from eventseg.recordings.ddd17.layout import EVENT_BYTES, POLARITY, WRAP_US
from eventseg.recordings.ddd17.packets import UNLIMITED, packet_times
from eventseg.recordings.ddd17.sensor import packet_batches
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.ddd17.strays.packets import MOST_OFF, Line

DENSE_EVENTS: Final = 8
"""Events within 100 ms that are enough to call one 100 ms away a stray; fewer need a second."""


@dataclass(frozen=True)
class Stretches:
    """Stretches of a packet's times with gaps of more than `gap_us` between, 31-bit."""

    bounds: NDArray[np.int64]  # (S, 2)
    counts: NDArray[np.int64]
    gap_us: int

    @property
    def majority(self) -> NDArray[np.int64] | None:
        """Bounds of the stretch with most of the events, at least three."""
        largest = int(np.argmax(self.counts))
        clear = self.counts[largest] >= 3 and 2 * self.counts[largest] > self.counts.sum()
        return self.bounds[largest] if clear else None


def stretches_of(events: NDArray[np.void], file: PacketSource) -> dict[int, Stretches]:
    """Return the stretches of the packets whose times fall apart, by the packet's number."""
    suspects = np.flatnonzero(events["t_max"] - events["t_min"] > GAP_US)
    found: dict[int, Stretches] = {}
    for batch in packet_batches(events, suspects):
        stored, starts = file.events_of(events[batch], EVENT_BYTES[POLARITY])
        words = stored.view("<u8")
        for k, i in enumerate(batch.tolist()):
            times = packet_times(words[starts[k] : starts[k + 1]], (UNLIMITED, UNLIMITED))
            parts = _split(times, GAP_US)
            largest = int(np.argmax(parts.counts))
            low, high = parts.bounds[largest]
            most = parts.counts[largest]
            if most < max(DENSE_EVENTS, 7 * len(times) / 8) or high - low > GAP_US:
                parts = _split(times, JUMP_BACK_US)
            if len(parts.counts) > 1:
                found[i] = parts
    return found


def _split(times: NDArray[np.int64], gap_us: int) -> Stretches:
    begins = np.r_[0, np.flatnonzero(np.diff(times) > gap_us) + 1]
    ends = np.r_[begins[1:], len(times)]
    bounds = np.stack([times[begins], times[ends - 1]], axis=1)
    return Stretches(bounds, ends - begins, gap_us)


def choose_span(line: Line, i: int, parts: Stretches, spans: NDArray[np.int64]) -> None:
    """Choose the stretches of a packet to keep by its neighbours, else by their number."""
    window = slice(max(0, i - MOST_OFF), i + MOST_OFF + 1)
    good = line.sure[window] & ~line.off[window] & (line.part[window] == line.part[i])
    near = np.flatnonzero(good) + window.start
    before, after = near[near < i][-1:], near[near > i][:1]
    zero = line.overflow[i] * WRAP_US
    low_us = line.last[before] - zero - parts.gap_us
    high_us = line.first[after] - zero + parts.gap_us
    starts, ends = parts.bounds[:, 0], parts.bounds[:, 1]
    majority = parts.majority
    if len(before) and len(after) and low_us[0] <= high_us[0]:
        fits = (ends >= low_us[0]) & (starts <= high_us[0])
        if fits.any():
            spans[i] = starts[fits].min(), ends[fits].max()
            line.off[i] = False
        elif majority is not None and not line.off[i]:
            spans[i] = majority
        else:
            line.off[i] = True
    elif len(before) or len(after):
        if majority is not None and not line.off[i]:
            spans[i] = majority
            return
        here = line.last[before] - zero if len(before) else line.first[after] - zero
        distance = np.maximum(np.maximum(starts - here[0], here[0] - ends), 0)
        nearest = int(np.argmin(distance))
        spans[i] = parts.bounds[nearest]
        line.off[i] = distance[nearest] > JUMP_BACK_US and line.off[i]
