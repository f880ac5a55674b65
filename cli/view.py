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
    "windows_us",
    callback=options.durations,
    default="50ms",
    show_default=True,
    metavar="LENGTH[,LENGTH...]",
    help="Length of the window; several lengths are drawn side by side.",
)
@options.out_option(
    "Picture to write, .png, .pdf or .svg.  [default: the recording's name with .png]"
)
@options.sensor_option
@options.rotate180_option
@options.json_option
def command(
    file: Path,
    at_us: int | None,
    windows_us: tuple[int, ...],
    out: Path | None,
    sensor: SensorSize | None,
    rotate180: bool,
    as_json: bool,
) -> None:
    """Draw one moment of a recording: the frame, events over it, and the six channels.

    Of several windows: the events of each over the frame, and their counts.

    \b
    eventseg view rec1487339175.hdf5
    eventseg view rec1487339175.hdf5 --at 12.5s --window 10ms --out moment.png
    eventseg view rec1487339175.hdf5 --window 10ms,50ms,250ms
    """  # noqa: D301
    from eventseg.plots.events import save_figure
    from eventseg.plots.moments import figure_moment, figure_windows
    from eventseg.recordings import open_recording
    from eventseg.windows import format_duration

    with open_recording(file, sensor=sensor, rotate180=rotate180) as recording:
        if len(windows_us) == 1:
            figure = figure_moment(recording, at=at_us, window=windows_us[0])
        else:
            figure = figure_windows(recording, at=at_us, windows=windows_us)
    target = out or Path(file.with_suffix(".png").name)
    save_figure(figure, target)
    if as_json:
        windows = [format_duration(length_us) for length_us in windows_us]
        options.print_json({"picture": str(target), "recording": str(file), "windows": windows})
        return
    click.echo(target)
