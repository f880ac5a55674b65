"""Progress and notes on stderr: a bar on a terminal, or a line every few seconds in a log file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eventseg.recordings.progress import Progress

KERNELS = "eventseg.kernels.compiled"
"""Logger of compiled functions."""

LINE_EVERY_S = 5.0
"""Seconds between two lines where the output is no terminal."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Notes, warnings and progress of a command on stderr.

    Parameters
    ----------
    quiet : bool
        No progress and no notes.
    progress : bool or None
        Whether a bar is shown; None for a bar on a terminal and lines elsewhere.
    """

    quiet: bool = False
    progress: bool | None = None

    def bar(self) -> ProgressBar:
        """Return a bar for the progress of the command, hidden where it is not wanted."""
        return ProgressBar(False if self.quiet else self.progress)

    def note(self, text: str) -> None:
        """Print a note."""
        if not self.quiet:
            click.echo(text, err=True)

    def warn(self, text: str) -> None:
        """Print a warning, also where notes are not wanted."""
        click.echo(f"warning: {text}", err=True)


class CompilingNote(logging.Handler):
    """Prints the first message that kernels are compiled, which would look like a standstill."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._printed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message, once."""
        if not self._printed:
            self._printed = True
            click.echo(record.getMessage(), err=True)


def announce_compiling(wanted: bool = True) -> None:
    """Print one line on stderr when kernels are compiled, which their cache saves later."""
    logger = logging.getLogger(KERNELS)
    logger.handlers = [CompilingNote()] if wanted else []
    logger.setLevel(logging.INFO)


class ProgressBar:
    """A bar on standard error that follows the progress of one stage after the other.

    Parameters
    ----------
    shown : bool or None
        Show a bar, or nothing; None shows a bar on a terminal and lines elsewhere.
    """

    def __init__(self, shown: bool | None = None) -> None:
        self._hidden = shown is False
        self._lines = shown is None and not sys.stderr.isatty()
        self._stage = ""
        self._bar: Any = None
        self._begin_s = self._line_s = 0.0
        self._done_before = self._done = 0.0

    def update(self, now: Progress) -> None:
        """Show the progress; a new stage, or one that begins again, begins a new bar."""
        if self._hidden:
            return
        if now.stage != self._stage or now.done < self._done:
            self.close()
            self._stage = now.stage
            self._begin_s = self._line_s = time.monotonic()
            self._done_before = now.done
        self._done = now.done
        if self._lines:
            self._line(now)
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                desc=now.stage,
                total=now.total or None,
                initial=now.done,
                unit=f" {now.unit}" if len(now.unit) > 1 else now.unit,
                unit_scale=now.unit in ("B", "event"),
                dynamic_ncols=True,
                bar_format=None if float(now.total).is_integer() else SHARE_FORMAT,
            )
        self._bar.set_postfix_str(now.note, refresh=False)
        self._bar.update(now.done - self._bar.n)

    def _line(self, now: Progress) -> None:
        time_s = time.monotonic()
        if time_s - self._line_s < LINE_EVERY_S:
            return
        self._line_s = time_s
        click.echo(line_of(now, spent_s=time_s - self._begin_s, before=self._done_before), err=True)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self._stage = ""

    @contextmanager
    def resumable(self, out: object = None) -> Iterator[None]:
        """On Ctrl-C, end the command with 130 and a line that says how to go on.

        Parameters
        ----------
        out : object, optional
            Name of the output.
        """
        try:
            yield
        except KeyboardInterrupt:
            self.close()
            made = "" if out is None else f" with {out}"
            click.echo(f"interrupted; run the same command again to go on{made}", err=True)
            raise click.exceptions.Exit(130) from None

    def __enter__(self) -> ProgressBar:
        """Return the bar itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the bar, also after an error."""
        self.close()


SHARE_FOR_TIME_LEFT = 0.01
"""Least share of a stage after which the time left is shown: before, starting decides the rate."""

SHARE_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}{postfix}]"
"""Format of a bar whose amounts are no whole numbers."""


def line_of(now: Progress, *, spent_s: float, before: float = 0.0) -> str:
    """Return progress as a line of a log file, with the time left at the rate so far.

    Parameters
    ----------
    now : Progress
    spent_s : float
        Seconds since the stage began.
    before : float
        Amount that was done when it began.
    """
    amounts = f"{_amount(now.done)} of {_amount(now.total)}" if now.total else _amount(now.done)
    parts = [f"{amounts} {_units(now)}", f"{spent_s:.0f} s"]
    if now.total and now.done - before >= SHARE_FOR_TIME_LEFT * (now.total - before) > 0:
        parts.append(f"{spent_s * (now.total - now.done) / (now.done - before):.0f} s left")
    if now.note:
        parts.append(now.note)
    percent = f" {now.share:.0%}" if now.total else ""
    return f"{now.stage}{percent}: {', '.join(parts)}"


def _units(now: Progress) -> str:
    """Return the unit in the plural where there are several; symbols such as B and s have none."""
    one = (now.total or now.done) == 1
    return now.unit if one or len(now.unit) == 1 or now.unit.endswith("s") else f"{now.unit}s"


def _amount(number: float) -> str:
    return f"{number:,.0f}" if float(number).is_integer() or number >= 100 else f"{number:.1f}"
