"""Options and output that the commands of ``eventseg simulate`` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import callbacks, options, printing
from ..group import option_group

if TYPE_CHECKING:
    from eventseg.simulate.files import Summary

packets_option = click.option(
    "--packets",
    type=click.Choice(["sorted", "containers"]),
    default="sorted",
    show_default=True,
    help="Order of the packets in the file: by time, or as the camera software sends them, in "
    "containers of 10 ms with the events before the frames.",
)
output_options = option_group(
    "Output",
    packets_option,
    click.option("--overwrite", is_flag=True, help="Replace recordings that are there already."),
    options.json_option,
    options.message_options,
)
machine_options = option_group("Machine", options.threads_option("the processors, at most 16"))
sensor_option = click.option(
    "--sensor",
    callback=callbacks.size,
    default="346x260",
    show_default=True,
    metavar="WIDTHxHEIGHT",
    help="Size of the simulated sensor.",
)


def print_summaries(summaries: Sequence[Summary], *, as_json: bool) -> None:
    """Print what was simulated, as lines for people or as JSON."""
    for summary in summaries:
        if as_json:
            printing.print_json(asdict(summary))
        else:
            click.echo("\n".join(summary.lines()))


def refuse_existing(targets: list[Path], *, overwrite: bool) -> None:
    """Raise an OutputError for a file that is there and may not be replaced."""
    from eventseg.errors import OutputError

    existing = [path for path in targets if path.is_file()]
    if existing and not overwrite:
        raise OutputError(f"{existing[0]} is there already; give another name or --overwrite")
