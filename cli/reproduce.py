"""``eventseg reproduce``: a run again, from its run.json."""

from __future__ import annotations

from pathlib import Path

import click

from .progress import ProgressBar


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
@click.option(
    "--out", type=click.Path(path_type=Path), help="New run folder.  [default: RUN-reproduced]"
)
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
def command(run: Path, data: Path | None, out: Path | None, quiet: bool) -> None:
    """Train again as RUN.JSON says and compare metrics.csv; exit 1 where it differs.

    With the same settings, device and number of threads. Data that is not what the run was
    trained on is refused. Scores are equal to the bit on a CPU with the same versions.
    """
    from eventseg.training.reproduce import reproduce

    with ProgressBar(False if quiet else None) as bar:
        made = reproduce(run, data=data, out=out, progress=bar.update)
    for name, (then, now) in made.versions.items():
        click.echo(f"{name} was {then} and is {now}", err=True)
    click.echo(f"{made.path}/metrics.csv {(made.difference and 'differs') or 'is equal'}")
    if made.difference:
        click.echo(made.difference)
        raise click.exceptions.Exit(1)
