"""Conditions that samples are grouped by: definitions, and the value of each sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.measures.true_maps import open_truth, recordings_with
from eventseg.evaluation.settings import ConditionName
from eventseg.recordings import Recording
from eventseg.sources.image_folders import Folder
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source
from eventseg.windows import parse_duration

SPEED, STEERING, HEADLAMPS = "vehicle_speed", "steering_wheel_angle", "headlamp_status"
"""Vehicle signals as DDD17 names them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Definition of a condition.

    Parameters
    ----------
    name : str
    title : str
        Heading of its column, with the unit.
    edges : tuple of float
        Lower edge of each group but the first, rising; empty where groups are named.
    rule : str
        How the value of a sample is found.
    """

    name: ConditionName
    title: str
    edges: tuple[float, ...]
    rule: str


CONDITIONS: dict[ConditionName, Condition] = {
    condition.name: condition
    for condition in (
        Condition(
            "speed",
            "speed, km/h",
            (1, 20, 50, 80),
            f"signal {SPEED} at the time of the sample, last value held",
        ),
        Condition(
            "turn",
            "steering wheel, deg",
            (5, 15, 45, 90),
            f"size of the signal {STEERING} at the time of the sample, last value held",
        ),
        Condition(
            "light",
            "head lamps",
            (),
            f"signal {HEADLAMPS} at the time of the sample, last value held",
        ),
        Condition("gray", "mean gray value", (32, 64, 96, 128, 160), "mean of the frame, 0 to 255"),
        Condition(
            "rate",
            "events, kev/s",
            (10, 30, 100, 300, 1000, 3000, 10000),
            "events of the window over its length, all rows of the sensor, after the filters",
        ),
        Condition(
            "age",
            "age of the labels, ms",
            (5, 10, 20, 40, 80),
            "end of the window less the time of the labelled frame, the end of its exposure",
        ),
        Condition(
            "distance",
            "distance, m",
            (5, 10, 20, 40, 80),
            "true depth of the pixel along the optical axis, by the truth file of the drive",
        ),
        Condition("class", "class", (), "true class of the pixels"),
        Condition("recording", "recording", (), "recording or drive of the sample"),
        Condition("scenario", "scenario", (), "scenario of the simulated drive, by its truth file"),
    )
}
"""All conditions by name."""

UNKNOWN = "unknown"
"""Group of the samples that a condition has no value for."""

Values = NDArray[np.float64] | tuple[str, ...]
"""Value of each sample: a number, NaN for unknown, or the name of its group."""


def sample_values(
    name: ConditionName, source: Source, indices: NDArray[np.int64], *, window: str
) -> Values:
    """Return the value of each sample under a condition.

    Parameters
    ----------
    name : str
        Any of :data:`CONDITIONS` but ``class`` and ``distance``, which are of pixels.
    source : Source
    indices : int64 (N,)
        Samples.
    window : str
        Window of the events, which decides the rate and the age.

    Returns
    -------
    float64 (N,) or tuple of str (N,)
        See :data:`Values`.

    Raises
    ------
    TrainingError
        The source does not hold the condition for any of the samples; the message says which
        conditions it holds.
    DatasetError
        A recording is gone or has changed.
    """
    if missing(name, source, indices, window=window):
        raise missing_error(name, source, indices, window=window)
    if name == "recording":
        return tuple(source.sequences[i] for i in indices)
    if name == "gray":
        return _grays(source, indices)
    assert isinstance(source, EventSource)  # the only one that holds the others
    if name == "scenario":
        names = _scenarios(source, indices)
        return tuple(names[source.sequences[i]] for i in indices)
    if name == "rate":
        return _rates(source, indices, window)
    if name == "age":
        return _ages(source, indices, window)
    values = _signal_values(
        source, indices, {"speed": SPEED, "turn": STEERING}.get(name, HEADLAMPS)
    )
    if name == "light":
        return tuple(UNKNOWN if np.isnan(v) else ("on" if v > 0 else "off") for v in values)
    return np.abs(values) if name == "turn" else values


def missing_error(
    name: ConditionName, source: Source, indices: NDArray[np.int64], *, window: str
) -> TrainingError:
    """Return the error of a condition that the source does not hold, with those that it holds.

    Parameters as of :func:`sample_values`.
    """
    reasons = {one: missing(one, source, indices, window=window) for one in CONDITIONS}
    held = ", ".join(one for one, reason in reasons.items() if not reason)
    return TrainingError(
        f"{source.path} cannot be scored by {name}: {reasons[name]}; it can by {held}"
    )


def missing(name: ConditionName, source: Source, indices: NDArray[np.int64], *, window: str) -> str:
    """Return why a source does not hold a condition for any of some samples, empty if it does.

    Parameters as of :func:`sample_values`.
    """
    if name in ("class", "recording"):
        return ""
    if name == "gray" or (name == "age" and isinstance(source, EventSource)):
        return _missing_frames(name, source, indices)
    if isinstance(source, League):
        return "a league tells neither signals nor rates"
    if not isinstance(source, EventSource):
        return "it holds pictures, no recordings"
    if name == "rate":
        of_count = source.dataset.manifest.settings.anchor.kind == "count"
        return f"windows of {window} have no stored length in time" if of_count else ""
    if name == "scenario":
        known = set(_scenarios(source, indices).values()) - {UNKNOWN}
        return "" if known else "none of the recordings has a truth file that names its scenario"
    if name == "distance":
        names = {source.sequences[i] for i in indices}
        deep = recordings_with(source, names, map_name="depth")
        return "" if deep else "none of the recordings has a truth file with depth"
    recordings = _recordings(source, indices)
    signal = {"speed": SPEED, "turn": STEERING, "light": HEADLAMPS}[name]
    if not any(signal in recording.signals for recording in recordings):
        return f"none of the recordings has the signal {signal}"
    if np.isnan(_signal_values(source, indices, signal)).all():
        return f"the signal {signal} has no value at the time of any sample"
    return ""


def _missing_frames(name: ConditionName, source: Source, indices: NDArray[np.int64]) -> str:
    """Return why none of some samples has a frame, or for the age the time of one."""
    if isinstance(source, Folder | League):
        return "" if source.has_frames else "it holds events and no pictures"
    if not isinstance(source, EventSource) or (name == "age" and _stands_for_frame(source)):
        return ""
    framed = (source.dataset.samples.frame[indices] >= 0).any()
    return "" if framed else "none of the samples has a frame"


def _stands_for_frame(source: EventSource) -> bool:
    """Return whether the time of a sample is that of its frame."""
    return source.dataset.manifest.settings.anchor.kind in ("frame", "centre")


def _recordings(source: EventSource, indices: NDArray[np.int64]) -> list[Recording]:
    firsts = {source.sequences[i]: int(i) for i in indices}
    return [source.dataset.recording_of(i) for i in firsts.values()]


def _of_recordings(
    source: EventSource,
    indices: NDArray[np.int64],
    found: Callable[[Recording, NDArray[np.int64]], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Return the values that a function finds for the samples of each recording, together."""
    names = np.array([source.sequences[i] for i in indices])
    values = np.full(len(indices), np.nan)
    for recording in _recordings(source, indices):
        mine = names == recording.name
        values[mine] = found(recording, indices[mine])
    return values


