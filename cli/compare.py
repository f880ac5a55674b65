"""``eventseg compare``: runs side by side."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(
    "compare",
    epilog="""\b
Examples:
  eventseg compare runs/evsegnet-events-50ms runs/fastscnn-both-50ms
  eventseg compare runs/* --out comparison
""",
)
@click.argument(
    "runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("comparison"),
    show_default=True,
    help="Folder of compare.html and compare.md.",
)
def command(runs: tuple[Path, ...], out: Path) -> None:
    """Put run folders side by side, with the evaluations in them and published results.

    Runs that differ only in the seed become one row: mean and deviation.
    """
    from eventseg.evaluation.compare.report import compare_runs

    page, words = compare_runs(runs, out=out)
    click.echo(words, nl=False)
    click.echo(f"{page}")
