"""``eventseg convert``: a recording in another format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options
from .group import TitledCommand, option_group
from .paths import RecordingPath
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit


@click.command(
    cls=TitledCommand,
    short_help="Write a recording in another format.",
    epilog="""\b
Examples:
  eventseg convert drive.aedat4 drive.hdf5
  eventseg convert drive.hdf5 drive.raw --from 10s --to 20s
  eventseg convert events.csv events.npz --sensor 640x480
""",
)
@click.argument("source", type=RecordingPath())
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@option_group(
    "Part",
    click.option(
        "--from",
        "begin_us",
        metavar="TIME",
        default="0",
        callback=options.time_after_start,
        help="Begin after the first event.  [default: 0]",
    ),
    click.option(
        "--to",
        "end_us",
        metavar="TIME",
        callback=options.time_after_start,
        help="End after the first event.  [default: the end]",
    ),
    options.file_options,
    options.shift_frames_option,
)
@option_group(
    "Output",
    click.option("--overwrite", is_flag=True, help="Replace a file of that name."),
    options.json_option,
    options.message_options,
)
def command(
    source: Path,
    out: Path,
    begin_us: int,
    end_us: int | None,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    shift_frames: int,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
) -> None:
    """Write the recording SOURCE in the format that the suffix of OUT names.

    .hdf5 is the layout of DDD17 and .aedat4 that of DV, which hold frames, inertial samples and
    special events too; .raw is Prophesee's EVT3; .h5, .npz and .csv hold the columns t, x, y and p.
    What has no place in the new file is counted. The events are the same when they are read back.
    """
    from eventseg.recordings.choices import FileChoices
    from eventseg.recordings.writers.convert import convert

    with messages.bar() as bar:
        found = convert(
            source,
            out,
            begin_us=begin_us,
            end_us=end_us,
            sensor=sensor,
            choices=FileChoices.of(camera, time_unit, shift_frames),
            overwrite=overwrite,
            progress=bar.update,
        )
    if as_json:
        options.print_json(found.to_dict())
    else:
        click.echo("\n".join(found.lines()))
