"""Packets whose times are off entirely, and overflow words that are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.ddd17.clock import JUMP_BACK_US
from eventseg.recordings.ddd17.layout import FRAME, IMU6, WRAP_US

MOST_OFF: Final = 16
"""Longest run of packets that is taken for damaged when the time before it goes on behind it.

A longer one is a clock that runs elsewhere. A single first packet is damaged, and no restart
of the clock, if at least as many packets follow that agree."""


@dataclass(eq=False)
class Line:
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
        """Earliest time of each packet, its overflow included."""
        return self.overflow * WRAP_US + self.low

    @property
    def last(self) -> NDArray[np.int64]:
        """Latest time of each packet, its overflow included."""
        return self.overflow * WRAP_US + self.high


def check_packets(line: Line, starting: set[int]) -> int:
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


def _return(line: Line, run: NDArray[np.int64]) -> int:
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


def _check_first(line: Line, first: int, second: int, following: int) -> int:
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
    line: Line, i: int, overflows: tuple[int, ...], near_us: tuple[int, int]
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


def _host_agrees(line: Line, a: int, b: int) -> bool:
    """Return whether as much time passes between two packets on the host's clock."""
    if line.host[a] <= 0 or line.host[b] <= 0:
        return False
    difference = (line.host[b] - line.host[a]) - (line.last[b] - line.last[a])
    return bool(abs(difference) <= JUMP_BACK_US)


def _host_denies(line: Line, a: int, b: int) -> bool:
    known = line.host[a] > 0 and line.host[b] > 0
    return bool(known) and not _host_agrees(line, a, b)


def check_others(
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
