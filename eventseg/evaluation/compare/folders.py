"""Run folders among the folders that a pattern such as ``runs/*`` gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eventseg.errors import TrainingError
from eventseg.evaluation.request import FOLDER
from eventseg.training.layout import RUN

COMPARISON = "compare.json"
"""File by which the folder of a comparison is known."""


def runs_in(folder: Path) -> list[Path]:
    """Return a run folder itself, or the run folders directly in a folder such as a sweep's."""
    if (folder / RUN).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{RUN}"))


def compared_runs(given: Sequence[str | Path]) -> tuple[list[Path], list[str]]:
    """Return the run folders to compare, and a sentence on each folder that is left out.

    A folder of runs, such as that of a sweep, stands for the runs directly in it. What the package
    itself writes beside run folders is left out: reports of networks without a run folder, and
    comparisons. A run that is given twice is one. Any other folder is returned as it is, for the
    error that names it.

    Parameters
    ----------
    given : sequence of path

    Raises
    ------
    TrainingError
        No folder is left.
    """
    runs: list[Path] = []
    notes: list[str] = []
    for folder in map(Path, given):
        found = runs_in(folder)
        if found == [folder]:
            if folder.resolve() not in {run.resolve() for run in runs}:
                runs.append(folder)
        elif found:
            known = {run.resolve() for run in [*runs, *map(Path, given)]}
            runs += [run for run in found if run.resolve() not in known]
        elif any(folder.glob(f"{FOLDER}*/scores.json")):
            notes.append(
                f"{folder} is left out: it has the reports of a network without a run folder."
            )
        elif (folder / COMPARISON).is_file():
            notes.append(f"{folder} is left out: it is a comparison.")
        else:
            runs.append(folder)
    if not runs:
        raise TrainingError(": ".join(["give one or more run folders", *notes[:1]]))
    return runs, notes
