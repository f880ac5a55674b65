"""Scores near the boundaries of classes: boundary IoU and trimap mIoU at several widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, percent
from eventseg.evaluation.rows import Row
from eventseg.metrics.bootstrap import Interval, iou_interval
from eventseg.metrics.boundaries import BoundaryCounts, boundary_counts
from eventseg.plots.conditions import Line, figure_groups
from eventseg.prediction.scored import ScoredBatch

RULE = (
    "boundary IoU of a class: its pixels near one of its boundaries in truth and prediction over "
    "those in either (Cheng et al. 2021, one mask a class), averaged over the classes that have "
    "any; trimap mIoU: mIoU of the pixels near a boundary of the truth alone (Kraehenbuehl and "
    "Koltun 2011); near is at most the width away in rows and columns; the edge of the picture and "
    "of ignored pixels is no boundary; intervals are over the blocks of the scores"
)


@dataclass(frozen=True, eq=False, slots=True)
class BoundaryScores:
    """Boundary scores of a row at one width.

    Parameters
    ----------
    iou : tuple of float (K,)
        Boundary IoU of each class, NaN where no pixel is near its boundary.
    miou : float
    interval : Interval, optional
        Interval of `miou`, None where there are too few blocks.
    trimap : Row
        The row with the pixels near true boundaries alone.
    share : float
        Share of these pixels in all scored ones.
    """

    iou: tuple[float, ...]
    miou: float
    interval: Interval | None
    trimap: Row
    share: float


@dataclass(frozen=True, eq=False, slots=True)
class ScoresNearBoundaries:
    """Counts of pixels near boundaries.

    Parameters
    ----------
    widths : tuple of int
    classes : int
    counts : dict
        Counts of the batches of each window and width.
    """

    widths: tuple[int, ...]
    classes: int
    counts: dict[tuple[str, int], list[BoundaryCounts]]

    @classmethod
    def of(cls, widths: Sequence[int], scoring: Scoring) -> ScoresNearBoundaries:
        """Return the measure at some widths in pixels."""
        unique = tuple(sorted(set(widths)))
        counts: dict[tuple[str, int], list[BoundaryCounts]] = {
            (window, width): [] for window in scoring.parts for width in unique
        }
        return cls(unique, len(scoring.classes), counts)

    def observe(self, window: str, batch: ScoredBatch) -> None:
        """Count the pixels of a batch near boundaries."""
        for width in self.widths:
            counts = boundary_counts(
                batch.truth, batch.prediction, width=width, classes=self.classes
            )
            self.counts[window, width].append(BoundaryCounts(*(part.cpu() for part in counts)))

    def section(self, rows: Sequence[Row]) -> Section:
        """Return the section of the report."""
        windows = list(dict.fromkeys(window for window, _ in self.counts))
        found = {
            (row.window, width): boundary_scores(row, self.counts[window, width])
            for row, window in zip(rows, windows, strict=True)
            for width in self.widths
        }
        return Section(
            key="boundary",
            title="Scores near boundaries, %",
            note=RULE,
            facts={"classes": list(rows[0].classes.names)},
            lines=[_line(key, scores, rows[0].classes.names) for key, scores in found.items()],
            table=Table(
                "Scores near boundaries",
                (
                    "window",
                    "width, px",
                    "boundary mIoU",
                    "95 % interval",
                    "trimap pixels",
                    "trimap mIoU",
                    "95 % interval",
                    "trimap accuracy",
                ),
                [_cells(key, scores) for key, scores in found.items()],
            ),
            figure=lambda: figure_groups(
                _curves(rows, self.widths, found),
                names=[f"{width} px" for width in self.widths],
                title="Scores near boundaries, %",
                label="width of the band on each side",
                joined=True,
            ),
        )

    def close(self) -> None:
        """Do nothing."""


def boundary_scores(row: Row, batches: Sequence[BoundaryCounts]) -> BoundaryScores:
    """Return the scores of a row from the counts of its samples at one width."""
    both, either, trimap = (
        np.concatenate([batch[k].numpy() for batch in batches]) for k in range(3)
    )
    total = either.sum(0)
    iou = np.divide(both.sum(0), total, out=np.full(len(total), np.nan), where=total > 0)
    blocks = [row.blocks.sums(counts) for counts in (both, either)]
    enough = int(blocks[1].any(1).sum()) >= 2
    near = replace(row, matrices=trimap, instances=None, note="")
    return BoundaryScores(
        tuple(iou.tolist()),
        float(np.nanmean(iou)) if total.any() else float("nan"),
        iou_interval(*blocks, seed=0) if enough else None,
        near,
        near.scores.pixels / max(1, row.scores.pixels),
    )


def _line(
    key: tuple[str, int], scores: BoundaryScores, names: Sequence[str]
) -> dict[str, str | int | float]:
    trimap = scores.trimap.interval()
    return {
        "window": key[0],
        "width_px": key[1],
        "boundary_miou": scores.miou,
        "boundary_low": np.nan if scores.interval is None else scores.interval.low,
        "boundary_high": np.nan if scores.interval is None else scores.interval.high,
        "trimap_share": scores.share,
        "trimap_miou": scores.trimap.scores.miou_present,
        "trimap_low": np.nan if trimap is None else trimap.low,
        "trimap_high": np.nan if trimap is None else trimap.high,
        "trimap_accuracy": scores.trimap.scores.pixel_accuracy,
        **{f"boundary_iou_{name}": value for name, value in zip(names, scores.iou, strict=True)},
    }


def _cells(key: tuple[str, int], scores: BoundaryScores) -> list[str]:
    return [
        key[0],
        str(key[1]),
        percent(scores.miou),
        _ends(scores.interval),
        percent(scores.share),
        percent(scores.trimap.scores.miou_present),
        _ends(scores.trimap.interval()),
        percent(scores.trimap.scores.pixel_accuracy),
    ]


def _ends(interval: Interval | None) -> str:
    if interval is None:
        return "too few blocks"
    return f"{percent(interval.low)} to {percent(interval.high)}"


def _curves(
    rows: Sequence[Row],
    widths: Sequence[int],
    found: dict[tuple[str, int], BoundaryScores],
) -> list[Line]:
    """Return a line of boundary mIoU and one of trimap mIoU for each window."""
    lines = []
    for row in rows:
        mine = [found[row.window, width] for width in widths]
        for name, values, intervals in (
            ("boundary mIoU", [one.miou for one in mine], [one.interval for one in mine]),
            (
                "trimap mIoU",
                [one.trimap.scores.miou_present for one in mine],
                [one.trimap.interval() for one in mine],
            ),
        ):
            ends = np.array(
                [(np.nan, np.nan) if one is None else (one.low, one.high) for one in intervals]
            )
            samples = [len(row.ids)] * len(widths)
            label = f"{name} {row.window}".removesuffix(" -")
            lines.append(
                Line(label, 100 * np.array(values), 100 * ends[:, 0], 100 * ends[:, 1], samples)
            )
    return lines
