"""Recorder of a film: runs both halves of the sensor over it and writes events and frames.

The film is taken in chunks of 50 ms, so memory does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import astuple, dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream
from eventseg.recordings.ddd17.writer import DDD17Writer
from eventseg.recordings.truth import TruthWriter
from eventseg.simulate.scene.film import Film
from eventseg.simulate.sensor.aps import ApsModel, FrameTimes, Shutter
from eventseg.simulate.sensor.dvs import DvsEvents, DvsSensor

Aside = Callable[[int, int, int], None]

CHUNK_US = 50_000
FRAME_SPECIALS = (14, 16, 17, 15)
"""Types of the special events of a frame: its start, its exposure's start and end, its end."""


@dataclass
class Tally:
    """Counts of a recording in progress."""

    events: int = 0
    on_events: int = 0
    noise_events: int = 0
    frames: int = 0
    class_pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))


class Recorder:
    """One DAVIS and its two files.

    Parameters
    ----------
    writer : DDD17Writer
        Open; receives times of the recording's clock.
    truth : TruthWriter
        Open.
    dvs : DvsSensor
    aps : ApsModel
    seed : int
        Seeds the frames' noise.
    step_us : int
        Time between two renders.
    t0_us : int
        Time of the recording's clock at film time 0.
    reset_us : int, optional
        Film time at which the sensor's clock is reset; no frame may span it.
    pool, bands : Executor, int
        Where work runs, and into how many parts the sensor is cut.
    """

    def __init__(
        self,
        writer: DDD17Writer,
        truth: TruthWriter,
        *,
        dvs: DvsSensor,
        aps: ApsModel,
        seed: int,
        step_us: int,
        t0_us: int,
        reset_us: int | None = None,
        pool: Executor,
        bands: int,
    ) -> None:
        self.tally = Tally()
        self._writer = writer
        self._truth = truth
        self._dvs = dvs
        self._aps = aps
        self._seed = seed
        self._step_us = step_us
        self._t0_us = t0_us
        self._shift_us = t0_us
        self._reset_us = reset_us
        self._pool = pool
        self._bands = bands
        room = max(1, CHUNK_US // step_us)
        self._luminance = np.empty((room, *dvs.sensor), np.float32)
        self._label = np.empty((room, *dvs.sensor), np.uint8)

    def shoot(
        self,
        film: Film,
        t0_us: int,
        t1_us: int,
        frames: list[FrameTimes],
        *,
        aside: Aside | None = None,
    ) -> None:
        """Record a film from ``t0_us`` to ``t1_us``, after the sensor has settled on its start.

        Parameters
        ----------
        film : Film
        t0_us, t1_us : int
            Film times.
        frames : list of FrameTimes
            Frames to take, in film time.
        aside : callable, optional
            Called with the film times of each stretch and the offset of the sensor's
            clock, to write further signals of the recording.
        """
        start = np.array([t0_us], np.int64)
        film.pictures(start, self._luminance[:1], self._label[:1], self._pool)
        self._dvs.start(self._luminance[0], self._label[0], t0_us)
        first = self.tally.frames
        shutter = Shutter(self._dvs.sensor, self._aps, frames, seed=self._seed, first=first)
        shutter.expose(self._luminance[:1], start, self._step_us)
        waiting: list[tuple[FrameTimes, NDArray[np.uint8]]] = []
        before = t0_us
        for times in _chunks(t0_us, t1_us, self._step_us, len(self._luminance)):
            luminance, label = self._luminance[: len(times)], self._label[: len(times)]
            film.pictures(times, luminance, label, self._pool)
            events = self._dvs.step(luminance, label, times, pool=self._pool, bands=self._bands)
            waiting += shutter.expose(luminance, times, self._step_us)
            self._write(film, events, before, int(times[-1]), waiting, aside)
            before = int(times[-1])

    def _write(
        self,
        film: Film,
        events: DvsEvents,
        t0_us: int,
        t1_us: int,
        waiting: list[tuple[FrameTimes, NDArray[np.uint8]]],
        aside: Aside | None,
    ) -> None:
        """Write the events of ``(t0_us, t1_us]`` and the frames that ended by then."""
        reset = self._reset_us
        marks = [t0_us, t1_us]
        if reset is not None and t0_us < reset < t1_us:
            marks.insert(1, reset)
        for before, after in pairwise(marks):
            if before == reset:
                self._writer.reset(t_us=before + 1 + self._shift_us)
                self._shift_us = -before - 1
            shift = self._shift_us
            if aside is not None:
                aside(before, after, shift)
            # Stamps are rounded up, so the whole microseconds before + 1 to after.
            lo, hi = np.searchsorted(events.t, (before + 1, after + 1))
            part = events.part(int(lo), int(hi))
            span = (before + 1 + shift, after + 1 + shift)
            self._writer.add_events(
                EventStream(part.t + shift, part.x, part.y, part.p, self._dvs.sensor, *span)
            )
            self._truth.add_events(part)
            self.tally.events += len(part.t)
            self.tally.on_events += int(part.p.sum())
            self.tally.noise_events += int(len(part.t) - part.signal.sum())
            while waiting and waiting[0][0].t_end_us <= after:
                self._write_frame(film, *waiting.pop(0))

    def _write_frame(self, film: Film, times: FrameTimes, image: NDArray[np.uint8]) -> None:
        stamps = [t + self._shift_us for t in astuple(times)]
        self._writer.add_specials(stamps, FRAME_SPECIALS)
        start, exposure_start, exposure_end, end = stamps
        self._writer.add_frame(
            image,
            t_start_us=start,
            t_end_us=end,
            exposure_start_us=exposure_start,
            exposure_end_us=exposure_end,
        )
        view = film.view(times.exposure_end_us)
        self._truth.add_frame(times.exposure_end_us + self._t0_us, view)
        self.tally.class_pixels += np.bincount(view.label.ravel(), minlength=256)
        self.tally.frames += 1


def _chunks(t0_us: int, t1_us: int, step_us: int, room: int) -> Iterator[NDArray[np.int64]]:
    """Yield the times of the renders after ``t0_us`` up to ``t1_us``, ``room`` at a time."""
    times = np.arange(t0_us + step_us, t1_us + step_us, step_us, dtype=np.int64)
    times = np.minimum(times, t1_us)
    for start in range(0, len(times), room):
        yield times[start : start + room]
