"""Interactive window on a recording: any time, window length and channel, by sliders and keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps, get_backend
from matplotlib.figure import Figure
from matplotlib.widgets import RadioButtons, Slider
from numpy.typing import NDArray

from eventseg.encoding.representation import MEAN_STD, Representation, to_representation
from eventseg.encoding.tensors import encode
from eventseg.errors import OutputError, WindowError
from eventseg.files.texts import counted
from eventseg.plots.events import render_events
from eventseg.plots.legends import as_written
from eventseg.plots.moments import window_end_us
from eventseg.recordings import Recording
from eventseg.windows import check_window, format_duration, to_us

EVENTS = "events"
"""Name of the view of events over the frame; the others are channels."""

SHORTEST_US, LONGEST_US = 1_000, 1_000_000
"""Range of the slider of window lengths."""

STEPS = {"left": -1, "right": 1, "shift+left": -10, "shift+right": 10}
"""Windows that a key moves the end by."""

LENGTHS = {"up": 2.0, "down": 0.5}
"""Factors by which a key changes the window."""

HELP = "left, right: one window; shift: ten; up, down: twice, half the window"


class Explorer:
    """Window on a recording whose time, window length and channel a user chooses.

    Parameters
    ----------
    recording : Recording
        An open recording, which stays open as long as the figure is used.
    figure : Figure
        Figure to draw into, of an interactive backend or, for pictures, of any.
    window_us : int
    t1_us : int
        End of the window on the recording's clock.
    representation : Representation
        Channels to choose from.

    Attributes
    ----------
    image : uint8 (H, W, 3)
        Picture that is shown.
    """

    def __init__(
        self,
        recording: Recording,
        figure: Figure,
        *,
        window_us: int,
        t1_us: int,
        representation: Representation,
    ) -> None:
        self.recording, self.figure = recording, figure
        self.window_us, self.t1_us = window_us, t1_us
        self.view = EVENTS
        self._representation = representation
        span_s = (recording.t_last_us + 1 - recording.t_first_us) / 1e6
        self._axes = figure.add_axes((0.02, 0.2, 0.76, 0.72))
        self._axes.set_axis_off()
        self.image = np.zeros((*recording.sensor, 3), np.uint8)
        self._shown = self._axes.imshow(self.image, interpolation="nearest")
        shortest = min(SHORTEST_US, recording.t_last_us + 1 - recording.t_first_us)
        self._time = Slider(
            figure.add_axes((0.1, 0.1, 0.66, 0.03)),
            "end, s",
            0.0,
            span_s,
            valinit=(t1_us - recording.t_first_us) / 1e6,
        )
        self._length = Slider(
            figure.add_axes((0.1, 0.04, 0.66, 0.03)),
            "window",
            np.log10(shortest),
            np.log10(LONGEST_US),
            valinit=float(np.log10(window_us)),
        )
        names = (EVENTS, *(channel.name for channel in representation.all_channels))
        self._views = RadioButtons(figure.add_axes((0.8, 0.2, 0.18, 0.72)), names)
        figure.text(0.02, 0.005, HELP, fontsize=8, color="0.4")
        self._time.on_changed(lambda after_s: self.show(t1_us=self._on_clock(after_s)))
        self._length.on_changed(lambda power: self.show(window_us=round(10**power)))
        self._views.on_clicked(lambda name: self.show(view=name))
        figure.canvas.mpl_connect("key_press_event", self._on_key)
        self.show()

    def show(
        self, *, t1_us: int | None = None, window_us: int | None = None, view: str | None = None
    ) -> None:
        """Show another moment, window or channel; what is not given stays.

        Parameters
        ----------
        t1_us : int, optional
            End of the window on the recording's clock; brought into the recording.
        window_us : int, optional
            Length of the window; at least 1 ms and at most 1 s.
        view : str, optional
            ``events``, or a channel of the representation.
        """
        first_us, end_us = self.recording.t_first_us, self.recording.t_last_us + 1
        if window_us is not None:
            self.window_us = int(np.clip(window_us, SHORTEST_US, LONGEST_US))
        if t1_us is not None:
            self.t1_us = t1_us
        self.t1_us = int(np.clip(self.t1_us, min(first_us + self.window_us, end_us), end_us))
        self.view = self.view if view is None else view
        t0_us = max(self.t1_us - self.window_us, first_us)
        events = self.recording.events(t0_us, self.t1_us)
        title = (
            f"{self.recording.name}, {format_duration(self.window_us)} up to "
            f"{(self.t1_us - first_us) / 1e6:.3f} s: {counted(len(events), 'event')}"
        )
        if self.view == EVENTS:
            frame = int(np.searchsorted(self.recording.frames.t_us, self.t1_us, side="right")) - 1
            picture = None if frame < 0 else self.recording.frames.image(frame)
            self.image = render_events(events, picture)
        else:
            tensor = encode(events, representation=self._representation)
            names = [channel.name for channel in self._representation.all_channels]
            values = tensor[names.index(self.view)]
            low, high = _limits(values)
            title += f"; {low:g} (dark) to {high:g}"
            self.image = _painted(values, low, high)
        self._shown.set_data(self.image)
        self._axes.set_title(as_written(title), fontsize=9)
        self._time.valtext.set_text(f"{(self.t1_us - first_us) / 1e6:.3f}")
        self._length.valtext.set_text(format_duration(self.window_us))
        self.figure.canvas.draw_idle()

    def wait(self) -> None:
        """Wait until the user closes the window."""
        from matplotlib import pyplot

        pyplot.show()

    def _on_clock(self, after_s: float) -> int:
        return self.recording.t_first_us + round(after_s * 1e6)

    def _on_key(self, event: Any) -> None:
        # The sliders are moved, and they show the moment.
        if event.key in STEPS:
            t1_us = self.t1_us + STEPS[event.key] * self.window_us
            self._time.set_val((t1_us - self.recording.t_first_us) / 1e6)
        elif event.key in LENGTHS:
            self._length.set_val(float(np.log10(self.window_us * LENGTHS[event.key])))


def explore(
    recording: Recording,
    *,
    at: str | int | None = None,
    window: str | int = "50ms",
    representation: Representation | str = MEAN_STD,
) -> Explorer:
    """Open a window on a recording; in a notebook after ``%matplotlib widget``.

    Parameters
    ----------
    recording : Recording
        An open recording.
    at : str or int, optional
        End of the window after the first event; by default in the middle.
    window : str or int
        Length of the window, a duration or microseconds.
    representation : Representation or str
        Channels to choose from.

    Returns
    -------
    Explorer
        Keep it as long as the window is used; its ``wait()`` returns when the user closes it.

    Raises
    ------
    OutputError
        No screen, or no package that draws on it.
    WindowError
        An invalid duration, a moment outside the recording, or a window longer than it.
    """
    from matplotlib import pyplot

    window_us = check_window(to_us(window))
    span_us = recording.t_last_us + 1 - recording.t_first_us
    if window_us > span_us or not SHORTEST_US <= window_us <= LONGEST_US:
        raise WindowError(
            f"the window must be 1ms to 1s and no longer than {recording.name} "
            f"({span_us / 1e6:g} s), got {format_duration(window_us)}"
        )
    t1_us = window_end_us(recording, at, window_us=window_us)
    figure = pyplot.figure(figsize=(9.0, 6.4))
    if get_backend().lower() in ("agg", "pdf", "svg", "ps", "template"):
        pyplot.close(figure)
        raise OutputError(
            "there is no screen to open a window on, or neither tkinter nor Qt to draw it: write "
            "a picture with --out moment.png or a film with --out film.mp4"
        )
    return Explorer(
        recording,
        figure,
        window_us=window_us,
        t1_us=t1_us,
        representation=to_representation(representation),
    )


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the range of colours: from 0, or from below it, to nearly the largest value."""
    active = values[values != 0]
    if not active.size:
        return 0.0, 1.0
    high = float(np.quantile(active, 0.995))
    low = min(0.0, float(np.quantile(active, 0.005)))
    return low, high if high > low else low + 1.0


def _painted(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    shares = np.clip((values - low) / (high - low), 0.0, 1.0)
    painted: NDArray[np.uint8] = colormaps["viridis"](shares, bytes=True)[..., :3]
    return painted
