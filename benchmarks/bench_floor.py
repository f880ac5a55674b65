"""What binds the six channels: the terms of a window's time, their sum, and the time itself.

    uv run --group bench python benchmarks/bench_floor.py [--quick]

A window in bands of rows (``eventseg.kernels.bands``) has three parts one after the other: its
events are sorted by band, added to the table of a band, and each table is finished into the output.
Each part is timed alone on the same windows and the same ring of outputs, in turn with the encoder,
and so are two parts of the finish: the same loop into an output that stays in the cache (its
divisions and roots), and the writing of the output alone by a plain loop. The floor is the reading
of the events and the writing of the output at the speeds of plain loops over memory.

Between two windows the output, which is larger than the cache, takes the place of the table and of
the room for sorted events there. So the time of the encoder is predicted by sorting and adding
between plain writings of the output, less the writings, and the finish; where it is right, these
terms say what binds. Sorting and adding alone, whose memory stays in the cache, say how much of it
is the cache's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numba import njit
from paired import bandwidth_gb_s, machine, rounds, save
from peers import bounds
from streams import edges_and_noise, trailing

from eventseg.encoding.tensors import encode_windows
from eventseg.events import SensorSize
from eventseg.kernels.bands import MOST_EVENTS_A_PIXEL, add_words, band_shift, sort_by_band
from eventseg.kernels.finalize import finalize_plane

SENSORS = (SensorSize(260, 346), SensorSize(480, 640), SensorSize(720, 1280))
EVENTS = (10_000, 50_000, 150_000)
WINDOW_US, ROUNDS = 50_000, 31
EVENT_BYTES = 13
OUTPUT_BYTES = 96 << 20
"""Outputs of all windows together: more than stays in a cache."""


def windows_of(sensor: SensorSize) -> int:
    """Return the number of windows to encode."""
    return min(32, max(8, OUTPUT_BYTES // (24 * sensor.height * sensor.width)))


@njit(nogil=True)
def sort_all(t, x, y, p, lo, hi, t0_us, rows, width, shift, ends, key, order):
    for k in range(len(lo)):
        sort_by_band(t, x, y, p, lo[k], hi[k], t0_us[k], 0, rows, width, shift, ends, key, order)


@njit(nogil=True)
def add_often(order, ends, bands, count_time, square, times):
    for _ in range(times):
        begin = 0
        for band in range(2 * bands):
            add_words(count_time, square, order[begin : ends[band]])
            begin = ends[band]


@njit(nogil=True)
def finish_all(ring, first, count, rows, width, shift, count_time, square, window_us, cached):
    bands = (rows + (1 << shift) - 1) >> shift
    for k in range(first, first + count):
        out = ring[k % len(ring)]
        for band in range(2 * bands):
            polarity, row = band // bands, (band % bands) << shift
            cells = (min(row + (1 << shift), rows) - row) * width
            if cached:
                out, polarity, row = ring[first % len(ring)], 0, 0
            part = slice(row * width, row * width + cells)
            finalize_plane(
                count_time[:cells],
                square[:cells],
                out[polarity, part],
                out[2 + 2 * polarity, part],
                out[3 + 2 * polarity, part],
                window_us,
                0,
                False,
                1,
            )


@njit(nogil=True)
def write_all(ring, first, count, value):
    for k in range(first, first + count):
        flat = ring[k % len(ring)].reshape(ring[0].size)
        for i in range(len(flat)):
            flat[i] = value


@njit(nogil=True)
def sort_add_and_write(
    t, x, y, p, lo, hi, t0_us, rows, width, shift, ends, key, order, count_time, square, ring,
    first, value,
):  # fmt: skip
    bands = (rows + (1 << shift) - 1) >> shift
    for k in range(len(lo)):
        sort_by_band(t, x, y, p, lo[k], hi[k], t0_us[k], 0, rows, width, shift, ends, key, order)
        add_often(order, ends, bands, count_time, square, 1)
        write_all(ring, first + k, 1, value)


def terms(sensor: SensorSize, n_events: int, *, threads: int) -> dict[str, Callable[[], object]]:
    """Return what is timed: the encoder, the parts of its work, and parts of the finish."""
    windows = windows_of(sensor)
    events = edges_and_noise(n_events * windows, duration_us=windows * WINDOW_US, sensor=sensor)
    cut = trailing(events, window_us=WINDOW_US, stride_us=WINDOW_US)
    lo, hi = (each.astype(np.int64) for each in bounds(events, cut))
    rows, width = sensor
    shift = band_shift(rows, width)
    bands = -(-rows >> shift)
    ring = np.ones((windows, 6, rows * width), np.float32)
    columns = events.t, events.x, events.y, events.p
    most = int((hi - lo).max())
    # Room of each thread, used for window after window as the encoder does.
    ends = np.zeros((threads, 2 * bands + 2), np.int64)
    keys, orders = np.zeros((threads, most), np.uint8), np.zeros((threads, most), np.uint64)
    tables = np.zeros((threads, 2, width << shift), np.int64)
    parts = [slice(windows * i // threads, windows * (i + 1) // threads) for i in range(threads)]
    pool = ThreadPoolExecutor(threads)

    def shared(work: Callable[[slice, int], object]) -> None:
        list(pool.map(work, parts, range(threads)))

    def sort(part: slice, thread: int) -> None:
        room = ends[thread], keys[thread], orders[thread]
        sort_all(*columns, lo[part], hi[part], cut.t0_us[part], rows, width, shift, *room)

    def add(part: slice, thread: int) -> None:
        # The last window sorted, again and again: in the cache, as it is when it is added.
        table = tables[thread]
        add_often(orders[thread], ends[thread], bands, *table, part.stop - part.start)
        table[:] = 0

    def sort_add_write(part: slice, thread: int) -> None:
        room = ends[thread], keys[thread], orders[thread]
        given = *columns, lo[part], hi[part], cut.t0_us[part], rows, width, shift, *room
        sort_add_and_write(*given, *tables[thread], ring, part.start, np.float32(2))
        tables[thread][:] = 0

    def finish(part: slice, thread: int, *, cached: bool) -> None:
        count, table = part.stop - part.start, tables[thread]
        finish_all(ring, part.start, count, rows, width, shift, *table, WINDOW_US, cached)

    def write(part: slice, _thread: int) -> None:
        write_all(ring, part.start, part.stop - part.start, np.float32(2))

    out = ring.reshape(-1, 6, rows, width)
    return {
        "encode": lambda: encode_windows(events, cut, out=out, threads=threads),
        "sort": lambda: shared(sort),
        "add": lambda: shared(add),
        "finish": lambda: shared(partial(finish, cached=False)),
        "finish in the cache": lambda: shared(partial(finish, cached=True)),
        "write": lambda: shared(write),
        "sort, add and write": lambda: shared(sort_add_write),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="A short run, which is not saved.")
    arguments = parser.parse_args()
    quick = arguments.quick
    result: dict[str, object] = {"machine": machine()}
    bandwidth = {threads: bandwidth_gb_s(threads) for threads in (1, 2)}
    result["bandwidth_gb_s"] = bandwidth
    for sensor in SENSORS[: 1 if quick else None]:
        for n_events in EVENTS[: 1 if quick else None]:
            if n_events > MOST_EVENTS_A_PIXEL * sensor.height * sensor.width:
                continue  # not in bands
            for threads in (1, 2):
                seconds = rounds(
                    terms(sensor, n_events, threads=threads), count=2 if quick else ROUNDS
                )
                ms = {k: 1e3 * float(np.median(v)) / windows_of(sensor) for k, v in seconds.items()}
                at_events = seconds["sort, add and write"] - seconds["write"]
                predicted = np.median((at_events + seconds["finish"]) / seconds["encode"])
                read, write = (bandwidth[threads][name] * 1e6 for name in ("read", "write"))
                written = 24 * sensor.height * sensor.width
                floor_ms = written / write + n_events * EVENT_BYTES / read
                row = {
                    "ms_a_window": {name: round(value, 4) for name, value in ms.items()},
                    "predicted_to_taken": round(float(predicted), 3),
                    "floor_ms_a_window": round(floor_ms, 4),
                    "share_of_floor": round(floor_ms / ms["encode"], 3),
                }
                result[f"{sensor}, {n_events:,} events, {threads} threads"] = row
                print(sensor, n_events, threads, row, flush=True)
    if not quick:
        save("floor", result)


if __name__ == "__main__":
    main()
