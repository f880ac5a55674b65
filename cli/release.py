"""``eventseg release``: a data set or a league in the layout of EV-SegNet's release."""

from __future__ import annotations

from pathlib import Path

import click

from . import options, printing
from .group import TitledCommand, option_group
from .progress import Messages


@click.command(
    cls=TitledCommand,
    epilog="""\b
Examples:
  eventseg release ddd17.eventseg dataset_our_codification
  eventseg release DDD17_ESS ess_release --window 10ms
  eventseg release drives.eventseg made --labels segformer-b5
""",
)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@option_group(
    "Samples",
    click.option(
        "--window",
        metavar="TIME",
        default="50ms",
        show_default=True,
        help="Window of the tensors.",
    ),
    click.option(
        "--labels", metavar="SET", default="truth", show_default=True, help="Label set of DATA."
    ),
    click.option(
        "--classes",
        metavar="TABLE",
        default="evsegnet6",
        show_default=True,
        help="Classes that the labels are merged into.",
    ),
)
@option_group(
    "Output",
    click.option(
        "--overwrite", is_flag=True, help="Replace a release of other settings in that folder."
    ),
    options.json_option,
    options.message_options,
)
def command(
    data: Path,
    out: Path,
    window: str,
    labels: str,
    classes: str,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
) -> None:
    """Write DATA so that the original training code of EV-SegNet loads it from OUT.

    DATA is a data set or a league with events, frames and labels. OUT gets images, labels and
    events, each with train, test and other: gray PNGs, and float32 tensors (rows, columns, 6) in
    the evsegnet normalisation. Samples held back for validation train, as published. A run that
    was stopped goes on where it was.
    """
    from eventseg.sources.leagues.release import write_release

    with messages.bar() as bar:
        found = write_release(
            data,
            out,
            window=window,
            label_set=labels,
            classes=classes,
            overwrite=overwrite,
            progress=bar.update,
        )
    if as_json:
        printing.print_json(found.to_dict())
    else:
        click.echo("\n".join(found.lines()))
