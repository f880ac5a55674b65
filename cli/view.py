"""``eventseg view``: one moment of a recording as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from eventseg.events import SensorSize


@click.command(short_help="Draw one moment of a recording.")
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE"
)
@click.option(
    "--at",
    "at_us",
    callback=options.time_after_start,
    metavar="TIME",
    help="End of the window, after the first event, such as 12.5s.  [default: the middle]",
)
@click.option(
    "--window",
    "window_us",
    callback=options.duration,
    default="50ms",
    show_default=True,
    metavar="LENGTH",
    help="Length of the window.",
)
@options.out_option(
    "Picture to write, .png, .pdf or .svg.  [default: the recording's name with .png]"
)
@options.sensor_option
@options.rotate180_option
def command(
    file: Path,
    at_us: int | None,
    window_us: int,
    out: Path | None,
    sensor: SensorSize | None,
    rotate180: bool,
) -> None:
    """Draw one moment of a recording: the frame, events over it, and the six channels.

    \b
    eventseg view rec1487339175.hdf5
    eventseg view rec1487339175.hdf5 --at 12.5s --window 10ms --out moment.png
    """  # noqa: D301
    from eventseg.plots.events import figure_moment, save_figure
    from eventseg.recordings import open_recording

    with open_recording(file, sensor=sensor, rotate180=rotate180) as recording:
        figure = figure_moment(recording, at=at_us, window=window_us)
    target = out or Path(file.with_suffix(".png").name)
    save_figure(figure, target)
    click.echo(target)
