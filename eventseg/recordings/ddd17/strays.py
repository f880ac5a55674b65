"""Stray times: of events, packets and headers that the packets around them contradict.

One damaged bit moves a time stamp by up to 18 minutes, and one in a header's overflow word moves
a packet by years. Such times are left out, or put right where the overflow is at fault, before
the clock of the recording is established from the times that remain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.base import GAP_US
from eventseg.recordings.ddd17 import decode
from eventseg.recordings.ddd17.clock import JUMP_BACK_US
from eventseg.recordings.ddd17.file import PacketFile
from eventseg.recordings.ddd17.layout import (
    EVENT_BYTES,
    FRAME,
    IMU6,
    POLARITY,
    TIMESTAMP_RESET,
    TIMESTAMP_WRAP,
    WRAP_US,
)
from eventseg.recordings.ddd17.packets import (
    ISLAND_DTYPE,
    SCANNED,
    UNLIMITED,
    find_islands,
    packet_times,
)
from eventseg.recordings.ddd17.sensor import packet_batches
from eventseg.recordings.report import Tally

MOST_OFF: Final = 16
"""Longest run of packets that is taken for damaged when the time before it goes on behind it.

A longer one is a clock that runs elsewhere. A single first packet is damaged, and no restart
of the clock, if at least as many packets follow that agree."""

DENSE_EVENTS: Final = 8
"""Events within 100 ms that are enough to call one 100 ms away a stray; fewer need a second."""

STRAY = "time stamp far from those of the packet and its neighbours"
OFF = "all time stamps of the packet far from those of its neighbours"
OVERFLOW = "overflow words in headers put right by the packets around"


@dataclass(eq=False)
class _Line:
    """Times of the event packets in file order; arrays of one length, changed in place.

    `low` and `high` are 31-bit and of the stamps that agree; `part` counts the resets and wraps
    before a packet. `sure` is false where a packet's own stamps do not tell which are right.
    """

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    overflow: NDArray[np.int64]
    host: NDArray[np.int64]
    part: NDArray[np.int64]
    sure: NDArray[np.bool_]
    off: NDArray[np.bool_]

    @property
    def first(self) -> NDArray[np.int64]:
        return self.overflow * WRAP_US + self.low

    @property
    def last(self) -> NDArray[np.int64]:
        return self.overflow * WRAP_US + self.high


@dataclass(frozen=True)
class _Stretches:
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


def without_strays(
    packets: NDArray[np.void],
    specials: NDArray[np.void],
    islands: NDArray[np.void],
    *,
    file: PacketFile,
    tally: Tally,
) -> NDArray[np.void]:
    """Leave out times that the packets around them contradict; return the remaining islands.

    An event is left out if it lies more than a second (100 ms where its packet is dense) from
    the others of its packet and beyond the neighbouring packets. A packet is left out if it lies
    more than a second from both neighbours, whose times follow each other; where another overflow
    brings it between them, it gets that one.

    Parameters
    ----------
    packets : structured array (P,)
        PACKET_DTYPE, all kinds, in file order, 31-bit times; changed in place.
    specials : structured array (S,)
        STORED_SPECIAL_DTYPE. No time is compared across a reset or a wrap of the clock.
    islands : structured array (I,)
        ISLAND_DTYPE, 31-bit times.
    file : PacketFile
        Packets with strays are read again.
    tally : Tally
        Receives the counts.
    """
    chosen = np.flatnonzero((packets["kind"] == POLARITY) & (packets["kept"] > 0))
    events = packets[chosen]
    if len(events) == 0:
        return islands
    is_mark = (specials["type"] == TIMESTAMP_RESET) | (specials["type"] == TIMESTAMP_WRAP)
    marks = specials[is_mark]
    line = _Line(
        events["t_min"].copy(),
        events["t_max"].copy(),
        events["overflow"].copy(),
        events["host"].copy(),
        np.searchsorted(marks["row"], events["row"], side="right"),
        np.ones(len(events), np.bool_),
        np.zeros(len(events), np.bool_),
    )
    resets = np.flatnonzero(marks["type"] == TIMESTAMP_RESET) + 1
    stretches = _stretches_of(events, file)
    for i, parts in stretches.items():
        majority = parts.majority
        if majority is None:
            line.sure[i] = False
        else:
            line.low[i], line.high[i] = majority
    repaired = _check_packets(line, {0, *resets.tolist()})
    spans = np.stack([events["t_min"], events["t_max"]], axis=1)
    for i, parts in stretches.items():
        _choose_span(line, i, parts, spans)

    tally.skip("events", OFF, int(events["kept"][line.off].sum()))
    events["kept"][line.off] = 0
    events["overflow"] = line.overflow
    gone = set(events["row"][line.off].tolist())
    narrowed = (spans[:, 0] > events["t_min"]) | (spans[:, 1] < events["t_max"])
    again = np.flatnonzero(narrowed & ~line.off)
    gone |= set(events["row"][again].tolist())
    fresh = _scan_again(events, again, spans, file=file, tally=tally)
    packets[chosen] = events
    repaired += _check_others(packets, specials, marks["row"], events[events["kept"] > 0])
    tally.repair(OVERFLOW, repaired)
    left = islands[~np.isin(islands["row"], sorted(gone))]
    merged = np.concatenate([left, np.array(fresh, ISLAND_DTYPE)])
    return merged[np.argsort(merged["row"], kind="stable")]


def _stretches_of(events: NDArray[np.void], file: PacketFile) -> dict[int, _Stretches]:
    """Return the stretches of the packets whose times fall apart, by the packet's number."""
    suspects = np.flatnonzero(events["t_max"] - events["t_min"] > GAP_US)
    found: dict[int, _Stretches] = {}
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


