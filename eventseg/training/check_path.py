"""Check of any file or folder by its kind, and repair without loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventseg.dataset.check import check_dataset, warn_of_labels
from eventseg.dataset.conversion.records import is_conversion
from eventseg.dataset.describe_labels import MOST_MAPS
from eventseg.dataset.repair import repair_dataset
from eventseg.errors import EventsegError
from eventseg.files.locks import locked
from eventseg.files.whole import temporary_files
from eventseg.labels.image_folders import LAYOUTS
from eventseg.labels.sets import FOLDER
from eventseg.prediction.layout import MANIFEST as PREDICTED
from eventseg.prediction.layout import UNFINISHED
from eventseg.sources.leagues import check_league
from eventseg.sources.leagues.opening import league_settings
from eventseg.sources.own_labels import check_label_sets
from eventseg.training.layout import CONFIG, RUN


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Findings of a check: problems, remarks that are none, and repairs."""

    path: Path
    kind: str
    problems: list[str]
    warnings: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON holds it."""
        return {
            "data": str(self.path),
            "kind": self.kind,
            "whole": not self.problems,
            "problems": self.problems,
            "warnings": self.warnings,
            "repaired": self.repaired,
        }


def check_path(
    path: str | Path,
    *,
    quick: bool = False,
    deep: bool = False,
    repair: bool = False,
    threads: int | None = None,
    **choices: Any,
) -> CheckReport:
    """Check a data set, league, run, checkpoint, recording, predictions or converted recordings.

    Parameters
    ----------
    path : path
    quick : bool
        Of a data set: check the tables and that every file is there, and read none but a few
        label maps.
    deep : bool
        Encode a data set again from its recordings and compare the bits.
    repair : bool
        First repair without loss: remove temporary files of stopped runs, and make
        missing or unreadable tensors and frames of a data set again from its recordings.
    threads : int, optional
        Threads that encode; by default as many as processors.
    **choices
        Of a recording: sensor size, camera and unit of times, as for
        :func:`eventseg.open_recording`.

    Raises
    ------
    OutputError
        The folder cannot be repaired, or another process writes into it.
    """
    # Each kind loads what it needs and no more: torch alone takes seconds.
    path = Path(path)
    settings = league_settings(path)
    if settings is not None:
        repaired = _repaired_sets(settings.label_sets) if repair else []
        problems = check_league(path)
        try:
            problems += check_label_sets(path)
        except EventsegError:  # a download that cannot be opened: the reasons are in the list
            if not problems:
                raise
        return CheckReport(path, "league", problems, repaired=repaired)
    if path.is_file() and path.suffix == ".pt":
        return CheckReport(path, "checkpoint", _checkpoint_problems(path))
    if path.is_file():
        from eventseg.recordings.check import check_recording

        problems, warnings = check_recording(path, **choices)
        return CheckReport(path, "recording", problems, warnings)
    if any((path / name).is_file() for name in (PREDICTED, UNFINISHED)):
        from eventseg.prediction.check import check_predictions

        repaired = _remove_leftovers(path, complete=(path / PREDICTED).is_file()) if repair else []
        return CheckReport(path, "predictions", check_predictions(path), repaired=repaired)
    if is_conversion(path):
        from eventseg.dataset.conversion.check import check_conversion, repair_conversion

        repaired = repair_conversion(path) if repair else []
        problems, warnings = check_conversion(path)
        return CheckReport(path, "conversion", problems, warnings, repaired)
    if (path / RUN).is_file() or (path / CONFIG).is_file():
        from eventseg.training.check import check_run

        repaired = _remove_leftovers(path, complete=False) if repair else []
        problems, warnings = check_run(path)
        return CheckReport(path, "run", problems, warnings, repaired)
    if any(layout.matches(path) for layout in LAYOUTS.values()):
        repaired = _repaired_sets(path / FOLDER) if repair else []
        return CheckReport(path, "pictures", check_label_sets(path), repaired=repaired)
    repaired = repair_dataset(path, threads=threads) if repair else []
    problems = check_dataset(path, quick=quick, deep=deep, threads=threads)
    warnings = warn_of_labels(path, most_maps=MOST_MAPS if quick else None)
    return CheckReport(path, "data set", problems, warnings, repaired)


def _checkpoint_problems(path: Path) -> list[str]:
    """Return the reason for which a checkpoint cannot be loaded, if there is one."""
    from eventseg.networks import load_network

    try:
        load_network(path)
    except EventsegError as error:
        return [f"{error}; restore the file, or train again"]
    return []


def _repaired_sets(root: Path) -> list[str]:
    """Remove the remains of stopped runs from a folder of label sets, where there is one."""
    return _remove_leftovers(root, complete=False) if root.is_dir() else []


def _remove_leftovers(root: Path, *, complete: bool) -> list[str]:
    """Remove the remains of stopped runs, and return their names."""
    with locked(root, doing="writing"):
        left = temporary_files(root)
        if complete and (root / UNFINISHED).is_file():
            left.append(root / UNFINISHED)
        for path in left:
            path.unlink(missing_ok=True)
    return [f"{path.relative_to(root)} removed" for path in left]
