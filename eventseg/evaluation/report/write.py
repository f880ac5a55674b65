"""The report of an evaluation: JSON, CSV, Markdown and one HTML page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.report.page import Panels, report_page
from eventseg.evaluation.report.sections import Section, write_csv_files
from eventseg.evaluation.report.tables import (
    HEADER,
    class_tables,
    group_tables,
    note_of,
    rules_of,
    size_of,
    summary_rows,
)
from eventseg.evaluation.rows import Row
from eventseg.evaluation.sample_scores import write_sample_scores
from eventseg.html import markdown, markdown_text, write_text
from eventseg.plots.figure_files import FigureFiles


def write_report(
    out: Path,
    rows: Sequence[Row],
    *,
    protocol: Protocol,
    about: Mapping[str, Any],
    panels: Panels | None = None,
    curves: Callable[[], Any] | None = None,
    warning: str = "",
    sections: Sequence[Section] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write ``scores.json``, ``.csv``, ``.md`` and ``.npz`` and ``report.html`` into a folder.

    Each section has a CSV file of its own, ``measure-KEY.csv``; ``figures`` holds the figures
    of the page as PNG and PDF.

    Parameters
    ----------
    out : Path
    rows : sequence of Row
        The network at each window first, then baselines.
    protocol : Protocol
    about : mapping
        Where it all comes from, as JSON holds it.
    panels : callable, optional
        Pictures of a sample, for the worst and the best ones.
    curves : callable, optional
        Makes the figure of the learning curves.
    warning : str
        Warning that the report begins with.
    sections : sequence of Section
        Further measures.
    notes : sequence of str
        Remarks below the table, such as baselines that are not scored.

    Returns
    -------
    Path
        The page.
    """
    report = {
        "about": dict(about),
        "protocol": protocol.name,
        "split": protocol.split,
        "passes": str(protocol.test_time),
        "size": None if protocol.size is None else list(protocol.size),
        "resize": protocol.resize,
        "rules": rules_of(rows),
        "classes": list(rows[0].classes.names),
        "notes": list(notes),
        "rows": [{**row.to_dict(), "note": note_of(row, first=rows[0])} for row in rows],
    }
    if sections:
        report["measures"] = {section.key: section.to_dict() for section in sections}
    write_sample_scores(out, rows)
    write_csv_files(out, sections)
    write_text(out / "scores.json", json.dumps(report, indent=2) + "\n")
    write_text(out / "scores.csv", _csv(rows))
    write_text(out / "scores.md", _words(rows, protocol, warning, sections, notes))
    figures = FigureFiles()
    write_text(
        out / "report.html",
        report_page(
            rows,
            protocol=protocol,
            about=about,
            panels=panels,
            curves=curves,
            warning=warning,
            sections=sections,
            notes=notes,
            figures=figures,
        ),
    )
    figures.write(out)
    return out / "report.html"


def _csv(rows: Sequence[Row]) -> str:
    """Return one line a row, every figure in the digits that read back the same."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for number, row in enumerate(rows):
        columns = _columns(row)
        if number == 0:
            writer.writerow(columns)
        writer.writerow(
            [repr(value) if isinstance(value, float) else value for value in columns.values()]
        )
    return text.getvalue()


def _columns(row: Row) -> dict[str, str | int | float]:
    found, interval = row.scores, row.interval()
    columns: dict[str, str | int | float] = {
        "predictor": row.name,
        "window": row.window,
        "samples": len(row.ids),
        "accuracy": found.pixel_accuracy,
        "mean_accuracy": found.mean_accuracy,
        "miou_present": found.miou_present,
        "interval_low": math.nan if interval is None else interval.low,
        "interval_high": math.nan if interval is None else interval.high,
        "miou_all": found.miou_all,
        "jaccard_micro": found.jaccard_micro,
        "jaccard_macro": found.miou_present,
        "jaccard_weighted": found.jaccard_weighted,
        "ignored_share": math.nan if row.ignored_share is None else row.ignored_share,
    }
    for name, values in (("iou", found.iou), ("dice", found.dice), ("accuracy", found.accuracy)):
        columns |= {f"{name}_{of}": value for of, value in zip(found.names, values, strict=True)}
    if found.categories:
        columns["category_miou"] = found.category_miou
        columns |= {f"category_iou_{name}": value for name, value in found.categories.items()}
    if row.instance_scores is not None:
        columns["iiou"] = row.instance_scores.mean
        columns |= {
            f"iiou_{name}": value
            for name, value in zip(found.names, row.instance_scores.iiou, strict=True)
        }
    return columns


def _words(
    rows: Sequence[Row],
    protocol: Protocol,
    warning: str,
    sections: Sequence[Section],
    notes: Sequence[str],
) -> str:
    parts = [
        f"# Evaluation of {markdown_text(rows[0].name)}",
        f"Protocol {protocol.name}, split {protocol.split}, {protocol.test_time}, "
        f"{size_of(protocol)}. All scores in per cent.",
        markdown(HEADER, summary_rows(rows)),
        "\n".join(
            [*(f"- {name}: {markdown_text(rule)}." for name, rule in rules_of(rows).items())]
            + [f"- {markdown_text(note)}." for note in notes]
        ),
    ]
    for title, header, lines in (*group_tables(rows), *class_tables(rows)):
        parts += [f"## {title}", markdown(header, lines)]
    for section in sections:
        parts += [f"## {section.title}", section.markdown()]
    if warning:
        parts.insert(1, f"**{markdown_text(warning)}**")
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"
