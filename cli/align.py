"""``eventseg align``: are the events and the frames of a recording aligned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import callbacks, options, printing
from .group import TitledCommand, option_group
from .paths import PicturePath, RecordingPath
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit


@click.command(
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg align rec1487339175.hdf5
  eventseg align drive.aedat4 --range 250ms --out curve.png
""",
)
@click.argument("recording", type=RecordingPath())
@option_group(
    "Search",
    click.option(
        "--range",
        "range_us",
        metavar="LENGTH",
        default="100ms",
        show_default=True,
        callback=callbacks.duration,
        help="Largest shift of the frames, either way.",
    ),
    click.option(
        "--window",
        "window_us",
        metavar="LENGTH",
        default="20ms",
        show_default=True,
        callback=callbacks.duration,
        help="Length of the windows of events.",
    ),
    click.option(
        "--frames",
        type=click.IntRange(min=5),
        default=60,
        show_default=True,
        help="Frames to use, spread over the recording.",
    ),
    options.file_options,
)
@option_group(
    "Output",
    options.out_option("Picture of the curve to write, such as curve.png.", type=PicturePath()),
    options.json_option,
    options.message_options,
)
def command(
    recording: Path,
    range_us: int,
    window_us: int,
    frames: int,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    out: Path | None,
    as_json: bool,
    messages: Messages,
) -> None:
    """Find the shift of the frames' stamps at which events lie on the frames' edges.

    Events follow the light by some milliseconds: on sound recordings the best shift is 3 to 15 ms.
    Another one means that the stamps are off. A shift in space is looked for too.
    """
    from eventseg.files.whole import check_folder
    from eventseg.recordings import open_recording
    from eventseg.recordings.alignment import align
    from eventseg.recordings.progress import Progress

    if out is not None:
        check_folder(out.parent)
    with (
        messages.bar() as bar,
        open_recording(recording, sensor=sensor, camera=camera, time_unit=time_unit) as opened,
    ):
        found = align(
            opened,
            range_us=range_us,
            window_us=window_us,
            most_frames=frames,
            progress=lambda done, total: bar.update(Progress("align", done, total, "frame")),
        )
    if out is not None:
        from eventseg.plots.alignment import figure_alignment
        from eventseg.plots.events import save_figure

        save_figure(figure_alignment(found, name=recording.name), out)
    if as_json:
        printing.print_json({"recording": str(recording), **found.to_dict()})
    else:
        click.echo("\n".join([*found.lines(), *([str(out)] if out else [])]))
