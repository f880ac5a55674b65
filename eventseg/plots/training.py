"""Figures of a training: learning curves, and panels of pictures over a legend of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eventseg.labels.maps import ClassTable
from eventseg.plots.legends import as_written, fit_legend, largest_letters

Rgb = NDArray[np.uint8]
Curve = Sequence[float]
"""Score or loss of each epoch, (E,)."""

CURVES_INCHES, RIGHT = (13.5, 4.0), 0.875
"""Width and height of the learning curves, and the right end of the last panel as a share."""

PAD_PT, LABEL_PAD_PT = 3.0, 4.0
"""Space around each picture of a panel figure, and between it and its title or name."""

TITLE_PT, NAME_PT, LINE_SPACING = 9.0, 7.0, 1.25
"""Letters above and beside the pictures, and height of a line in font sizes."""

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
        right.plot(
            epochs, values, color=colour, lw=1.4, label=as_written(label), marker=_marker(epochs)
        )
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

    Returns
    -------
    Figure
        All pictures, titles and names are in one axes, whose coordinates are points.
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
    )
    FigureCanvasAgg(figure)
    # Side by side, pictures would become one large picture in a PDF.
    figure.suppressComposite = True
    _draw_panels(figure, rows, titles, names, bottom_pt=fitted.height_pt + 3 * PAD_PT)
    if not entries:
        return figure
    patches = [
        Patch(color=(red / 255, green / 255, blue / 255), label=as_written(name))
        for name, (red, green, blue) in entries
    ]
    figure.legend(
        handles=patches,
        loc="lower center",
        borderaxespad=PAD_PT / fitted.font_pt,
        ncols=fitted.columns,
        fontsize=fitted.font_pt,
        frameon=False,
    )
    return figure


def _draw_panels(
    figure: Figure,
    rows: Sequence[Sequence[Rgb]],
    titles: Sequence[str],
    names: Sequence[str],
    *,
    bottom_pt: float,
) -> None:
    """Draw pictures, titles and names into one axes in points; a pair for each would take long."""
    width_pt, height_pt = figure.get_figwidth() * 72, figure.get_figheight() * 72
    axes = figure.add_axes((0, bottom_pt / height_pt, 1, 1 - bottom_pt / height_pt))
    axes.set_axis_off()
    axes.set(xlim=(0, width_pt), ylim=(bottom_pt, height_pt), autoscale_on=False)
    left = PAD_PT + _lines(names) * NAME_PT * LINE_SPACING + LABEL_PAD_PT
    top = height_pt - PAD_PT - _lines(titles) * TITLE_PT * LINE_SPACING - LABEL_PAD_PT
    across = (width_pt + PAD_PT - left) / len(titles)
    down = (top - bottom_pt) / len(rows)
    frames = []
    for line, pictures in enumerate(rows):
        middle = top - (line + 0.5) * down
        for column, picture in enumerate(pictures):
            height, width = picture.shape[:2]
            scale = min((across - 2 * PAD_PT) / width, (down - 2 * PAD_PT) / height)
            centre = left + (column + 0.5) * across - PAD_PT
            x0, x1 = centre - scale * width / 2, centre + scale * width / 2
            y0, y1 = middle - scale * height / 2, middle + scale * height / 2
            image = AxesImage(
                axes, interpolation="nearest", origin="upper", extent=(x0, x1, y0, y1)
            )
            image.set_data(picture)
            axes.add_image(image)
            frames.append([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)])
            if line == 0:
                size = largest_letters(titles[column], width_pt=across, most=TITLE_PT)
                title = as_written(titles[column])
                axes.text(centre, y1 + LABEL_PAD_PT, title, size=size, ha="center")
            if column == 0:
                size = largest_letters(names[line], width_pt=down, most=NAME_PT)
                axes.text(
                    x0 - LABEL_PAD_PT,
                    middle,
                    as_written(names[line]),
                    size=size,
                    rotation="vertical",
                    rotation_mode="anchor",
                    ha="center",
                    va="bottom",
                    multialignment="center",
                )
    axes.add_collection(LineCollection(frames, colors="black", linewidths=0.4), autolim=False)


def _lines(texts: Sequence[str]) -> int:
    """Return the most lines that a text has."""
    return max(text.count("\n") + 1 for text in texts)


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
            label=as_written(name),
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
