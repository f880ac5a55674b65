"""Section of a report beside the scores: one measure as a table, as records and as a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventseg.evaluation.report.tables import Table
from eventseg.html import markdown, markdown_text, paragraph, table, write_text
from eventseg.plots.events import Figure
from eventseg.plots.figure_files import FigureFiles

PREFIX = "measure-"
"""Beginning of the names of the sections' CSV files."""


@dataclass(frozen=True, eq=False, slots=True)
class Section:
    """One further measure of an evaluation.

    Parameters
    ----------
    key : str
        Name in ``scores.json`` and, with ``-`` for ``_``, of the CSV file.
    title : str
    note : str
        How the measure is defined and computed.
    lines : sequence of mapping
        One flat record a line of the CSV file, all with the same keys; NaN for undefined.
    table : Table
        The same as text cells.
    figure : callable, optional
        Makes the picture of the page.
    facts : mapping
        Further values for ``scores.json``, as JSON holds them.
    """

    key: str
    title: str
    note: str
    lines: Sequence[Mapping[str, str | int | float]]
    table: Table
    figure: Callable[[], Figure] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the records, the note and further facts as JSON holds them, None for NaN."""
        lines = [
            {
                key: None if isinstance(value, float) and math.isnan(value) else value
                for key, value in line.items()
            }
            for line in self.lines
        ]
        return {"title": self.title, "note": self.note, **self.facts, "lines": lines}

    def html(self, figures: FigureFiles) -> str:
        """Return picture, table and note for the page; the figure is stored in `figures`."""
        shown = ""
        if self.figure is not None:
            name = f"{PREFIX}{self.key.replace('_', '-')}"
            shown = figures.embed(name, self.figure(), alternative=self.title)
        words = paragraph(f"{self.note[0].upper()}{self.note[1:]}.", kind="soft")
        return shown + table(self.table.header, self.table.lines) + words

    def markdown(self) -> str:
        """Return table and note as Markdown."""
        return f"{markdown(self.table.header, self.table.lines)}\n{markdown_text(self.note)}.\n"


def write_csv_files(folder: Path, sections: Sequence[Section]) -> None:
    """Write ``measure-KEY.csv`` of each section with lines, and remove those of an earlier report.

    Floats have the digits that read back the same.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    names = {
        f"{PREFIX}{section.key.replace('_', '-')}.csv": section
        for section in sections
        if section.lines
    }
    for path in folder.glob(f"{PREFIX}*.csv"):
        if path.name not in names:
            path.unlink()
    for name, section in names.items():
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(section.lines[0])
        for line in section.lines:
            writer.writerow(
                [repr(value) if isinstance(value, float) else value for value in line.values()]
            )
        write_text(folder / name, text.getvalue())
