"""Pictures of scores: confusion matrix, bars of each class, calibration, contact sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eventseg.labels.maps import ClassTable
from eventseg.plots.legends import as_written

SERIES = ("#1d4ed8", "#0f766e", "#b45309", "#7c3aed", "#be123c", "#4d7c0f", "#0e7490", "#a21caf")


def figure_confusion(matrix: NDArray[np.int64], *, classes: ClassTable) -> Figure:
    """Return the confusion matrix as shares of each true class.

    Parameters
    ----------
    matrix : int64 (K, K)
        Rows are the truth.
    classes : ClassTable
    """
    rows = matrix.sum(1, keepdims=True)
    share = np.divide(matrix, rows, out=np.full(matrix.shape, np.nan), where=rows > 0)
    k = len(classes)
    figure = blank_figure(1.9 + 0.52 * k, 1.5 + 0.46 * k)
    axes = figure.subplots()
    axes.imshow(np.nan_to_num(share), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [as_written(name) for name in classes.names]
    axes.set_xticks(range(k), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(k), names, fontsize=8)
    axes.set_xlabel("predicted", fontsize=9)
    axes.set_ylabel("true", fontsize=9)
    for (row, column), value in np.ndenumerate(share):
        text = "-" if np.isnan(value) else f"{100 * value:.0f}"
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=7,
            color="white" if value > 0.55 else "0.2",
            # They lie within the axes: the layout need not measure each.
            in_layout=False,
        )
    axes.set_title("% of the true pixels of each class", fontsize=9, loc="left")
    return figure


def figure_bars(
    values: Mapping[str, Sequence[float]], *, names: Sequence[str], title: str
) -> Figure:
    """Return horizontal bars of each class, one colour a series.

    Parameters
    ----------
    values : mapping
        Percentages (K,) of each series; NaN leaves a gap that says "absent".
    names : sequence of str (K,)
    title : str
    """
    k, n = len(names), len(values)
    figure = blank_figure(7.0, 1.1 + max(0.3, 0.16 * n + 0.1) * k)
    axes = figure.subplots()
    thick = 0.82 / n
    for number, (label, series) in enumerate(values.items()):
        at = np.arange(k) + (number - (n - 1) / 2) * thick
        known = np.nan_to_num(np.array(series, float))
        colour = SERIES[number % len(SERIES)]
        axes.barh(at, known, height=thick, color=colour, label=as_written(label))
        for y, value in zip(at, series, strict=True):
            text = "absent" if np.isnan(value) else f"{value:.1f}"
            axes.text((0 if np.isnan(value) else value) + 0.7, y, text, va="center", fontsize=7)
    axes.set_yticks(range(k), [as_written(name) for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 108)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    if n > 1:
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def figure_reliability(
    confidence: Sequence[float],
    accuracy: Sequence[float],
    pixels: Sequence[int],
    *,
    coverage: Sequence[float],
    kept_accuracy: Sequence[float],
    title: str,
) -> Figure:
    """Return two curves: is 0.9 90 %, and how good are the surest pixels.

    Parameters
    ----------
    confidence, accuracy : sequence of float (B,)
        Mean confidence of each bin and share of its pixels that are right, from 0 to 1.
    pixels : sequence of int (B,)
        Pixels of each bin, for the size of the points.
    coverage, kept_accuracy : sequence of float (T,)
        Share of pixels above a threshold, and share of them that are right.
    title : str
    """
    figure = blank_figure(9.6, 4.2)
    left, right = figure.subplots(1, 2)
    size = np.sqrt(np.array(pixels, float) / max(1, *pixels))
    left.plot([0, 1], [0, 1], color="0.7", lw=1, ls="--")
    left.plot(confidence, accuracy, color=SERIES[0], lw=1.4)
    left.scatter(confidence, accuracy, s=8 + 90 * size, color=SERIES[0], alpha=0.7, lw=0)
    left.set(xlim=(0, 1), ylim=(0, 1))
    left.set_xlabel("confidence", fontsize=9)
    left.set_ylabel("share that is right", fontsize=9)
    left.set_title("Calibration (points by number of pixels)", fontsize=10, loc="left")
    right.plot(100 * np.array(coverage), 100 * np.array(kept_accuracy), color=SERIES[1], lw=1.8)
    right.set_xlabel("pixels kept, surest first, %", fontsize=9)
    right.set_ylabel("of these right, %", fontsize=9)
    right.set_title("Accuracy against coverage", fontsize=10, loc="left")
    for axes in (left, right):
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(as_written(title), fontsize=10)
    return figure


def figure_calibration(
    curves: Mapping[str, Sequence[tuple[int, float, float]]], *, title: str
) -> Figure:
    """Return the reliability diagram of some predictors.

    Parameters
    ----------
    curves : mapping
        Pixels, mean confidence and accuracy of each bin; NaN for empty bins.
    title : str
    """
    figure = blank_figure(5.4, 4.8)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", lw=1, ls="--")
    for number, (name, bins) in enumerate(curves.items()):
        pixels, confidence, accuracy = np.array(bins, float).T
        known = pixels > 0
        size = 8 + 90 * np.sqrt(pixels[known] / max(1.0, pixels.max()))
        colour = SERIES[number % len(SERIES)]
        axes.plot(confidence[known], accuracy[known], color=colour, lw=1.4, label=as_written(name))
        axes.scatter(confidence[known], accuracy[known], s=size, color=colour, alpha=0.6, lw=0)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_xlabel("confidence", fontsize=9)
    axes.set_ylabel("share that is right", fontsize=9)
    axes.set_title(title, fontsize=10, loc="left")
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, drawn without global state."""
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
