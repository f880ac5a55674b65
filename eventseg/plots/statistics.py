"""Statistics of events side by side: shares, rates and times, and intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from eventseg.plots.legends import as_written

COLOURS = ("#111111", "#d97706", "#2563eb", "#0f766e", "#9333ea", "#be123c", "#64748b")
TICKS = (0.01, 0.03, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 30.0, 100.0)


def figure_statistics(
    shares: Mapping[str, Mapping[str, float]],
    ratios: Mapping[str, Mapping[str, float]],
    intervals: Mapping[str, Sequence[float]],
    *,
    edges_us: Sequence[float],
) -> Figure:
    """Return a figure of the statistics of recordings, each with its colour.

    Parameters
    ----------
    shares : mapping
        Shares in [0, 1] of each recording by name.
    ratios : mapping
        Rates and times of each recording by name, drawn as multiples of the first recording's.
    intervals : mapping
        Share of the intervals between events of a pixel in each bin, of each recording.
    edges_us : sequence of float
        Edges of the bins in microseconds, one more than there are bins.

    Examples
    --------
    >>> figure = figure_statistics(
    ...     {"a": {"silent": 0.7}}, {"a": {"rate": 5.0}}, {"a": [0.4, 0.6]}, edges_us=[1, 10, 100]
    ... )
    >>> len(figure.axes)
    3
    """
    figure = Figure(figsize=(12.5, 4.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 0.75, 1.0))
    percent = {name: {k: 100.0 * v for k, v in row.items()} for name, row in shares.items()}
    _bars(left, percent)
    left.set(xlabel="%", xlim=(0, 100))
    left.set_title("Shares", fontsize=10)
    first = next(iter(ratios.values()))
    _bars(
        middle,
        {
            name: {k: v / first[k] if first[k] else math.nan for k, v in row.items()}
            for name, row in ratios.items()
        },
        start=1.0,
    )
    middle.axvline(1.0, color="0.6", lw=0.8, zorder=0)
    middle.set(xlabel=f"multiple of {as_written(next(iter(ratios)))}", xscale="log")
    middle.set_title("Rates and times", fontsize=10)
    # Wide enough for a factor of two, so that small differences look small.
    low, high = middle.get_xlim()
    middle.set_xlim(min(low, 0.4), max(high, 2.5))
    middle.set_xticks([tick for tick in TICKS if low < tick < max(high, 2.5)])
    middle.xaxis.set_major_formatter("{x:g}")
    middle.xaxis.set_minor_locator(NullLocator())
    centre_ms = np.sqrt(np.multiply(edges_us[1:], edges_us[:-1])) / 1e3
    for colour, (name, row) in zip(_colours(len(intervals)), intervals.items(), strict=True):
        right.plot(centre_ms, 100.0 * np.asarray(row), color=colour, lw=1.4, label=as_written(name))
    right.set(xlabel="ms", ylabel="% of the intervals", xscale="log")
    right.set_title("Intervals between events of a pixel", fontsize=10)
    right.legend(fontsize=8, frameon=False)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _bars(axes: Axes, rows: Mapping[str, Mapping[str, float]], *, start: float = 0.0) -> None:
    """Draw a group of horizontal bars for each statistic, the first one on top."""
    names = list(next(iter(rows.values())))
    height = 0.8 / len(rows)
    for place, (colour, row) in enumerate(zip(_colours(len(rows)), rows.values(), strict=True)):
        at = np.arange(len(names)) + (place - 0.5 * (len(rows) - 1)) * height
        values = np.array([row[name] for name in names])
        axes.barh(at, values - start, height * 0.92, left=start, color=colour)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()


def _colours(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
