"""``eventseg reproduce``: a run again, from its run.json."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from . import options, printing
from .progress import Messages


@click.command(
    "reproduce",
    epilog="""\b
Examples:
  eventseg reproduce runs/evsegnet-events-50ms/run.json
  eventseg reproduce runs/teacher --data /data/drives.eventseg --out runs/again
""",
)
@click.argument("run", metavar="RUN.JSON", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), help="Data.  [default: where it was]"
)
@options.out_option("New run folder.  [default: RUN-reproduced]")
@options.json_option
@options.message_options
def command(
    run: Path, data: Path | None, out: Path | None, as_json: bool, messages: Messages
) -> None:
    """Train again as RUN.JSON says and compare metrics.csv; exit 1 where it differs.

    With the same settings, device and number of threads. Data that is not what the run was
    trained on is refused. Scores are equal to the bit on a CPU with the same versions.
    """
    from eventseg.training.reproduce import reproduce

    with messages.bar() as bar:
        made = reproduce(run, data=data, out=out, progress=bar.update)
    for name, (then, now) in made.versions.items():
        messages.warn(f"{name} was {then} and is {now}")
    if as_json:
        printing.print_json({"run": str(made.path), "equal": not made.difference, **asdict(made)})
        raise click.exceptions.Exit(1 if made.difference else 0)
    click.echo(f"{made.path}/metrics.csv {(made.difference and 'differs') or 'is equal'}")
    if made.difference:
        click.echo(made.difference)
        raise click.exceptions.Exit(1)
