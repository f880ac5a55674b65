"""Clock marks: true RESET and WRAP events among the special events.

A damaged type or packet header makes a mark of another event. A mark of the sensor carries no
time of its own: its stamp is 2^31 - 1. Whether the clock restarted shows in the times that follow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.ddd17.clock import JUMP_BACK_US
from eventseg.recordings.ddd17.layout import (
    NO_TIME,
    POLARITY,
    TIMESTAMP_RESET,
    TIMESTAMP_WRAP,
    WRAP_US,
)
from eventseg.recordings.report import Tally

FALSE = "looks like a reset or wrap of the clock, which goes on"
RETYPED = "special events without a time put right: a reset, by the times around"

AROUND = 3
"""Packets on each side of a mark whose median time counts: one of them may be damaged."""


def sound_marks(
    packets: NDArray[np.void], specials: NDArray[np.void], *, tally: Tally
) -> NDArray[np.void]:
    """Return the special events without false marks; a reset of a wrong type is put right.

    A mark is false if its stamp differs from 2^31 - 1 in more than one bit, or if it is a reset
    and the clock goes on as far as the host's does. An event with the stamp of a mark is a reset,
    whatever its type, if the times behind begin anew and no header counts a wrap. In the first
    second of a clock, a reset is believed: the times before and behind it look alike.

    Parameters
    ----------
    packets : structured array (P,)
        PACKET_DTYPE, all kinds, in file order, 31-bit times.
    specials : structured array (S,)
        STORED_SPECIAL_DTYPE.
    tally : Tally
        Receives the counts.
    """
    events = packets[(packets["kind"] == POLARITY) & (packets["kept"] > 0)]
    changed = specials["t"] ^ NO_TIME
    is_mark = (specials["type"] == TIMESTAMP_RESET) | (specials["type"] == TIMESTAMP_WRAP)
    false = is_mark & (changed & (changed - 1) != 0)  # two bits or more
    judged = np.flatnonzero((changed == 0) | (is_mark & ~false))
    specials = specials.copy()
    places = np.searchsorted(events["row"], specials["row"][judged])
    limits = [0, *places.tolist(), len(events)]
    for number, i in enumerate(judged.tolist(), start=1):
        # No time is compared across another mark.
        begin, place, stop = limits[number - 1 : number + 2]
        before = events[max(begin, place - AROUND) : place]
        after = events[place : min(stop, place + AROUND)]
        if len(before) == 0 or len(after) == 0:
            continue
        # The nearest packets must say the same: the clock may have restarted without a mark.
        groups = ((before, after), (before[-1:], after[:1]))
        if specials["type"][i] == TIMESTAMP_RESET:
            false[i] = all(_goes_on(*group) for group in groups)
        elif all(_restarts(*group) for group in groups):
            specials["type"][i] = TIMESTAMP_RESET
            tally.repair(RETYPED)
    tally.skip("specials", FALSE, int(false.sum()))
    sound: NDArray[np.void] = specials[~false]
    return sound


def _goes_on(before: NDArray[np.void], after: NDArray[np.void]) -> bool:
    """Return whether one clock, past its first second, runs through both groups of packets."""
    left_us, elapsed_us = _elapsed(before, after)
    if left_us < JUMP_BACK_US or elapsed_us < -JUMP_BACK_US:
        return False
    return _host_elapses(before, after, elapsed_us)


def _restarts(before: NDArray[np.void], after: NDArray[np.void]) -> bool:
    """Return whether the clock begins anew between two groups, and does not wrap."""
    _, elapsed_us = _elapsed(before, after)
    if elapsed_us >= 0 or after["overflow"].min() > before["overflow"].max():
        return False
    wrapped_us = elapsed_us + WRAP_US
    return abs(wrapped_us) > JUMP_BACK_US and not _host_elapses(before, after, wrapped_us)


def _elapsed(before: NDArray[np.void], after: NDArray[np.void]) -> tuple[int, int]:
    """Return the median time of a group of packets, and that of another less it."""
    left_us = int(np.median(before["t_last"] + before["overflow"] * WRAP_US))
    right_us = int(np.median(after["t_first"] + after["overflow"] * WRAP_US))
    return left_us, right_us - left_us


def _host_elapses(before: NDArray[np.void], after: NDArray[np.void], elapsed_us: int) -> bool:
    """Return whether the host's clock, if known, goes on as far between two groups of packets."""
    if (before["host"] <= 0).any() or (after["host"] <= 0).any():
        return abs(elapsed_us) <= JUMP_BACK_US
    host_us = float(np.median(after["host"]) - np.median(before["host"]))
    return abs(host_us - elapsed_us) <= JUMP_BACK_US
