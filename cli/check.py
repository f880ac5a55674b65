"""``eventseg check``: is a data set or a league whole."""

from __future__ import annotations

from pathlib import Path

import click

from . import options

SHOWN = 50


@click.command(short_help="Check a data set or a league.")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--deep",
    is_flag=True,
    help="Encode a data set again from its recordings and compare the bits.",
)
@options.threads_option("the processors, with --deep")
@options.json_option
@click.pass_context
def command(ctx: click.Context, data: Path, deep: bool, threads: int | None, as_json: bool) -> None:
    """Check that a data set or a league is whole and consistent: every file of every sample.

    Problems go to stdout, one a line; exit 1 if there is any. Labels that teach little, such as a
    class that never occurs, are warnings. Of a league, DDD17 in the ESS repack
    or DSEC-Semantic as downloaded, that is every mask, all events and every index.

    \b
    eventseg check rec1487339175.eventseg
    eventseg check ddd17 --deep
    eventseg check DDD17_ESS
    """  # noqa: D301
    from eventseg.dataset.check import check_dataset, warn_of_labels
    from eventseg.sources.leagues import check_league, is_league

    warnings: list[str] = []
    if is_league(data):
        if deep:
            raise click.UsageError("--deep is for data sets: a league has no tensors to compare.")
        problems = check_league(data)
    else:
        problems = check_dataset(data, deep=deep, threads=threads)
        warnings = warn_of_labels(data)
    if as_json:
        options.print_json(
            {
                "data": str(data),
                "whole": not problems,
                "problems": problems,
                "warnings": warnings,
            }
        )
        ctx.exit(1 if problems else 0)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in problems[:SHOWN]:
        click.echo(problem)
    if len(problems) > SHOWN:
        click.echo(f"... and {len(problems) - SHOWN} more")
    if problems:
        click.echo(f"{data}: {len(problems)} problem{'s' * (len(problems) > 1)}")
        ctx.exit(1)
    click.echo(f"{data}: whole")
