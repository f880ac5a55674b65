"""Recorder of a film: runs both halves of the sensor over it and writes events and frames.

The film is taken in chunks of 50 ms, so memory does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.events import EventStream
from eventseg.recordings.ddd17.writer import DDD17Writer
from eventseg.recordings.truth import TruthWriter
from eventseg.simulate.sampling import Sampler, fill_between
from eventseg.simulate.scene.film import Film, PartialFilm
from eventseg.simulate.scene.scenarios import SimulationError
from eventseg.simulate.sensor.aps import ApsModel, FrameTimes, Shutter
from eventseg.simulate.sensor.dvs import DvsEvents, DvsSensor
from eventseg.simulate.sensor.dvs_kernel import Seen

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
        Where work runs, and into how many parts the sensor is cut. With more than one, the next
        pictures are rendered while events are written.
    tolerance : float, optional
        Render each tile only as often as needed, at most every step: see
        :class:`eventseg.simulate.sampling.Sampler`. By default all is rendered at every step.
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
        tolerance: float | None = None,
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
        self._tolerance = tolerance
        self._held: tuple[NDArray[np.float32], NDArray[np.uint8]] | None = None
        self.rendered_share = 1.0
        """Share of the pixels that was rendered, of one picture every step."""

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
        sensor, step_us = self._dvs.sensor, self._step_us
        sampler = self._sampler(film)
        room = CHUNK_US // step_us if sampler is None else sampler.room
        luminances, labels = self._pictures(room)
        start = np.array([t0_us], np.int64)
        film.pictures(start, luminances[0, :1], labels[0, :1], self._pool)
        self._dvs.start(luminances[0, 0], labels[0, 0], t0_us)
        first = self.tally.frames
        shutter = Shutter(sensor, self._aps, frames, seed=self._seed, first=first)
        shutter.expose(luminances[0, :1], start, step_us)
        waiting: list[tuple[FrameTimes, NDArray[np.uint8]]] = []

        def take(number: int, times: NDArray[np.int64]) -> Seen | None:
            half, other = number % 2, (number + 1) % 2
            luminance, label = luminances[half, : len(times)], labels[half, : len(times)]
            if number > 0:
                luminance[0], label[0] = luminances[other, room], labels[other, room]
            if sampler is not None:
                return sampler.take(times, luminance, label, self._pool)
            film.pictures(times[1:], luminance[1:], label[1:], self._pool)
            return None

        chunks = list(_chunks(t0_us, t1_us, step_us, room))
        with ThreadPoolExecutor(1) as ahead:
            submit = ahead.submit if self._bands > 1 else _at_once
            taken = submit(take, 0, chunks[0])
            for number, times in enumerate(chunks):
                seen = taken.result()
                luminance = luminances[number % 2, : len(times)]
                label = labels[number % 2, : len(times)]
                events = self._dvs.step(
                    luminance[1:],
                    label[1:],
                    times[1:],
                    pool=self._pool,
                    bands=self._bands,
                    seen=seen,
                )
                if number + 1 < len(chunks):
                    # While this chunk is written.
                    taken = submit(take, number + 1, chunks[number + 1])
                if seen is not None:
                    fill_between(luminance, seen, shutter.open_at(times[1:], step_us))
                waiting += shutter.expose(luminance[1:], times[1:], step_us)
                self._write(film, events, int(times[0]), int(times[-1]), waiting, aside)
        if sampler is not None:
            steps = sum(len(times) - 1 for times in chunks)
            self.rendered_share = sampler.rendered / (steps * sensor.height * sensor.width)

    def _pictures(self, room: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return room for two chunks of pictures, each after the picture before it."""
        shape = (2, room + 1, *self._dvs.sensor)
        if self._held is None or self._held[0].shape != shape:
            self._held = np.empty(shape, np.float32), np.empty(shape, np.uint8)
        return self._held

    def _sampler(self, film: Film) -> Sampler | None:
        if self._tolerance is None:
            return None
        if not isinstance(film, PartialFilm):
            raise SimulationError(f"a {type(film).__name__} is rendered at every step only")
        return Sampler(film, self._dvs.sensor, step_us=self._step_us, tolerance=self._tolerance)

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


def _at_once(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """Call a function now, as an executor would later."""
    future: Future[Any] = Future()
    future.set_result(function(*arguments))
    return future


def _chunks(t0_us: int, t1_us: int, step_us: int, room: int) -> Iterator[NDArray[np.int64]]:
    """Yield the times of the renders after ``t0_us`` up to ``t1_us``, ``room`` at a time.

    The first time of each is that of the render before.
    """
    times = np.arange(t0_us, t1_us + step_us, step_us, dtype=np.int64)
    times = np.minimum(times, t1_us)
    for start in range(0, len(times) - 1, room):
        yield times[start : start + room + 1]
