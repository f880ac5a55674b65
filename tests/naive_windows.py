"""Windows in loops: the original exporter's rows, and the coverage of a window."""

from __future__ import annotations


def export_rows(
    packets: list[tuple[str, list[int]]], *, bin_us: int, last_us: int
) -> tuple[int, list[tuple[int, int]]]:
    """Return the start of the first bin and (row, number of its frame by arrival).

    Packets are ``("events", times)`` or ``("frame", [end stamp])`` in the order of the file. A row
    is written when a packet of events holds an event at or past the end of its bin; it shows the
    last frame that came before this packet. Rows before the first frame are left out.
    """
    start = packets[0][1][0]
    rows = []
    row = 0
    while start + row * bin_us <= last_us:
        end = start + (row + 1) * bin_us
        frame, arrived = -1, 0
        for kind, times in packets:
            if kind == "events" and any(t >= end for t in times):
                break
            if kind == "frame":
                frame = arrived
                arrived += 1
        if frame >= 0:
            rows.append((row, frame))
        row += 1
    return start, rows


def covered(t0_us: int, t1_us: int, events_us: list[int], *, gap_us: int) -> float:
    """Return the share of the microseconds of a window that no pause of the events holds."""
    inside = 0
    for t in range(t0_us, t1_us):
        before = max((e for e in events_us if e <= t), default=None)
        after = min((e for e in events_us if e >= t), default=None)
        if before is not None and after is not None:
            inside += before == t or after == t or after - before <= gap_us
    return inside / (t1_us - t0_us)
