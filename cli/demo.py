"""``eventseg demo``: the whole job on simulated drives, and a page about it."""

from __future__ import annotations

from pathlib import Path

import click

from .progress import ProgressBar


@click.command(short_help="The whole job on simulated drives: encode, label, train, score, show.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="eventseg-demo",
    show_default=True,
    help="Folder to make, or to finish.",
)
@click.option("--quick", is_flag=True, help="Two short drives instead of four longer ones.")
@click.option("--threads", type=click.IntRange(min=1), help="[default: as many as processors]")
def command(out: Path, quick: bool, threads: int | None) -> None:
    """Do the whole job on simulated drives, and leave a page that shows it all.

    Drives are simulated and encoded; on small streets a teacher learns from gray frames and labels
    the frames of other streets; a network learns these labels from the events and is scored, at
    three windows, against the labels and against the truth of streets that neither has seen.
    Nothing is downloaded. About two minutes on two processors with --quick, ten without.

    A run that was stopped goes on where it was when it is started again.

    \b
    eventseg demo --quick
    eventseg demo --out /tmp/demo
    """  # noqa: D301
    from eventseg.demo.run import FULL, QUICK, run_demo

    bar = ProgressBar()

    def say(words: str) -> None:
        bar.close()
        click.echo(words, err=True)

    try:
        page = run_demo(
            out,
            plan=QUICK if quick else FULL,
            threads=threads,
            progress=bar.update,
            say=say,
        )
    except KeyboardInterrupt:
        bar.close()
        click.echo(f"interrupted; run the same command again to go on with {out}", err=True)
        raise click.exceptions.Exit(130) from None
    finally:
        bar.close()
    click.echo(f"The demo is ready: open {page} in a browser")
