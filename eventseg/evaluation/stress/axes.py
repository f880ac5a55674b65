"""Stress axes: the change of the input, and its size at each level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eventseg.evaluation.settings import StressName

HOT_HZ = 200.0
"""Mean rate of a hot pixel."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One way in which inputs become worse.

    Parameters
    ----------
    name : str
    title : str
        Heading of its levels, with the unit.
    levels : tuple of float
        In order; the curve has them evenly spaced.
    unchanged : float
        Level at which nothing changes.
    needs : {"events", "frame", "street"}
        Input that changes; ``street`` needs simulated drives of version 2, whose events are made
        again.
    rule : str
    """

    name: StressName
    title: str
    levels: tuple[float, ...]
    unchanged: float
    needs: Literal["events", "frame", "street"]
    rule: str


AXES: dict[StressName, Axis] = {
    axis.name: axis
    for axis in (
        Axis(
            "drop",
            "events dropped, %",
            (0, 10, 30, 50, 70, 90),
            0,
            "events",
            "each event is dropped with this chance; what is dropped at one level is at the next",
        ),
        Axis(
            "shot",
            "shot noise, Hz",
            (0, 0.1, 0.5, 2, 5, 10),
            0,
            "events",
            "random events of both polarities are added at this mean rate of each pixel",
        ),
        Axis(
            "hot",
            "hot pixels, per mille",
            (0, 0.1, 0.5, 1, 5, 10),
            0,
            "events",
            f"this share of the pixels of a recording, the same in all of its samples, adds ON "
            f"events at a mean of {HOT_HZ:g} Hz each",
        ),
        Axis(
            "leak",
            "leak, Hz",
            (0, 0.1, 0.5, 1, 2, 5),
            0,
            "events",
            "every pixel adds ON events at this rate, evenly in time, from a phase of its own",
        ),
        Axis(
            "shift",
            "events late, ms",
            (0, 5, 10, 20, 50, 100),
            0,
            "events",
            "windows end so much before the time of the sample",
        ),
        Axis(
            "window",
            "length of the window, times",
            (0.1, 0.2, 0.5, 1, 2, 5),
            1,
            "events",
            "windows of so many times the length, which end at the same time",
        ),
        Axis(
            "rate",
            "speed, times",
            (0.25, 0.5, 1, 2, 4, 8),
            1,
            "events",
            "events of so many times the length of the window are brought to its length, as of "
            "motion that much faster; their pixels move on while labels stay those of the end",
        ),
        Axis(
            "threshold",
            "contrast threshold, times",
            (1, 0.8, 0.6, 0.5, 0.4),
            1,
            "street",
            "the same drives, simulated again with both thresholds so many times as large, no less "
            "than 0.05",
        ),
        Axis(
            "night",
            "light, times",
            (1, 0.5, 0.3, 0.2, 0.1),
            1,
            "street",
            "the same drives, simulated again in so much of their light, no less than 0.05 of "
            "the scenario's: slower pixels, more shot noise; frames stay as they were",
        ),
        Axis(
            "frame",
            "age of the frame, samples",
            (0, 1, 2, 5, 10, 20),
            0,
            "frame",
            "the frame is frozen: that of the sample so many places earlier in the recording, or "
            "of its first",
        ),
    )
}
"""All axes by name."""
