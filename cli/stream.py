"""``eventseg stream``: live labels of events as they come."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventseg.files.texts import counted

from . import callbacks, options, printing
from .group import TitledCommand, option_group
from .paths import RecordingPath
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.prediction.live.stream import LivePrediction, LiveStream
    from eventseg.recordings.choices import TimeUnit

LINE_EVERY_S = {True: 0.2, False: 5.0}
"""Seconds between two status lines, on a terminal and in a log file."""


VIEWER_WINDOW = ""
"""Value of ``--viewer`` without a file."""


def speed(_ctx: click.Context, _param: click.Parameter, text: str) -> float:
    """Return ``1x`` as 1 and ``max`` as infinity."""
    if text == "max":
        return math.inf
    try:
        factor = float(text.removesuffix("x"))
    except ValueError:
        factor = math.nan
    if not 0 < factor < math.inf:
        raise click.BadParameter(f"{text!r} must be a factor such as 1x or 0.5x, or max")
    return factor


@click.command(
    "stream",
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg stream runs/events drive.hdf5
  eventseg stream runs/events drive.hdf5 --speed max --out maps
  eventseg stream runs/events tcp://127.0.0.1:7777 --every 50ms
  my_camera | eventseg stream runs/events - --sensor 346x260
  eventseg stream runs/events dv://camera
  eventseg stream runs/events my_driver.py:open_camera --send tcp://127.0.0.1:7778
  eventseg stream runs/events drive.hdf5 --viewer
  eventseg stream runs/events drive.hdf5 --viewer drive.rrd

SOURCE is a recording, which is replayed as a camera would have sent it; - for packed events on
standard input; tcp://127.0.0.1:PORT or udp://127.0.0.1:PORT; dv://camera, dv://camera/SERIAL or
dv://HOST:PORT for cameras of iniVation and their network streams (extra dv); or FILE.py:NAME, a
function that returns an object with read(timeout_s) and close(). docs/streaming.md has the byte
protocol.
""",
)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@click.argument("source", metavar="SOURCE")
@option_group(
    "Instants",
    click.option(
        "--every",
        "every_us",
        callback=callbacks.duration,
        default="20ms",
        show_default=True,
        metavar="TIME",
        help="Distance of the label maps on the sensor's clock.",
    ),
    click.option(
        "--window",
        "window_us",
        callback=callbacks.duration,
        metavar="LENGTH",
        help="Length of the window of events.  [default: that of the training]",
    ),
    click.option(
        "--queue",
        type=click.Choice(["latest", "all"]),
        help="Rule where the network is too slow: latest drops older windows and counts them, all "
        "makes the source wait.  [default: latest; all with --speed max]",
    ),
    click.option(
        "--lateness",
        "lateness_us",
        callback=callbacks.time_after_start,
        default="0",
        show_default=True,
        metavar="TIME",
        help="How long to wait for packets that are out of order; adds to the latency.",
    ),
)
@option_group(
    "Source",
    click.option(
        "--speed",
        callback=speed,
        default="1x",
        show_default=True,
        metavar="FACTORx|max",
        help="Pace at which a recording is replayed.",
    ),
    options.file_options,
    options.shift_frames_option,
    click.option(
        "--hot-from",
        type=RecordingPath(),
        metavar="RECORDING",
        help="Recording of the same camera to find hot pixels in, where the network was trained "
        "without them.",
    ),
    click.option(
        "--timeout",
        "timeout_us",
        callback=callbacks.any_duration,
        metavar="TIME",
        help="End after so long a silence of the source.  [default: wait]",
    ),
)
@option_group(
    "Output",
    options.out_option("Folder for the label maps, ID.png in the colours of the classes."),
    click.option(
        "--send",
        metavar="tcp://127.0.0.1:PORT",
        help="Program on this machine that gets the label maps.",
    ),
    click.option(
        "--viewer",
        is_flag=False,
        flag_value=VIEWER_WINDOW,
        metavar="[FILE.rrd]",
        help="Show frames, events, label maps, latencies and class shares in the viewer Rerun "
        "(extra viewer), or write them to a file that it opens. Without a file it stands last.",
    ),
    click.option("--count", type=click.IntRange(min=1), help="End after so many label maps."),
    options.json_option,
    options.message_options,
)
@option_group(
    "Computing",
    options.device_option(),
    options.threads_option("the processors"),
    click.option(
        "--fast",
        is_flag=True,
        help="Arithmetic that eventseg bench has found to be the fastest on this machine.",
    ),
)
def command(
    run: Path,
    source: str,
    every_us: int,
    window_us: int | None,
    queue: Any,
    lateness_us: int,
    speed: float,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    shift_frames: int,
    hot_from: Path | None,
    timeout_us: int | None,
    out: Path | None,
    send: str | None,
    viewer: str | None,
    count: int | None,
    as_json: bool,
    device: str,
    threads: int | None,
    fast: bool,
    messages: Messages,
) -> None:
    """Label live events at equal distances, as fast as they come.

    The window of events moves along with the time: events that enter are added, those that leave
    are taken away, and nothing is encoded again. Label maps are those of `eventseg.predict` at the
    same instants. The latency is counted from the arrival of the packet that completes a window.
    """
    if fast and threads is not None:
        raise click.UsageError("--fast has a number of threads of its own: leave --threads out")
    from eventseg.device import set_threads
    from eventseg.prediction.live.open import stream
    from eventseg.prediction.live.outputs import LabelFolder, LabelSender, Output
    from eventseg.prediction.live.setup import hot_pixels_of

    set_threads(threads)
    if viewer is not None:
        from eventseg.prediction.live.viewer import check_viewer

        check_viewer(viewer or None)
    outputs: list[Output] = []
    if out is not None:
        outputs.append(LabelFolder(out))
    if send is not None:
        outputs.append(LabelSender(send))
    live = stream(
        run,
        source,
        every=every_us,
        window=window_us,
        queue=queue,
        lateness=lateness_us,
        speed=speed,
        sensor=sensor,
        camera=camera,
        time_unit=time_unit,
        shift_frames=shift_frames,
        hot=None if hot_from is None else hot_pixels_of(run, hot_from),
        timeout_s=None if timeout_us is None else timeout_us / 1e6,
        keep_events=viewer is not None,
        device=device,
        fast=fast,
        note=messages.note,
    )
    with contextlib.ExitStack() as closing:
        closing.callback(live.close)
        if viewer is not None:
            from eventseg.prediction.live.viewer import LiveViewer

            shown = LiveViewer(live, viewer or None)
            closing.callback(shown.close)
            outputs.append(shown)
        _follow(live, outputs, count=count, as_json=as_json, messages=messages)
    if as_json:
        _print({"summary": live.summary.to_dict()}, live)
        return
    for line in live.summary.lines():
        click.echo(line)


