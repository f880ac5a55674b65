"""What else makes pictures of events, each on the same windows and by its own documented call.

The plain kernel is the one a competent author writes first: float32 sums in the output, a parallel
loop over windows. The others are packages from the index; a missing one is left out by name.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit, prange, set_num_threads

from eventseg.events import EventStream
from eventseg.windows import Windows

Runs = dict[str, Callable[[], object]]


@njit(parallel=True, cache=True)
def _plain(t, x, y, p, lo, hi, t0_us, window_us, ring):
    per_window = np.float32(1.0 / window_us)
    for k in prange(len(lo)):
        out = ring[k % len(ring)]
        out[:] = 0
        for i in range(lo[k], hi[k]):
            tau = np.float32(t[i] - t0_us[k]) * per_window
            c = 1 - p[i]
            out[c, y[i], x[i]] += np.float32(1)
            out[2 + 2 * c, y[i], x[i]] += tau
            out[3 + 2 * c, y[i], x[i]] += tau * tau
        flat = out.reshape(6, -1)
        for c in range(2):
            count, mean, std = flat[c], flat[2 + 2 * c], flat[3 + 2 * c]
            for i in range(flat.shape[1]):
                n = max(count[i], np.float32(1))
                m = mean[i] / n
                spread = max(std[i] - n * m * m, np.float32(0))
                mean[i] = m
                std[i] = np.sqrt(spread / max(n - np.float32(1), np.float32(1)))


def bounds(events: EventStream, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return the first event of each window and the one after its last."""
    return np.searchsorted(events.t, windows.t0_us), np.searchsorted(events.t, windows.t1_us)


def plain(events: EventStream, windows: Windows, ring: np.ndarray, *, threads: int) -> None:
    """Make six channels, the plain way."""
    lo, hi = bounds(events, windows)
    set_num_threads(threads)
    window_us = int(windows.t1_us[0] - windows.t0_us[0])
    _plain(events.t, events.x, events.y, events.p, lo, hi, windows.t0_us, window_us, ring)


def torch_index_add(events: EventStream, windows: Windows) -> Runs:
    """Six channels by three ``index_add_`` a window, float64 sums, one thread."""
    import torch

    torch.set_num_threads(1)
    columns = [torch.from_numpy(np.array(getattr(events, name))).long() for name in "txyp"]
    cells = events.sensor.height * events.sensor.width
    lo, hi = bounds(events, windows)

    def run() -> None:
        for a, b, t0, t1 in zip(lo, hi, windows.t0_us, windows.t1_us, strict=True):
            t, x, y, p = (column[a:b] for column in columns)
            cell = (1 - p) * cells + y * events.sensor.width + x
            tau = (t - int(t0)).double() / float(t1 - t0)
            sums = torch.zeros(3, 2 * cells, dtype=torch.float64)
            sums[0].index_add_(0, cell, torch.ones_like(tau))
            sums[1].index_add_(0, cell, tau)
            sums[2].index_add_(0, cell, tau * tau)
            n = sums[0].clamp(min=1)
            mean = sums[1] / n
            spread = (sums[2] - n * mean * mean).clamp(min=0)
            torch.stack([sums[0], mean, (spread / (n - 1).clamp(min=1)).sqrt()]).float()

    return {"torch index_add_, 6 channels": run}


def tonic_frames(events: EventStream, windows: Windows) -> Runs:
    """Two channels of counts by tonic's ``ToFrame``, the window as one event frame."""
    from tonic.transforms import ToFrame

    fields = [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", bool)]
    records = np.empty(len(events), np.dtype(fields))
    for name in "xytp":
        records[name] = getattr(events, name)
    make = ToFrame(sensor_size=(events.sensor.width, events.sensor.height, 2), n_event_bins=1)
    lo, hi = bounds(events, windows)
    return {
        "tonic ToFrame, counts": lambda: [make(records[a:b]) for a, b in zip(lo, hi, strict=True)]
    }


def evutils_histogram(events: EventStream, windows: Windows) -> Runs:
    """Three planes of saturating uint8 counts by evutils' compiled ``histogram``."""
    from evutils.dense import histogram

    records = np.empty(len(events), [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "i1")])
    for name in "xytp":
        records[name] = getattr(events, name)
    size = {"width": events.sensor.width, "height": events.sensor.height}
    lo, hi = bounds(events, windows)
    return {
        "evutils histogram, uint8 counts": lambda: [
            histogram(records[a:b], **size) for a, b in zip(lo, hi, strict=True)
        ]
    }


def evlib_histogram(events: EventStream, windows: Windows, *, bins: int = 1) -> Runs:
    """Saturating uint8 counts of two polarities by evlib's ``stacked_histogram_dense``."""
    from evlib.representations_rs import stacked_histogram_dense

    columns = [np.array(getattr(events, name), np.int64) for name in "txyp"]
    height, width = events.sensor
    rows, cols = np.arange(height, dtype=np.int64), np.arange(width, dtype=np.int64)
    lo, hi = bounds(events, windows)
    window_us = int(windows.t1_us[0] - windows.t0_us[0])

    def run() -> None:
        for first in range(0, len(windows), 16):
            last = min(first + 16, len(windows))
            part = [column[lo[first] : hi[last - 1]] for column in columns]
            ends = windows.t1_us[first:last]
            stacked_histogram_dense(*part, ends, window_us, bins, 255, rows, cols, height, width)

    parts = f", {bins} parts" * (bins > 1)
    return {f"evlib stacked_histogram_dense, uint8 counts{parts}": run}


def dv_edge_map(events: EventStream, windows: Windows) -> Runs:
    """One plane by dv-processing's fastest accumulator; filling its store is not timed."""
    import dv_processing as dv

    store = dv.EventStore()
    for event in zip(*(getattr(events, name).tolist() for name in "txyp"), strict=True):
        store.push_back(event[0], event[1], event[2], bool(event[3]))
    size = (events.sensor.width, events.sensor.height)
    slices = [
        store.sliceTime(a, b)
        for a, b in zip(windows.t0_us.tolist(), windows.t1_us.tolist(), strict=True)
    ]
    accumulator = dv.EdgeMapAccumulator(size)

    def run() -> None:
        for each in slices:
            accumulator.reset()
            accumulator.accept(each)
            accumulator.generateFrame()

    return {"dv-processing EdgeMapAccumulator, 1 plane": run}


PEERS = (torch_index_add, tonic_frames, evutils_histogram, evlib_histogram)


def available(events: EventStream, windows: Windows) -> tuple[Runs, list[str]]:
    """Return the peers that are installed and the names of those that are not."""
    found: Runs = {}
    missing = []
    for make in PEERS:
        try:
            found |= make(events, windows)
        except ImportError as error:
            missing.append(f"{make.__name__}: {error}")
    return found, missing
