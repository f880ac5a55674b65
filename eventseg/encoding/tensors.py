"""Events to tensors, of six channels by default: one window, or many windows of one stream."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.device import Device, choose_encoder
from eventseg.encoding.cpu import bounds, check_windows, encode_run
from eventseg.encoding.element_type import ElementType
from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.encoding.settings import Encoding, Normalisation, Tensor, encoding_of
from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.windows import Windows, to_us

Job = Callable[[], None]

RUNS_A_THREAD = 4
"""Runs of windows for each thread, so that a slow core holds the others up less."""

DEFAULTS = (None, MEAN_STD, "raw", 1, "float32")
"""Settings of a caller who gives none: rows, representation, normalisation, ddof, element type."""

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
    representation: Representation | str = MEAN_STD,
    dtype: ElementType = "float32",
    encoding: Encoding | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Return the channels of one window: six, unless another representation is asked for.

    With n events of one pixel and polarity at tau = (t - t0) / (t1 - t0), the channels are
    count = n, mean = sum(tau) / n and std = sqrt(sum((tau - mean)^2) / (n - ddof)), 0 where n
    is 0 (mean) or below 2 (std): EV-SegNet, arXiv 1811.12039, section 3.1.

    Parameters
    ----------
    events : EventStream
        Events that cover the window.
    window : str, int, (int, int), optional
        Length such as ``"50ms"`` or in us: the last such stretch of the stream's span. Or the
        window ``(t0_us, t1_us)`` itself. By default the entire span.
    normalise : {"raw", "sqrt", "evsegnet"}
        ``raw`` as above; for the six channels only, ``sqrt`` of the counts, or ``evsegnet`` as
        :func:`normalise_evsegnet`.
    ddof : {1, 0}
        Divisor of the variance is n - ddof.
    rows : (int, int), optional
        Rows to keep, the second excluded; by default all.
    representation : Representation or str
        Meaning of the channels, see :func:`eventseg.parse_representation`.
    dtype : {"float32", "float16", "uint8"}
        Element type that the raw channels are rounded to, see
        :mod:`eventseg.encoding.element_type`; ``uint8`` for ``count`` and ``stack``.
    encoding : Encoding, optional
        All of these settings as one value, such as that of a data set or of a trained network.
    out : float32 (6, H, W), optional
        Array to write into, C-contiguous; of the encoding's element type or float32.

    Returns
    -------
    float32 (6, H, W)
        Channels ``count+ count- mean+ std+ mean- std-``; mean and std in windows. C channels of
        another representation. Raw channels are of the element type that was asked for.

    Raises
    ------
    WindowError
        A window that is empty, too long, or not covered by the stream, rows outside the sensor,
        or an ``out`` of another shape or type.

    Examples
    --------
    >>> encode(recording.events(), window="50ms").shape
    (6, 48, 64)
    """
    t0_us, t1_us = _bounds(events, window)
    if t0_us < events.t0_us or t1_us > events.t1_us:
        raise WindowError(
            f"window [{t0_us}, {t1_us}) us reaches outside the stream's span "
            f"[{events.t0_us}, {events.t1_us}) us; take the events of a longer span"
        )
    encoding = given_encoding(events.sensor, encoding, rows, representation, normalise, ddof, dtype)
    made = _output(encoding, 1, None if out is None else out[np.newaxis])
    (job,) = encode_jobs(
        events,
        np.array([t0_us]),
        np.array([t1_us]),
        encoding=encoding,
        out=made,
        device="cpu",
        runs=1,
    )
    job()
    tensor: Tensor = made[0]
    return tensor


def _bounds(
    events: EventStream, window: str | int | tuple[int, int] | list[int] | None
) -> tuple[int, int]:
    """Return a window as :func:`encode` takes it, in us of the stream's clock."""
    if window is None:
        return events.t0_us, events.t1_us
    if not isinstance(window, tuple | list):
        return events.t1_us - to_us(window), events.t1_us
    if len(window) != 2:
        raise WindowError(f"a window must be a length or (t0_us, t1_us), got {window!r}")
    return to_us(window[0]), to_us(window[1])


