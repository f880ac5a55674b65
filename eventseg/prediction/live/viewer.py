"""Live streams in the viewer Rerun: frames, events, label maps, latencies, shares of the classes.

Rerun is the extra ``viewer``. It starts in a window of its own, or the stream is recorded in a file
that it opens later: ``rerun FILE.rrd``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import MissingExtraError, OutputError
from eventseg.files.whole import TEMPORARY, check_folder, replace_file
from eventseg.plots.events import render_events
from eventseg.plots.tensors import paint_frame
from eventseg.prediction.live.outputs import class_shares
from eventseg.prediction.live.summary import STEPS

if TYPE_CHECKING:
    from eventseg.prediction.live.stream import LivePrediction, LiveStream

ENDING = ".rrd"
"""Ending of a recording of the viewer."""

OPACITY = 0.6
"""Of the label map over the frame."""

CLOCK, SENSOR_TIME = "time", "t_us"
"""Time since the first label map, and that of the sensor's clock, which names label maps."""

PORT = 9876
"""Port of the viewer, its own default."""

SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET")
"""Variables of the environment that name a screen on Linux."""

LATENCY_COLOURS = ((234, 179, 8), (37, 99, 235), (160, 160, 160), (220, 38, 38), (22, 163, 74))
"""Colours of the latency and of its steps, in their order."""


def check_viewer(path: str | Path | None = None) -> None:
    """Raise an error where the viewer or its file cannot be had; asked before a network is loaded.

    Raises
    ------
    MissingExtraError
        The extra ``viewer`` is not installed.
    OutputError
        The file does not end in ``.rrd`` or cannot be written, or there is no screen.
    """
    if path is not None:
        path = Path(path)
        if path.suffix.lower() != ENDING:
            raise OutputError(
                f"a recording of the viewer must end in {ENDING}, got {path}; the option without a "
                "file, after all other arguments, starts the viewer"
            )
        if path.is_dir():
            raise OutputError(f"output {path} is a folder; give a file that ends in {ENDING}")
        check_folder(path.parent)
    _rerun()
    if path is None and sys.platform == "linux":
        if not any(os.environ.get(name) for name in SCREENS):
            raise _not_started("there is no screen: DISPLAY is not set")


