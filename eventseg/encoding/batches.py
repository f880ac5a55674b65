"""Batches of samples of a recording: one is used while the next is encoded and one more is read.

There are two sets of tensors, so that neither the caller nor the workers wait for the other. Events
come to the workers in one of two ways. Where threads may read spans of a recording side by side,
each worker reads the events of its own windows, which are still in its cache when they are encoded.
Else, and where windows share events, one thread reads all events in order, a batch ahead.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.cpu import bounds
from eventseg.encoding.settings import Encoding
from eventseg.encoding.tensors import RUNS_A_THREAD, encode_jobs, slides
from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize, concatenate
from eventseg.kernels import reused
from eventseg.windows import Windows

BATCH_BYTES = 32 << 20
"""Tensors of a batch, of which there are two; bounds the memory together with BATCH_EVENTS."""
BATCH_EVENTS = 1_000_000
PIECE_EVENTS = 250_000
"""Events asked at a time of a reader of all events."""

RUN_EVENTS = 150_000
"""Events that a worker reads at a time: few enough for its cache, and worth a call."""
RUN_PACKETS = 4
"""Packets that a worker reads at a time at least: those at the ends are decoded by two."""

SETS = 2
"""Sets of tensors: one that is used and one that is filled."""

Reader = Callable[[int, int], EventStream]
"""Function from a span to its events."""


class Source(Protocol):
    """Attributes of a recording that encoding needs.

    A source may also have ``packet_events`` and ``events``, as a
    :class:`eventseg.recordings.base.Recording` has.
    """

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


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Consecutive samples that are encoded together.

    Parameters
    ----------
    samples : int64 (B,)
        Indices of the samples.
    wanted : bool (B,)
        Samples with tensors.
    counts : int64 (L, B)
        Number of events in the window of each length.
    tensors : array (L, S, C, H, W)
        Tensors of the wanted samples, one after the other.
    jobs : list of Future
        Running work; counts and tensors are complete when all of it is done.
    """

    samples: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    counts: NDArray[np.int64]
    tensors: NDArray[Any]
    jobs: list[Future[None]]

    def tensors_of(self, i: int) -> tuple[NDArray[Any], ...]:
        """Return the tensors of the i-th sample; none if it is not wanted."""
        if not self.wanted[i]:
            return ()
        place = int(self.wanted[:i].sum())
        return tuple(tensors[place] for tensors in self.tensors)


