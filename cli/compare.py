"""``eventseg compare``: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import options, printing

FORMATS = ("md", "csv", "latex")


def _formats(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str, ...]:
    """Return the formats that ``csv,latex`` names."""
    names = tuple(text.split(","))
    for name in names:
        if name not in FORMATS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(FORMATS)}")
    return names


@click.command(
    "compare",
    epilog="""\b
Examples:
  eventseg compare runs/evsegnet-events-50ms runs/fastscnn-both-50ms
  eventseg compare runs/* --out comparison
  eventseg compare runs/* --test runs/events-seed0 runs/both-seed0
  eventseg compare runs/* --format latex,csv
  eventseg compare runs/* --json | jq '.runs[] | [.name, .val_miou]'
""",
)
@click.argument("runs", metavar="RUN...", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--test",
    "tests",
    metavar="A B",
    nargs=2,
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Two run folders whose difference in mIoU and class IoU is tested: a paired bootstrap "
    "over the samples that both were scored on, each run with all its seeds among RUN. The option "
    "can be given several times.",
)
@click.option(
    "--format",
    "formats",
    callback=_formats,
    default="md",
    show_default=True,
    metavar="md|csv|latex[,...]",
    help="Format of the printed tables; several write compare.csv and compare.tex beside "
    "compare.md, and the first is printed.",
)
@options.out_option(
    "Folder of compare.html, compare.md and compare.json.",
    default=Path("comparison"),
    show_default=True,
)
@options.threads_option("the processors")
@options.json_option
def command(
    runs: tuple[Path, ...],
    tests: tuple[tuple[Path, Path], ...],
    formats: Any,
    out: Path,
    threads: int | None,
    as_json: bool,
) -> None:
    """Put run folders side by side, with the evaluations in them and published results.

    Runs that differ only in the seed become one row: mean and deviation. Runs of other encodings
    are compared each on its own data set. figures/ has the figures as PNG and PDF.

    A folder of runs, such as a sweep's, stands for the runs directly in it. What evaluate and
    compare write beside run folders is left out, with a note, so that runs/* can be given.
    """
    from eventseg.device import set_threads
    from eventseg.evaluation.compare.report import compare_runs
    from eventseg.files.whole import check_folder

    if not runs and not tests:
        raise click.UsageError("give one or more run folders, or a pair of them with --test A B")
    check_folder(out)
    set_threads(threads)
    page, words = compare_runs(runs, out=out, tests=tests, formats=formats)
    if as_json:
        printing.print_json({"report": str(page), **printing.read_json(out / "compare.json")})
        return
    click.echo(words, nl=False)
    click.echo(f"{page}")