class LiveViewer:
    """Shows each prediction of a stream in the viewer Rerun, or records it for that viewer.

    A call takes one prediction, so that an object is a callback of :meth:`LiveStream.run`.

    Parameters
    ----------
    live : LiveStream
        Stream to show. Events are drawn if it keeps them (``keep_events``), frames if it replays a
        recording that has some, or if the network sees them.
    path : path, optional
        File to write, ``.rrd``, complete once :meth:`close` is called; by default the viewer is
        started.

    Raises
    ------
    MissingExtraError
        The extra ``viewer`` is not installed.
    OutputError
        The viewer does not start, or the file cannot be written.
    """

    def __init__(self, live: LiveStream, path: str | Path | None = None) -> None:
        check_viewer(path)
        rr = self._rr = _rerun()
        self._live = live
        self._rows = slice(*live.setup.encoding.rows)
        self._first_us: int | None = None
        self._frame = -1
        self._path = None if path is None else Path(path)
        self._temporary: Path | None = None
        self._stream = rr.RecordingStream("eventseg stream")
        if self._path is None:
            _start(self._stream)
        else:
            name = f"{self._path.name}.{secrets.token_hex(5)}{TEMPORARY}"
            self._temporary = self._path.with_name(name)
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._stream.save(self._temporary, default_blueprint=_layout())
            except (OSError, RuntimeError) as error:
                raise OutputError(f"cannot write {self._path}: {_line(error)}") from error
        self._describe()

    def __call__(self, prediction: LivePrediction) -> None:
        """Show a prediction."""
        rr, stream, summary = self._rr, self._stream, self._live.summary
        if self._first_us is None:
            self._first_us = prediction.t_us
        self._show_frame(prediction)
        self._at(prediction.t_us)
        if prediction.window_events is not None:
            stream.log("events", rr.Image(render_events(prediction.window_events)[self._rows]))
            stream.log("counts/events", rr.Scalars([float(len(prediction.window_events))]))
        stream.log("labels", rr.SegmentationImage(prediction.labels, opacity=OPACITY))
        steps = [prediction.steps_ms[step] for step in STEPS]
        stream.log("latency", rr.Scalars([prediction.latency_ms, *steps]))
        stream.log("classes", rr.Scalars(100 * class_shares(prediction)))
        stream.log("counts/rate", rr.Scalars([summary.rate_hz]))
        stream.log("counts/dropped", rr.Scalars([float(summary.dropped)]))

    def close(self) -> None:
        """End the recording; the viewer stays open. A second call does nothing.

        Raises
        ------
        OutputError
            The file could not be written.
        """
        temporary, self._temporary = self._temporary, None
        self._stream.disconnect()
        if temporary is None or self._path is None:
            return
        try:
            replace_file(temporary, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise OutputError(f"cannot write {self._path}: {_line(error)}") from error

    def _describe(self) -> None:
        """Log what does not change: name of the source, classes, names of the curves."""
        rr, setup = self._rr, self._live.setup
        self._stream.send_recording_name(setup.name)
        classes = setup.predictor.trained.classes
        infos = [
            rr.AnnotationInfo(id=i, label=name, color=colour)
            for i, (name, colour) in enumerate(zip(classes.names, classes.colours, strict=True))
        ]
        self._log_static("labels", rr.AnnotationContext(infos))
        self._log_static(
            "latency",
            rr.SeriesLines(names=["latency ms", *STEPS], colors=list(LATENCY_COLOURS)),
        )
        # The legend of this chart is that of the label maps: a name in the colour of its class.
        self._log_static(
            "classes", rr.SeriesLines(names=list(classes.names), colors=list(classes.colours))
        )
        for name, words in (
            ("events", "events in the window"),
            ("rate", "a second"),
            ("dropped", "dropped"),
        ):
            self._log_static(f"counts/{name}", rr.SeriesLines(names=[words]))

    def _log_static(self, entity: str, value: Any) -> None:
        self._stream.log(entity, value, static=True)

    def _show_frame(self, prediction: LivePrediction) -> None:
        """Log the frame of a prediction at the frame's own time, once."""
        recording = self._live.setup.recording
        if prediction.frame in (-1, self._frame) or recording is None:
            return
        self._frame = prediction.frame
        inputs = prediction.inputs
        picture: NDArray[np.uint8]
        if inputs.kind == "events":
            picture = recording.frames.image(prediction.frame)[self._rows]
        else:  # the encoder's thread reads frames of the recording: what it made of this one
            frame = prediction.input[: 3 if inputs.kind == "rgb" else 1]
            picture = paint_frame(frame, inputs.scaling)
        self._at(int(recording.frames.t_us[prediction.frame]))
        self._stream.log("frame", self._rr.Image(picture))

    def _at(self, t_us: int) -> None:
        """Set the time of what is logged next."""
        since_us = t_us - (self._first_us or 0)
        self._stream.set_time(CLOCK, duration=np.timedelta64(since_us, "us"))
        self._stream.set_time(SENSOR_TIME, sequence=t_us)


def _start(stream: Any) -> None:
    """Start the viewer and connect a stream to it.

    Raises
    ------
    OutputError
        It is not found, or does not listen after the start.
    """
    try:
        with _executable_found():
            stream.spawn(default_blueprint=_layout())
        # A viewer that fails to open its window is no error of `spawn`.
        socket.create_connection(("127.0.0.1", PORT), timeout=1.0).close()
    except (OSError, RuntimeError) as error:
        raise _not_started(_line(error)) from error


def _not_started(reason: str) -> OutputError:
    return OutputError(
        f"the viewer does not start ({reason}); record with --viewer FILE{ENDING}, and open the "
        "file with rerun where there is a screen"
    )


@contextlib.contextmanager
def _executable_found() -> Iterator[None]:
    """Let the package find its own program, which is on the path of active environments only."""
    before = os.environ.get("PATH", "")
    spec = importlib.util.find_spec("rerun_cli")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    os.environ["PATH"] = os.pathsep.join([*places, before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _rerun() -> Any:
    """Return the module ``rerun``."""
    try:
        import rerun
    except ImportError as error:
        raise MissingExtraError(
            "the viewer needs the extra viewer: uv sync --extra viewer; label maps as files "
            "(--out) and through a socket (--send) need none"
        ) from error
    return rerun


def _layout() -> Any:
    """Return the arrangement of the views."""
    import rerun.blueprint as rrb

    pictures = (
        rrb.Spatial2DView(origin="/frame", name="frame"),
        rrb.Spatial2DView(origin="/events", name="events"),
        rrb.Spatial2DView(origin="/", contents=["/frame", "/labels"], name="labels"),
    )
    charts = (
        rrb.TimeSeriesView(origin="/classes", name="share of the pixels, %"),
        rrb.TimeSeriesView(origin="/latency", name="latency, ms"),
        rrb.Vertical(
            rrb.TimeSeriesView(origin="/counts/events", name="events in the window"),
            rrb.TimeSeriesView(
                origin="/counts", contents=["/counts/rate", "/counts/dropped"], name="label maps"
            ),
        ),
    )
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(*pictures),
            rrb.Horizontal(*charts),
            row_shares=[3, 2],
        ),
        rrb.TimePanel(timeline=CLOCK, state="collapsed"),
        collapse_panels=True,
    )


def _line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip() or type(error).__name__).splitlines()[0]
