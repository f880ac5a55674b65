"""The list of samples that a training went on without, in its run folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from eventseg.files import write_whole

SKIPPED = "skipped.csv"


def write_skipped(root: Path, skipped: Mapping[str, str]) -> None:
    """Add samples that could not be read to the run folder's list; without any it has none.

    Parameters
    ----------
    root : Path
    skipped : mapping
        Reason of each, by sample id. An id that the list holds keeps its first reason.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    if not skipped:
        return
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(("sample", "reason"))
    table.writerows(({**skipped, **read_skipped(root)}).items())
    write_whole(root / SKIPPED, lambda file: file.write(rows.getvalue().encode()))


def read_skipped(root: Path) -> dict[str, str]:
    """Return the reason of each sample that a run left out, by sample id."""
    if not (root / SKIPPED).is_file():
        return {}
    with (root / SKIPPED).open(newline="", encoding="utf-8") as file:
        return {row["sample"]: row["reason"] for row in csv.DictReader(file)}
