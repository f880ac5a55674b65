"""``eventseg compare``: runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from . import options


@click.command(
    "compare",
    epilog="""\b
Examples:
  eventseg compare runs/evsegnet-events-50ms runs/fastscnn-both-50ms
  eventseg compare runs/* --out comparison
  eventseg compare runs/* --test runs/events-seed0 runs/both-seed0
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
    out: Path,
    threads: int | None,
    as_json: bool,
) -> None:
    """Put run folders side by side, with the evaluations in them and published results.

    Runs that differ only in the seed become one row: mean and deviation.
    """
    from eventseg.device import set_threads
    from eventseg.evaluation.compare.report import compare_runs
    from eventseg.files import check_folder

    if not runs and not tests:
        raise click.UsageError("give one or more run folders, or a pair of them with --test A B")
    check_folder(out)
    set_threads(threads)
    page, words = compare_runs(runs, out=out, tests=tests)
    if as_json:
        options.print_json({"report": str(page), **options.read_json(out / "compare.json")})
        return
    click.echo(words, nl=False)
    click.echo(f"{page}")