def encode_windows(
    events: EventStream,
    windows: Windows,
    *,
    normalise: Normalisation = "raw",
    ddof: int = 1,
    rows: tuple[int, int] | None = None,
    representation: Representation | str = MEAN_STD,
    dtype: ElementType = "float32",
    encoding: Encoding | None = None,
    out: Tensor | None = None,
    threads: int = 1,
    device: Device = "cpu",
) -> Tensor:
    """Return the channels of many windows, each as :func:`encode` makes it.

    Overlapping windows slide: events that enter are added and those that leave taken away, in
    integers, so the result is the same to the bit, as it is for any number of threads. A window
    that reaches past the stream's span has the events within it only.

    Parameters
    ----------
    events : EventStream
        Events that cover the windows.
    windows : Windows
        N windows.
    normalise, ddof, rows, representation, dtype, encoding
        As for :func:`encode`.
    out : float32 (N, 6, H, W), optional
        Array to write into, C-contiguous.
    threads : int
        Threads to share the windows.
    device : {"cpu", "cuda", "auto"}
        Where to encode; ``auto`` takes a GPU where there is one, and
        :func:`eventseg.device.choose_encoder` tells which it takes and why. The result is
        the same. Tensors that stay on a GPU: :func:`eventseg.encoding.cuda.encode_batch`.

    Returns
    -------
    float32 (N, 6, H, W)

    Raises
    ------
    WindowError
        As for :func:`encode`, and fewer than one thread.
    DeviceError
        ``cuda`` where there is no GPU to use, or one with too little memory.

    Examples
    --------
    >>> windows = cut_windows(recording, anchor=parse_anchor("stride:50ms"), window_us=50_000)
    >>> encode_windows(recording.events(), windows).shape[1:]
    (6, 48, 64)
    """
    if threads < 1:
        raise WindowError(f"threads must be 1 or more, got {threads}")
    encoding = given_encoding(events.sensor, encoding, rows, representation, normalise, ddof, dtype)
    out = _output(encoding, len(windows), out)
    t0_us, t1_us = windows.t0_us, windows.t1_us
    jobs = encode_jobs(
        events,
        t0_us,
        t1_us,
        encoding=encoding,
        out=out,
        device=choose_encoder(device).name,
        runs=1 if threads == 1 else threads if slides(t0_us, t1_us) else RUNS_A_THREAD * threads,
    )
    _share(jobs, threads=threads)
    return out


def _share(jobs: list[Job], *, threads: int) -> None:
    """Call all jobs on this thread and ``threads - 1`` others, each taking the next that is left.

    The caller works too: it begins at once, where a thread that waits takes long to wake. An error
    of one job leaves those that nobody took.
    """
    waiting = deque(jobs)

    def work() -> None:
        while True:
            try:
                job = waiting.popleft()
            except IndexError:
                return
            try:
                job()
            except BaseException:
                waiting.clear()
                raise

    others = [_others(threads - 1).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        wait(others)
    for other in others:
        other.result()


def _others(threads: int) -> ThreadPoolExecutor:
    """Return threads that are kept: a new one starts on its parent's core and leaves it late."""
    if threads not in _executors:
        _executors[threads] = ThreadPoolExecutor(threads)
    return _executors[threads]


def encode_jobs(
    events: EventStream,
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    encoding: Encoding,
    out: Tensor,
    device: Literal["cpu", "cuda"],
    runs: int,
) -> list[Job]:
    """Return the work of encoding windows as up to ``runs`` jobs, each a run of neighbours.

    They may be called in any order and on any thread; together they fill ``out``. A GPU takes
    all windows in one job.
    """
    check_windows(t0_us, t1_us)
    if device == "cuda":
        from eventseg.encoding.cuda import encode_on_gpu

        return [partial(encode_on_gpu, events, t0_us, t1_us, encoding=encoding, out=out)]
    lo, hi = bounds(events, t0_us, t1_us)
    columns = (events.t, events.x, events.y, events.p)

    def run(part: slice) -> None:
        encode_run(
            columns,
            lo[part],
            hi[part],
            t0_us[part],
            t1_us[part],
            encoding=encoding,
            out=out[part],
        )

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


def given_encoding(
    sensor: SensorSize,
    encoding: Encoding | None,
    rows: tuple[int, int] | None,
    representation: Representation | str,
    normalise: Normalisation,
    ddof: int,
    dtype: ElementType,
) -> Encoding:
    """Return the encoding that a caller gave, or that of its settings; for one sensor.

    Raises
    ------
    WindowError
        An encoding for a sensor of another size, or settings beside an encoding.
    """
    given = (rows, representation, normalise, ddof, dtype)
    # Found without making an encoding, which takes longer than to count a window of few events.
    if encoding is not None and encoding.sensor == sensor and given == DEFAULTS:
        return encoding
    own = encoding_of(
        sensor,
        rows=rows,
        representation=representation,
        normalise=normalise,
        ddof=ddof,
        dtype=dtype,
    )
    if encoding is None:
        return own
    if encoding.sensor != sensor:
        raise WindowError(
            f"the encoding is for a sensor {encoding.sensor}, the events are {sensor}"
        )
    if own != encoding_of(sensor):
        raise WindowError("give an encoding, or single settings, not both")
    return encoding


def _output(encoding: Encoding, n: int, out: Tensor | None) -> Tensor:
    """Return the array to write into: the one given, if it fits, or a new one."""
    shape = (n, *encoding.shape)
    dtype = encoding.array_dtype
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype not in (dtype, np.float32) or not out.flags.c_contiguous:
        raise WindowError(f"out must be C-contiguous {dtype} {shape}, got {out.dtype} {out.shape}")
    if not out.flags.writeable:
        raise WindowError("out must be writeable, got a read-only array; give a copy of it")
    return out
