"""Figures of a training: learning curves, and panels of pictures over a legend of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eventseg.labels.maps import ClassTable
from eventseg.plots.legends import fit_legend

Rgb = NDArray[np.uint8]
Curve = Sequence[float]
"""Score or loss of each epoch, (E,)."""

CURVES_INCHES, RIGHT = (13.5, 4.0), 0.875
"""Width and height of the learning curves, and the right end of the last panel as a share."""

TRAIN_COLOUR, VAL_COLOUR = "#9ca3af", "#1d4ed8"


def figure_curves(
    epochs: Sequence[int],
    *,
    loss: Mapping[str, Curve],
    miou: Mapping[str, Curve],
    iou: Mapping[str, Curve],
    classes: ClassTable,
    best_epoch: int,
) -> Figure:
    """Return the learning curves: loss, mIoU, and IoU of each class.

    Parameters
    ----------
    epochs : sequence of int (E,)
    loss, miou : mapping
        Curves (E,) named ``train``, ``val`` and, of samples without augmentation, ``train,
        clean``; mIoU in percent.
    iou : mapping
        Curve (E,) of each class in percent, NaN where it is absent.
    classes : ClassTable
        Colours of the classes.
    best_epoch : int
        Marked.
    """
    figure = Figure(figsize=CURVES_INCHES, dpi=110)
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    # Fixed: a layout that is solved for takes longer than an epoch of a small data set.
    figure.subplots_adjust(left=0.035, right=RIGHT, bottom=0.12, top=0.92, wspace=0.12)
    _curves(left, epochs, loss, title="Loss")
    _curves(middle, epochs, miou, title="mIoU, %")
    middle.axvline(best_epoch, color="0.6", lw=0.8, ls=":")
    at = list(epochs).index(best_epoch)
    middle.set_title(
        f"mIoU, %  (best {miou['val'][at]:.2f} at epoch {best_epoch})", fontsize=10, loc="left"
    )
    colours = dict(zip(classes.names, classes.colours, strict=True))
    labels = []
    for name, values in iou.items():
        last = next((v for v in reversed(values) if not np.isnan(v)), None)
        label = f"{name} {last:.1f}" if last is not None else f"{name} (absent)"
        labels.append(label)
        colour = tuple(channel / 255 for channel in colours[name])
        right.plot(epochs, values, color=colour, lw=1.4, label=label, marker=_marker(epochs))
    right.set_title("IoU of each class, %", fontsize=10, loc="left")
    _finish(right)
    # Beside the curves: within, it would hide some of them.
    width_pt, height_pt = (1 - RIGHT) * CURVES_INCHES[0] * 72, CURVES_INCHES[1] * 72
    fitted = fit_legend(labels, width_pt=0.98 * width_pt, height_pt=0.9 * height_pt)
    right.legend(
        loc="upper left",
        bbox_to_anchor=(1.0, 1.02),
        borderaxespad=0.2,
        fontsize=fitted.font_pt,
        ncols=fitted.columns,
        frameon=False,
    )
    return figure


def figure_panels(
    rows: Sequence[Sequence[Rgb]], *, titles: Sequence[str], names: Sequence[str], table: ClassTable
) -> Figure:
    """Return pictures in rows and columns over a legend of the classes and of ignored pixels.

    Parameters
    ----------
    rows : sequence of sequences of uint8 (H, W, 3)
        One row a sample, one picture a column.
    titles : sequence of str
        Above the columns.
    names : sequence of str
        Beside the rows.
    table : ClassTable
        Classes of the legend; one without classes has no legend.
    """
    height, width = rows[0][0].shape[:2]
    entries = list(zip(table.names, table.colours, strict=True))
    entries += [("ignored", (0, 0, 0))] if entries else []
    panel = 3.2
    wide = panel * len(titles)
    fitted = fit_legend([name for name, _ in entries], width_pt=0.97 * wide * 72)
    below = 0.3 + fitted.height_pt / 72
    figure = Figure(
        figsize=(wide, len(rows) * (panel * height / width + 0.12) + below),
        dpi=max(110, round(1.1 * width / panel)),
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(titles), squeeze=False)
    for line, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            axes: Axes = grid[line, column]
            axes.imshow(picture, interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_linewidth(0.4)
            if line == 0:
                axes.set_title(titles[column], fontsize=9, pad=4)
            if column == 0:
                axes.set_ylabel(names[line], fontsize=7)
    if not entries:
        return figure
    patches = [
        Patch(color=(red / 255, green / 255, blue / 255), label=name)
        for name, (red, green, blue) in entries
    ]
    figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=fitted.columns,
        fontsize=fitted.font_pt,
        frameon=False,
    )
    return figure


def figure_runs(curves: Mapping[str, tuple[Sequence[int], Curve]], *, title: str) -> Figure:
    """Return a curve of each of several runs in one picture.

    Parameters
    ----------
    curves : mapping of str to (sequence of int, sequence of float)
        Updates done and the score in percent, by the name of the run.
    title : str
    """
    figure = Figure(figsize=(8, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (name, (updates, values)) in enumerate(curves.items()):
        axes.plot(
            updates,
            values,
            color=f"C{number % 10}",
            ls=("-", "--", ":")[number // 10 % 3],
            lw=1.5,
            label=name,
            marker=_marker(updates),
        )
    axes.set_title(title, fontsize=10, loc="left")
    _finish(axes)
    axes.set_xlabel("updates", fontsize=9)
    return figure


def _curves(axes: Axes, epochs: Sequence[int], curves: Mapping[str, Curve], *, title: str) -> None:
    for name, values in curves.items():
        axes.plot(
            epochs,
            values,
            color=VAL_COLOUR if name == "val" else TRAIN_COLOUR,
            ls="--" if name == "train, clean" else "-",
            lw=1.6,
            label=name,
            marker=_marker(epochs),
        )
    axes.set_title(title, fontsize=10, loc="left")
    _finish(axes)


def _marker(epochs: Sequence[int]) -> str:
    """Return a marker where there are few points to see."""
    return "o" if len(epochs) < 3 else ""


def _finish(axes: Axes) -> None:
    axes.set_xlabel("epoch", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.25, lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
