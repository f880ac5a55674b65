"""Sections of a score: boundaries, calibration, the other protocol, files that were used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.measures.boundaries import ScoresNearBoundaries
from eventseg.evaluation.measures.calibration import CalibrationScores
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import HEADER, Table, percent, size_of, summary_rows
from eventseg.evaluation.rows import Row
from eventseg.metrics.boundaries import BoundaryCounts
from eventseg.metrics.calibration import Calibration
from eventseg.metrics.label_pairs import PairBoundaries

F_RULE = (
    "boundary F of a class (Csurka et al. 2013): harmonic mean of the share of its predicted "
    "boundary pixels that are at most the width away, in rows and columns, from a true one, and of "
    "the share of its true boundary pixels that are so near to a predicted one, of the pixels of "
    "all samples; a boundary pixel has a pixel of another class among its eight neighbours; mean "
    "over the classes that have any"
)


def boundary_sections(row: Row, boundaries: Mapping[int, PairBoundaries]) -> list[Section]:
    """Return boundary IoU with trimap, and boundary F, of one row by the width of the band."""
    if not boundaries:
        return []
    near = ScoresNearBoundaries(
        tuple(sorted(boundaries)),
        len(row.classes),
        {
            (row.window, width): [
                BoundaryCounts(*map(torch.from_numpy, (counts.both, counts.either, counts.trimap)))
            ]
            for width, counts in boundaries.items()
        },
    )
    return [near.section([row]), _boundary_f(row, boundaries)]


def f_scores(counts: PairBoundaries) -> NDArray[np.float64]:
    """Return the boundary F of each class, float64 (K,), NaN where neither map has a boundary.

    The counts have a first axis, of the samples.
    """
    predicted, right = counts.predicted.sum(0), counts.matched_predicted.sum(0)
    true, found = counts.true.sum(0), counts.matched_true.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(predicted > 0, right / predicted, 0.0)
        recall = np.where(true > 0, found / true, 0.0)
        both = precision + recall
        score = np.where(both > 0, 2 * precision * recall / both, 0.0)
    known: NDArray[np.float64] = np.where((predicted > 0) | (true > 0), score, np.nan)
    return known


def _boundary_f(row: Row, boundaries: Mapping[int, PairBoundaries]) -> Section:
    lines: list[dict[str, str | int | float]] = []
    cells = []
    for width in sorted(boundaries):
        values = f_scores(boundaries[width])
        mean = float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
        named = dict(zip(row.classes.names, values.tolist(), strict=True))
        lines.append(
            {
                "width_px": width,
                "boundary_f": mean,
                **{f"boundary_f_{name}": value for name, value in named.items()},
            }
        )
        cells.append([str(width), percent(mean), *(percent(value) for value in named.values())])
    return Section(
        key="boundary_f",
        title="Boundary F, %",
        note=F_RULE,
        lines=lines,
        table=Table("Boundary F", ("width, px", "mean", *row.classes.names), cells),
    )


def calibration_section(row: Row, counts: Calibration, *, split: str) -> Section:
    """Return the calibration of predictions that came as scores of the classes."""
    reason = "it is fitted on other samples by runs only"
    measure = CalibrationScores({}, {(row.window, 1.0): counts}, split, reason)
    return measure.section([row])


def protocol_section(rows: Sequence[Row], protocol: Protocol, *, note: str) -> Section:
    """Return the scores under a protocol besides that of the report."""
    return Section(
        key=f"protocol_{protocol.name}",
        title=f"Protocol {protocol.name}, %",
        note=f"{protocol.test_time}, {size_of(protocol)}; {note}",
        facts={"rows": [row.to_dict() for row in rows]},
        lines=[
            {
                "predictor": row.name,
                "window": row.window,
                "samples": len(row.ids),
                "accuracy": row.scores.pixel_accuracy,
                "miou_present": row.scores.miou_present,
                "miou_all": row.scores.miou_all,
                **{
                    f"iou_{name}": value
                    for name, value in zip(row.classes.names, row.scores.iou, strict=True)
                },
            }
            for row in rows
        ],
        table=Table(f"Protocol {protocol.name}", HEADER, summary_rows(rows)),
    )
