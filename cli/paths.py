"""Types of paths that commands take; a wrong one is refused with its cure before any work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

LEAGUE = ".toml"
"""Ending of the file that stands for the folder of a league."""


class RecordingPath(click.Path):
    """Path of a recording that is there; a folder is refused with its recordings."""

    def __init__(self) -> None:
        super().__init__(exists=True, path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path of a file."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path.is_dir():
            from eventseg.dataset.layout import MANIFEST
            from eventseg.dataset.mistaken import recordings_in

            inside = recordings_in(path)
            hint = f", such as {inside[0]}" if inside else "; none lies in this one"
            if (path / MANIFEST).is_file():
                hint = "; it is a data set, of recordings that are encoded"
            self.fail(f"{path} is a folder: give the files of its recordings{hint}", param, ctx)
        return path


class PicturePath(click.Path):
    """Path of a picture to write, by its ending.

    Parameters
    ----------
    others : tuple of str
        Endings of other files that the command writes too.
    """

    def __init__(self, others: tuple[str, ...] = ()) -> None:
        super().__init__(path_type=Path)
        self.others = others

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        from eventseg.errors import OutputError
        from eventseg.images import check_figure

        try:
            check_figure(path, others=self.others)
        except OutputError as error:
            self.fail(str(error), param, ctx)
        return path
