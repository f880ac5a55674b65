"""Changed views of a source at one level of a stress axis; random numbers follow from the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eventseg.augmentation.event_changes import EventChange
from eventseg.augmentation.events import change_events
from eventseg.encoding.settings import Tensor
from eventseg.evaluation.settings import StressName
from eventseg.evaluation.stress.axes import HOT_HZ
from eventseg.events import EventStream, SensorSize
from eventseg.sources.changed import ChangedSource, Span
from eventseg.sources.order import recording_ranks
from eventseg.sources.selection import times_of
from eventseg.sources.source import Source

ChangeEvents = Callable[[int, EventStream, Span], EventStream]


def changed(source: Source, name: StressName, level: float, *, seed: int) -> ChangedSource:
    """Return the source at a level of an axis whose changes need nothing but the source.

    Parameters
    ----------
    source : Source
    name : str
        Any axis of events, or ``frame``.
    level : float
    seed : int
        The same seed gives the same events.
    """
    if name == "shift":
        late_us = round(1000 * level)
        return ChangedSource(source, span=lambda span: (span[0] - late_us, span[1] - late_us))
    if name == "window":
        return ChangedSource(source, span=lambda span: _longer(span, level))
    if name == "rate":
        return ChangedSource(
            source, span=lambda span: _longer(span, level), events_of=lambda _i, e, s: _faster(e, s)
        )
    if name == "frame":
        return ChangedSource(source, frame_of=_frozen(source, round(level)))
    return ChangedSource(source, events_of=_noise(source, name, level, seed))


def _noise(source: Source, name: StressName, level: float, seed: int) -> ChangeEvents:
    def drop(i: int, events: EventStream, _span: Span) -> EventStream:
        # One key at every level, so that levels are nested.
        key = _number(seed, "drop", source.ids[i])
        return change_events(events, EventChange(key=key, drop=level / 100))

    def shot(i: int, events: EventStream, _span: Span) -> EventStream:
        rng = _generator(seed, "shot", source.ids[i])
        key = int(rng.integers(2**62))
        count = int(rng.poisson(level * events.sensor.height * events.sensor.width * _s(events)))
        return change_events(events, EventChange(key=key, noise=count))

    def hot(i: int, events: EventStream, _span: Span) -> EventStream:
        pixels = _permuted(seed, "hot", source.sequences[i], events.sensor)
        chosen = pixels[: round(level / 1000 * len(pixels))]
        rng = _generator(seed, "hot", source.ids[i])
        cells = np.repeat(chosen, rng.poisson(HOT_HZ * _s(events), len(chosen)))
        t = rng.integers(events.t0_us, events.t1_us, len(cells))
        return merged(events, t, cells)

    def leak(i: int, events: EventStream, _span: Span) -> EventStream:
        if level == 0:
            return events
        period_us = 1e6 / level
        height, width = events.sensor
        phase_us = _generator(seed, "leak", source.sequences[i]).random(height * width) * period_us
        first = np.ceil((events.t0_us - phase_us) / period_us)
        counts = np.ceil((events.t1_us - phase_us) / period_us) - first
        cells = np.repeat(np.arange(height * width), np.maximum(counts, 0).astype(np.int64))
        order = np.arange(len(cells)) - np.searchsorted(cells, cells)
        t = np.floor(phase_us[cells] + (first[cells] + order) * period_us).astype(np.int64)
        return merged(events, np.clip(t, events.t0_us, events.t1_us - 1), cells)

    return {"drop": drop, "shot": shot, "hot": hot, "leak": leak}[name]


def merged(events: EventStream, t: NDArray[np.int64], cells: NDArray[np.int64]) -> EventStream:
    """Return a stream with ON events added at pixels, counted row by row; it stays sorted."""
    width = events.sensor.width
    times = np.concatenate([events.t, t])
    order = np.argsort(times, kind="stable")
    x = np.concatenate([events.x, (cells % width).astype(np.uint16)])
    y = np.concatenate([events.y, (cells // width).astype(np.uint16)])
    p = np.concatenate([events.p, np.ones(len(t), np.int8)])
    return EventStream(
        times[order], x[order], y[order], p[order], events.sensor, events.t0_us, events.t1_us
    )


def _longer(span: Span, times: float) -> Span:
    return span[1] - max(1, round((span[1] - span[0]) * times)), span[1]


def _faster(events: EventStream, span: Span) -> EventStream:
    """Return the events brought to a window that ends at the same time."""
    t0_us, t1_us = span
    factor = (t1_us - t0_us) / (events.t1_us - events.t0_us)
    t = t1_us - np.ceil((events.t1_us - events.t) * factor).astype(np.int64)
    t = np.clip(t, t0_us, t1_us - 1)
    return EventStream(t, events.x, events.y, events.p, events.sensor, t0_us, t1_us)


def _frozen(source: Source, places: int) -> Callable[[int, bool], Tensor]:
    """Return the frame of the sample so many places earlier, or of the first one."""
    ranks = recording_ranks(source.ids, source.sequences, times_us=times_of(source))
    names = np.array(source.sequences, dtype=object)
    at: dict[tuple[str, int], int] = {
        (str(names[i]), int(ranks[i])): int(i) for i in np.flatnonzero(source.labelled)
    }
    ordered: dict[str, list[int]] = {}
    for name, rank in sorted(at):
        ordered.setdefault(name, []).append(at[name, rank])

    def frame(i: int, colour: bool) -> Tensor:
        mine = ordered[source.sequences[i]]
        return source.image(mine[max(0, mine.index(i) - places)], colour=colour)

    return frame


def _s(events: EventStream) -> float:
    return (events.t1_us - events.t0_us) / 1e6


def _permuted(seed: int, name: str, recording: str, sensor: SensorSize) -> NDArray[np.int64]:
    return _generator(seed, name, f"pixels of {recording}").permutation(
        sensor.height * sensor.width
    )


def _generator(seed: int, name: str, of: str) -> np.random.Generator:
    return np.random.default_rng(_number(seed, name, of))


def _number(seed: int, name: str, of: str) -> int:
    """Return a number from 0 to 2^62 that follows from the seed, the axis and a name."""
    digest = hashlib.sha256(f"{seed} {name} {of}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 2
