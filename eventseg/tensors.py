"""Events to six-channel tensors: one window, or many windows of one stream."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.kernels import scratch
from eventseg.kernels.accumulate import PACKED_MAX_EVENTS, PACKED_MAX_WINDOW_US
from eventseg.kernels.encode import encode_packed, encode_wide
from eventseg.windows import Windows, check_window, parse_duration

Tensor = NDArray[np.float32]
Normalisation = Literal["raw", "evsegnet"]
Job = Callable[[], None]

CHANNELS = ("count+", "count-", "mean+", "std+", "mean-", "std-")
"""Order of the channels in memory and on disk, as in EV-SegNet's released files."""

RUNS_A_THREAD = 4
"""Runs of windows for each thread, so that a slow core holds the others up less."""

_executors: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    # A forked child has its parent's executors but none of their threads.
    os.register_at_fork(after_in_child=_executors.clear)


def encode(
    events: EventStream,
    *,
    window: str | int | tuple[int, int] | None = None,
    normalise: Normalisation = "raw",
    ddof: int = 1,
    rows: tuple[int, int] | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Return the six channels of one window.

    With n events of one pixel and polarity at tau = (t - t0) / (t1 - t0), the channels are
    count = n, mean = sum(tau) / n and std = sqrt(sum((tau - mean)^2) / (n - ddof)), 0 where n
    is 0 (mean) or below 2 (std): EV-SegNet, arXiv 1811.12039, section 3.1.

    Parameters
    ----------
    events : EventStream
        Events that cover the window.
    window : str, int, (int, int), optional
        Length such as ``"50ms"`` or in us: the last such stretch of the stream's span. Or the
        window ``(t0_us, t1_us)`` itself. By default the whole span.
    normalise : {"raw", "evsegnet"}
        ``raw`` as above; ``evsegnet`` as :func:`normalise_evsegnet`.
    ddof : {1, 0}
        Divisor of the variance is n - ddof.
    rows : (int, int), optional
        Rows to keep, the second excluded; by default all.
    out : float32 (6, H, W), optional
        Array to write into, C-contiguous.

    Returns
    -------
    float32 (6, H, W)
        Channels ``count+ count- mean+ std+ mean- std-``; mean and std in windows.

    Raises
    ------
    WindowError
        A window that is empty, too long, or not covered by the stream, rows outside the sensor,
        or an ``out`` of another shape or type.

    Examples
    --------
    >>> x = encode(recording.events(1_000_000, 1_050_000))
    """
    if isinstance(window, tuple):
        t0_us, t1_us = int(window[0]), int(window[1])
    else:
        t0_us, t1_us = events.t0_us, events.t1_us
        if window is not None:
            t0_us = t1_us - (parse_duration(window) if isinstance(window, str) else int(window))
    if t0_us < events.t0_us or t1_us > events.t1_us:
        raise WindowError(
            f"window [{t0_us}, {t1_us}) us reaches outside the stream's span "
            f"[{events.t0_us}, {events.t1_us}) us; take the events of a longer span"
        )
    made = _output(events.sensor, 1, rows, None if out is None else out[np.newaxis])
    (job,) = encode_jobs(
        events, np.array([t0_us]), np.array([t1_us]), normalise=normalise, ddof=ddof, rows=rows,
        out=made, runs=1,
    )  # fmt: skip
    job()
    tensor: Tensor = made[0]
    return tensor


def encode_windows(
    events: EventStream,
    windows: Windows,
    *,
    normalise: Normalisation = "raw",
    ddof: int = 1,
    rows: tuple[int, int] | None = None,
    out: Tensor | None = None,
    threads: int = 1,
) -> Tensor:
    """Return the six channels of many windows, each as :func:`encode` makes it.

    Overlapping windows slide: events that enter are added and those that leave taken away, in
    integers, so the result is the same to the bit, as it is for any number of threads. A window
    that reaches past the stream's span has the events within it only.

    Parameters
    ----------
    events : EventStream
        Events that cover the windows.
    windows : Windows
        N windows.
    normalise, ddof, rows
        As for :func:`encode`.
    out : float32 (N, 6, H, W), optional
        Array to write into, C-contiguous.
    threads : int
        Threads to share the windows.

    Returns
    -------
    float32 (N, 6, H, W)

    Raises
    ------
    WindowError
        As for :func:`encode`, and fewer than one thread.
    """
    if threads < 1:
        raise WindowError(f"threads must be 1 or more, got {threads}")
    out = _output(events.sensor, len(windows), rows, out)
    t0_us, t1_us = windows.t0_us, windows.t1_us
    jobs = encode_jobs(
        events, t0_us, t1_us, normalise=normalise, ddof=ddof, rows=rows, out=out,
        runs=1 if threads == 1 else threads if slides(t0_us, t1_us) else RUNS_A_THREAD * threads,
    )  # fmt: skip
    if threads == 1:
        for job in jobs:
            job()
        return out
    # Kept from call to call: a new thread starts on its parent's core and leaves it late.
    executor = _executors.setdefault(threads, ThreadPoolExecutor(threads))
    list(executor.map(lambda job: job(), jobs))
    return out


def normalise_evsegnet(tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return raw channels in the ranges of EV-SegNet's released files.

    count -> 2 n / max - 1 with the maximum of each polarity and window, all -1 without an event;
    mean -> 2 mean - 1, and 0 where there is no event; std -> min(1, 2 std). The scaling of the
    original is not published; these are the choices that fit what is known of its files.

    Parameters
    ----------
    tensor : float32 (..., 6, H, W)
        Raw channels.
    out : float32 (..., 6, H, W), optional
        Array to write into; may be ``tensor`` itself.

    Returns
    -------
    float32 (..., 6, H, W)
    """
    if tensor.ndim < 3 or tensor.shape[-3] != len(CHANNELS):
        raise WindowError(f"a tensor must have the shape (..., 6, H, W), got {tensor.shape}")
    result = np.empty_like(tensor) if out is None else out
    counts = tensor[..., :2, :, :]
    empty = counts == 0
    largest = counts.max(axis=(-2, -1), keepdims=True, initial=0)
    np.multiply(counts, 2 / np.where(largest > 0, largest, 1), out=result[..., :2, :, :])
    result[..., :2, :, :] -= 1
    np.multiply(tensor[..., 2:, :, :], 2, out=result[..., 2:, :, :])
    means = result[..., 2::2, :, :]
    means -= 1
    means[empty] = 0
    np.minimum(result[..., 3::2, :, :], 1, out=result[..., 3::2, :, :])
    return result


def encode_jobs(
    events: EventStream,
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    normalise: Normalisation,
    ddof: int,
    rows: tuple[int, int] | None,
    out: Tensor,
    runs: int,
) -> list[Job]:
    """Return the work of encoding windows as up to ``runs`` jobs, each a run of neighbours.

    They may be called in any order and on any thread; together they fill ``out``.
    """
    for length in np.unique(t1_us - t0_us):
        check_window(int(length))
    if normalise not in ("raw", "evsegnet"):
        raise WindowError(f"normalise must be raw or evsegnet, got {normalise!r}")
    if ddof not in (0, 1):
        raise WindowError(f"ddof must be 0 or 1, got {ddof!r}")
    first_row = 0 if rows is None else rows[0]
    lo, hi = bounds(events, t0_us, t1_us)

    def run(part: slice) -> None:
        _run(events, lo[part], hi[part], t0_us[part], t1_us[part], out[part], first_row, ddof)
        if normalise == "evsegnet":
            for tensor in out[part]:
                normalise_evsegnet(tensor, out=tensor)

    edges = [len(t0_us) * i // runs for i in range(runs + 1)]
    return [partial(run, slice(a, b)) for a, b in pairwise(edges) if a < b]


def slides(t0_us: NDArray[np.int64], t1_us: NDArray[np.int64]) -> bool:
    """Return whether windows overlap so much that each is best made from the one before.

    Such windows are cut into as few runs as can be, since each run begins with a fresh window.
    """
    if len(t0_us) < 2:
        return False
    stride_us = (t0_us[-1] - t0_us[0]) / (len(t0_us) - 1)
    return bool(2 * stride_us < t1_us[0] - t0_us[0])


def _output(sensor: SensorSize, n: int, rows: tuple[int, int] | None, out: Tensor | None) -> Tensor:
    """Return the array to write into: the one given, if it fits, or a new one."""
    shape = (n, 6, rows_kept(sensor, rows), sensor.width)
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise WindowError(f"out must be C-contiguous float32 {shape}, got {out.dtype} {out.shape}")
    return out


def _run(
    events: EventStream,
    lo: NDArray[np.int64],
    hi: NDArray[np.int64],
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    out: Tensor,
    first_row: int,
    ddof: int,
) -> None:
    """Encode neighbouring windows on this thread; packed where that is exact, else wide."""
    height, width = out.shape[2:]
    flat = out.reshape(len(out), 6, height * width)
    columns = (events.t, events.x, events.y, events.p)
    wide = (t1_us - t0_us >= PACKED_MAX_WINDOW_US) | (hi - lo >= PACKED_MAX_EVENTS)
    with scratch.packed(height * width) as words:
        encode_packed(
            *columns, lo, hi, t0_us, t1_us, flat, wide, words, first_row, height, width, ddof
        )
    for k in np.flatnonzero(wide):
        with scratch.wide(height * width) as four:
            encode_wide(
                *columns, lo[k], hi[k], t0_us[k], t1_us[k], flat[k], four,
                first_row, height, width, ddof,
            )  # fmt: skip


def bounds(
    events: EventStream, t0_us: NDArray[np.int64], t1_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the first event of each window and the one after its last, int64 (2, N)."""
    return np.searchsorted(events.t, np.stack([t0_us, t1_us])).astype(np.int64, copy=False)


def rows_kept(sensor: SensorSize, rows: tuple[int, int] | None) -> int:
    """Return the number of rows kept."""
    if rows is None:
        return sensor.height
    if not 0 <= rows[0] < rows[1] <= sensor.height:
        raise WindowError(
            f"rows {rows[0]}:{rows[1]} must lie within the {sensor.height} rows of the sensor"
        )
    return rows[1] - rows[0]
