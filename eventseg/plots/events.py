"""Pictures of events, frames and tensors; figures are made without any global state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure as Figure
from numpy.typing import NDArray

from eventseg.errors import EventsError, OutputError
from eventseg.events import EventStream
from eventseg.files.whole import write_whole
from eventseg.images import check_figure
from eventseg.plots.legends import as_written

ON_RGB = (220, 38, 38)
OFF_RGB = (37, 99, 235)
"""Red and blue: apart for all common kinds of colour blindness, and on gray."""

NO_EVENT_GRAY = "0.9"
COLOUR_MAPS = {"count": "viridis", "mean time": "plasma", "std of time": "viridis"}
PANEL_INCHES = 2.95

LEAST_COUNTS = 2.0
"""Least count at the light end of the colours, so that a single event is none of the lightest,
which is hard to see on gray."""

_UNDATED: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None},
    ".svg": {"Date": None},
}
"""What each format would otherwise add, so that equal pictures are not equal files."""

Rgb = NDArray[np.uint8]
Tensor = NDArray[np.float32]


def render_events(events: EventStream, frame: NDArray[np.uint8] | None = None) -> Rgb:
    """Return a picture of events over a frame: ON red, OFF blue, by the majority of each pixel.

    A pixel with as many of both has the colour of its last event.

    Parameters
    ----------
    events : EventStream
        All of its events are drawn.
    frame : uint8 (H, W), optional
        Picture below the events; white without.

    Returns
    -------
    uint8 (H, W, 3)

    Raises
    ------
    EventsError
        The frame is not of the sensor's size.
    """
    shape = tuple(events.sensor)
    if frame is not None and frame.shape != shape:
        raise EventsError(f"frame of shape {frame.shape} does not fit the sensor {events.sensor}")
    below = np.full(shape, 255, np.uint8) if frame is None else frame
    picture = np.repeat(below[:, :, None], 3, axis=2)
    pixel = events.y.astype(np.int64) * events.sensor.width + events.x
    size = events.sensor.height * events.sensor.width
    on = np.bincount(pixel[events.p == 1], minlength=size)
    off = np.bincount(pixel[events.p == 0], minlength=size)
    last = np.zeros(size, np.int8)
    last[pixel] = events.p  # NumPy assigns in order: the last event of a pixel stays
    is_on = (on > off) | ((on == off) & (last == 1))
    picture[((on + off > 0) & is_on).reshape(shape)] = ON_RGB
    picture[((on + off > 0) & ~is_on).reshape(shape)] = OFF_RGB
    return picture


def render_channel(
    values: NDArray[np.float32],
    *,
    shown: NDArray[np.bool_],
    limits: tuple[float, float],
    cmap: str,
) -> Rgb:
    """Return a picture of one channel in true pixels; those not shown are light gray.

    Parameters and colours are those of :func:`draw_channel`.

    Returns
    -------
    uint8 (H, W, 3)
    """
    low, high = limits
    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    picture: Rgb = colormaps[cmap](share, bytes=True)[:, :, :3]
    picture[~shown] = round(float(NO_EVENT_GRAY) * 255)
    return picture


def channel_limits(tensor: Tensor) -> dict[str, tuple[float, float]]:
    """Return the values at both ends of the colours for counts, mean times and their spread.

    A few hot pixels must not make all others dark: they end where 99.5 % of the pixels lie.

    Parameters
    ----------
    tensor : float32 (6, H, W)
        The raw encoding of one window.
    """
    counts, spreads = tensor[[0, 1]], tensor[[3, 5]]
    return {
        "count": (0.0, max(LEAST_COUNTS, _quantile(counts[counts > 0]))),
        "mean time": (0.0, 1.0),
        "std of time": (0.0, max(0.01, _quantile(spreads[counts > 1]))),
    }


def draw_image(axes: Axes, image: NDArray[np.uint8], *, title: str) -> None:
    """Draw a gray (H, W) or RGB (H, W, 3) picture in true pixels."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _bare(axes, title)