@dataclass(frozen=True, eq=False, slots=True)
class BatchEncoder:
    """Encoder of the samples of one recording.

    Parameters
    ----------
    source : Source
    windows : sequence of Windows
        One for each length, of N windows each, in order of time.
    encoding : Encoding
    device : {"cpu", "cuda"}
    workers : int
        Threads that encode.
    skip : bool (N,), optional
        Samples without tensors.
    """

    source: Source
    windows: Sequence[Windows]
    encoding: Encoding
    device: Literal["cpu", "cuda"]
    workers: int
    skip: NDArray[np.bool_] | None

    def batches(self) -> Iterator[Batch]:
        """Yield all batches, complete and in order.

        The tensors of a batch are overwritten after the next step.
        """
        n, run = len(self.windows[0]), self._windows_a_run()
        size = self._streamed_size() if run is None else run * self.workers
        ranges = [np.arange(first, min(first + size, n)) for first in range(0, n, size)]
        shape = (len(self.windows), min(size, n), *self.encoding.shape)
        free = deque(reused.empty(shape, self.encoding.array_dtype) for _ in ranges[:SETS])
        running: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(self.workers) as pool:
            pieces = None if run is not None else _Pieces(self.source, *self._span(np.arange(n)))

            def ahead(i: int) -> Callable[[], Reader]:
                if pieces is None:
                    return lambda: self._events_within
                return reading.submit(pieces.reader, *self._span(ranges[i])).result

            def finished() -> Batch:
                batch = running.popleft().result()
                for job in batch.jobs:
                    job.result()
                return batch

            reader = ahead(0)
            for i, samples in enumerate(ranges):
                if not free:
                    batch = finished()
                    yield batch
                    free.append(batch.tensors)
                # Jobs are started by the reading thread, as soon as the events are there.
                running.append(
                    reading.submit(self._start, pool, reader, samples, free.popleft(), run)
                )
                if i + 1 < len(ranges):
                    reader = ahead(i + 1)
            while running:
                yield finished()

    def _windows_a_run(self) -> int | None:
        """Return how many windows a worker reads at a time; None if all events are streamed."""
        packet_events = getattr(self.source, "packet_events", 0)
        (first, *others) = self.windows
        if not packet_events or others or self.device != "cpu" or _overlap(first):
            return None
        begin, end = self._span(np.arange(len(first)))
        events = self.source.n_events * min(1.0, (end - begin) / self._duration_us())
        run = math.ceil(max(RUN_EVENTS, RUN_PACKETS * packet_events) * len(first) / max(events, 1))
        tensor_bytes = self._tensor_bytes()
        most = max(1, BATCH_BYTES // (tensor_bytes * self.workers))
        return None if run > most and packet_events > RUN_EVENTS else min(run, most)

    def _streamed_size(self) -> int:
        """Return how many samples of a stream to encode together."""
        starts = np.min([each.t0_us for each in self.windows], axis=0)
        ends = np.max([each.t1_us for each in self.windows], axis=0)
        by_tensors = max(BATCH_BYTES // self._tensor_bytes(), self.workers)
        batch_us = BATCH_EVENTS * self._duration_us() / max(self.source.n_events, 1)
        step_us = (int(ends[-1]) - int(ends[0])) / len(ends)
        by_events = (batch_us - int((ends - starts).max())) / max(step_us, 1)
        return int(max(1, min(by_tensors, by_events, len(ends))))

    def _events_within(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of the part of a span that is within the recording."""
        begin = min(max(t0_us, self.source.t_first_us), self.source.t_last_us + 1)
        events: EventStream = self.source.events(  # type: ignore[attr-defined]
            begin, max(begin, min(t1_us, self.source.t_last_us + 1))
        )
        return events

    def _duration_us(self) -> int:
        return self.source.t_last_us + 1 - self.source.t_first_us

    def _tensor_bytes(self) -> int:
        tensor_bytes = self.encoding.array_dtype.itemsize * math.prod(self.encoding.shape)
        return tensor_bytes * len(self.windows)

    def _span(self, samples: NDArray[np.int64]) -> tuple[int, int]:
        """Return the span of all windows of consecutive samples."""
        begin = min(int(each.t0_us[samples[0]]) for each in self.windows)
        return begin, max(int(each.t1_us[samples[-1]]) for each in self.windows)

    def _start(
        self,
        pool: ThreadPoolExecutor,
        reader: Callable[[], Reader],
        samples: NDArray[np.int64],
        tensors: NDArray[Any],
        run: int | None,
    ) -> Batch:
        """Start to encode samples whose events can be read."""
        events = reader()
        wanted = np.ones(len(samples), np.bool_) if self.skip is None else ~self.skip[samples]
        counts = np.zeros((len(self.windows), len(samples)), np.int64)
        lengths = list(zip(self.windows, counts, tensors, strict=True))
        # Long windows are the most work and begin first.
        lengths.sort(key=lambda each: int(each[0].t0_us[0] - each[0].t1_us[0]))
        jobs = []
        for windows, count, out in lengths:
            runs = self._runs(windows, samples) if run is None else -(-len(samples) // run)
            edges = [len(samples) * i // runs for i in range(runs + 1)]
            for first, stop in pairwise(edges):
                if first < stop:
                    part = slice(first, stop)
                    place = int(wanted[:first].sum())
                    jobs.append(
                        pool.submit(
                            self._encode,
                            events,
                            windows,
                            samples[part],
                            wanted[part],
                            count[part],
                            out[place : place + int(wanted[part].sum())],
                        )
                    )
        return Batch(samples, wanted, counts, tensors, jobs)

    def _runs(self, windows: Windows, samples: NDArray[np.int64]) -> int:
        """Return into how many jobs to cut the windows of one length."""
        if self.device == "cuda":
            return 1
        if slides(windows.t0_us[samples], windows.t1_us[samples]):
            # With other lengths to keep the threads busy, sliding windows need one run only.
            return 1 if len(self.windows) > 1 else self.workers
        return RUNS_A_THREAD * self.workers

    def _encode(
        self,
        reader: Reader,
        windows: Windows,
        samples: NDArray[np.int64],
        wanted: NDArray[np.bool_],
        counts: NDArray[np.int64],
        out: NDArray[Any],
    ) -> None:
        """Encode consecutive windows of one length into ``out`` and count their events."""
        t0_us, t1_us = windows.t0_us[samples], windows.t1_us[samples]
        events = reader(int(t0_us.min()), int(t1_us.max()))
        lo, hi = bounds(events, t0_us, t1_us)
        counts[:] = hi - lo
        for job in encode_jobs(
            events,
            t0_us[wanted],
            t1_us[wanted],
            encoding=self.encoding,
            out=out,
            device=self.device,
            runs=1,
        ):
            job()


class _Pieces:
    """Consecutive pieces of a recording that is read once, from the first window to the last."""

    def __init__(self, source: Source, t0_us: int, t1_us: int) -> None:
        self.stream = source.stream(max_events=PIECE_EVENTS, t0_us=t0_us, t1_us=t1_us)
        self.pieces: list[EventStream] = []

    def reader(self, t0_us: int, t1_us: int) -> Reader:
        """Read a span that begins no earlier than the one before; return a reader of its parts."""
        self.pieces = [piece for piece in self.pieces if piece.t1_us > t0_us]
        while not self.pieces or self.pieces[-1].t1_us < t1_us:
            piece = next(self.stream, None)
            if piece is None:
                break
            if piece.t1_us > t0_us:
                self.pieces.append(piece)
        if not self.pieces:
            raise WindowError(f"no events were read for the span [{t0_us}, {t1_us}) us")
        return partial(_between, list(self.pieces))


def _between(pieces: list[EventStream], t0_us: int, t1_us: int) -> EventStream:
    """Return the events of a span: a view where one piece holds them all, else a copy."""
    met = [piece for piece in pieces if piece.t1_us > t0_us and piece.t0_us < t1_us]
    if not met:
        return pieces[0].between(pieces[0].t0_us, pieces[0].t0_us)
    return concatenate(
        [piece.between(max(t0_us, piece.t0_us), min(t1_us, piece.t1_us)) for piece in met]
    )


def _overlap(windows: Windows) -> bool:
    """Return whether consecutive windows share events."""
    return bool((windows.t0_us[1:] < windows.t1_us[:-1]).any())
