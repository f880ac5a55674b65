"""``eventseg check``: is a data set whole."""

from __future__ import annotations

from pathlib import Path

import click

from . import options

SHOWN = 50


@click.command(short_help="Check a data set.")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--deep", is_flag=True, help="Encode all again from the recordings and compare the bits."
)
@options.threads_option("the processors, with --deep")
@options.json_option
@click.pass_context
def command(ctx: click.Context, data: Path, deep: bool, threads: int | None, as_json: bool) -> None:
    """Check that a data set is whole and consistent: every file of every sample.

    Problems go to stdout, one a line; exit 1 if there is any.

    \b
    eventseg check rec1487339175.eventseg
    eventseg check ddd17 --deep
    """  # noqa: D301
    from eventseg.dataset.check import check_dataset

    problems = check_dataset(data, deep=deep, threads=threads)
    if as_json:
        options.print_json({"data": str(data), "whole": not problems, "problems": problems})
        ctx.exit(1 if problems else 0)
    for problem in problems[:SHOWN]:
        click.echo(problem)
    if len(problems) > SHOWN:
        click.echo(f"... and {len(problems) - SHOWN} more")
    if problems:
        click.echo(f"{data}: {len(problems)} problem{'s' * (len(problems) > 1)}")
        ctx.exit(1)
    click.echo(f"{data}: whole")
