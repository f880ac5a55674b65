"""Result of an evaluation: its report, its rows and its sections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventseg import html
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import HEADER, summary_rows
from eventseg.evaluation.rows import Row
from eventseg.metrics.scores import Scores


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """Result of an evaluation; it unpacks as the pair of page and rows.

    Parameters
    ----------
    page : Path
        The report, ``report.html``; tables as JSON, CSV and Markdown lie beside it.
    rows : list of Row
        Counts and scores: the network at each window first, then its baselines.
    sections : list of Section
        Further measures that were asked for, such as the scores by speed.
    notes : list of str
        Baselines that are not scored, and why.
    """

    page: Path
    rows: list[Row]
    sections: list[Section]
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Any]:
        """Yield page and rows."""
        return iter((self.page, self.rows))

    @property
    def scores(self) -> Scores:
        """Scores of the network at the first window."""
        return self.rows[0].scores

    def __repr__(self) -> str:
        """Return the folder and the score of each row on one line."""
        shown = ", ".join(
            f"{row.name} {row.window} {100 * row.scores.miou_present:.2f} %" for row in self.rows
        )
        return f"Evaluation({str(self.page.parent)!r}, mIoU: {shown})"

    def _repr_html_(self) -> str:
        return html.table(HEADER, summary_rows(self.rows), words=True)