def _follow(
    live: LiveStream,
    outputs: list[Any],
    *,
    count: int | None,
    as_json: bool,
    messages: Messages,
) -> None:
    """Hand every label map to the outputs and show a status line now and then."""
    from eventseg.prediction.live.outputs import class_shares, status_line

    shown = not messages.quiet and messages.progress is not False
    terminal = sys.stderr.isatty()
    line_s = 0.0
    try:
        for number, prediction in enumerate(live, 1):
            for output in outputs:
                output(prediction)
            if as_json:
                _print(_described(prediction, class_shares(prediction).tolist()), live)
            if shown and time.monotonic() - line_s >= LINE_EVERY_S[terminal]:
                line_s = time.monotonic()
                line = status_line(prediction, live.summary)
                click.echo(f"\r\x1b[K{line}" if terminal else line, nl=not terminal, err=True)
            if number == count:
                break
    finally:
        live.close()
        if shown and terminal and line_s:
            click.echo(err=True)


def _described(prediction: LivePrediction, shares: list[float]) -> dict[str, Any]:
    return {
        "id": prediction.id,
        "t_us": prediction.t_us,
        "latency_ms": round(prediction.latency_ms, 3),
        "events": prediction.events,
        "shares": dict(zip(prediction.classes.names, shares, strict=True)),
    }


def _print(value: dict[str, Any], live: LiveStream) -> None:
    """Print a line of JSON; a reader that has gone is one error."""
    from eventseg.errors import OutputError

    try:
        printing.print_json(value)
        sys.stdout.flush()
    except BrokenPipeError as error:
        # Else the interpreter fails once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(
            f"the reader of the output is gone after {counted(live.summary.labels, 'label map')}"
        ) from error
