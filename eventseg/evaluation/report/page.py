"""The report of an evaluation as one HTML page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.evaluation.baselines import POSITION_PRIOR, TUNED_PRIOR
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import (
    HEADER,
    Table,
    class_tables,
    column_of,
    group_tables,
    rules_of,
    size_of,
    summary_rows,
)
from eventseg.evaluation.rows import Row
from eventseg.html import page, paragraph, table
from eventseg.labels.maps import ClassTable
from eventseg.plots.figure_files import FigureFiles
from eventseg.plots.scores import figure_bars, figure_confusion
from eventseg.plots.training import figure_panels

SHOWN = 3
"""Worst and best samples that the page shows."""

NARROW = 11
"""Most classes of a confusion matrix that is readable at half the width."""

Rgb = NDArray[np.uint8]
Panels = Callable[[str], Sequence[Rgb]]
"""Pictures of a sample by its id: input, truth, prediction."""


def report_page(
    rows: Sequence[Row],
    *,
    protocol: Protocol,
    about: Mapping[str, Any],
    panels: Panels | None = None,
    curves: Callable[[], Any] | None = None,
    warning: str = "",
    sections: Sequence[Section] = (),
    notes: Sequence[str] = (),
    figures: FigureFiles,
) -> str:
    """Return the page; arguments as of :func:`eventseg.evaluation.report.write.write_report`.

    Its figures are stored in `figures`.
    """
    classes, rules = rows[0].classes, rules_of(rows)
    summary = _summary(rows)
    summary += "".join(
        paragraph(f"{name}: {rule}.", kind="soft")
        for name, rule in rules.items()
        if name not in ("category mIoU", "iIoU")
    )
    summary += "".join(paragraph(f"{note}.", kind="soft") for note in notes)
    network = [row for row in rows if row.name == rows[0].name]
    bars = {
        column_of(row): [100 * value for value in row.scores.iou]
        for row in rows
        if row in network or row.name in (POSITION_PRIOR, TUNED_PRIOR)
    }
    shown = [
        ("Scores, %", (paragraph(warning, kind="warning") if warning else "") + summary),
        (
            "Each class",
            figures.embed(
                "iou-of-classes",
                figure_bars(bars, names=classes.names, title="IoU, %"),
                alternative="IoU of classes",
            )
            + "<details><summary>All numbers</summary>"
            + "".join(_titled(found) for found in class_tables(rows))
            + "</details>",
        ),
    ]
    for found, rule in zip(
        group_tables(rows),
        [rules[name] for name in ("category mIoU", "iIoU") if name in rules],
        strict=True,
    ):
        words = paragraph(f"{rule[0].upper()}{rule[1:]}.", kind="soft")
        shown.append((f"{found.title}, %", table(found.header, found.lines) + words))
    matrices = [
        f"<div>{paragraph(column_of(row))}"
        + figures.embed(
            f"confusion-{row.window}".removesuffix("--"),
            figure_confusion(row.matrices.sum(0), classes=classes),
            alternative=f"confusion matrix {row.window}",
        )
        + "</div>"
        for row in network
    ]
    side_by_side = ' class="two"' if len(classes) <= NARROW else ""
    shown.append(("What is taken for what", f"<div{side_by_side}>{''.join(matrices)}</div>"))
    shown += [(section.title, section.html(figures)) for section in sections]
    if curves is not None:
        made = figures.embed("learning-curves", curves(), alternative="learning curves")
        shown.append(("Learning curves", made))
    if panels is not None:
        shown.append(("Worst and best samples", _extremes(rows[0], panels, classes, figures)))
    facts = [
        [key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
        for key, value in about.items()
    ]
    shown.append(("Where this comes from", table(("", ""), facts, words=True)))
    views, size = protocol.test_time, size_of(protocol)
    lead = f"Protocol {protocol.name}: split {protocol.split}, {views}, {size}."
    return page(f"Evaluation of {rows[0].name}", lead=lead, sections=shown)


def _summary(rows: Sequence[Row]) -> str:
    """Return the table of all rows, without the column of notes where there are none."""
    lines = summary_rows(rows)
    if any(line[-1] for line in lines):
        return table(HEADER, lines, words=True)
    return table(HEADER[:-1], [line[:-1] for line in lines])


def _titled(found: Table) -> str:
    return paragraph(f"{found.title}, %") + table(found.header, found.lines)


def _extremes(row: Row, panels: Panels, classes: ClassTable, figures: FigureFiles) -> str:
    """Return the samples of least and most pixel accuracy as one picture."""
    accuracy = row.sample_accuracy
    known = np.flatnonzero(~np.isnan(accuracy))
    order = known[np.argsort(accuracy[known], kind="stable")]
    count = min(SHOWN, len(order) // 2) or len(order)
    chosen = [*order[:count], *([] if count == len(order) else order[-count:])]
    if not chosen:
        return paragraph("No sample has a scored pixel.")
    pictures = [panels(row.ids[i]) for i in chosen]
    names = [f"{row.ids[i]}\n{100 * accuracy[i]:.1f} % right" for i in chosen]
    figure = figure_panels(
        pictures, titles=("input", "truth", "prediction"), names=names, table=classes
    )
    return paragraph(
        f"By pixel accuracy at {row.window}: the {count} worst, then the best."
    ) + figures.embed("worst-and-best-samples", figure, alternative="worst and best samples")