def draw_channel(
    axes: Axes,
    values: NDArray[np.float32],
    *,
    shown: NDArray[np.bool_],
    limits: tuple[float, float],
    title: str,
    unit: str,
    cmap: str = "viridis",
) -> None:
    """Draw one channel with its colour bar; pixels that are not shown are light gray.

    Parameters
    ----------
    axes : Axes
        Where to draw; its figure gets the colour bar.
    values : float32 (H, W)
        The channel.
    shown : bool (H, W)
        Where the channel means something: where there are events.
    limits : (float, float)
        Values at the ends of the colour bar, which has a point where some lie beyond.
    title, unit : str
        Words above the panel and along the colour bar.
    cmap : str
        Name of a colour map.
    """
    figure = axes.get_figure()
    axes.imshow(np.zeros(values.shape), cmap=ListedColormap([NO_EVENT_GRAY]))
    masked = np.ma.masked_array(values, mask=~shown)
    image = axes.imshow(masked, cmap=cmap, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    _bare(axes, title)
    if figure is not None:
        bar = figure.colorbar(
            image,
            ax=axes,
            fraction=0.04,
            pad=0.02,
            aspect=18,
            extend="max" if bool((masked > limits[1]).any()) else "neither",
        )
        bar.set_label(unit, fontsize=8)
        bar.ax.tick_params(labelsize=7, length=2)
        bar.outline.set_linewidth(0.4)


def figure_sample(
    events: EventStream,
    tensor: Tensor,
    *,
    frame: NDArray[np.uint8] | None = None,
    title: str = "",
    row0: int = 0,
) -> Figure:
    """Return a figure of one window: the frame, events over it, and the six channels.

    Parameters
    ----------
    events : EventStream
        The events of the window.
    tensor : float32 (6, H, W)
        Their raw encoding.
    frame : uint8 (H, W), optional
        The frame that goes with the window.
    title : str
        Title above the figure.
    row0 : int
        First sensor row of the tensor, where it is cropped.

    Examples
    --------
    >>> events = recording.events()
    >>> figure = figure_sample(events, encode(events), frame=recording.frames.image(0))
    """
    height, width = events.sensor
    # Panels keep the sensor's shape; a pixel of the sensor is never smaller than one of the file.
    figure = Figure(
        figsize=(14.2, 2 * PANEL_INCHES * height / width + 0.8),
        dpi=max(240, round(1.2 * width / PANEL_INCHES)),
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, 4)
    if frame is None:
        draw_image(grid[0, 0], np.full((height, width), 242, np.uint8), title="Frame")
        grid[0, 0].text(
            *(0.5, 0.5, "no frame"),
            **{"ha": "center", "va": "center", "color": "0.45"},
            transform=grid[0, 0].transAxes,
        )
    else:
        draw_image(grid[0, 0], frame, title="Frame")
    number = f"{len(events):,} event{'' if len(events) == 1 else 's'}"
    draw_image(grid[1, 0], render_events(events, frame), title=f"{number}, ON red, OFF blue")
    if tensor.shape[1] != height:
        grid[1, 0].axhspan(row0 - 0.5, row0 + tensor.shape[1] - 0.5, fill=False, lw=0.8, ec="0.2")
    counts, spreads = tensor[[0, 1]], tensor[[3, 5]]
    limits = channel_limits(tensor)
    for line, (sign, count) in enumerate(zip(("ON", "OFF"), counts, strict=True)):
        channels = (count, tensor[2 + 2 * line], spreads[line])
        for axes, values, name, least in zip(
            grid[line, 1:], channels, limits, (1, 1, 2), strict=True
        ):
            draw_channel(
                axes,
                values,
                shown=count >= least,
                limits=limits[name],
                title=f"{sign} {name}" + (f", max {int(count.max()):,}" * (name == "count")),
                unit="events" if name == "count" else "share of the window",
                cmap=COLOUR_MAPS[name],
            )
    if title:
        figure.suptitle(as_written(title), fontsize=11)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Save a figure by its file's suffix, whole and without a date in the file.

    Raises
    ------
    OutputError
        The file cannot be written, or the suffix is none of :data:`eventseg.images.FIGURES`.
    """
    check_figure(path)
    ending = path.suffix.lower()
    try:
        write_whole(
            path,
            lambda file: figure.savefig(file, format=ending[1:], metadata=_UNDATED.get(ending)),
        )
    except ValueError as error:  # larger than the format can be
        raise OutputError(f"cannot write picture {path}: {error}") from error


def _quantile(values: Tensor) -> float:
    return float(np.quantile(values, 0.995)) if values.size else 0.0


def _bare(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, pad=4)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
