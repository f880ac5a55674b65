"""Opening of a league from its folder or its TOML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eventseg.dataset.truth import TRUTH
from eventseg.encoding.settings import encoding_of
from eventseg.errors import DatasetError
from eventseg.events import SensorSize
from eventseg.images import read_picture
from eventseg.labels.maps import load_class_table
from eventseg.recordings.ess.events import SENSOR as DAVIS346
from eventseg.recordings.ess.events import TIMES
from eventseg.recordings.table.dsec import SENSOR as DSEC_SENSOR
from eventseg.sources.leagues import ddd17, dsec
from eventseg.sources.leagues.league import League, Picture
from eventseg.sources.leagues.listing import LeagueSample, Listing
from eventseg.sources.leagues.settings import (
    ENDING,
    LeagueName,
    LeagueSettings,
    problems_error,
    read_settings,
    settings_of_folder,
)
from eventseg.sources.leagues.warp import dsec_frame
from eventseg.splits import hold_back_validation

LONGEST_US = 250_000
"""Longest window that the leagues are used with, kept between training and validation."""


@dataclass(frozen=True, slots=True)
class LeagueLayout:
    """Layout of a league's download.

    Parameters
    ----------
    matches : callable
        Whether a folder holds the league.
    find : callable
        Lists the samples of a download.
    read_frame : callable
    sensor, mask_size : SensorSize
    tables : mapping of str to str
        Class table of each set of masks, by its name.
    """

    matches: Callable[[Path], bool]
    find: Callable[[LeagueSettings], Listing]
    read_frame: Callable[[LeagueSample, bool], Picture]
    sensor: SensorSize
    mask_size: SensorSize
    tables: Mapping[str, str]


def _ess_frame(sample: LeagueSample, colour: bool) -> Picture:
    assert sample.frame is not None
    return read_picture(sample.frame, colour=colour)


LAYOUTS: Mapping[LeagueName, LeagueLayout] = {
    "ddd17": LeagueLayout(
        ddd17.is_ddd17,
        ddd17.list_ddd17,
        _ess_frame,
        DAVIS346,
        ddd17.MASK_SIZE,
        {TRUTH: "evsegnet6"},
    ),
    "dsec": LeagueLayout(
        dsec.is_dsec,
        dsec.list_dsec,
        dsec_frame,
        DSEC_SENSOR,
        dsec.MASK_SIZE,
        {"11classes": "dsec11", "19classes": "cityscapes19"},
    ),
}


def league_settings(path: Path) -> LeagueSettings | None:
    """Return the settings of the league at a path, or None where there is none.

    Raises
    ------
    DatasetError
        A TOML file that is damaged, or a single directory of a league.
    """
    if path.suffix.lower() == ENDING and path.is_file():
        return read_settings(path)
    if not path.is_dir():
        return None
    for name, layout in LAYOUTS.items():
        if layout.matches(path):
            return settings_of_folder(path, name)
    if (path / TIMES).is_file():
        raise DatasetError(
            f"{path} is one directory of DDD17 in the ESS repack; give the folder that holds them, "
            f"or {path / TIMES} as a recording"
        )
    return None


def is_league(path: Path) -> bool:
    """Return whether a path is the folder or the TOML file of a league, sound or not."""
    return league_settings(path) is not None


def open_league(path: str | Path) -> League | None:
    """Open a league as it was downloaded, or return None where a path holds none.

    Parameters
    ----------
    path : path
        The folder of ``dir0`` to ``dir7`` of the ESS repack of DDD17, the folder of
        DSEC-Semantic, or a TOML file, see :class:`LeagueSettings`.

    Raises
    ------
    DatasetError
        Files are missing, damaged or do not belong together: all are listed.
    """
    settings = league_settings(Path(path))
    if settings is None:
        return None
    layout = LAYOUTS[settings.league]
    listed = list_league(settings)
    if listed.problems:
        raise problems_error(settings.root, listed.problems)
    samples = tuple(listed.samples)
    if not samples:
        raise DatasetError(f"{settings.root} holds no masks of {settings.league}")
    t_us = np.array([sample.t_us for sample in samples], np.int64)
    published = tuple(sample.split for sample in samples)
    sequences = tuple(sample.sequence for sample in samples)
    rows = (0, layout.mask_size.height)
    return League(
        settings,
        samples,
        listed.drives,
        listed.events,
        ids=tuple(sample.id for sample in samples),
        sequences=sequences,
        splits=_held_back(published, sequences, t_us),
        published_splits=published,
        t_us=t_us,
        encoding=encoding_of(layout.sensor, rows=rows, representation=settings.representation),
        tables={name: load_class_table(layout.tables[kind]) for name, kind in _sets(listed)},
        read_frame=layout.read_frame,
        left_out=dict(+listed.left_out),
        remarks=tuple(listed.notes),
    )


def list_league(settings: LeagueSettings) -> Listing:
    """Return the content of a download, faults included."""
    if not settings.root.is_dir():
        return Listing(problems=[f"there is no folder {settings.root}"])
    return LAYOUTS[settings.league].find(settings)


def _sets(listed: Listing) -> list[tuple[str, str]]:
    """Return the name of each set of masks and its kind: the first is ``truth`` as well."""
    kinds = [TRUTH if kind == TRUTH else kind for kind in listed.sets]
    return [(TRUTH, kinds[0]), *((kind, kind) for kind in kinds[1:])]


def _held_back(
    published: tuple[str, ...], sequences: tuple[str, ...], t_us: np.ndarray
) -> tuple[str, ...]:
    """Return the parts of the clean protocol: the end of each training sequence validates."""
    splits = np.array(published, dtype=object)
    if Counter(published)["val"]:
        return published
    names = np.array(sequences, dtype=object)
    for name in dict.fromkeys(sequences):
        part = np.flatnonzero((names == name) & (splits == "train"))
        splits[part] = hold_back_validation(t_us[part], longest_window_us=LONGEST_US)
    return tuple(map(str, splits))
