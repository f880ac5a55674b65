"""The report of an audit: JSON and one HTML page."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.evaluation.audit.audit import ASKED, BINS, Against, Audit
from eventseg.evaluation.audit.maps import Pair
from eventseg.evaluation.report.tables import percent
from eventseg.files.texts import counted
from eventseg.html import page, paragraph, table, write_text
from eventseg.labels.maps import paint_labels
from eventseg.metrics.scores import RULE_ALL, RULE_PRESENT
from eventseg.plots.figure_files import FigureFiles
from eventseg.plots.legends import as_written
from eventseg.plots.scores import figure_bars, figure_confusion, figure_reliability
from eventseg.plots.training import figure_panels

WORST = 6
"""Frames of the contact sheet."""


@dataclass(frozen=True, slots=True)
class Words:
    """Terms of a report: two teachers that agree need not be right."""

    accuracy: str
    right: str
    other: str
    pixels: str
    mean: str


def words_of(against: Against, other: str) -> Words:
    """Return the words of an audit against the truth, or against another teacher."""
    if against == "truth":
        return Words("accuracy", "right", "truth", "true pixels", "mIoU")
    return Words("agreement", "the same", other, f"pixels of {other}", "mIoU between both")


def write_audit(out: Path, audit: Audit, pair: Pair) -> Path:
    """Write ``audit.json`` and ``audit.html`` into a folder and return the page.

    ``figures`` beside them has the figures of the page as PNG and PDF.

    Parameters
    ----------
    out : Path
    audit : Audit
    pair : Pair
        The audited maps, for pictures of the worst frames.
    """
    write_text(out / "audit.json", json.dumps(audit.to_dict(), indent=2) + "\n")
    figures = FigureFiles()
    write_text(out / "audit.html", _page(audit, pair, figures))
    figures.write(out)
    return out / "audit.html"


def class_header(audit: Audit) -> tuple[str, ...]:
    """Return the header of :func:`class_rows`."""
    terms = words_of(audit.against, audit.other)
    return ("class", "IoU %", f"{terms.accuracy} %", "ignored %", terms.pixels)


def class_rows(audit: Audit) -> list[list[str]]:
    """Return one line of text cells a class, and one of all."""
    scores = audit.row.scores
    rows = [
        [name, percent(iou), percent(accuracy), percent(ignored), f"{pixels:,}"]
        for name, iou, accuracy, ignored, pixels in zip(
            scores.names,
            scores.iou,
            scores.accuracy,
            audit.ignored_shares,
            audit.known.tolist(),
            strict=True,
        )
    ]
    total = f"{int(audit.known.sum()):,}"
    all_of = [
        percent(scores.miou_present),
        percent(scores.pixel_accuracy),
        percent(audit.ignored_share),
    ]
    return [*rows, ["all", *all_of, total]]


def summary(audit: Audit) -> list[str]:
    """Return the findings in sentences."""
    terms, scores = words_of(audit.against, audit.other), audit.row.scores
    interval, scope = audit.row.interval(), audit.row.interval_scope
    spread = (
        ""
        if interval is None
        else f" (95 % interval {percent(interval.low)} to {percent(interval.high)}"
        f"{scope and '; '}{scope})"
    )
    lines = [
        f"{terms.mean} {percent(scores.miou_present)} %{spread}, "
        f"{percent(scores.pixel_accuracy)} % of the covered pixels are {terms.right}, "
        f"{percent(audit.ignored_share)} % are ignored; "
        f"{counted(len(audit.row.ids), 'frame')}."
    ]
    around = audit.around_asked()
    reliability = audit.reliability
    if reliability is None or around is None:
        lines.append("The labels have no confidence, so there is no calibration.")
    else:
        about = f"about {100 * ASKED:.0f} %"
        asked = (
            f"Where it says {about}, {percent(around.accuracy)} % are {terms.right}"
            if around.pixels
            else f"No pixel has a confidence of {about}"
        )
        lines.append(
            f"{asked}; expected calibration error "
            f"{percent(reliability.calibration_error(bins=BINS))} %."
        )
    if audit.merged_after:
        lines.append(
            "The labels were merged after their confidence was taken: it belongs to the finer "
            "class and is therefore too low."
        )
    if audit.left_out:
        lines.append(f"{audit.left_out:,} frames lack one of both and are not counted.")
    return lines


def _page(audit: Audit, pair: Pair, figures: FigureFiles) -> str:
    terms = words_of(audit.against, audit.other)
    name, other = audit.row.name, audit.other
    sections = [
        ("Scores", _scores(audit, figures)),
        ("What is taken for what", _confusion(audit, figures)),
        ("Does 0.9 mean 90 %?", _confidence(audit, terms, figures)),
        ("Worst frames", _worst(audit, pair, terms, figures)),
    ]
    if audit.against == "truth":
        title, lead = f"Audit of {name}", f"The labels {name} against the truth {other}"
    else:
        title = f"Agreement of {name} and {other}"
        lead = f"The labels {name} against {other}, another teacher, which may be wrong as well"
    table_name = audit.row.classes.name or f"{len(audit.row.classes)} classes"
    return page(title, lead=f"{lead}, in the classes {table_name}.", sections=sections)


def _scores(audit: Audit, figures: FigureFiles) -> str:
    terms, scores = words_of(audit.against, audit.other), audit.row.scores
    parts = [paragraph(line) for line in summary(audit)]
    parts.append(
        paragraph(
            f"Pixels that are 255 in {terms.other} are not scored. Those that are 255 only in the "
            "labels are no errors but not covered; IoU and "
            f"{terms.accuracy} are of what is covered. Mean IoU: {RULE_PRESENT}; as {RULE_ALL} it "
            f"is {percent(scores.miou_all)} %.",
            kind="soft",
        )
    )
    bars = {audit.row.name: [100 * value for value in scores.iou]}
    parts.append(
        figures.embed(
            "iou-of-classes",
            figure_bars(bars, names=scores.names, title="IoU, %"),
            alternative="IoU of classes",
        )
    )
    parts.append(table(class_header(audit), class_rows(audit)))
    return "".join(parts)


def _confusion(audit: Audit, figures: FigureFiles) -> str:
    figure = figure_confusion(audit.row.matrices.sum(0), classes=audit.row.classes)
    if audit.against == "teacher":
        axes = figure.axes[0]
        other = as_written(audit.other)
        axes.set(xlabel=as_written(audit.row.name), ylabel=other)
        axes.set_title(f"% of the pixels of each class of {other}", fontsize=9, loc="left")
    return figures.embed("confusion", figure, alternative="confusion matrix")


def _confidence(audit: Audit, terms: Words, figures: FigureFiles) -> str:
    reliability = audit.reliability
    if reliability is None:
        return paragraph("The labels have no confidence: nothing to compare.")
    bins = [row for row in reliability.calibration(bins=BINS) if row.pixels]
    if not bins:
        return paragraph("No pixel is covered: nothing to compare.")
    coverage, risk = audit.risk_coverage()
    figure = figure_reliability(
        [row.confidence for row in bins],
        [row.accuracy for row in bins],
        [row.pixels for row in bins],
        coverage=coverage.tolist(),
        kept_accuracy=(1 - risk).tolist(),
        title=audit.row.name,
    )
    if audit.against == "teacher":
        left, right = figure.axes
        left.set(ylabel="share that is the same")
        right.set(ylabel="of these the same, %")
        right.set_title("Agreement against coverage", fontsize=10, loc="left")
    thresholds = [
        [f"{row.threshold:.2f}", percent(row.coverage), percent(row.accuracy)]
        for row in audit.thresholds()
    ]
    return (
        figures.embed("confidence", figure, alternative="calibration and risk-coverage")
        + table(("at least", "pixels covered, %", f"{terms.accuracy} of these, %"), thresholds)
        + paragraph(
            "Coverage is of all pixels that could be scored. A pixel that a filter ignored keeps "
            "its confidence but not its class, so nothing can be said of it: the curves begin at "
            "the filter's threshold.",
            kind="soft",
        )
    )


def _worst(audit: Audit, pair: Pair, terms: Words, figures: FigureFiles) -> str:
    chosen = audit.worst(WORST)
    if not chosen:
        return paragraph("No frame has a covered pixel.")
    rows, names = [], []
    for i in chosen:
        name = audit.row.ids[i]
        labels, other = pair.maps(name)
        pictures: list[NDArray[np.uint8]] = [
            paint_labels(other, pair.classes),
            paint_labels(labels, pair.classes),
        ]
        if pair.frame is not None:
            pictures.insert(0, np.repeat(pair.frame(name)[..., None], 3, axis=2))
        rows.append(pictures)
        share = 100 * audit.row.sample_accuracy[i]
        coverage = audit.frame_coverage(i)
        covered = "" if math.isclose(coverage, 1) else f"\n{100 * coverage:.1f} % covered"
        names.append(f"{name}\n{share:.1f} % {terms.right}{covered}")
    titles = [terms.other, audit.row.name]
    if pair.frame is not None:
        titles.insert(0, "frame")
    figure = figure_panels(rows, titles=titles, names=names, table=pair.classes)
    words = paragraph(f"By {terms.accuracy} over what is covered; black is ignored.")
    return words + figures.embed("worst-frames", figure, alternative="worst frames")
