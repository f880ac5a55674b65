"""Changes of an event stream before it is encoded; streams stay sorted and within the sensor."""

from __future__ import annotations

import numpy as np

from eventseg.errors import TrainingError
from eventseg.events import EventStream
from eventseg.training.augmentation import EVENTS, Augmentation, generator


def jitter_window(
    window: tuple[int, int], *, augmentation: Augmentation, seed: int, epoch: int, index: int
) -> tuple[int, int]:
    """Return a window that ends at the same time but is a little shorter or longer.

    Parameters
    ----------
    window : (int, int)
        ``[t0_us, t1_us)``.
    augmentation : Augmentation
        Its ``window_jitter``.
    seed, epoch, index : int
        Decide the draw.

    Returns
    -------
    (int, int)
        At least 1 us long.
    """
    t0_us, t1_us = window
    u = generator(seed=seed, epoch=epoch, index=index, stream=EVENTS).random()
    factor = 1 + augmentation.window_jitter * (2 * u - 1)
    return t1_us - max(1, round((t1_us - t0_us) * factor)), t1_us


def augment_events(
    events: EventStream, *, augmentation: Augmentation, seed: int, epoch: int, index: int
) -> EventStream:
    """Return a stream with events dropped, random ones added and perhaps ON and OFF swapped.

    The share to drop and that to add are drawn from 0 up to the augmentation's. Labels stay
    valid: no event moves.

    Parameters
    ----------
    events : EventStream
    augmentation : Augmentation
        Its ``drop``, ``noise`` and ``polarity``.
    seed, epoch, index : int
        Decide the draw.

    Returns
    -------
    EventStream
        Of the same sensor and span, sorted.
    """
    rng = generator(seed=seed, epoch=epoch, index=index, stream=EVENTS)
    # The first number is that of the window's jitter.
    _, drop, noise, polarity = rng.random(4)
    added = rng.poisson(augmentation.noise * noise * len(events))
    kept = drop_events(events, share=augmentation.drop * drop, rng=rng)
    noisy = add_noise(kept, count=int(added), rng=rng)
    return swap_polarity(noisy) if polarity < augmentation.polarity else noisy


def drop_events(events: EventStream, *, share: float, rng: np.random.Generator) -> EventStream:
    """Return the stream without a random share of its events, each dropped by itself."""
    if share == 0:
        return events
    kept = rng.random(len(events), dtype=np.float32) >= share
    return _with(events, events.t[kept], events.x[kept], events.y[kept], events.p[kept])


def add_noise(events: EventStream, *, count: int, rng: np.random.Generator) -> EventStream:
    """Return the stream with events added, even over its span, its pixels and polarities."""
    if count == 0 or events.t1_us == events.t0_us:
        return events
    t = np.concatenate([events.t, rng.integers(events.t0_us, events.t1_us, count)])
    x = rng.integers(0, events.sensor.width, count, dtype=np.uint16)
    y = rng.integers(0, events.sensor.height, count, dtype=np.uint16)
    p = rng.integers(0, 2, count, dtype=np.int8)
    order = np.argsort(t, kind="stable")
    return _with(
        events,
        t[order],
        np.concatenate([events.x, x])[order],
        np.concatenate([events.y, y])[order],
        np.concatenate([events.p, p])[order],
    )


def swap_polarity(events: EventStream) -> EventStream:
    """Return the stream with ON as OFF and OFF as ON, as of a scene in negative."""
    return _with(events, events.t, events.x, events.y, 1 - events.p)


def flip_events(events: EventStream) -> EventStream:
    """Return the stream mirrored left to right; labels must be mirrored too."""
    x = np.uint16(events.sensor.width - 1) - events.x
    return _with(events, events.t, x, events.y, events.p)


def shift_events(events: EventStream, *, dx: int, dy: int) -> EventStream:
    """Return the stream moved by whole pixels right and down; labels must be moved too.

    Events that leave the sensor are dropped.

    Raises
    ------
    TrainingError
        A shift by the whole sensor or more.
    """
    width, height = events.sensor.width, events.sensor.height
    if abs(dx) >= width or abs(dy) >= height:
        raise TrainingError(f"a shift by {dx}, {dy} leaves nothing of a sensor of {events.sensor}")
    x, y = events.x.astype(np.int32) + dx, events.y.astype(np.int32) + dy
    kept = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return _with(
        events,
        events.t[kept],
        x[kept].astype(np.uint16),
        y[kept].astype(np.uint16),
        events.p[kept],
    )


def _with(
    events: EventStream, t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray
) -> EventStream:
    return EventStream(t, x, y, p, events.sensor, events.t0_us, events.t1_us)
