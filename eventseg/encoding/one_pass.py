"""Encoding of a recording in one pass over its events and constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.device import Device, choose_encoder, thread_count
from eventseg.encoding.cpu import bounds
from eventseg.encoding.element_type import ElementType
from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.encoding.settings import Encoding, Normalisation, Tensor
from eventseg.encoding.tensors import (
    RUNS_A_THREAD,
    Job,
    encode,
    encode_jobs,
    given_encoding,
    slides,
)
from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize, concatenate
from eventseg.windows import Windows

BATCH_BYTES = 80 << 20
"""Tensors made at a time from a recording; bounds the memory together with BATCH_EVENTS."""
BATCH_EVENTS = 1_000_000
PIECE_EVENTS = 500_000
"""Events asked of the reader at a time."""


class Source(Protocol):
    """Attributes of a recording that encoding needs."""

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


def encode_recording(
    recording: Source,
    windows: Sequence[Windows],
    *,
    normalise: Normalisation = "raw",
    ddof: int = 1,
    rows: tuple[int, int] | None = None,
    representation: Representation | str = MEAN_STD,
    dtype: ElementType = "float32",
    encoding: Encoding | None = None,
    device: Device = "cpu",
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
    normalise, ddof, rows, representation, dtype, encoding
        As for :func:`eventseg.encoding.tensors.encode`.
    device
        As for :func:`eventseg.encoding.tensors.encode_windows`.
    threads : int, optional
        Threads that encode, by default one a core; one more reads ahead.
    skip : bool (N,), optional
        Samples of which only the counts are wanted.

    Yields
    ------
    Sample
        In order. Its tensors are overwritten by the next step.

    Raises
    ------
    WindowError
        Windows of different numbers or out of order, and as for
        :func:`eventseg.encoding.tensors.encode`.

    Examples
    --------
    >>> windows = cut_windows(recording, anchor=parse_anchor("frame"), window_us=50_000)
    >>> shapes = [sample.tensors[0].shape for sample in encode_recording(recording, [windows])]
    >>> shapes[0]
    (6, 48, 64)
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
    encoding = given_encoding(
        recording.sensor, encoding, rows, representation, normalise, ddof, dtype
    )
    encoder = choose_encoder(device).name
    tensor_bytes = encoding.array_dtype.itemsize * math.prod(encoding.shape) * len(windows)
    batch = _batch_size(recording, starts, ends, tensor_bytes=tensor_bytes)
    workers = thread_count(threads)
    out = np.empty((len(windows), batch, *encoding.shape), encoding.array_dtype)
    parts = [np.arange(first, min(first + batch, n)) for first in range(0, n, batch)]
    stream = recording.stream(max_events=PIECE_EVENTS, t0_us=int(starts[0]), t1_us=int(ends[-1]))
    # The reader has a thread of its own: it reads the next batch while this one is made.
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(workers) as pool:
        held = _Held(stream)
        spans = [(int(starts[part[0]]), int(ends[part[-1]])) for part in parts]
        ahead = reader.submit(held.span, *spans[0])
        for part, following in zip(parts, [*spans[1:], None], strict=True):
            events = ahead.result()
            if following is not None:
                ahead = reader.submit(held.span, *following)
            wanted = part if skip is None else part[~skip[part]]
            counts = np.stack([bounds(events, w.t0_us[part], w.t1_us[part]) for w in windows])
            jobs: list[Job] = []
            for made, each in sorted(zip(out, windows, strict=True), key=_longest_first):
                t0_us, t1_us = each.t0_us[wanted], each.t1_us[wanted]
                # With other lengths to keep the threads busy, sliding windows need one run only.
                sliding_runs = 1 if len(windows) > 1 else workers
                runs = sliding_runs if slides(t0_us, t1_us) else RUNS_A_THREAD * workers
                jobs += encode_jobs(
                    events,
                    t0_us,
                    t1_us,
                    encoding=encoding,
                    out=made[: len(wanted)],
                    device=encoder,
                    runs=runs,
                )
            for made_job in [pool.submit(job) for job in jobs]:
                made_job.result()
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
    representation: Representation | str = MEAN_STD,
    dtype: ElementType = "float32",
    encoding: Encoding | None = None,
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
    normalise, ddof, rows, representation, dtype, encoding
        As for :func:`eventseg.encoding.tensors.encode`.

    Yields
    ------
    CountedSample
        In order. Its tensor is overwritten by the next step.

    Raises
    ------
    WindowError
        A count that is not positive, or a window longer than 35.8 minutes.

    Examples
    --------
    >>> sample = next(encode_counted(recording, events_per_window=1_000))
    >>> sample.count, sample.tensor.shape
    (1000, (6, 48, 64))
    """
    if events_per_window < 1:
        raise WindowError(f"a window must hold 1 event or more, got {events_per_window}")
    encoding = given_encoding(
        recording.sensor, encoding, rows, representation, normalise, ddof, dtype
    )
    encoded = partial(encode, encoding=encoding, out=np.empty(encoding.shape, encoding.array_dtype))
    index = 0
    rest: EventStream | None = None
    for piece in recording.stream():
        events = piece if rest is None else concatenate([rest, piece])
        whole = len(events) // events_per_window * events_per_window
        for lo in range(0, whole, events_per_window):
            yield _counted(index, _slice(events, lo, lo + events_per_window), encoded)
            index += 1
        rest = _slice(events, whole, len(events))
    if rest is not None and len(rest):
        yield _counted(index, rest, encoded)


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
        # Cut before joining, so that nothing older stays in memory.
        first = self.parts[0]
        self.parts[0] = first.between(max(t0_us, first.t0_us), first.t1_us)
        whole = concatenate(self.parts)
        self.parts = [whole]
        return whole.between(whole.t0_us, max(t1_us, whole.t0_us))


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


def _longest_first(pair: tuple[Tensor, Windows]) -> int:
    """Return a sort key: long windows are the most work and begin first."""
    return -int(pair[1].t1_us[0] - pair[1].t0_us[0])


def _slice(events: EventStream, lo: int, hi: int) -> EventStream:
    """Return events by their number; the span ends with the last one's microsecond."""
    part = slice(lo, hi)
    t = events.t[part]
    t0_us, t1_us = (int(t[0]), int(t[-1]) + 1) if len(t) else (events.t1_us, events.t1_us)
    return EventStream(
        t, events.x[part], events.y[part], events.p[part], events.sensor, t0_us, t1_us
    )


def _counted(
    index: int, events: EventStream, encoded: Callable[[EventStream], Tensor]
) -> CountedSample:
    """Encode one window of a fixed count."""
    return CountedSample(index, events.t0_us, events.t1_us, encoded(events), len(events))
