"""The drives of the demo: which there are, and how they are simulated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eventseg.errors import EventsegError
from eventseg.events import SensorSize
from eventseg.recordings.progress import Progress, Report
from eventseg.recordings.truth import Truth, truth_path
from eventseg.simulate.street import simulate_street

VERSION = 1
"""Version of the demo's streets."""


@dataclass(frozen=True, slots=True)
class Drive:
    """One drive of the demo: a scenario, a seed and how long it lasts."""

    scenario: str
    seed: int
    duration_us: int


def streets(
    scenarios: Sequence[str], *, count: int, seed: int, duration_us: int
) -> tuple[Drive, ...]:
    """Return drives through streets that all differ, the scenarios in turn."""
    return tuple(Drive(scenarios[k % len(scenarios)], seed + k, duration_us) for k in range(count))


def simulate_drive(
    recording: Path,
    drive: Drive,
    *,
    sensor: SensorSize,
    threads: int | None,
    progress: Report,
) -> bool:
    """Simulate a drive, unless the recording and its truth are there and are of this drive.

    Returns
    -------
    bool
        Whether there was something to do.
    """
    if _is_simulated(recording, drive, sensor=sensor):
        return False
    simulate_street(
        recording,
        duration_us=drive.duration_us,
        seed=drive.seed,
        scenario=drive.scenario,
        sensor=sensor,
        threads=threads,
        version=VERSION,
        progress=progress,
    )
    return True


def simulate_drives(
    folder: Path,
    drives: Sequence[Drive],
    *,
    sensor: SensorSize,
    threads: int | None,
    progress: Report,
) -> tuple[Path, ...]:
    """Simulate drives into a folder, ``SCENARIO-SEED.hdf5`` each, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, drive in enumerate(drives):
        path = folder / f"{drive.scenario}-{drive.seed}.hdf5"
        simulate_drive(
            path,
            drive,
            sensor=sensor,
            threads=threads,
            progress=partial(_one_of, progress, place, len(drives)),
        )
        paths.append(path)
    return tuple(paths)


def _one_of(report: Report, place: int, count: int, now: Progress) -> None:
    """Report the progress of one drive as that of all drives."""
    report(Progress("simulate", place + now.share, count, "drive"))


def _is_simulated(recording: Path, drive: Drive, *, sensor: SensorSize) -> bool:
    """Return whether a recording and its truth are there and were made from these numbers."""
    if not recording.exists() or not truth_path(recording).exists():
        return False
    try:
        with Truth(truth_path(recording)) as truth:
            recipe = truth.recipe
            made = (recipe.get("version", 1), recipe["scenario"], recipe["seed"], truth.sensor)
            lasts_us = recipe["t1_us"] - recipe["t0_us"]
            belongs = truth.belongs_to(recording)
    except EventsegError:
        return False
    wanted = (VERSION, drive.scenario, drive.seed, sensor)
    return belongs and made == wanted and lasts_us == drive.duration_us
