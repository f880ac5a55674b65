"""Folders of known layouts that are no data sets of this package: image folders and leagues."""

from __future__ import annotations

from pathlib import Path

from eventseg.sources.image_folders import Folder, open_folder
from eventseg.sources.leagues.league import League
from eventseg.sources.leagues.opening import open_league


def open_layout(path: Path) -> Folder | League | None:
    """Return the samples of an image folder or a league, or None where a path holds neither.

    Raises
    ------
    DatasetError
        A layout that is known but lacks files.
    """
    if path.is_dir() and (folder := open_folder(path)) is not None:
        return folder
    return open_league(path)
