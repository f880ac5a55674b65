"""How fast events become tensors: paired against a plain kernel and the compiled peers.

    uv run --group bench python benchmarks/bench_encoding.py

Rates are million event contributions a second: an event counts once for each window it falls in.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from paired import bandwidth_gb_s, machine, ratio, rounds, save
from peers import available, bounds, dv_edge_map, plain
from streams import SENSOR, edges_and_noise, trailing

from eventseg.encoding.one_pass import encode_recording
from eventseg.encoding.tensors import encode_windows
from eventseg.events import EventStream
from eventseg.windows import Windows

WINDOWS_US = (10_000, 50_000, 250_000)
ROUNDS = 7
RING = 32
TENSOR_BYTES = 6 * 4 * SENSOR.height * SENSOR.width
EVENT_BYTES = 8 + 2 + 2 + 1


class InMemory:
    """The stream as a recording, so that the one-pass encoder can be timed without a disk."""

    def __init__(self, events: EventStream) -> None:
        self.events, self.sensor, self.n_events = events, events.sensor, len(events)
        self.t_first_us, self.t_last_us = int(events.t[0]), int(events.t[-1])

    def stream(self, *, t0_us: int, t1_us: int, **_: int) -> Iterator[EventStream]:
        """Return all events of the span as one piece."""
        yield self.events.between(t0_us, t1_us)


def ours(events: EventStream, windows: Windows, ring: np.ndarray, *, threads: int) -> None:
    """Encode all windows through the public function, into a ring of tensors."""
    for first in range(0, len(windows), RING):
        part = slice(first, first + RING)
        cut = Windows(
            windows.name,
            *(getattr(windows, name)[part] for name in ("t0_us", "t1_us", "frame", "row")),
        )
        encode_windows(events, cut, out=ring[: len(cut)], threads=threads)


def one_pass(events: EventStream, cuts: list[Windows], *, threads: int) -> None:
    for _ in encode_recording(InMemory(events), cuts, threads=threads):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    events = edges_and_noise(10_000_000, duration_us=10_000_000)
    few = edges_and_noise(2_000_000, duration_us=2_000_000)
    ring = np.zeros((RING, 6, *SENSOR), np.float32)
    result: dict[str, object] = {"machine": machine(), "stream": "synthetic, 1 Mev/s, 346x260"}
    bandwidth = {threads: bandwidth_gb_s(threads) for threads in (1, 2)}
    result["bandwidth_gb_s"] = bandwidth
    lengths: dict[str, object] = {}
    for window_us in WINDOWS_US:
        cut = trailing(events, window_us=window_us)
        lo, hi = bounds(events, cut)
        contributions = int((hi - lo).sum())
        peers, missing = available(events, cut)
        seconds = rounds(
            {
                "eventseg, 1 thread": lambda cut=cut: ours(events, cut, ring, threads=1),
                "eventseg, 2 threads": lambda cut=cut: ours(events, cut, ring, threads=2),
                "plain, 1 thread": lambda cut=cut: plain(events, cut, ring, threads=1),
                "plain, 2 threads": lambda cut=cut: plain(events, cut, ring, threads=2),
                **peers,
            },
            count=ROUNDS,
        )
        rates = {k: contributions / float(np.median(v)) / 1e6 for k, v in seconds.items()}
        dv_cut = trailing(few, window_us=window_us)
        dv_lo, dv_hi = bounds(few, dv_cut)
        for name, each in rounds(dv_edge_map(few, dv_cut), count=ROUNDS).items():
            rates[name] = int((dv_hi - dv_lo).sum()) / float(np.median(each)) / 1e6
        floors = {}
        for threads in (1, 2):
            read, write = (bandwidth[threads][k] * 1e9 for k in ("read", "write"))
            floor_s = len(cut) * TENSOR_BYTES / write + contributions * EVENT_BYTES / read
            taken = float(np.median(seconds[f"eventseg, {threads} thread{'s' * (threads > 1)}"]))
            floors[f"{threads} threads"] = {
                "floor_ms_a_window": 1e3 * floor_s / len(cut),
                "taken_ms_a_window": 1e3 * taken / len(cut),
                "share_of_floor": floor_s / taken,
            }
        lengths[cut.name] = {
            "events_a_window": contributions / len(cut),
            "bytes_read_a_window": contributions * EVENT_BYTES / len(cut),
            "bytes_written_a_window": TENSOR_BYTES,
            "mev_s": rates,
            "times_plain_1_thread": ratio(seconds, "plain, 1 thread", "eventseg, 1 thread"),
            "times_plain_2_threads": ratio(seconds, "plain, 2 threads", "eventseg, 2 threads"),
            "times_peer_1_thread": {k: ratio(seconds, k, "eventseg, 1 thread") for k in peers},
            "times_peer_2_threads": {k: ratio(seconds, k, "eventseg, 2 threads") for k in peers},
            "memory_floor": floors,
            "missing_peers": missing,
        }
        print(cut.name, {k: round(v) for k, v in rates.items()}, floors)
    result["windows"] = lengths
    cuts = [trailing(events, window_us=window_us) for window_us in WINDOWS_US]
    three = rounds(
        {
            "one pass, 1 thread": lambda: one_pass(events, cuts, threads=1),
            "one pass, 2 threads": lambda: one_pass(events, cuts, threads=2),
            "three plain passes, 1 thread": lambda: [
                plain(events, cut, ring, threads=1) for cut in cuts
            ],
            "three plain passes, 2 threads": lambda: [
                plain(events, cut, ring, threads=2) for cut in cuts
            ],
        },
        count=ROUNDS,
    )
    result["three_windows"] = {
        "ms_a_sample": {k: 1e3 * float(np.median(v)) / len(cuts[0]) for k, v in three.items()},
        **{
            f"times_plain_{n}": ratio(three, f"three plain passes, {n}", f"one pass, {n}")
            for n in ("1 thread", "2 threads")
        },
    }
    print(result["three_windows"])
    save("encoding", result)


if __name__ == "__main__":
    main()
