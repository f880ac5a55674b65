"""Changes of one sample's events, drawn on the host in the form that kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from eventseg.augmentation.settings import EVENTS, LARGEST_JITTER_US, Augmentation, generator
from eventseg.errors import TrainingError
from eventseg.events import SensorSize
from eventseg.kernels.augment_cells import LOST_ROW, PLAN_COLUMNS
from eventseg.windows import check_window


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChange:
    """Changes of the events of one window, in this order; by default none.

    Parameters
    ----------
    key : int
        Decides all random numbers below, from 0 to 2^63 - 1.
    drop : float
        Probability to drop an event, drawn for each event, with a resolution of 2^-32.
    jitter_us : int
        Largest change of an event's time either way, every integer us equally likely; times that
        would leave the window stay at its first or last us.
    swap : bool
        Whether ON becomes OFF and OFF becomes ON.
    flip : bool
        Whether columns are mirrored left to right.
    dx, dy : int
        Shift in pixels to the right and down, after the mirror; events that leave the sensor are
        dropped.
    noise : int
        Random events to add in the end, even over the window, the sensor and the polarities.

    Raises
    ------
    TrainingError
        A value out of its range.
    """

    key: int = 0
    drop: float = 0.0
    jitter_us: int = 0
    swap: bool = False
    flip: bool = False
    dx: int = 0
    dy: int = 0
    noise: int = 0

    def __post_init__(self) -> None:
        for name, limit in (("key", 2**63 - 1), ("drop", 1), ("jitter_us", LARGEST_JITTER_US)):
            if not 0 <= getattr(self, name) <= limit:
                raise TrainingError(f"{name} must be from 0 to {limit}, got {getattr(self, name)}")
        if self.noise < 0:
            raise TrainingError(f"noise must not be below 0, got {self.noise}")

    @property
    def changes(self) -> bool:
        """Whether any event changes, whatever the events are."""
        return self != replace(UNCHANGED, key=self.key)


UNCHANGED = EventChange()


def draw_event_change(
    augmentation: Augmentation, *, seed: int, epoch: int, index: int, events: int
) -> EventChange:
    """Draw the changes of one sample's events; their places stay, so labels stay valid.

    The share to drop is even from 0 up to the augmentation's, and so is that to add, of which the
    count is then drawn from Poisson's distribution. The same for the same seed, epoch, index and
    number of events, in any process and any order.

    Parameters
    ----------
    augmentation : Augmentation
        Its ``drop``, ``noise``, ``polarity`` and ``time_jitter_us``.
    seed, epoch, index : int
        Not negative.
    events : int
        Number of events in the window.

    Returns
    -------
    EventChange
    """
    rng = generator(seed=seed, epoch=epoch, index=index, stream=EVENTS)
    # The first number is that of the window's jitter.
    _, drop, noise, polarity = rng.random(4)
    key = int(rng.integers(2**63))
    return EventChange(
        key=key,
        drop=augmentation.drop * drop,
        jitter_us=augmentation.time_jitter_us,
        swap=bool(polarity < augmentation.polarity),
        noise=int(rng.poisson(augmentation.noise * noise * events)),
    )


def plan_changes(
    changes: Sequence[EventChange],
    bounds: NDArray[np.int64],
    windows: NDArray[np.int64],
    *,
    sensor: SensorSize,
) -> NDArray[np.int64]:
    """Return the changes of a batch of windows as kernels read them.

    Parameters
    ----------
    changes : sequence of EventChange
        One a window.
    bounds : int64 (2, K)
        First event of each window and the one after its last.
    windows : int64 (2, K)
        Begin and end of each window in us.
    sensor : SensorSize

    Returns
    -------
    int64 (K, 13)
        The columns of :mod:`eventseg.kernels.augment_cells`. Outputs follow each other, each as
        long as its window has events and noise.

    Raises
    ------
    TrainingError
        Another number of changes than of windows, a shift by the sensor's size or more, or a sensor
        with so many rows that lost events cannot be marked.
    WindowError
        Noise or jitter in a window that is empty or too long to encode.
    """
    lo, hi = bounds
    if len(changes) != len(lo):
        raise TrainingError(f"{len(changes)} changes for {len(lo)} windows; give one a window")
    if sensor.height > LOST_ROW:
        raise TrainingError(f"a sensor of {sensor} has more than {LOST_ROW} rows")
    for change, (t0_us, t1_us) in zip(changes, windows.T.tolist(), strict=True):
        if abs(change.dx) >= sensor.width or abs(change.dy) >= sensor.height:
            raise TrainingError(
                f"a shift by {change.dx}, {change.dy} leaves nothing of a sensor of {sensor}"
            )
        if change.noise or change.jitter_us:
            check_window(t1_us - t0_us)
    lengths = hi - lo + np.array([change.noise for change in changes], np.int64)
    rows = [
        (
            *window,
            change.key,
            round(change.drop * 2**32),
            change.noise,
            change.swap,
            change.jitter_us,
            change.flip,
            change.dx,
            change.dy,
        )
        for change, *window in zip(
            changes, lo, hi, *windows, np.cumsum(lengths) - lengths, strict=True
        )
    ]
    return np.array(rows, np.int64).reshape(-1, PLAN_COLUMNS)
