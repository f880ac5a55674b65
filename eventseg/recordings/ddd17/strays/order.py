"""Single events whose times break the order of a dense packet by less than 100 ms.

A camera sends its events in the order of their times. A damaged time that leaves the span of its
packet's other events is out of order with the events sent after it, or before it. The first event
of a clock, and the last, have nothing on one side; there the length of the packets around speaks.

Not to be found, and harmless to all other events: a time that stays within its packet's span, one
that passes only a single other event (either may be the damaged one), and a first or last one
that stays within the 10 ms of a packet or within twice the length of the packets around.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.ddd17.layout import EVENT_BYTES, PACKET_US, POLARITY, WRAP_US
from eventseg.recordings.ddd17.packets import UNLIMITED, sound_times
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.ddd17.strays.packets import MOST_OFF
from eventseg.recordings.ddd17.strays.stretches import DENSE_EVENTS

Times = NDArray[np.int64]

DISORDER_US: Final = 2_000
"""Steps back in time up to this are left to the sort: some recorders wrote such files."""

FEWEST_AROUND: Final = 8
"""Packets that tell how long the packets of a recording are."""


def spans_in_order(
    events: NDArray[np.void], part: Times, file: PacketSource
) -> dict[int, tuple[int, int]]:
    """Return the narrower span of 31-bit times of each packet with an event out of order.

    Parameters
    ----------
    events : structured array (P,)
        PACKET_DTYPE of the event packets in file order, 31-bit times; without those that are off
        (no event left).
    part : int64 (P,)
        Number of clock marks before each packet; no time is compared across one.
    file : PacketSource
        Suspect packets and those beside them are read.
    """
    kept = np.flatnonzero(events["kept"] > 0)
    suspects = _suspects(events[kept], part[kept])
    spans: dict[int, tuple[int, int]] = {}
    for k in np.flatnonzero(suspects).tolist():
        beside = [
            _times(events[kept[other]], file)
            if 0 <= other < len(kept) and part[kept[other]] == part[kept[k]]
            else np.empty(0, np.int64)
            for other in (k - 1, k, k + 1)
        ]
        usual_us = _usual_length(events, part, kept, k)
        # Time turned around makes the last event the first one: one rule serves both ends.
        before, own, after = beside
        high = _ahead(own, after, usual_us)
        low = -_ahead(-own[::-1], -before[::-1], usual_us)
        if low > own.min() or high < own.max():
            zero = int(events["overflow"][kept[k]]) * WRAP_US
            spans[int(kept[k])] = low - zero, high - zero
    return spans


def _suspects(packets: NDArray[np.void], part: Times) -> NDArray[np.bool_]:
    """Return which packets are dense and out of order or, at an end of a clock, very long."""
    zero = packets["overflow"] * WRAP_US
    low, high = packets["t_min"] + zero, packets["t_max"] + zero
    wrong = high > packets["t_last"] + zero + DISORDER_US
    wrong |= low < packets["t_first"] + zero - DISORDER_US
    follows = part[1:] == part[:-1]
    across = follows & (high[:-1] > low[1:] + DISORDER_US)
    wrong[:-1] |= across
    wrong[1:] |= across
    begins = np.r_[True, ~follows]
    ends = np.r_[~follows, True]
    wrong |= (begins | ends) & (high - low > DISORDER_US)
    suspects: NDArray[np.bool_] = wrong & (packets["kept"] >= DENSE_EVENTS)
    return suspects


def _usual_length(
    events: NDArray[np.void], part: Times, kept: NDArray[np.int64], k: int
) -> int | None:
    """Return the length of the longest packet around, None where too few say so."""
    first, stop = max(0, k - MOST_OFF), k + MOST_OFF + 1
    around = kept[first:stop]
    around = around[(part[around] == part[kept[k]]) & (around != kept[k])]
    if len(around) < FEWEST_AROUND:
        return None
    return int((events["t_max"][around] - events["t_min"][around]).max())


def _ahead(own: Times, after: Times, usual_us: int | None) -> int:
    """Return the latest time of a packet without those that are ahead of the next events.

    Parameters
    ----------
    own, after : int64 (N,), (M,)
        Times of the packet and of the next one, in the order of the file; none is at an end.
    usual_us : int or None
        Length of the longest packet around.
    """
    order = np.argsort(own, kind="stable")
    most = len(own) // DENSE_EVENTS
    for i in range(1, most + 1):
        top = order[-i]
        if own[top] - own[order[-i - 1]] <= DISORDER_US:
            return int(own[top])
        rest = own[order[:-i]]
        later = np.sort(np.concatenate([own[top + 1 :], after]))[:2]
        if len(after) or len(later) == 2:
            is_stray = len(later) == 2 and own[top] > later[1] + DISORDER_US
        else:
            length_us = own[top] - rest.min()
            is_stray = (
                usual_us is not None and length_us > max(PACKET_US, 2 * usual_us) + DISORDER_US
            )
        if not is_stray:
            return int(own[top])
    return int(own[order[-most - 1]])


def _times(packet: NDArray[np.void], file: PacketSource) -> Times:
    """Return the times of the remaining events of a packet in file order, its overflow included."""
    one = packet.reshape(1)
    stored, _ = file.events_of(one, EVENT_BYTES[POLARITY])
    times = sound_times(stored.view("<u8"), (UNLIMITED, UNLIMITED))
    times = times[(times >= packet["t_min"]) & (times <= packet["t_max"])]
    return times + int(packet["overflow"]) * WRAP_US
