"""Counts in bytes: ours against compiled peers that make saturating uint8 counts, one thread each.

    uv run --group bench python benchmarks/bench_counts.py

The same windows of one stream; every result is a dense array of bytes. evlib and ours write two
planes (evlib also a stack of five parts), evutils three, dv-processing one. Each of the peers gets
its events in the form that it reads fastest. All are called window after window, as a live camera
would, and ours writes into a ring of outputs as a loader does; new outputs are a row of their own.
"""

from __future__ import annotations

import argparse

import numpy as np
from bench_encoding import ROUNDS, WINDOWS_US
from paired import machine, ratio, rounds, save
from peers import bounds, dv_edge_map, evlib_histogram, evutils_histogram
from streams import SENSOR, edges_and_noise, trailing

from eventseg.encoding import encode_windows, encoding_of
from eventseg.events import EventStream
from eventseg.windows import Windows

RING = 16


def ours(
    events: EventStream, windows: Windows, *, representation: str, ring: np.ndarray | None
) -> None:
    """Encode windows in bytes, a ring of outputs at a time."""
    encoding = encoding_of(SENSOR, representation=representation, dtype="uint8")
    for first in range(0, len(windows), RING):
        part = slice(first, first + RING)
        some = Windows(
            windows.name,
            windows.t0_us[part],
            windows.t1_us[part],
            windows.frame[part],
            windows.row[part],
        )
        out = None if ring is None else ring[: len(some)]
        encode_windows(events, some, encoding=encoding, out=out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    events = edges_and_noise(10_000_000, duration_us=10_000_000)
    few = edges_and_noise(2_000_000, duration_us=2_000_000)
    ring = np.zeros((RING, 2, *SENSOR), np.uint8)
    stacks = np.zeros((RING, 10, *SENSOR), np.uint8)
    result: dict[str, object] = {"machine": machine(), "stream": "synthetic, 1 Mev/s, 346x260"}
    lengths: dict[str, object] = {}
    for window_us in WINDOWS_US:
        cut = trailing(events, window_us=window_us)
        lo, hi = bounds(events, cut)
        contributions = int((hi - lo).sum())
        seconds = rounds(
            {
                "eventseg count": lambda cut=cut: ours(
                    events, cut, representation="count", ring=ring
                ),
                "eventseg count, new outputs": lambda cut=cut: ours(
                    events, cut, representation="count", ring=None
                ),
                "eventseg stack:5": lambda cut=cut: ours(
                    events, cut, representation="stack:5", ring=stacks
                ),
                **evutils_histogram(events, cut),
                **evlib_histogram(events, cut),
                **evlib_histogram(events, cut, bins=5),
            },
            count=ROUNDS,
        )
        rates = {k: contributions / float(np.median(v)) / 1e6 for k, v in seconds.items()}
        dv_cut = trailing(few, window_us=window_us)
        dv_lo, dv_hi = bounds(few, dv_cut)
        few_seconds = rounds(
            {
                "eventseg count": lambda cut=dv_cut: ours(
                    few, cut, representation="count", ring=ring
                ),
                **dv_edge_map(few, dv_cut),
            },
            count=ROUNDS,
        )
        for name, each in few_seconds.items():
            if name not in rates:
                rates[name] = int((dv_hi - dv_lo).sum()) / float(np.median(each)) / 1e6
        lengths[cut.name] = {
            "mev_s": {name: round(rate, 1) for name, rate in rates.items()},
            "times_peer": {
                **{
                    name: round(ratio(seconds, name, "eventseg count"), 2)
                    for name in seconds
                    if not name.startswith("eventseg") and "5" not in name
                },
                **{
                    f"stack, {name}": round(ratio(seconds, name, "eventseg stack:5"), 2)
                    for name in seconds
                    if "5 parts" in name
                },
                **{
                    name: round(ratio(few_seconds, name, "eventseg count"), 2)
                    for name in few_seconds
                    if not name.startswith("eventseg")
                },
            },
        }
        print(cut.name, lengths[cut.name])
    save("counts", {**result, "windows": lengths})


if __name__ == "__main__":
    main()