def _signal_values(
    source: EventSource, indices: NDArray[np.int64], signal: str
) -> NDArray[np.float64]:
    """Return the last value of a vehicle signal by the time of each sample, NaN before any."""
    t_us = source.dataset.samples.t_us

    def held(recording: Recording, mine: NDArray[np.int64]) -> NDArray[np.float64]:
        if signal not in recording.signals:
            return np.full(len(mine), np.nan)
        stored = recording.signals[signal]
        last = np.searchsorted(stored.t_us, t_us[mine], side="right") - 1
        return np.where(last >= 0, stored.value[last], np.nan)

    return _of_recordings(source, indices, held)


def _grays(source: Source, indices: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of each frame, 0 to 255; NaN where a sample of a recording has none."""
    framed = np.ones(len(indices), np.bool_)
    if isinstance(source, EventSource):
        framed = source.dataset.samples.frame[indices] >= 0
    values = np.full(len(indices), np.nan)
    for k in np.flatnonzero(framed).tolist():
        values[k] = 255 * float(source.image(int(indices[k]), colour=False).mean())
    return values


def _rates(source: EventSource, indices: NDArray[np.int64], window: str) -> NDArray[np.float64]:
    """Return thousands of events a second; windows that are not stored are read and counted."""
    dataset = source.dataset
    if window in dataset.windows:
        counts: Sequence[int] | NDArray[np.int64]
        counts = dataset.samples.events[indices, dataset.windows.index(window)]
    else:
        counts = [
            len(dataset.events_of(int(i), dataset.window_of(int(i), window))) for i in indices
        ]
    return np.asarray(counts) / (parse_duration(window) / 1e3)


def _ages(source: EventSource, indices: NDArray[np.int64], window: str) -> NDArray[np.float64]:
    """Return how long before the end of its window each sample's frame was taken, in ms.

    NaN where a sample has no frame.
    """
    dataset = source.dataset
    samples, anchor = dataset.samples, dataset.manifest.settings.anchor
    ends = np.array(
        [
            samples.t_us[i] if anchor.kind == "count" else dataset.window_of(int(i), window)[1]
            for i in indices
        ]
    )

    def stamps(recording: Recording, mine: NDArray[np.int64]) -> NDArray[np.float64]:
        frames = samples.frame[mine]
        found = np.full(len(mine), np.nan)
        found[frames >= 0] = recording.frames.t_us[frames[frames >= 0]]
        return found

    if _stands_for_frame(source):
        taken = samples.t_us[indices].astype(np.float64)
    else:
        taken = _of_recordings(source, indices, stamps)
    return (ends - taken) / 1e3


def _scenarios(source: EventSource, indices: NDArray[np.int64]) -> dict[str, str]:
    """Return the scenario of each recording of some samples, by its name."""
    found = {}
    for name in {source.sequences[i] for i in indices}:
        truth, found[name] = open_truth(source, name), UNKNOWN
        if truth is not None:
            with truth:
                found[name] = str(truth.recipe.get("scenario", UNKNOWN))
    return found
