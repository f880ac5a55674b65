"""Recordings and fitted streets beside each other: statistics, distances, proposed settings."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from eventseg.events import SensorSize
from eventseg.html import markdown
from eventseg.recordings.choices import NO_CHOICES, FileChoices
from eventseg.recordings.formats import open_recording
from eventseg.recordings.progress import Report, no_report
from eventseg.simulate.fit import LEAST_EXPLAINED, Fit, check_fit, fit_street
from eventseg.simulate.scene.scenarios import SimulationError
from eventseg.simulate.statistics import (
    INTERVALS_US,
    NAMES,
    RATES,
    SHARES,
    EventStatistics,
    distances,
    mean_statistics,
    measure_recording,
)

USUAL, FITTED = "streets", "fitted streets"


@dataclass(frozen=True)
class StatisticsReport:
    """Statistics of recordings, the first of which the others are compared with.

    Parameters
    ----------
    columns : dict
        Statistics by name: of each recording, and of streets as drawn and as fitted. Of
        recordings of one name, and of one named as the streets are, the others have their path.
    fit : Fit, optional
        Settings fitted to the mean of the recordings.
    """

    columns: dict[str, EventStatistics]
    fit: Fit | None

    def lines(self) -> list[str]:
        """Return the report as lines for people: a table, and the proposal."""
        names = list(self.columns)
        apart = {name: distances(self._first, self.columns[name]) for name in names[1:]}
        header = ["statistic", *names, *(f"distance of {name}" for name in names[1:])]
        rows = [
            [
                title,
                *(_shown(key, one) for one in self.columns.values()),
                *(f"{apart[name][key]:.3f}" for name in names[1:]),
            ]
            for key, title in NAMES.items()
        ]
        found = markdown(header, rows).splitlines()
        if self.fit is not None:
            found += ["", *_proposal(self.fit)]
        return found

    def table(self) -> dict[str, Any]:
        """Return the report as plain values for JSON."""
        others = list(self.columns)[1:]
        return {
            "statistics": {name: one.table() for name, one in self.columns.items()},
            "distances": {name: distances(self._first, self.columns[name]) for name in others},
            "estimates": self.fit
            and {name: asdict(one) for name, one in self.fit.estimates.items()},
            "settings": self.fit and self.fit.settings,
        }

    def panels(self) -> dict[str, Any]:
        """Return the arguments of :func:`eventseg.plots.figure_statistics`."""
        shares, ratios = (
            {
                name: {NAMES[key]: getattr(one, key) for key in keys}
                for name, one in self.columns.items()
            }
            for keys in (SHARES, RATES)
        )
        intervals = {name: one.intervals for name, one in self.columns.items()}
        return {
            "shares": shares,
            "ratios": ratios,
            "intervals": intervals,
            "edges_us": INTERVALS_US.tolist(),
        }

    @property
    def _first(self) -> EventStatistics:
        return next(iter(self.columns.values()))


def report_statistics(
    recordings: Sequence[str | Path],
    *,
    drives: int = 48,
    seed: int = 0,
    sensor: SensorSize | None = None,
    choices: FileChoices = NO_CHOICES,
    threads: int | None = None,
    progress: Report = no_report,
) -> StatisticsReport:
    """Measure recordings and fit the settings of a street to them.

    Parameters
    ----------
    recordings : sequence of paths
        Of any format; the settings are fitted to the mean of their statistics.
    drives : int
        Simulated drives to fit with, at least 24; 0 only measures.
    seed : int
        Seed of these drives.
    sensor : SensorSize, optional
        Size of the recordings' sensor, where they do not say.
    choices : FileChoices
        Camera and unit of times of the recordings.
    threads : int, optional
        As in :func:`eventseg.simulate.fit.fit_street`.
    progress : callable

    Raises
    ------
    SimulationError
        Recordings of several sensor sizes are to be fitted, none is given, too few drives,
        or a negative seed.
    RecordingError, WindowError
        A recording cannot be read, or is shorter than 0.5 s.
    """
    if drives:
        check_fit(drives=drives, seed=seed)
    columns: dict[str, EventStatistics] = {}
    sizes = set()
    for path in recordings:
        with open_recording(path, sensor=sensor, **choices.arguments) as recording:
            sizes.add(recording.sensor)
            name = _column_name(recording.name, path, {*columns, USUAL, FITTED})
            columns[name] = measure_recording(recording, progress=progress)
    if not columns:
        raise SimulationError("there is no recording to measure: give one or more")
    if not drives:
        return StatisticsReport(columns, None)
    if len(sizes) > 1:
        shown = ", ".join(sorted(str(size) for size in sizes))
        raise SimulationError(
            f"recordings of several sensors ({shown}) cannot be fitted together: give those of "
            "one, or --drives 0 to measure only"
        )
    fit = fit_street(
        mean_statistics(list(columns.values())),
        sensor=sizes.pop(),
        drives=drives,
        seed=seed,
        threads=threads,
        progress=progress,
    )
    return StatisticsReport({**columns, USUAL: fit.usual, FITTED: fit.fitted}, fit)


def _column_name(name: str, path: str | Path, taken: Set[str]) -> str:
    """Return a name that no other column has: the recording's, its path, or a numbered one."""
    numbered = (f"{path} ({number})" for number in count(2))
    return next(one for one in chain([name, str(path)], numbered) if one not in taken)


def _shown(key: str, one: EventStatistics) -> str:
    if key == "intervals":
        return ""
    value = getattr(one, key)
    return f"{100 * value:.1f} %" if key in SHARES else f"{value:.3g}"


def _proposal(fit: Fit) -> list[str]:
    """Return the estimates as a table, and the settings as options of the command line."""
    rows = [
        [
            name,
            f"{one.value:.3g}",
            f"x/{one.factor:.2f}",
            f"{100 * one.explained:.0f} %",
            "" if one.explained >= LEAST_EXPLAINED else "not told by these statistics",
        ]
        for name, one in fit.estimates.items()
    ]
    table = markdown(["estimate", "value", "error of left-out drives", "explained", ""], rows)
    options = " ".join(f"--set {name}={value:g}" for name, value in fit.settings.items())
    return [*table.splitlines(), "", f"eventseg simulate street OUT.hdf5 {options}"]
