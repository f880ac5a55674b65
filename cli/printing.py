"""Printing of commands: JSON, summaries, notes on files that were left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from eventseg.files.texts import finite

from .progress import Messages

if TYPE_CHECKING:
    from eventseg.sources.source import Source


def print_json(value: Any) -> None:
    """Print a value as one line of JSON; numbers that JSON lacks, NaN and infinities, are null."""
    click.echo(json.dumps(finite(value), default=_plain))


class Summary(Protocol):
    """Summary of a command, as lines for people and as JSON."""

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        ...


def print_summary(summary: Summary, *, as_json: bool) -> None:
    """Print what was done, as lines for people or as JSON."""
    if as_json:
        print_json(summary.to_dict())
    else:
        click.echo("\n".join(summary.lines()))


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file of a report holds."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def note_left_out(data: Path, messages: Messages, source: Source | None = None) -> None:
    """Print the omissions of an image folder or a league; nothing for a data set.

    `source` is the open data, where it is open already.
    """
    from eventseg.sources.image_folders import Folder
    from eventseg.sources.layouts import open_layout
    from eventseg.sources.leagues import League

    folder = open_layout(data) if source is None else source
    for note in folder.notes() if isinstance(folder, Folder | League) else ():
        messages.note(f"{data}: {note}")


def _plain(value: Any) -> Any:
    """Return a number of NumPy as one of Python, and anything else as its text."""
    return finite(value.item()) if hasattr(value, "item") else str(value)
