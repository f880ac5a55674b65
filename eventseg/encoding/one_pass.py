"""Encoding of a recording in one pass over its events and constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from eventseg.device import Device, choose_encoder, thread_count
from eventseg.encoding.batches import BatchEncoder, Source
from eventseg.encoding.element_type import ElementType
from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.encoding.settings import Encoding, Normalisation, Tensor
from eventseg.encoding.tensors import encode, given_encoding
from eventseg.errors import WindowError
from eventseg.events import EventStream, concatenate
from eventseg.windows import Windows


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
    encoder = BatchEncoder(
        recording, windows, encoding, choose_encoder(device).name, thread_count(threads), skip
    )
    for batch in encoder.batches():
        for i, index in enumerate(batch.samples.tolist()):
            yield Sample(index, batch.tensors_of(i), tuple(batch.counts[:, i].tolist()))


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
