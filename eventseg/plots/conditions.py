"""Pictures of scores over groups of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eventseg.plots.legends import as_written
from eventseg.plots.scores import SERIES, blank_figure

MARKERS = "osD^vPX*"
"""Marker of each series, so that equal colours and points on top of each other are told apart."""

STYLES = ("-", "--", "-.", ":")
"""Style of the line of each series."""

APART = 0.12
"""Distance between the points of two series over one group, in groups."""


class Line(NamedTuple):
    """Scores of one series over G groups, in percent; NaN for none.

    Parameters
    ----------
    name : str
    values, low, high : float64 (G,)
        Score and ends of its interval.
    samples : sequence of int (G,)
        Number of samples in each group.
    """

    name: str
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    samples: Sequence[int]


def figure_groups(
    lines: Sequence[Line], *, names: Sequence[str], title: str, label: str, joined: bool
) -> Figure:
    """Return scores with intervals over groups, one colour a series.

    Parameters
    ----------
    lines : sequence of Line
    names : sequence of str (G,)
        Groups, in order; below them stands the number of samples where all series have the same.
    title, label : str
        Title of the figure, and label of the axis of the groups.
    joined : bool
        Whether neighbouring groups are joined by a line, as parts of a range of numbers are. Points
        then stand at their numbers; those of unordered groups stand side by side.
    """
    groups = len(names)
    figure = blank_figure(min(11.5, 2.2 + max(3.6, 0.95 * groups)), 4.0)
    axes = figure.subplots()
    for number, line in enumerate(lines):
        side = 0.0 if joined else APART * (number - (len(lines) - 1) / 2)
        at = np.arange(groups) + side
        colour = SERIES[number % len(SERIES)]
        axes.vlines(at, line.low, line.high, color=colour, lw=1.6, alpha=0.7)
        axes.plot(
            at,
            line.values,
            color=colour,
            marker=MARKERS[number % len(MARKERS)],
            # Points at one place lie inside each other.
            ms=max(4.0, 9.0 - 1.5 * number) if joined else 5,
            mfc="none" if joined else colour,
            mew=1.4 if joined else 1.0,
            ls=STYLES[number % len(STYLES)],
            lw=1.4 if joined else 0,
            label=as_written(line.name),
        )
    same = len({tuple(line.samples) for line in lines}) == 1
    ticks = [
        as_written(name) + (f"\nn={lines[0].samples[k]:,}" if same else "")
        for k, name in enumerate(names)
    ]
    crowded = max(map(len, names)) > 12 or groups > 10
    axes.set_xticks(
        range(groups),
        ticks,
        fontsize=8,
        rotation=45 if crowded else 0,
        ha="right" if crowded else "center",
    )
    axes.set_xlim(-0.5, groups - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label, fontsize=9)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_title(title, fontsize=10, loc="left")
    axes.grid(axis="y", alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(fontsize=8, frameon=False)
    return figure
