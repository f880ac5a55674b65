"""``eventseg demo``: the whole job on simulated drives, and a page about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


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

    bars = _Bars()
    try:
        page = run_demo(
            out,
            plan=QUICK if quick else FULL,
            threads=threads,
            progress=bars.update,
            say=bars.say,
        )
    except KeyboardInterrupt:
        bars.close()
        click.echo(f"interrupted; run the same command again to go on with {out}", err=True)
        raise click.exceptions.Exit(130) from None
    finally:
        bars.close()
    click.echo(f"The demo is ready: open {page} in a browser")


class _Bars:
    """One bar on stderr a stage."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: Any = None

    def update(self, stage: str, share: float) -> None:
        """Move the bar; a new stage begins a new one."""
        if stage != self._stage:
            from tqdm import tqdm

            self.close()
            self._stage = stage
            self._bar = tqdm(
                desc=f"{stage:<20}",
                total=100,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left",
                dynamic_ncols=True,
            )
        self._bar.update(round(100 * share) - self._bar.n)

    def say(self, words: str) -> None:
        """Print a word on a stage."""
        self.close()
        click.echo(words, err=True)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
            self._stage = ""
