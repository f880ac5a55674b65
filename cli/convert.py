"""``eventseg convert``: recordings in another format, one into a file or several into a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from . import options, printing
from .convert_folder import convert_folder
from .group import TitledCommand, option_group
from .paths import RecordingPath
from .progress import Messages

if TYPE_CHECKING:
    from eventseg.dataset.jobs.shard import Shard
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit

FORMATS = ("hdf5", "aedat4", "raw", "h5", "npz", "csv")
"""Formats for the help, which loads no writer; a test holds them equal to the writers'."""

ONLY_INTO_FOLDERS = ("format_", "jobs", "scheduler", "shard", "tries")
"""Parameters that need --out."""


@click.command(
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg convert drive.aedat4 drive.hdf5
  eventseg convert drive.hdf5 drive.raw --from 10s --until 20s
  eventseg convert events.csv events.npz --sensor 640x480
  eventseg convert rec*.hdf5 --out as_h5 --format h5 --jobs 4
  eventseg convert DDD20/aug04 DDD20/aug05 --out as_raw --format raw --shard 2/40
""",
)
@click.argument(
    "paths",
    metavar="SOURCE OUT | SOURCE... --out FOLDER",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@option_group(
    "Part",
    options.part_options(default="0"),
    options.file_options,
    options.rotate180_option,
    options.shift_frames_option,
)
@option_group(
    "Output",
    options.out_option(
        "Folder for several recordings, each under its own name; a SOURCE may then be a folder of "
        "recordings.",
        metavar="FOLDER",
    ),
    click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        help="Format of the files in the folder of --out.",
    ),
    click.option(
        "--overwrite",
        is_flag=True,
        help="Replace a file of that name; in a folder convert all again, and remove what was "
        "converted otherwise.",
    ),
    options.json_option,
    options.message_options,
)
@option_group(
    "Machine",
    options.jobs_option("Processes that share the recordings of --out."),
    options.scheduler_option,
    options.shard_option,
    options.tries_option,
)
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    begin_us: int,
    end_us: int | None,
    sensor: SensorSize | None,
    rotate180: bool,
    camera: str | None,
    time_unit: TimeUnit | None,
    shift_frames: int,
    out: Path | None,
    format_: str | None,
    overwrite: bool,
    jobs: int,
    scheduler: str | None,
    shard: Shard | None,
    tries: int,
    as_json: bool,
    messages: Messages,
) -> None:
    """Write SOURCE in the format that the suffix of OUT names, or several SOURCE into FOLDER.

    .hdf5 is the layout of DDD17 and .aedat4 that of DV, which hold frames, inertial samples and
    special events too; .raw is Prophesee's EVT3; .h5, .npz and .csv hold the columns t, x, y and p.
    What has no place in the new file is counted. The events are the same when they are read back.
    The truth file beside a simulated recording goes with it into .hdf5 and .aedat4.

    A run into a FOLDER that was stopped keeps the finished files when it is started again,
    and ends with the same bytes; a single OUT begins anew.
    """
    from eventseg.recordings.choices import FileChoices

    choices = FileChoices.of(camera, time_unit, shift_frames)
    if out is not None:
        if format_ is None:
            raise click.UsageError(f"--out needs --format, one of {', '.join(FORMATS)}")
        convert_folder(
            [_existing(path, ctx) for path in paths],
            out,
            scheduler=scheduler,
            shard=shard,
            overwrite=overwrite,
            as_json=as_json,
            messages=messages,
            setting={
                "format": format_,
                "begin_us": begin_us,
                "end_us": end_us,
                "sensor": sensor,
                "rotate180": rotate180,
                "choices": choices,
                "jobs": jobs,
                "tries": tries,
            },
        )
        return
    for name in ONLY_INTO_FOLDERS:
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"--{name.rstrip('_')} is for several recordings: give --out FOLDER"
            )
    source, target = _pair(paths, ctx)

    from eventseg.recordings.writers.convert import convert

    with messages.bar() as bar:
        found = convert(
            source,
            target,
            begin_us=begin_us,
            end_us=end_us,
            sensor=sensor,
            rotate180=rotate180,
            choices=choices,
            overwrite=overwrite,
            progress=bar.update,
        )
    if as_json:
        printing.print_json(found.to_dict())
    else:
        click.echo("\n".join(found.lines()))


def _pair(paths: tuple[Path, ...], ctx: click.Context) -> tuple[Path, Path]:
    """Return the recording and the file to write; refuse what belongs to the other form."""
    if len(paths) == 1:
        raise click.UsageError(
            f"give the file to write behind {paths[0]}, or --out FOLDER --format FORMAT"
        )
    if len(paths) > 2:
        raise click.UsageError(
            f"{len(paths)} recordings need a folder: give --out FOLDER --format FORMAT"
        )
    source, target = paths
    if target.is_dir():
        raise click.UsageError(
            f"{target} is a folder: give --out {target} --format FORMAT, or the name of a file"
        )
    return RecordingPath().convert(source, ctx.command.params[0], ctx), target


def _existing(path: Path, ctx: click.Context) -> Path:
    found = click.Path(exists=True, path_type=Path).convert(path, ctx.command.params[0], ctx)
    return Path(os.fsdecode(found))
