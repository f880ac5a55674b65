"""``eventseg labels``: label maps into data sets, folders of pictures and leagues, and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import callbacks, options, printing
from .group import SuggestingGroup, TitledCommand, option_group
from .progress import Messages


def _tolerance(ctx: click.Context, param: click.Parameter, text: str) -> int | None:
    """Return ``5ms`` in microseconds; 0 is allowed."""
    return callbacks.time_after_start(ctx, param, text)


@click.group(cls=SuggestingGroup)
def command() -> None:
    """Import label maps as a label set of a data set, pictures or a league; export label sets.

    Classes are those of a class table: docs/classes.md.

    \b
    eventseg labels import drive.eventseg annotated --set own --classes my.toml
    eventseg labels export drive.eventseg exported --set own
    eventseg labels import pictures annotated --set second
    """  # noqa: D301


@command.command(
    "import",
    cls=TitledCommand,
    short_help="Import label PNGs as a label set.",
    epilog="""\b
Examples:
  eventseg labels import drive.eventseg annotated --set own --classes my.toml
  eventseg labels import drive.eventseg frames --set own --by frame --first-frame 1
  eventseg labels import drive.eventseg masks --set own --by time --unit ms --tolerance 5ms
  eventseg labels import drive.eventseg annotated --set own --values colours
  eventseg labels import pictures annotated --set second --classes my.toml
  eventseg labels import DSEC annotated --set own --classes my.toml
""",
)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@option_group(
    "Labels",
    click.option("--set", "name", metavar="NAME", help="Name of the label set.  [required]"),
    click.option(
        "--classes",
        metavar="TABLE",
        help="Classes of the files: a class table by name or a .toml file.  "
        "[default: FOLDER/classes.toml, or the classes of the pictures or the league]",
    ),
    click.option(
        "--values",
        type=click.Choice(["auto", "ids", "colours"]),
        default="auto",
        show_default=True,
        help="Meaning of the pixels: ids or colours of the classes, or as each file tells.",
    ),
)
@option_group(
    "Samples",
    click.option(
        "--by",
        type=click.Choice(["id", "frame", "time"]),
        default="id",
        show_default=True,
        help="What names of files hold: sample ids, which are names of pictures in a folder of "
        "those; or, as their last number, the frame or the time in a data set or a league. "
        "Recordings, which are sequences of a league, are named by a folder or by the beginning of "
        "the file's name.",
    ),
    click.option(
        "--first-frame",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Number of the first frame of a recording.",
    ),
    click.option(
        "--unit",
        type=click.Choice(["us", "ms", "s", "ns"]),
        default="us",
        show_default=True,
        help="Unit of the times.",
    ),
    click.option(
        "--tolerance",
        "tolerance_us",
        callback=_tolerance,
        default="1ms",
        show_default=True,
        metavar="LENGTH",
        help="Largest distance of a time from that of its sample.",
    ),
    click.option(
        "--from-start",
        is_flag=True,
        help="Times count from the first event of the recording, not on its clock.",
    ),
    click.option("--skip-orphans", is_flag=True, help="Leave out files that belong to no sample."),
)
@option_group(
    "Output",
    click.option("--overwrite", is_flag=True, help="Replace a label set that was made otherwise."),
    options.json_option,
    options.message_options,
)
def import_command(
    data: Path,
    folder: Path,
    name: str | None,
    classes: str | None,
    values: Any,
    skip_orphans: bool,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
    **rule: Any,
) -> None:
    """Import the label PNGs in FOLDER as a label set of DATA: a data set, pictures or a league.

    Files of no sample, several files of one sample, other sizes than the sensor's, the pictures'
    or the masks', and ids or colours that are no class are errors, which list them; then nothing
    changes. Samples without a file have no labels in the set. An import that was stopped is
    started again. Sets of a folder of pictures and of a league lie in label_sets/ within it.
    """
    if name is None:
        raise click.UsageError("Missing option '--set': name the label set, such as --set own.")
    from eventseg.sources.own_labels.importing import import_labels
    from eventseg.sources.own_labels.joining import Join

    with messages.bar() as bar:
        summary = import_labels(
            data,
            folder,
            name=name,
            classes=classes,
            join=Join(**rule),
            values=values,
            skip_orphans=skip_orphans,
            overwrite=overwrite,
            progress=bar.update,
        )
    printing.print_summary(summary, as_json=as_json)


@command.command(
    "export",
    cls=TitledCommand,
    short_help="Write a label set as PNGs.",
    epilog="""\b
Examples:
  eventseg labels export drive.eventseg exported --set own
  eventseg labels export drive.eventseg painted --set own --colour
  eventseg labels export drive.eventseg frames --set truth --by frame
  eventseg labels export CamVid exported --set truth
  eventseg labels export DSEC exported --set 19classes
""",
)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@option_group(
    "Labels",
    click.option("--set", "name", metavar="NAME", help="Name of the label set.  [required]"),
    click.option(
        "--colour",
        is_flag=True,
        help="RGB in the colours of the classes, not indexed PNG whose values are ids.",
    ),
    click.option(
        "--by",
        type=click.Choice(["id", "frame"]),
        default="id",
        show_default=True,
        help="Names of the files: sample ids or, of a data set or a league, RECORDING/FRAME.png.",
    ),
)
@option_group(
    "Output",
    click.option(
        "--overwrite",
        is_flag=True,
        help="Replace files that are there and differ, and remove label maps of an earlier export "
        "that are not in this one.",
    ),
    options.json_option,
    options.message_options,
)
def export_command(
    data: Path,
    folder: Path,
    name: str | None,
    colour: bool,
    by: Any,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
) -> None:
    """Write the label maps of a set of DATA into FOLDER, with its classes in classes.toml.

    `labels import` reads them back, to the same labels.
    """
    if name is None:
        raise click.UsageError("Missing option '--set': name the label set, such as --set own.")
    from eventseg.sources.own_labels.exporting import export_labels

    with messages.bar() as bar:
        summary = export_labels(
            data,
            folder,
            name=name,
            colour=colour,
            by=by,
            overwrite=overwrite,
            progress=bar.update,
        )
    printing.print_summary(summary, as_json=as_json)
