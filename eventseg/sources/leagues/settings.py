"""Settings of a league: where its files lie, and which of its rival readings is meant.

A league is a data set with published scores, DDD17 or DSEC-Semantic; papers read its files
differently (``docs/leagues.md``). A folder is enough for the usual reading. Others are named in a
small TOML file, which every command takes in place of the folder::

    league = "dsec"
    root = "/data/DSEC"
    samples = "ess"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from eventseg.encoding.representation import MEAN_STD, parse_representation
from eventseg.errors import DatasetError, WindowError
from eventseg.files.texts import read_toml
from eventseg.labels.sets import FOLDER
from eventseg.recordings.table.dsec import Rectification

LeagueName = Literal["ddd17", "dsec"]

Split = Literal["names", "ess"]
"""Reading of the folders of DDD17: by name, or in the words of the code of ESS."""

Samples = Literal["all", "ess", "openess"]
"""Reading of the labels of DSEC: which of them are samples."""

ENDING = ".toml"


@dataclass(frozen=True, slots=True)
class LeagueSettings:
    """Settings of a league.

    Parameters
    ----------
    path : Path
        The folder or the TOML file that was opened.
    league : {"ddd17", "dsec"}
    root : Path
        Folder of the download.
    split : {"names", "ess"}
        Of DDD17: ``names`` trains on dir0, dir3, dir4, dir6 and dir7 and tests on dir1; ``ess``
        calls dir1 validation and tests on the one mask of dir5, as the code of ESS does.
    samples : {"all", "ess", "openess"}
        Of DSEC: all labels; ``ess``, from the seventh of each sequence every second, as the code
        of ESS takes them; or ``openess``, all from the thirteenth on.
    classes : {11, 19}
        Of DSEC: number of classes of the masks that the label set ``truth`` stands for.
    rectify : {"nearest", "truncate", "none"}
        Of DSEC: pixel of an event in the rectified view, in which the masks lie: the nearest, the
        one that truncation gives, or that of the raw view, without rectification.
    sequences : tuple of str
        Folders to use; empty for all of the league, which must then be there.
    representation : str
        Channels of the event tensors.
    label_sets : Path
        Folder of the label sets that teachers make or that are imported.
    raw : Path, optional
        Of DDD17: folder of the raw recordings, whose events take the place of the repack's.
    """

    path: Path
    league: LeagueName
    root: Path
    split: Split = "names"
    samples: Samples = "all"
    classes: Literal[11, 19] = 11
    rectify: Rectification = "nearest"
    sequences: tuple[str, ...] = ()
    representation: str = str(MEAN_STD)
    label_sets: Path = Path(FOLDER)
    raw: Path | None = None

    def reading(self) -> dict[str, Any]:
        """Return the settings that change samples or tensors, without places on this machine."""
        own: dict[str, Any] = (
            {"split": self.split, "raw": self.raw is not None}
            if self.league == "ddd17"
            else {"samples": self.samples, "classes": self.classes, "rectify": self.rectify}
        )
        return {
            "league": self.league,
            **own,
            "sequences": list(self.sequences),
            "representation": self.representation,
        }


CHOICES: Mapping[str, tuple[object, ...]] = {
    "league": get_args(LeagueName),
    "split": get_args(Split),
    "samples": get_args(Samples),
    "classes": (11, 19),
    "rectify": get_args(Rectification),
}
"""Allowed values of the settings that have a few."""

ONLY: Mapping[str, LeagueName] = {
    "split": "ddd17",
    "raw": "ddd17",
    "samples": "dsec",
    "classes": "dsec",
    "rectify": "dsec",
}
"""Settings of one league only."""


def settings_of_folder(path: Path, league: LeagueName) -> LeagueSettings:
    """Return the usual settings of a league in a folder."""
    return LeagueSettings(path, league, path, label_sets=path / FOLDER)


def read_settings(path: Path) -> LeagueSettings:
    """Read the TOML file of a league; relative folders begin at the file's.

    Raises
    ------
    DatasetError
        It cannot be read, lacks a setting, or has one that is not known.
    """
    try:
        table = read_toml(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot read {path}: {error}") from error
    known = [field.name for field in fields(LeagueSettings) if field.name != "path"]
    if unknown := sorted(set(table) - set(known)):
        raise DatasetError(
            f"{path}: {', '.join(unknown)} is no setting of a league; known are {', '.join(known)}"
        )
    if missing := [name for name in ("league", "root") if name not in table]:
        raise DatasetError(f"{path} lacks {' and '.join(missing)}, which a league file needs")
    for name, allowed in CHOICES.items():
        if name in table and (table[name] not in allowed or isinstance(table[name], bool)):
            raise DatasetError(
                f"{path}: {name} = {table[name]!r} is none of {', '.join(map(repr, allowed))}"
            )
    for name, league in ONLY.items():
        if name in table and table["league"] != league:
            raise DatasetError(f"{path}: {name} is a setting of {league}, not {table['league']}")
    sequences = table.get("sequences", [])
    if not isinstance(sequences, list) or not all(isinstance(name, str) for name in sequences):
        raise DatasetError(f"{path}: sequences must be a list of names, got {sequences!r}")
    for name in ("root", "label_sets", "representation", "raw"):
        if not isinstance(table.get(name, ""), str):
            raise DatasetError(f"{path}: {name} must be text, got {table[name]!r}")
    try:
        representation = str(parse_representation(table.get("representation", str(MEAN_STD))))
    except WindowError as error:
        raise DatasetError(f"{path}: {error}") from error
    root = path.parent / Path(table["root"]).expanduser()
    label_sets = root / FOLDER
    if "label_sets" in table:
        label_sets = path.parent / Path(table["label_sets"]).expanduser()
    raw = path.parent / Path(table["raw"]).expanduser() if "raw" in table else None
    chosen = {name: table[name] for name in CHOICES if name in table}
    return LeagueSettings(
        path,
        root=root,
        sequences=tuple(sequences),
        representation=representation,
        label_sets=label_sets,
        raw=raw,
        **chosen,
    )


def problems_error(root: Path, problems: list[str], *, shown: int = 8) -> DatasetError:
    """Return one error that lists the faults of a download."""
    more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
    count = f"{len(problems)} problem{'s' * (len(problems) > 1)}"
    return DatasetError(
        f"{root}: {count}: {'; '.join(problems[:shown])}{more}"
        + ("; eventseg check lists all" if more else "")
    )
