"""A recording seen through event filters: the same events whichever span is read, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream, SensorSize
from eventseg.filters.hot_pixels import count_events, find_hot_pixels, hot_map, hot_numbers
from eventseg.filters.rules import EventFilter, Filters, filter_events, to_filters
from eventseg.recordings import Recording


@dataclass(frozen=True, eq=False, slots=True)
class FilteredRecording:
    """The events of a recording that filters keep.

    The filters are defined on the complete recording. To give a span alone, its events are read
    from :attr:`Filters.lead_us` before it on.

    Parameters
    ----------
    recording : Recording
        An open recording; size, times and the number of events stay its own.
    filters : Filters
        Filters to apply.
    hot : bool (H, W)
        Its hot pixels.
    device : {"cpu", "cuda"}
        Where :meth:`stream` filters; the events are the same.
    """

    recording: Recording
    filters: Filters
    hot: NDArray[np.bool_]
    device: Literal["cpu", "cuda"] = "cpu"

    @property
    def sensor(self) -> SensorSize:
        """Size of the sensor."""
        return self.recording.sensor

    @property
    def n_events(self) -> int:
        """Number of events before the filters."""
        return self.recording.n_events

    @property
    def t_first_us(self) -> int:
        """Time of the first event before the filters."""
        return self.recording.t_first_us

    @property
    def t_last_us(self) -> int:
        """Time of the last event before the filters."""
        return self.recording.t_last_us

    def events(self, t0_us: int, t1_us: int) -> EventStream:
        """Return the events of ``[t0_us, t1_us)`` that pass."""
        read = self.recording.events(t0_us - self.filters.lead_us, t1_us)
        return filter_events(read, filters=self.filters, hot=self.hot).between(t0_us, t1_us)

    def stream(
        self,
        *,
        max_events: int = 1_000_000,
        t0_us: int | None = None,
        t1_us: int | None = None,
    ) -> Iterator[EventStream]:
        """Yield the events that pass in consecutive spans; see :meth:`Recording.stream`."""
        keep = self._filter()
        start = self.recording.t_first_us if t0_us is None else t0_us
        begin = None if t0_us is None else t0_us - self.filters.lead_us
        for piece in self.recording.stream(max_events=max_events, t0_us=begin, t1_us=t1_us):
            kept = keep(piece)
            if kept.t1_us > start:
                yield kept.between(max(start, kept.t0_us), kept.t1_us)

    def _filter(self) -> Callable[[EventStream], EventStream]:
        if self.device == "cpu":
            return EventFilter(self.filters, sensor=self.sensor, hot=self.hot)
        # Loaded here, so that filtering on the CPU needs no torch.
        from eventseg.filters.cuda import GpuEventFilter

        return GpuEventFilter(self.filters, sensor=self.sensor, hot=self.hot)


def filtered(
    recording: Recording,
    filters: Filters | str | Iterable[str],
    *,
    hot_pixels: Sequence[int] = (),
    device: Literal["cpu", "cuda"] = "cpu",
) -> Recording | FilteredRecording:
    """Return a recording as it is to be encoded: itself where no filter is on.

    Parameters
    ----------
    recording, device
        As for :class:`FilteredRecording`.
    filters : Filters, str or iterable of str
        Filters, or texts such as ``refractory:1ms,background``.
    hot_pixels : sequence of int
        Numbers of its hot pixels, as :func:`survey_filters` returns them.
    """
    filters = to_filters(filters)
    if not filters:
        return recording
    return FilteredRecording(recording, filters, hot_map(hot_pixels, recording.sensor), device)


@dataclass(frozen=True, slots=True)
class FilterSurvey:
    """Effect of filters on a recording: hot pixels and dropped events.

    ``hot_pixels`` are numbers of pixels, row x width + column; ``dropped`` holds the number of
    events that each filter drops, by its name.
    """

    hot_pixels: tuple[int, ...]
    dropped: dict[str, int]


def survey_filters(recording: Recording, filters: Filters | str | Iterable[str]) -> FilterSurvey:
    """Return the hot pixels of a recording and the number of events that each filter drops.

    Reads the recording once, and once before to find hot pixels where they are to be dropped.
    """
    filters = to_filters(filters)
    if not filters:
        return FilterSurvey((), {})
    hot = np.zeros(recording.sensor, np.bool_)
    if filters.hot_factor:
        counts = count_events(recording.stream(), sensor=recording.sensor)
        hot = find_hot_pixels(counts, factor=filters.hot_factor)
    keep = EventFilter(filters, sensor=recording.sensor, hot=hot)
    for piece in recording.stream():
        keep(piece)
    return FilterSurvey(hot_numbers(hot), keep.dropped)