def _split(times: NDArray[np.int64], gap_us: int) -> _Stretches:
    begins = np.r_[0, np.flatnonzero(np.diff(times) > gap_us) + 1]
    ends = np.r_[begins[1:], len(times)]
    bounds = np.stack([times[begins], times[ends - 1]], axis=1)
    return _Stretches(bounds, ends - begins, gap_us)


def _check_packets(line: _Line, starting: set[int]) -> int:
    """Mark packets that are off entirely; return how many got another overflow.

    `starting` are the parts that begin with the file or with a reset.
    """
    sure = np.flatnonzero(line.sure)
    first, last, part = line.first[sure], line.last[sure], line.part[sure]
    ahead = first[1:] > last[:-1] + JUMP_BACK_US
    behind = last[1:] < last[:-1] - JUMP_BACK_US
    breaks = np.flatnonzero((ahead | behind) & (part[1:] == part[:-1])) + 1
    repaired = done = 0
    for number, k in enumerate(breaks.tolist()):
        if k < done:
            continue
        stop = int(np.searchsorted(part, part[k], side="right"))
        begin = int(np.searchsorted(part, part[k]))
        at_end = stop - k <= min(MOST_OFF, k - begin - 1)
        back = _return(line, sure[k - 1 : stop])
        if back:
            run, limit_us = sure[k : k - 1 + back], int(line.last[sure[k - 1 + back]])
            done = k + back
        elif ahead[k - 1] and at_end and _host_denies(line, sure[k - 1], sure[k]):
            run, limit_us, done = sure[k:stop], int(last[k - 1]), stop
        else:
            following = (breaks[number + 1] if number + 1 < len(breaks) else len(sure)) - k
            if k == begin + 1 and int(part[k]) in starting:
                repaired += _check_first(line, sure[k - 1], sure[k], min(following, stop - k))
            continue
        near_us = int(last[k - 1]) - JUMP_BACK_US, limit_us + JUMP_BACK_US
        for i in run.tolist():
            neighbours = line.overflow[sure[k - 1]], line.overflow[sure[min(done, stop) - 1]]
            repaired += _repair_overflow(line, i, neighbours, near_us)
    return repaired


def _return(line: _Line, run: NDArray[np.int64]) -> int:
    """Return the place in `run` where the time of its first packet goes on, or 0.

    The second packet of the run departs from the first.
    """
    before, away = run[0], run[1]
    for place in range(2, min(len(run), MOST_OFF + 2)):
        i = run[place]
        elapsed_us = int(line.last[i] - line.last[before])
        forward = line.last[away] > line.last[before]
        gone_us = line.first[away] - line.last[i] if forward else line.first[i] - line.last[away]
        goes_on = elapsed_us >= -JUMP_BACK_US and (
            elapsed_us <= JUMP_BACK_US or _host_agrees(line, before, i)
        )
        if gone_us > JUMP_BACK_US and goes_on:
            return place
    return 0


