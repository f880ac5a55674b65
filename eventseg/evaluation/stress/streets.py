"""Simulated drives made again with another sensor or light: the same scene, other events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from eventseg.errors import TrainingError
from eventseg.evaluation.measures.true_maps import open_truth
from eventseg.evaluation.settings import StressName
from eventseg.events import EventStream
from eventseg.filters.filtered import filtered
from eventseg.recordings import Recording, open_recording
from eventseg.recordings.progress import Progress, Report
from eventseg.recordings.truth import Truth, truth_path
from eventseg.sources.changed import ChangedSource, Span
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source

LEAST_LIGHT = LEAST_THRESHOLD = 0.05
"""Least light and least contrast threshold of a drive that the simulator takes."""

ONLY_STREETS = "only simulated streets are exact"

VOLTMETER = "voltmeter"
"""Scenario whose sensor is modelled by voltages."""

SET_BY_VOLTAGE = ("threshold_on", "threshold_off", "threshold_sigma", "shot_hz", "leak_hz")
"""Settings that such a sensor has of its own; the simulator takes no values for them."""


def why_not_again(source: Source, names: Sequence[str], axis: StressName) -> str:
    """Return why the recordings of a source cannot be simulated again, empty where they can.

    Parameters
    ----------
    source : Source
    names : sequence of str
        Recordings of the samples.
    axis : {"threshold", "night"}

    Raises
    ------
    DatasetError
        A truth file is gone or has changed.
    """
    if not isinstance(source, EventSource):
        return f"its recordings are not simulated: {ONLY_STREETS}"
    for name in names:
        truth = open_truth(source, name)
        if truth is None:
            return f"recording {name} is not simulated: {ONLY_STREETS}"
        with truth:
            recipe = truth.recipe
        if recipe.get("kind") != "street" or recipe.get("version") != 2:
            return f"recording {name} is no simulated drive of version 2: {ONLY_STREETS}"
        if "part" in recipe:
            return f"recording {name} is a part of a simulated drive: {ONLY_STREETS}"
        if axis == "threshold" and recipe["scenario"] == VOLTMETER:
            return (
                f"the pixels of recording {name} (scenario {VOLTMETER}) are modelled by their "
                "circuit, which has thresholds of its own: choose night, or other drives"
            )
    return ""


@contextmanager
def simulated_again(
    source: Source, names: Sequence[str], axis: StressName, level: float, *, progress: Report
) -> Iterator[ChangedSource]:
    """Hold the drives simulated again at a level, and give the source with their events.

    Parameters
    ----------
    source : EventSource
    names : sequence of str
        Recordings of the samples.
    axis : {"threshold", "night"}
    level : float
        Factor of the thresholds or of the light.
    progress : callable
        Called after every drive.

    Raises
    ------
    TrainingError
        A drive is not that of the data set, as of another version of the simulator.
    """
    assert isinstance(source, EventSource)  # as `why_not_again` has found
    settings = source.dataset.manifest.settings
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        opened: dict[str, Recording] = {}
        for number, name in enumerate(names, start=1):
            path = _again(source, name, Path(folder) / f"{name}.hdf5", axis, level)
            opened[name] = held.enter_context(
                open_recording(path, sensor=settings.sensor, rotate180=settings.rotate180)
            )
            progress(Progress(f"simulate {axis} {level:g}", number, len(names), "drive"))

        def events_of(i: int, _events: EventStream, span: Span) -> EventStream:
            recording = opened[source.sequences[i]]
            if not settings.filters:
                return recording.events(*span)
            entry = source.dataset.manifest.recording(source.sequences[i])
            kept = filtered(recording, settings.filters, hot_pixels=entry.hot_pixels)
            return kept.events(*span)

        yield ChangedSource(source, events_of=events_of)


def _again(source: EventSource, name: str, path: Path, axis: StressName, level: float) -> Path:
    """Simulate a drive again and return its recording, after a look at its labels."""
    import eventseg  # the simulator is no part of evaluation: this is its public function

    truth = open_truth(source, name)
    assert truth is not None
    with truth:
        recipe = truth.recipe
        drawn = recipe["settings"]
        if recipe["scenario"] == VOLTMETER:
            drawn = {key: drawn[key] for key in drawn if key not in SET_BY_VOLTAGE}
        if axis == "threshold":
            given = {
                key: max(LEAST_THRESHOLD, level * drawn[key])
                for key in ("threshold_on", "threshold_off")
            }
        else:
            given = {"light": max(LEAST_LIGHT, level * drawn["light"])}
        eventseg.simulate_street(
            path,
            duration_us=recipe["t1_us"] - recipe["t0_us"],
            seed=recipe["seed"],
            scenario=recipe["scenario"],
            sensor=truth.sensor,
            rare=recipe["rare"],
            step_us=recipe["step_us"],
            tolerance=recipe.get("tolerance"),
            mounting=recipe["mounting"],
            settings={**drawn, **given},
        )
        with Truth(truth_path(path)) as made:
            same = np.array_equal(made.t_us, truth.t_us) and all(
                np.array_equal(made.label(i), truth.label(i)) for i in (0, len(truth.t_us) - 1)
            )
    if not same:
        raise TrainingError(
            f"drive {name} simulated again has other labels: it was made by another version of the "
            "simulator; encode a drive of this version"
        )
    return path
