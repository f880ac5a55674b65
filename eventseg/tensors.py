"""Events to six-channel tensors: one window, many windows, or a whole recording in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize, concatenate
from eventseg.kernels import scratch
from eventseg.kernels.accumulate import PACKED_MAX_EVENTS, PACKED_MAX_WINDOW_US
from eventseg.kernels.encode import encode_packed, encode_wide
from eventseg.windows import Windows, check_window, parse_duration

Tensor = NDArray[np.float32]
Normalisation = Literal["raw", "evsegnet"]

CHANNELS = ("count+", "count-", "mean+", "std+", "mean-", "std-")
"""Order of the channels in memory and on disk, as in EV-SegNet's released files."""

BATCH_BYTES = 64 << 20
"""Tensors made at a time from a recording; bounds the memory together with BATCH_EVENTS."""
BATCH_EVENTS = 4_000_000


class Source(Protocol):
    """What encoding needs of a recording."""

    @property
    def sensor(self) -> SensorSize:
        """Size of the sensor."""
        ...

    @property
    def n_events(self) -> int:
        """Number of events in all."""
        ...

    @property
    def t_first_us(self) -> int:
        """Time of the first event."""
        ...

    @property
    def t_last_us(self) -> int:
        """Time of the last event."""
        ...

    def stream(
        self, *, max_events: int = ..., t0_us: int | None = ..., t1_us: int | None = ...
    ) -> Iterator[EventStream]:
        """Return the events in order, in pieces whose spans follow each other."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a recording: a tensor for each window length.

    ``tensors`` are views that the next step overwrites; empty for a sample that was skipped.
    """

    index: int
    tensors: tuple[Tensor, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CountedSample:
    """One window of a fixed number of events; ``tensor`` is a view the next step overwrites."""

    index: int
    t0_us: int
    t1_us: int
    tensor: Tensor
    count: int


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
    one = np.array([t0_us]), np.array([t1_us])
    batch = None if out is None else out[np.newaxis]
    made = _encode_times(
        events, *one, normalise=normalise, ddof=ddof, rows=rows, out=batch, pool=None
    )
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
    if threads == 1 or len(windows) < 2:
        return _encode_times(
            events, windows.t0_us, windows.t1_us, normalise=normalise, ddof=ddof, rows=rows,
            out=out, pool=None,
        )  # fmt: skip
    with ThreadPoolExecutor(threads) as pool:
        return _encode_times(
            events, windows.t0_us, windows.t1_us, normalise=normalise, ddof=ddof, rows=rows,
            out=out, pool=(pool, threads),
        )  # fmt: skip


def encode_recording(
    recording: Source,
    windows: Sequence[Windows],
    *,
    normalise: Normalisation = "raw",
    ddof: int = 1,
    rows: tuple[int, int] | None = None,
    threads: int | None = None,
    skip: NDArray[np.bool_] | None = None,
) -> Iterator[Sample]:
    """Encode a recording in one pass over its events, in constant memory.

    Parameters
    ----------
    recording : Recording
        An open recording.
    windows : sequence of Windows
        One for each length, all of N windows in order of time; sample i is the i-th of each.
    normalise, ddof, rows
        As for :func:`encode`.
    threads : int, optional
        Threads that encode; by default one a core.
    skip : bool (N,), optional
        Samples of which only the counts are wanted.

    Yields
    ------
    Sample
        In order. Its tensors are overwritten by the next step.

    Raises
    ------
    WindowError
        Windows of different numbers or out of order, and as for :func:`encode`.
    """
    number = {len(each) for each in windows}
    if len(number) != 1:
        raise WindowError(f"window lengths need one number of samples, got {sorted(number)}")
    (n,) = number
    starts = np.min([each.t0_us for each in windows], axis=0)
    ends = np.max([each.t1_us for each in windows], axis=0)
    if n > 1 and (bool((np.diff(starts) < 0).any()) or bool((np.diff(ends) < 0).any())):
        raise WindowError("windows must be in order of time")
    if n == 0:
        return
    size = _height(recording.sensor, rows) * recording.sensor.width
    batch = _batch_size(recording, starts, ends, tensor_bytes=24 * size * len(windows))
    workers = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        out = np.empty(
            (len(windows), batch, 6, _height(recording.sensor, rows), recording.sensor.width),
            np.float32,
        )
        held = _Held(recording.stream(t0_us=int(starts[0]), t1_us=int(ends[-1])))
        for first in range(0, n, batch):
            part = np.arange(first, min(first + batch, n))
            events = held.span(int(starts[first]), int(ends[part[-1]]))
            wanted = part if skip is None else part[~skip[part]]
            counts = np.stack([_bounds(events, w.t0_us[part], w.t1_us[part]) for w in windows])
            for made, each in zip(out, windows, strict=True):
                _encode_times(
                    events, each.t0_us[wanted], each.t1_us[wanted], normalise=normalise,
                    ddof=ddof, rows=rows, out=made[: len(wanted)], pool=(pool, workers),
                )  # fmt: skip
            slot = {int(index): i for i, index in enumerate(wanted)}
            for i, index in enumerate(part):
                lo, hi = counts[:, 0, i], counts[:, 1, i]
                at = slot.get(int(index))
                tensors = () if at is None else tuple(made[at] for made in out)
                yield Sample(int(index), tensors, tuple(int(c) for c in hi - lo))


def encode_counted(
    recording: Source,
    *,
    events_per_window: int,
    normalise: Normalisation = "raw",
    ddof: int = 1,
    rows: tuple[int, int] | None = None,
) -> Iterator[CountedSample]:
    """Encode consecutive windows of a fixed number of events; the last may hold fewer.

    A window runs from its first event to 1 us after its last. Events at one microsecond may fall
    into two windows; every event is in exactly one.

    Parameters
    ----------
    recording : Recording
        An open recording.
    events_per_window : int
        Events in each window.
    normalise, ddof, rows
        As for :func:`encode`.

    Yields
    ------
    CountedSample
        In order. Its tensor is overwritten by the next step.

    Raises
    ------
    WindowError
        A count that is not positive, or a window longer than 35.8 minutes.
    """
    if events_per_window < 1:
        raise WindowError(f"a window must hold 1 event or more, got {events_per_window}")
    out = np.empty((1, 6, _height(recording.sensor, rows), recording.sensor.width), np.float32)
    index = 0
    rest: EventStream | None = None
    for piece in recording.stream():
        events = piece if rest is None else concatenate([rest, piece])
        whole = len(events) // events_per_window * events_per_window
        for lo in range(0, whole, events_per_window):
            yield _counted(
                index, _slice(events, lo, lo + events_per_window), out, normalise, ddof, rows
            )
            index += 1
        rest = _slice(events, whole, len(events))
    if rest is not None and len(rest):
        yield _counted(index, rest, out, normalise, ddof, rows)


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


class _Held:
    """The events of a moving span, from a stream that is read once."""

    def __init__(self, stream: Iterator[EventStream]) -> None:
        self.stream = stream
        self.parts: list[EventStream] = []

    def span(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of a span that begins no earlier than the one asked for before."""
        self.parts = [part for part in self.parts if part.t1_us > t0_us]
        while not self.parts or self.parts[-1].t1_us < t1_us:
            part = next(self.stream, None)
            if part is None:
                break
            if part.t1_us > t0_us:
                self.parts.append(part)
        if not self.parts:
            raise WindowError(f"no events were read for the span [{t0_us}, {t1_us}) us")
        self.parts = [concatenate(self.parts)]
        whole = self.parts[0]
        self.parts = [whole.between(max(t0_us, whole.t0_us), whole.t1_us)]
        return self.parts[0].between(self.parts[0].t0_us, max(t1_us, self.parts[0].t0_us))


def _encode_times(
    events: EventStream,
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    normalise: Normalisation,
    ddof: int,
    rows: tuple[int, int] | None,
    out: Tensor | None,
    pool: tuple[ThreadPoolExecutor, int] | None,
) -> Tensor:
    """Encode windows by their times, in one run or in one run of neighbours a thread."""
    height = _height(events.sensor, rows)
    shape = (len(t0_us), 6, height, events.sensor.width)
    if out is None:
        out = np.empty(shape, np.float32)
    elif out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise WindowError(f"out must be C-contiguous float32 {shape}, got {out.dtype} {out.shape}")
    for length in np.unique(t1_us - t0_us):
        check_window(int(length))
    if normalise not in ("raw", "evsegnet"):
        raise WindowError(f"normalise must be raw or evsegnet, got {normalise!r}")
    if ddof not in (0, 1):
        raise WindowError(f"ddof must be 0 or 1, got {ddof!r}")
    first_row = 0 if rows is None else rows[0]
    lo, hi = _bounds(events, t0_us, t1_us)

    def run(part: slice) -> None:
        _run(events, lo[part], hi[part], t0_us[part], t1_us[part], out[part], first_row, ddof)
        if normalise == "evsegnet":
            for tensor in out[part]:
                normalise_evsegnet(tensor, out=tensor)

    if pool is None:
        run(slice(None))
    else:
        executor, threads = pool
        edges = [len(t0_us) * i // threads for i in range(threads + 1)]
        list(executor.map(run, (slice(a, b) for a, b in pairwise(edges))))
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


def _bounds(
    events: EventStream, t0_us: NDArray[np.int64], t1_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the first event of each window and the one after its last, int64 (2, N)."""
    return np.searchsorted(events.t, np.stack([t0_us, t1_us])).astype(np.int64, copy=False)


def _height(sensor: SensorSize, rows: tuple[int, int] | None) -> int:
    """Return the number of rows kept."""
    if rows is None:
        return sensor.height
    if not 0 <= rows[0] < rows[1] <= sensor.height:
        raise WindowError(
            f"rows {rows[0]}:{rows[1]} must lie within the {sensor.height} rows of the sensor"
        )
    return rows[1] - rows[0]


def _batch_size(
    recording: Source, starts: NDArray[np.int64], ends: NDArray[np.int64], *, tensor_bytes: int
) -> int:
    """Return how many samples to make at a time, so that tensors and events stay bounded."""
    by_tensors = BATCH_BYTES // tensor_bytes
    span_us = recording.t_last_us + 1 - recording.t_first_us
    batch_us = BATCH_EVENTS * span_us / max(recording.n_events, 1)
    step_us = (int(ends[-1]) - int(ends[0])) / len(ends)
    by_events = (batch_us - int((ends - starts).max())) / max(step_us, 1)
    return int(max(1, min(by_tensors, by_events, len(ends))))


def _slice(events: EventStream, lo: int, hi: int) -> EventStream:
    """Return events by their number; the span ends with the last one's microsecond."""
    part = slice(lo, hi)
    t = events.t[part]
    t0_us, t1_us = (int(t[0]), int(t[-1]) + 1) if len(t) else (events.t1_us, events.t1_us)
    return EventStream(
        t, events.x[part], events.y[part], events.p[part], events.sensor, t0_us, t1_us
    )


def _counted(
    index: int,
    events: EventStream,
    out: Tensor,
    normalise: Normalisation,
    ddof: int,
    rows: tuple[int, int] | None,
) -> CountedSample:
    """Encode one window of a fixed count."""
    tensor = encode(events, normalise=normalise, ddof=ddof, rows=rows, out=out[0])
    return CountedSample(index, events.t0_us, events.t1_us, tensor, len(events))
