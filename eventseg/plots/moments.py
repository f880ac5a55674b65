"""Moments of a recording: one window with its channels, or windows of several lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from eventseg.encoding.tensors import encode
from eventseg.errors import WindowError
from eventseg.files.texts import counted
from eventseg.plots.events import (
    LEAST_COUNTS,
    PANEL_INCHES,
    draw_image,
    figure_sample,
    render_channel,
    render_events,
)
from eventseg.plots.legends import as_written
from eventseg.recordings import Recording
from eventseg.windows import check_window, format_duration, to_us


def figure_moment(
    recording: Recording, *, at: str | int | None = None, window: str | int = "50ms"
) -> Figure:
    """Return a figure of the window that ends at a moment, with the latest frame by then.

    Parameters
    ----------
    recording : Recording
        An open recording, with frames or without.
    at : str or int, optional
        End of the window after the first event: a duration such as ``"1.5s"``, or microseconds.
        By default the window is in the middle of the recording.
    window : str or int
        Length of the window, a duration or microseconds.

    Raises
    ------
    WindowError
        An invalid duration, a moment outside the recording, or a window longer than it.

    Examples
    --------
    >>> figure = figure_moment(recording, at="100ms", window="50ms")
    """
    window_us = check_window(to_us(window))
    t1_us = window_end_us(recording, at, window_us=window_us)
    events = recording.events(t1_us - window_us, t1_us)
    place = f"{recording.name}, {format_duration(window_us)} up to {_after_s(recording, t1_us):g} s"
    frame, words = _frame(recording, t1_us)
    return figure_sample(events, encode(events), frame=frame, title=place + words)


def figure_windows(
    recording: Recording,
    *,
    at: str | int | None = None,
    windows: Sequence[str | int] = ("10ms", "50ms", "250ms"),
) -> Figure:
    """Return a figure of windows of several lengths that end at one moment.

    A column is a window: its events over the latest frame, and how many events each pixel has, with
    colours that end at the counts of the window itself.

    Parameters
    ----------
    recording : Recording
    at : str or int, optional
        As for :func:`figure_moment`; by default the longest window is in the middle.
    windows : sequence of str or int
        Lengths, durations or microseconds.

    Raises
    ------
    WindowError
        No window, an invalid duration, a moment outside the recording, or a window longer than it.

    Examples
    --------
    >>> figure = figure_windows(recording, windows=["10ms", "50ms"])
    """
    lengths_us = [check_window(to_us(window)) for window in windows]
    if not lengths_us:
        raise WindowError("give at least one window, such as 50ms")
    t1_us = window_end_us(recording, at, window_us=max(lengths_us))
    frame, words = _frame(recording, t1_us)
    height, width = recording.sensor
    figure = Figure(
        figsize=(len(lengths_us) * PANEL_INCHES + 0.3, 2 * PANEL_INCHES * height / width + 0.9),
        dpi=max(160, round(1.2 * width / PANEL_INCHES)),
    )
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.88, wspace=0.03, hspace=0.12)
    grid = figure.subplots(2, len(lengths_us), squeeze=False)
    for column, length_us in enumerate(lengths_us):
        events = recording.events(t1_us - length_us, t1_us)
        count = encode(events)[:2].sum(0)
        shown = float(np.quantile(count[count > 0], 0.995)) if count.any() else 0.0
        most = max(LEAST_COUNTS, shown)
        title = f"{format_duration(length_us)}, {counted(len(events), 'event')}"
        draw_image(grid[0, column], render_events(events, frame), title=title)
        counts = render_channel(count, shown=count > 0, limits=(0.0, most), cmap="viridis")
        draw_image(grid[1, column], counts, title=f"events a pixel, 0 to {most:.0f}")
    place = f"{recording.name}, up to {_after_s(recording, t1_us):g} s"
    figure.suptitle(as_written(place + words), fontsize=10)
    return figure


def window_end_us(recording: Recording, at: str | int | None, *, window_us: int) -> int:
    """Return the end of a window on the recording's clock, by default of one in the middle.

    Raises
    ------
    WindowError
        A moment outside the recording, or a window longer than it.
    """
    span_us = recording.t_last_us + 1 - recording.t_first_us
    if window_us > span_us:
        raise WindowError(
            f"a window of {format_duration(window_us)} is longer than {recording.name}, "
            f"which lasts {span_us / 1e6:.6f} s: give a shorter one"
        )
    after_us = max(window_us, (span_us + window_us) // 2) if at is None else to_us(at)
    if not 0 <= after_us <= span_us:
        raise WindowError(
            f"{recording.name} lasts {span_us / 1e6:.6f} s, nothing is at {after_us / 1e6:.6f} s "
            f"after its first event, which stands at {recording.t_first_us} us of its clock"
        )
    return recording.t_first_us + after_us


def _after_s(recording: Recording, t_us: int) -> float:
    return (t_us - recording.t_first_us) / 1e6


def _frame(recording: Recording, t_us: int) -> tuple[NDArray[np.uint8] | None, str]:
    """Return the latest frame by a time, if there is one, and its age in words."""
    latest = int(np.searchsorted(recording.frames.t_us, t_us, side="right")) - 1
    if latest < 0:
        return None, ""
    age_ms = (t_us - int(recording.frames.t_us[latest])) / 1e3
    words = f"; frame {latest}, whose exposure ended {age_ms:.1f} ms earlier"
    return recording.frames.image(latest), words
