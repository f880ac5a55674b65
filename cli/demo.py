"""``eventseg demo``: every step of the pipeline on simulated drives, and a page about it."""

from __future__ import annotations

from pathlib import Path

import click

from . import options, printing
from .progress import Messages


@click.command()
@options.out_option("Folder to make, or to finish.", default="eventseg-demo", show_default=True)
@click.option("--quick", is_flag=True, help="Two short drives instead of four longer ones.")
@options.threads_option("the processors")
@options.json_option
@options.message_options
def command(out: Path, quick: bool, threads: int | None, as_json: bool, messages: Messages) -> None:
    """Run every step on simulated drives, and leave a page that shows them.

    Drives are simulated and encoded; on small streets a teacher learns from gray frames and labels
    the frames of other streets; a network learns these labels from the events and is scored, at
    three windows, against the labels and against the truth of streets that neither has seen.
    Nothing is downloaded. Under five minutes on two processors with --quick, and several times
    as long without.

    A run that was stopped goes on where it was when it is started again.

    \b
    eventseg demo --quick
    eventseg demo --out /tmp/demo
    """  # noqa: D301
    from eventseg.demo.run import FULL, QUICK, run_demo
    from eventseg.device import set_threads

    set_threads(threads)
    bar = messages.bar()

    def say(words: str) -> None:
        bar.close()
        messages.note(words)

    with bar, bar.resumable(out):
        page = run_demo(
            out,
            plan=QUICK if quick else FULL,
            threads=threads,
            progress=bar.update,
            say=say,
        )
    if as_json:
        printing.print_json({"page": str(page)})
        return
    click.echo(f"The demo is ready: open {page} in a browser")
