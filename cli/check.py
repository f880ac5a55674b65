"""``eventseg check``: faults of data sets, runs, recordings and predictions, with their cures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options, printing

if TYPE_CHECKING:
    from eventseg.events import SensorSize
    from eventseg.recordings.choices import TimeUnit

SHOWN = 50


@click.command()
@click.argument(
    "data", metavar="DATA|RUN|RECORDING|PREDICTIONS", type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "--quick",
    is_flag=True,
    help="Of a data set, check the tables and that every file is there, without reading the files: "
    "a million samples in seconds.",
)
@click.option(
    "--deep",
    is_flag=True,
    help="Encode a data set again from its recordings and compare the bits.",
)
@click.option(
    "--repair",
    is_flag=True,
    help="First repair without loss: temporary files of stopped runs are removed, "
    "missing and damaged tensors, frames and true labels made again from the recordings.",
)
@options.file_options
@options.threads_option("the processors, with --deep and --repair")
@options.json_option
@click.pass_context
def command(
    ctx: click.Context,
    data: Path,
    quick: bool,
    deep: bool,
    repair: bool,
    sensor: SensorSize | None,
    camera: str | None,
    time_unit: TimeUnit | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Check that everything is there and consistent, and name a cure for each problem.

    Problems go to stdout, one a line; exit 1 if there is any. Labels that teach little, such as a
    class that never occurs, and omissions of a reader are warnings. Of a data set every file of
    every sample is read; of a recording every event and frame; of a run settings, scores and
    checkpoints, of which one may be given alone; of predictions every map; of a folder of converted
    recordings every digest; of labelled pictures every picture and label map; of a league, DDD17 in
    the ESS repack or DSEC-Semantic as downloaded, every mask, all events and every index; of both
    every label set that is beside.

    \b
    eventseg check rec1487339175.eventseg
    eventseg check ddd17 --quick
    eventseg check ddd17 --deep
    eventseg check ddd17 --repair
    eventseg check rec1487339175.hdf5
    eventseg check events.csv --sensor 640x480 --time-unit us
    eventseg check runs/fastscnn
    eventseg check as_raw
    eventseg check DDD17_ESS
    """  # noqa: D301
    from eventseg.training.check_path import check_path

    if quick and deep:
        raise click.UsageError("give --quick or --deep, not both.")
    choices = {"sensor": sensor, "camera": camera, "time_unit": time_unit}
    report = check_path(data, quick=quick, deep=deep, repair=repair, threads=threads, **choices)
    if (quick or deep) and report.kind != "data set":
        raise click.UsageError(
            f"--{'deep' if deep else 'quick'} is for data sets: a {report.kind} has no tensors."
        )
    if report.kind != "recording" and any(choice is not None for choice in choices.values()):
        raise click.UsageError(
            "--sensor, --camera and --time-unit are for recordings: leave them out with a "
            f"{report.kind}."
        )
    if as_json:
        printing.print_json(report.to_dict())
        ctx.exit(1 if report.problems else 0)
    for line in report.repaired:
        click.echo(f"repaired: {line}", err=True)
    for warning in report.warnings:
        click.echo(f"warning: {warning}", err=True)
    for problem in report.problems[:SHOWN]:
        click.echo(problem)
    count = len(report.problems)
    if count > SHOWN:
        click.echo(f"... and {count - SHOWN} more")
    if count:
        click.echo(f"{data}: {count} problem{'s' * (count > 1)}")
        ctx.exit(1)
    click.echo(f"{data}: whole" + ", as far as names tell" * quick)