def _check_first(line: _Line, first: int, second: int, following: int) -> int:
    """Judge a first packet from which all that follow depart; return 1 if its overflow is mended.

    `following` is the number of packets that agree with the second one, itself included.
    """
    if following < 2:
        return 0
    near_us = (
        int(line.first[second]) - JUMP_BACK_US,
        int(line.last[second]) + JUMP_BACK_US,
    )
    if _repair_overflow(line, first, (line.overflow[second],), near_us):
        return 1
    if line.last[first] < line.first[second]:
        line.off[first] = _host_denies(line, first, second)
    else:
        known = line.host[first] > 0 and line.host[second] > 0
        away = known and line.host[second] - line.host[first] > JUMP_BACK_US
        line.off[first] = following >= MOST_OFF and not away
    return 0


def _repair_overflow(
    line: _Line, i: int, overflows: tuple[int, ...], near_us: tuple[int, int]
) -> int:
    """Give a packet the overflow that brings it near, and return 1; else mark it as off."""
    line.off[i] = False
    for overflow in overflows:
        low, high = overflow * WRAP_US + line.low[i], overflow * WRAP_US + line.high[i]
        if near_us[0] <= low and high <= near_us[1] and overflow != line.overflow[i]:
            line.overflow[i] = overflow
            return 1
    line.off[i] = True
    return 0


def _host_agrees(line: _Line, a: int, b: int) -> bool:
    """Return whether as much time passes between two packets on the host's clock."""
    if line.host[a] <= 0 or line.host[b] <= 0:
        return False
    difference = (line.host[b] - line.host[a]) - (line.last[b] - line.last[a])
    return bool(abs(difference) <= JUMP_BACK_US)


def _host_denies(line: _Line, a: int, b: int) -> bool:
    known = line.host[a] > 0 and line.host[b] > 0
    return bool(known) and not _host_agrees(line, a, b)


def _choose_span(line: _Line, i: int, parts: _Stretches, spans: NDArray[np.int64]) -> None:
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


def _scan_again(
    events: NDArray[np.void],
    again: NDArray[np.int64],
    spans: NDArray[np.int64],
    *,
    file: PacketFile,
    tally: Tally,
) -> list[tuple[int, int, int]]:
    """Describe packets anew from the events within their spans; return their islands."""
    islands = []
    for batch in packet_batches(events, again):
        part = events[batch]
        stored, starts = file.events_of(part, EVENT_BYTES[POLARITY])
        words, kept = stored.view("<u8"), np.ascontiguousarray(spans[batch])
        scanned = decode.scan(words, starts, kept, UNLIMITED, UNLIMITED)
        tally.skip("events", STRAY, int(scanned[:, decode.STRAY].sum()))
        for field, column in SCANNED.items():
            part[field] = scanned[:, column]
        islands += find_islands(part, words, starts, kept, (UNLIMITED, UNLIMITED))
        events[batch] = part
    return islands


def _check_others(
    packets: NDArray[np.void],
    specials: NDArray[np.void],
    marks: NDArray[np.int64],
    events: NDArray[np.void],
) -> int:
    """Give frames, inertial samples and special events the overflow of the events around them.

    Only where it brings them there and their own does not; returns how many packets changed.
    """
    if len(events) == 0:
        return 0
    times = packets["t_max"].copy()
    owners = np.searchsorted(packets["row"], specials["row"])
    times[owners] = specials["t"]
    timed = (packets["kept"] > 0) & ((packets["kind"] == FRAME) | (packets["kind"] == IMU6))
    timed[owners] = True
    timed &= ~np.isin(packets["row"], marks)
    place = np.searchsorted(events["row"], packets["row"])
    timed &= (place > 0) & (place < len(events))
    found = np.flatnonzero(timed)
    before, after = events[place[found] - 1], events[place[found]]
    part = [np.searchsorted(marks, rows) for rows in (before["row"], after["row"])]
    overflow = before["overflow"]
    zero = overflow * WRAP_US
    low_us = before["t_max"] + zero - JUMP_BACK_US
    high_us = np.maximum(before["t_max"], after["t_max"]) + zero + JUMP_BACK_US
    there = times[found] + zero
    wrong = (
        (packets["overflow"][found] != overflow)
        & (after["overflow"] == overflow)
        & (part[0] == part[1])
        & (there >= low_us)
        & (there <= high_us)
    )
    packets["overflow"][found[wrong]] = overflow[wrong]
    return int(wrong.sum())
