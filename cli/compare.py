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
  eventseg compare runs/* --json | jq '.runs[] | [.name, .val_miou]'
""",
)
@click.argument(
    "runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True)
)
@options.out_option(
    "Folder of compare.html, compare.md and compare.json.",
    default=Path("comparison"),
    show_default=True,
)
@options.threads_option("the processors")
@options.json_option
def command(runs: tuple[Path, ...], out: Path, threads: int | None, as_json: bool) -> None:
    """Put run folders side by side, with the evaluations in them and published results.

    Runs that differ only in the seed become one row: mean and deviation.
    """
    from eventseg.device import set_threads
    from eventseg.evaluation.compare.report import compare_runs
    from eventseg.files import check_folder

    check_folder(out)
    set_threads(threads)
    page, words = compare_runs(runs, out=out)
    if as_json:
        options.print_json({"report": str(page), **options.read_json(out / "compare.json")})
        return
    click.echo(words, nl=False)
    click.echo(f"{page}")
