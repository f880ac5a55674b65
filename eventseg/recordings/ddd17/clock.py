"""One continuous time from a 31-bit clock that wraps, restarts and jumps.

Within an epoch, time is ``(overflow << 31) + stamp``. After a restart the sensor counts from zero
again; how long it was away is only known from the host's clock. The host adds latency and never
takes it away, so the smallest ``host - sensor`` of an epoch is the clocks' true distance plus the
least latency: epochs are placed so that this minimum is the same in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.contents import Epoch
from eventseg.recordings.ddd17.layout import POLARITY, WRAP_US
from eventseg.recordings.ddd17.packets import MAX_OVERFLOW
from eventseg.recordings.report import Tally

JUMP_BACK_US = 1_000_000
"""A packet this much behind the latest time of its epoch means that the clock restarted."""


LONGEST_PAUSE_US = MAX_OVERFLOW * WRAP_US
"""A host that puts an epoch later than this, 407 days, had its clock set in between."""

MANY = 16
"""Packets of an epoch from which on the second smallest distance of the clocks is its smallest:
one damaged time stamp among many must not move an epoch."""


@dataclass(frozen=True, eq=False)
class Clock:
    """Continuous time of the zero of each packet's 31-bit clock.

    Parameters
    ----------
    bases : int64 (P,)
        Offset to add to the 31-bit stamps of each packet.
    epochs : tuple of Epoch
    host_offset_us : int or None
        Smallest ``host - continuous time``; None without any host time.
    """

    bases: NDArray[np.int64]
    epochs: tuple[Epoch, ...]
    host_offset_us: int | None


def continuous_clock(
    packets: NDArray[np.void], resets: NDArray[np.int64], wraps: NDArray[np.int64], *, tally: Tally
) -> Clock:
    """Find the epochs of a recording and put them one behind the other.

    Parameters
    ----------
    packets : structured array (P,)
        Fields ``row kind overflow host kept t_min t_max``, in file order; times are 31-bit.
    resets, wraps : int64 (R,), (W,)
        Rows of the special events TIMESTAMP_RESET and TIMESTAMP_WRAP, in file order.
    tally : Tally
        Receives notes about the inferred clock.
    """
    starts, carries = _restarts(packets, resets, wraps, tally=tally)
    rows = packets["row"]
    epoch_of = np.searchsorted([row for row, _ in starts], rows, side="right") - 1
    carry_of = np.searchsorted([row for row, _ in carries], rows, side="right") - 1
    bases = packets["overflow"] * WRAP_US + np.array([us for _, us in carries])[carry_of]
    timed = packets["kept"] > 0
    polarity = packets["kind"] == POLARITY
    epochs: list[Epoch] = []
    latest: int | None = None
    host_offset: int | None = None
    waiting: list[int] = []  # epochs without any time; they go with the next one that has
    for number, (row, reason) in enumerate(starts):
        mine = epoch_of == number
        # Frames and inertial samples speak for the clock only where there are no events.
        evidence = mine & timed & polarity
        if not evidence.any():
            evidence = mine & timed
        if not evidence.any():
            waiting.append(number)
            continue
        low = int((bases + packets["t_min"])[evidence].min())
        high = int((bases + packets["t_max"])[evidence].max())
        known = evidence & (packets["host"] > 0)
        lead = _least((packets["host"] - bases - packets["t_max"])[known])
        offset = 0
        if latest is not None:
            if lead is None or host_offset is None:
                tally.notes.append(f"no host time for the epoch at row {row}: put right behind")
                offset = latest + 1 - low
            elif (pause := low + lead - host_offset - latest) > LONGEST_PAUSE_US:
                tally.notes.append(
                    f"the host's clock jumps by {pause / 86_400e6:,.0f} days before the epoch at "
                    f"row {row}, more than a sensor's clock can count: put right behind"
                )
                offset = latest + 1 - low
            else:
                offset = lead - host_offset
            if low + offset <= latest:
                tally.repair("epochs moved behind the one before, which they overlapped")
                offset = latest + 1 - low
        if host_offset is None and lead is not None:
            host_offset = lead - offset
        latest = high + offset
        if not epochs:
            row, reason = 0, "start"
        epochs.append(Epoch(row, offset, reason))
        bases[np.isin(epoch_of, [*waiting, number])] += offset
        waiting = []
    if waiting and latest is not None:
        bases[np.isin(epoch_of, waiting)] += latest + 1
    return Clock(bases, tuple(epochs) or (Epoch(0, 0, "start"),), host_offset)


def _least(leads: NDArray[np.int64]) -> int | None:
    if len(leads) == 0:
        return None
    return int(np.partition(leads, 1)[1] if len(leads) >= MANY else leads.min())


def _restarts(
    packets: NDArray[np.void], resets: NDArray[np.int64], wraps: NDArray[np.int64], *, tally: Tally
) -> tuple[list[tuple[int, str]], list[tuple[int, int]]]:
    """Return (row, reason) of each epoch and (row, us to add) where an overflow was missed."""
    events = packets[(packets["kind"] == POLARITY) & (packets["kept"] > 0)]
    reset, wrap, event = 0, 1, 2
    moments = sorted(
        [(row, reset, 0, 0) for row in resets.tolist()]
        + [(row, wrap, 0, 0) for row in wraps.tolist()]
        + [
            (row, event, overflow, overflow * WRAP_US + t)
            for row, overflow, t in zip(
                events["row"].tolist(),
                events["overflow"].tolist(),
                events["t_max"].tolist(),
                strict=True,
            )
        ]
    )
    starts, carries = [(0, "start")], [(0, 0)]
    latest: int | None = None
    first_overflow = wraps_seen = carry = 0
    for row, what, overflow, t in moments:
        if what == wrap:
            wraps_seen += 1
            continue
        if what == event and latest is not None:
            counted = overflow - first_overflow
            while carry and wraps_seen < counted + carry // WRAP_US:
                carry -= WRAP_US  # the overflow came late and is now in the header
                carries.append((row, carry))
            if t + carry >= latest - JUMP_BACK_US:
                latest = max(latest, t + carry)
                continue
            if wraps_seen > counted + carry // WRAP_US:
                tally.repair("wraps of the 31-bit clock known from a special event only")
                carry += WRAP_US
                carries.append((row, carry))
                latest = t + carry
                continue
        if what == reset or latest is not None:
            starts.append((row, "reset" if what == reset else "clock jumped back"))
            if what == event:
                tally.repair("restarts of the clock without a reset event, inferred from a jump")
            if carry:
                carries.append((row, 0))
        first_overflow, wraps_seen, carry = overflow, (wraps_seen if latest is None else 0), 0
        latest = t if what == event else None
    return starts, carries
