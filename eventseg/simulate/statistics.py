"""Statistics of events: how dense, how repeated, how noisy; and the distance of two recordings.

They are taken over stretches of half a second, cut into windows, so that a recording of any length
costs the same memory. None depends on the scene's classes: a real recording has no labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import WindowError
from eventseg.events import EventStream
from eventseg.recordings.base import Recording
from eventseg.recordings.progress import Progress, Report, no_report

STRETCH_US = 500_000
WINDOW_US = 50_000
SHORT_US = 10_000
NOISE_WINDOW_US = 100_000
MOST_STRETCHES = 20
INTERVALS_US = np.geomspace(100.0, 5e5, 75)
"""Edges of the histogram of intervals; shorter and longer ones count in the outermost bins."""


@dataclass(frozen=True)
class EventStatistics:
    """Statistics of a recording's events.

    Parameters
    ----------
    silent : float
        Share of the pixels without an event in 0.5 s.
    repeated, both : float
        Of the pixels with an event in 50 ms, the shares with more than one and with both
        polarities.
    lone : float
        Share of the events that are the only one of their 3x3 pixels in 10 ms.
    noise_hz : float
        Events a second of a pixel whose 24 neighbours are silent for 100 ms. For noise that is
        independent from pixel to pixel this is its rate; nan where no pixel is quiet.
    neighbourhood : float
        Mean share of the 8 neighbours of an active pixel that are active in the same 50 ms.
    rate_hz : float
        Events a second and pixel.
    variation : float
        Standard deviation of the event rate in windows of 10 ms, divided by its mean.
    on : float
        Share of ON events.
    active : float
        Share of the pixels with an event in 50 ms.
    busiest : float
        Share of the events that the busiest 1 % of the pixels have in 0.5 s.
    interval_us : float
        Median interval between events of a pixel.
    intervals : tuple of float
        Share of these intervals in each bin of ``INTERVALS_US``.
    refractory_us : float
        Interval below which one interval in a thousand lies.
    n_pixels, n_stretches : int
        Size of the sensor, and how many stretches were measured.
    """

    silent: float
    repeated: float
    both: float
    lone: float
    noise_hz: float
    neighbourhood: float
    rate_hz: float
    variation: float
    on: float
    active: float
    busiest: float
    interval_us: float
    intervals: tuple[float, ...]
    refractory_us: float
    n_pixels: int
    n_stretches: int

    def table(self) -> dict[str, float | list[float]]:
        """Return all statistics by name, as plain values; nan is None in JSON."""
        return {**asdict(self), "intervals": list(self.intervals)}


NAMES = {
    "silent": "pixels silent in 0.5 s",
    "repeated": "active pixels with several events, 50 ms",
    "both": "active pixels with both polarities, 50 ms",
    "lone": "lone events, 3x3 pixels and 10 ms",
    "neighbourhood": "active neighbours of an active pixel, 50 ms",
    "on": "ON events",
    "active": "active pixels, 50 ms",
    "busiest": "events of the busiest 1 % of the pixels",
    "noise_hz": "noise, Hz a pixel",
    "rate_hz": "event rate, Hz a pixel",
    "variation": "variation of the rate, 10 ms",
    "interval_us": "median interval, us",
    "intervals": "intervals, decades",
}
"""Names of the statistics for people, in the order of a table."""

SHARES = ("silent", "repeated", "both", "lone", "neighbourhood", "on", "active", "busiest")
"""Statistics whose distance is the absolute difference."""

RATES = ("noise_hz", "rate_hz", "variation", "interval_us")
"""Statistics whose distance is the absolute logarithm of their ratio."""


def measure_recording(recording: Recording, *, progress: Report = no_report) -> EventStatistics:
    """Return the statistics of at most 20 stretches of 0.5 s, spread over a recording.

    Parameters
    ----------
    recording : Recording
    progress : callable
        Called after each stretch.

    Raises
    ------
    WindowError
        The recording is shorter than 0.5 s, or has no event in any stretch.
    """
    length_us = recording.t_last_us + 1 - recording.t_first_us
    count = min(MOST_STRETCHES, int(length_us // STRETCH_US))
    if count < 1:
        raise WindowError(
            f"{recording.path.name} lasts {length_us / 1e6:.3f} s: statistics need at least "
            f"{STRETCH_US / 1e6:g} s of events"
        )
    # The last one ends with the recording: a sensor has settled by then.
    starts = (
        recording.t_last_us
        + 1
        - STRETCH_US
        - np.linspace(0, length_us - STRETCH_US, count).astype(np.int64)
    )
    stretches = []
    for k, start in enumerate(sorted(starts.tolist())):
        stretches.append(recording.events(start, start + STRETCH_US))
        progress(Progress("measure", k + 1, count, "stretch"))
    return measure_events(stretches)


def measure_events(stretches: list[EventStream]) -> EventStatistics:
    """Return the statistics of stretches of events, each 0.5 s long.

    Parameters
    ----------
    stretches : list of EventStream
        Sorted by time, of one sensor, with a span of 0.5 s each.

    Raises
    ------
    WindowError
        There is no event in them.
    """
    if not sum(len(events) for events in stretches):
        raise WindowError("there are no events to take statistics of: give another recording")
    height, width = stretches[0].sensor
    size = height * width
    totals = _Totals()
    silent, busiest, on = [], [], []
    intervals: list[NDArray[np.int64]] = []
    for events in stretches:
        pixel = events.y.astype(np.int64) * width + events.x
        per_pixel = np.bincount(pixel, minlength=size)
        silent.append(float((per_pixel == 0).mean()))
        top = np.sort(per_pixel)[-max(1, size // 100) :]
        busiest.append((int(top.sum()), len(events)))
        on.append(int(events.p.sum()))
        order = np.lexsort((events.t, pixel))
        same = np.diff(pixel[order]) == 0
        intervals.append(np.diff(events.t[order])[same])
        for part in _windows(events, WINDOW_US):
            totals.add_window(part)
        for part in _windows(events, SHORT_US):
            totals.add_short(part)
        for part in _windows(events, NOISE_WINDOW_US):
            totals.add_quiet(part)
    n_events = sum(n for _, n in busiest)
    gaps = np.concatenate(intervals)
    counts = np.histogram(np.clip(gaps, INTERVALS_US[0], INTERVALS_US[-1]), INTERVALS_US)[0]
    rates = np.array(totals.rates, float)
    return EventStatistics(
        silent=float(np.mean(silent)),
        repeated=totals.repeated / totals.active,
        both=totals.both / totals.active,
        lone=totals.lone / n_events,
        noise_hz=totals.quiet_events / totals.quiet_s if totals.quiet_s else math.nan,
        neighbourhood=totals.neighbours / (8 * totals.active),
        rate_hz=n_events / (len(stretches) * STRETCH_US * 1e-6 * size),
        variation=float(rates.std() / rates.mean()),
        on=sum(on) / n_events,
        active=totals.active / (totals.windows * size),
        busiest=sum(n for n, _ in busiest) / n_events,
        interval_us=float(np.median(gaps)) if len(gaps) else math.nan,
        intervals=tuple((counts / max(1, counts.sum())).tolist()),
        refractory_us=float(np.quantile(gaps, 1e-3)) if len(gaps) else math.nan,
        n_pixels=size,
        n_stretches=len(stretches),
    )


def distances(one: EventStatistics, other: EventStatistics) -> dict[str, float]:
    """Return the distance of two recordings in each statistic; 0 where they agree.

    Shares differ by their absolute difference, rates and times by the absolute logarithm of their
    ratio, and ``intervals`` by the earth mover's distance of their logarithms, in decades. A
    statistic that one of both lacks is nan.
    """
    found = {name: abs(getattr(one, name) - getattr(other, name)) for name in SHARES}
    for name in RATES:
        ratio = getattr(one, name) / (getattr(other, name) or math.nan)
        found[name] = abs(math.log(ratio)) if ratio > 0.0 else math.nan
    # Between two histograms on a line it is the area between the cumulated shares.
    apart = np.abs(np.cumsum(np.subtract(one.intervals, other.intervals)))
    moved = float(apart.sum() * math.log10(INTERVALS_US[1] / INTERVALS_US[0]))
    found["intervals"] = moved if any(one.intervals) and any(other.intervals) else math.nan
    return found


def mean_statistics(several: list[EventStatistics]) -> EventStatistics:
    """Return the mean of each statistic over recordings of equal weight that have it.

    A statistic that none has is nan.
    """
    mean = {
        name: _mean_of_numbers([getattr(one, name) for one in several])
        for name in (*SHARES, *RATES, "refractory_us")
    }
    intervals = [one.intervals for one in several if any(one.intervals)]
    return EventStatistics(
        **mean,
        intervals=tuple(np.mean(intervals or [several[0].intervals], axis=0).tolist()),
        n_pixels=several[0].n_pixels,
        n_stretches=sum(one.n_stretches for one in several),
    )


def _mean_of_numbers(values: Sequence[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return float(np.mean(numbers)) if numbers else math.nan


class _Totals:
    """Sums over windows of all stretches."""

    def __init__(self) -> None:
        self.windows = self.active = self.repeated = self.both = 0
        self.neighbours = self.lone = self.quiet_events = 0
        self.quiet_s = 0.0
        self.rates: list[int] = []

    def add_window(self, events: EventStream) -> None:
        on, off = _counts(events)
        number = on + off
        active = number > 0
        self.windows += 1
        self.active += int(active.sum())
        self.repeated += int((number > 1).sum())
        self.both += int(((on > 0) & (off > 0)).sum())
        self.neighbours += int(_around(active, 1)[active].sum())

    def add_short(self, events: EventStream) -> None:
        on, off = _counts(events)
        number = on + off
        self.rates.append(len(events))
        self.lone += int(((number == 1) & (_around(number, 1) == 0)).sum())

    def add_quiet(self, events: EventStream) -> None:
        on, off = _counts(events)
        number = on + off
        quiet = _around(number, 2) == 0
        # Pixels at the rim have neighbours outside that may well be busy.
        quiet[:2], quiet[-2:], quiet[:, :2], quiet[:, -2:] = False, False, False, False
        self.quiet_events += int(number[quiet].sum())
        self.quiet_s += int(quiet.sum()) * NOISE_WINDOW_US * 1e-6


def _windows(events: EventStream, window_us: int) -> Iterator[EventStream]:
    """Yield the events of consecutive windows of the span."""
    start = events.t0_us
    edges = np.searchsorted(events.t, start + np.arange(0, STRETCH_US + 1, window_us))
    for k in range(len(edges) - 1):
        a, b = int(edges[k]), int(edges[k + 1])
        span = (start + k * window_us, start + (k + 1) * window_us)
        yield EventStream(
            events.t[a:b], events.x[a:b], events.y[a:b], events.p[a:b], events.sensor, *span
        )


def _counts(events: EventStream) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of ON and OFF events of each pixel, (H, W) both."""
    height, width = events.sensor
    cell = (events.p == 0) * (height * width) + events.y.astype(np.int64) * width + events.x
    counts = np.bincount(cell, minlength=2 * height * width).reshape(2, height, width)
    return counts[0], counts[1]


def _around(values: NDArray[np.generic], reach: int) -> NDArray[np.int64]:
    """Return the sum over the square around each pixel without the pixel itself."""
    padded = np.pad(values.astype(np.int64), reach)
    sums = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, 0).sum(-1)
    whole = np.lib.stride_tricks.sliding_window_view(sums, 2 * reach + 1, 1).sum(-1)
    return np.asarray(whole - values.astype(np.int64))
