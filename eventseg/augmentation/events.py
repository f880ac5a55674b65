"""Changes of an event stream before it is encoded; streams stay sorted and within the sensor."""

from __future__ import annotations

import numpy as np

from eventseg.augmentation.event_changes import EventChange, draw_event_change, plan_changes
from eventseg.augmentation.settings import EVENTS, Augmentation, generator
from eventseg.events import EventStream
from eventseg.kernels import augment as kernel
from eventseg.kernels.augment_cells import LOST_ROW


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
    """Return a stream with events dropped, random ones added, times and polarity changed.

    Labels stay valid: no event changes its place. See :class:`EventChange` for each change.

    Parameters
    ----------
    events : EventStream
        The events of one window.
    augmentation : Augmentation
        Its ``drop``, ``noise``, ``polarity`` and ``time_jitter_us``.
    seed, epoch, index : int
        Decide the draw, as in :func:`eventseg.augmentation.event_changes.draw_event_change`.

    Returns
    -------
    EventStream
        Of the same sensor and span, sorted; the one given where nothing happens.
    """
    change = draw_event_change(
        augmentation, seed=seed, epoch=epoch, index=index, events=len(events)
    )
    return change_events(events, change)


def change_events(events: EventStream, change: EventChange) -> EventStream:
    """Return the stream after a change; its span is the window that the change is of.

    Parameters
    ----------
    events : EventStream
    change : EventChange

    Returns
    -------
    EventStream
        Of the same sensor and span, sorted; the one given where nothing happens.

    Raises
    ------
    TrainingError, WindowError
        As :func:`eventseg.augmentation.event_changes.plan_changes`.
    """
    if not change.changes:
        return events
    plan = plan_changes(
        [change],
        np.array([[0], [len(events)]]),
        np.array([[events.t0_us], [events.t1_us]]),
        sensor=events.sensor,
    )
    n = len(events) + change.noise
    t, x, y, p = np.empty(n, np.int64), *np.empty((2, n), np.uint16), np.empty(n, np.int8)
    kernel.change(
        events.t,
        events.x,
        events.y,
        events.p,
        plan,
        t,
        x,
        y,
        p,
        events.sensor.height,
        events.sensor.width,
    )
    order = np.flatnonzero(y != LOST_ROW)
    if change.jitter_us or change.noise:
        # Time and place in one word: sorted much faster than by argsort, and equal times stay
        # in order.
        keys = (t[order] - events.t0_us << 32) | order
        keys.sort()
        order = keys & (2**32 - 1)
    return EventStream(
        t[order], x[order], y[order], p[order], events.sensor, events.t0_us, events.t1_us
    )


def flip_events(events: EventStream) -> EventStream:
    """Return the stream mirrored left to right; labels must be mirrored too."""
    return change_events(events, EventChange(flip=True))


def shift_events(events: EventStream, *, dx: int, dy: int) -> EventStream:
    """Return the stream moved by integer pixels right and down; labels must be moved too.

    Events that leave the sensor are dropped.

    Raises
    ------
    TrainingError
        A shift by the sensor's size or more.
    """
    return change_events(events, EventChange(dx=dx, dy=dy))
