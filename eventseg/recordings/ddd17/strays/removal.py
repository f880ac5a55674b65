"""Removal of stray times: of events, packets and headers that the packets around contradict.

One damaged bit moves a time stamp by up to 18 minutes, and one in a header's overflow word moves
a packet by years. Such times are left out, or put right where the overflow is at fault, before
the clock of the recording is established from the times that remain.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.recordings.ddd17 import decode
from eventseg.recordings.ddd17.layout import (
    EVENT_BYTES,
    POLARITY,
    TIMESTAMP_RESET,
    TIMESTAMP_WRAP,
)
from eventseg.recordings.ddd17.packets import (
    ISLAND_DTYPE,
    SCANNED,
    UNLIMITED,
    find_islands,
)
from eventseg.recordings.ddd17.sensor import packet_batches
from eventseg.recordings.ddd17.source import PacketSource
from eventseg.recordings.ddd17.strays.order import spans_in_order
from eventseg.recordings.ddd17.strays.packets import Line, check_others, check_packets
from eventseg.recordings.ddd17.strays.stretches import choose_span, stretches_of
from eventseg.recordings.report import Tally

STRAY = "time stamp far from those of the packet and its neighbours"
OFF = "all time stamps of the packet far from those of its neighbours"
OVERFLOW = "overflow words in headers put right by the packets around"


def without_strays(
    packets: NDArray[np.void],
    specials: NDArray[np.void],
    islands: NDArray[np.void],
    *,
    file: PacketSource,
    tally: Tally,
) -> NDArray[np.void]:
    """Leave out times that the packets around them contradict; return the remaining islands.

    An event is left out if it is more than a second (100 ms where its packet is dense) from
    the others of its packet and beyond the neighbouring packets, or if it breaks the order of a
    dense packet by more than 2 ms. A packet is left out if it is more than a second from both
    neighbours, whose times follow each other; where another overflow brings it between them, it
    gets that one.

    Parameters
    ----------
    packets : structured array (P,)
        PACKET_DTYPE, all kinds, in file order, 31-bit times; changed in place.
    specials : structured array (S,)
        STORED_SPECIAL_DTYPE. No time is compared across a reset or a wrap of the clock.
    islands : structured array (I,)
        ISLAND_DTYPE, 31-bit times.
    file : PacketSource
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
    line = Line(
        events["t_min"].copy(),
        events["t_max"].copy(),
        events["overflow"].copy(),
        events["host"].copy(),
        np.searchsorted(marks["row"], events["row"], side="right"),
        np.ones(len(events), np.bool_),
        np.zeros(len(events), np.bool_),
    )
    resets = np.flatnonzero(marks["type"] == TIMESTAMP_RESET) + 1
    stretches = stretches_of(events, file)
    for i, parts in stretches.items():
        majority = parts.majority
        if majority is None:
            line.sure[i] = False
        else:
            line.low[i], line.high[i] = majority
    repaired = check_packets(line, {0, *resets.tolist()})
    spans = np.stack([events["t_min"], events["t_max"]], axis=1)
    for i, parts in stretches.items():
        choose_span(line, i, parts, spans)

    tally.skip("events", OFF, int(events["kept"][line.off].sum()))
    events["kept"][line.off] = 0
    events["overflow"] = line.overflow
    again = (spans[:, 0] > events["t_min"]) | (spans[:, 1] < events["t_max"])
    fresh = _scan_again(events, np.flatnonzero(again & ~line.off), spans, file=file, tally=tally)
    narrower = spans_in_order(events, line.part, file)
    found = np.array(sorted(narrower), np.int64)
    for i, span in narrower.items():
        spans[i] = span
    fresh += _scan_again(events, found, spans, file=file, tally=tally)
    again[found] = True
    gone = events["row"][again | line.off]
    packets[chosen] = events
    repaired += check_others(packets, specials, marks["row"], events[events["kept"] > 0])
    tally.repair(OVERFLOW, repaired)
    left = islands[~np.isin(islands["row"], gone)]
    merged = np.concatenate([left, np.array(fresh, ISLAND_DTYPE)])
    return merged[np.argsort(merged["row"], kind="stable")]


def _scan_again(
    events: NDArray[np.void],
    again: NDArray[np.int64],
    spans: NDArray[np.int64],
    *,
    file: PacketSource,
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
