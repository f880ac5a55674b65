"""The report of an evaluation: JSON, CSV, Markdown and one HTML page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.evaluation.evaluate import Row, Setting
from eventseg.evaluation.page import (
    markdown,
    page,
    paragraph,
    picture,
    table,
    write_text,
)
from eventseg.labels import ClassTable
from eventseg.metrics import RULE_ALL, RULE_PRESENT
from eventseg.plots_scores import figure_bars, figure_confusion
from eventseg.plots_training import figure_panels

HEADER = (
    "predictor", "window", "samples", "accuracy", "mIoU present", "95 % interval", "mIoU all",
    "Jaccard micro", "Jaccard weighted", "note",
)  # fmt: skip

SHOWN = 3
"""Worst and best samples that the page shows."""

Rgb = NDArray[np.uint8]
Panels = Callable[[str], Sequence[Rgb]]
"""Pictures of a sample by its id: input, truth, prediction."""


def write_report(
    out: Path,
    rows: Sequence[Row],
    *,
    setting: Setting,
    about: Mapping[str, Any],
    panels: Panels | None = None,
    curves: Callable[[], Any] | None = None,
    warning: str = "",
) -> Path:
    """Write ``scores.json``, ``scores.csv``, ``scores.md`` and ``report.html`` into a folder.

    Parameters
    ----------
    out : Path
    rows : sequence of Row
        The network at each window first, then baselines.
    setting : Setting
    about : mapping
        Where it all comes from, as JSON holds it.
    panels : callable, optional
        Pictures of a sample, for the worst and the best ones.
    curves : callable, optional
        Makes the figure of the learning curves.
    warning : str
        What the reader must know first.

    Returns
    -------
    Path
        The page.
    """
    held = {
        "about": dict(about),
        "protocol": setting.protocol,
        "split": setting.split,
        "passes": str(setting.passes),
        "size": None if setting.size is None else list(setting.size),
        "rules": {"miou_present": RULE_PRESENT, "miou_all": RULE_ALL},
        "classes": list(rows[0].classes.names),
        "rows": [row.to_dict() for row in rows],
    }
    write_text(out / "scores.json", json.dumps(held, indent=2) + "\n")
    write_text(out / "scores.csv", _csv(rows))
    write_text(out / "scores.md", _words(rows, setting, warning))
    write_text(out / "report.html", _page(rows, setting, about, panels, curves, warning))
    return out / "report.html"


def summary_rows(rows: Sequence[Row]) -> list[list[str]]:
    """Return one line of text cells a row, as :data:`HEADER`."""
    lines = []
    for row in rows:
        found, interval = row.scores, row.interval()
        lines.append(
            [
                row.name, row.window, f"{len(row.ids):,}", percent(found.pixel_accuracy),
                f"{percent(found.miou_present)} ({found.classes_present} classes)",
                "too few blocks" if interval is None
                else f"{percent(interval.low)} to {percent(interval.high)}",
                percent(found.miou_all), percent(found.jaccard_micro),
                percent(found.jaccard_weighted), row.note,
            ]
        )  # fmt: skip
    return lines


def percent(value: float) -> str:
    """Return a share in per cent, two decimals."""
    return "-" if math.isnan(value) else f"{100 * value:.2f}"


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    names = rows[0].classes.names
    writer.writerow(
        ["predictor", "window", "samples", "accuracy", "miou_present", "miou_all",
         *(f"iou_{name}" for name in names), *(f"dice_{name}" for name in names)]
    )  # fmt: skip
    for row in rows:
        found = row.scores
        numbers = [
            found.pixel_accuracy,
            found.miou_present,
            found.miou_all,
            *found.iou,
            *found.dice,
        ]
        writer.writerow([row.name, row.window, len(row.ids), *map(repr, numbers)])
    return text.getvalue()


def _words(rows: Sequence[Row], setting: Setting, warning: str) -> str:
    classes = rows[0].classes.names
    per_class = [
        [row.name, row.window, *(percent(value) for value in row.scores.iou)] for row in rows
    ]
    parts = [
        f"Protocol {setting.protocol}, split {setting.split}, {setting.passes}, {_size(setting)}.",
        f"mIoU present: {RULE_PRESENT}. mIoU all: {RULE_ALL}. All in per cent.",
        markdown(HEADER, summary_rows(rows)),
        "IoU of each class:",
        markdown(("predictor", "window", *classes), per_class),
    ]
    if warning:
        parts.insert(0, f"**{warning}**")
    return "\n\n".join(parts)


def _page(
    rows: Sequence[Row],
    setting: Setting,
    about: Mapping[str, Any],
    panels: Panels | None,
    curves: Callable[[], Any] | None,
    warning: str,
) -> str:
    classes = rows[0].classes
    summary = table(HEADER, summary_rows(rows), words=True)
    summary += paragraph(f"mIoU present: {RULE_PRESENT}. mIoU all: {RULE_ALL}.", kind="soft")
    summary += paragraph(
        "Intervals: bootstrap over stretches of consecutive samples of one recording; frames of "
        "one drive resemble each other.", kind="soft",
    )  # fmt: skip
    bars = {
        f"{row.name} {row.window}".strip(" -"): [100 * value for value in row.scores.iou]
        for row in rows
    }
    sections = [
        ("Scores", (paragraph(warning, kind="warning") if warning else "") + summary),
        (
            "Each class",
            picture(
                figure_bars(bars, names=classes.names, title="IoU, %"), alternative="IoU of classes"
            )
            + _per_class(rows),
        ),
        (
            "What is taken for what",
            '<div class="two">'
            + "".join(
                f"<div>{paragraph(f'{row.name} {row.window}')}"
                + picture(
                    figure_confusion(row.matrices.sum(0), classes=classes),
                    alternative=f"confusion matrix {row.window}",
                )
                + "</div>"
                for row in rows
                if row.name == rows[0].name
            )
            + "</div>",
        ),
    ]
    if curves is not None:
        sections.append(("Learning curves", picture(curves(), alternative="learning curves")))
    if panels is not None:
        sections.append(("Worst and best samples", _extremes(rows[0], panels, classes)))
    facts = [
        [key, value if isinstance(value, str) else json.dumps(value)]
        for key, value in about.items()
    ]
    sections.append(("Where this comes from", table(("", ""), facts, words=True)))
    lead = (
        f"Protocol {setting.protocol}: split {setting.split}, {setting.passes}, {_size(setting)}."
    )
    return page(f"Evaluation of {rows[0].name}", lead=lead, sections=sections)


def _per_class(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        found = row.scores
        for name, iou, dice, accuracy, pixels in zip(
            found.names, found.iou, found.dice, found.accuracy, found.truth_pixels, strict=True
        ):
            lines.append(
                [f"{row.name} {row.window}", name, percent(iou), percent(dice), percent(accuracy),
                 f"{pixels:,}"]
            )  # fmt: skip
    header = ("predictor", "class", "IoU", "Dice", "accuracy", "true pixels")
    return f"<details><summary>All numbers</summary>{table(header, lines)}</details>"


def _extremes(row: Row, panels: Panels, classes: ClassTable) -> str:
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
    ) + picture(figure, alternative="worst and best samples")


def _size(setting: Setting) -> str:
    return (
        "native size" if setting.size is None else f"scored at {setting.size[1]}x{setting.size[0]}"
    )
