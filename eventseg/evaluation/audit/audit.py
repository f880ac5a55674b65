"""Scores of a teacher's labels against the truth, or against another teacher's labels.

Pixels ignored (255) in the truth are not scored; pixels ignored only in the labels are no error,
but not covered: every share of coverage is of the pixels whose truth is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.evaluation.audit.maps import Pair
from eventseg.evaluation.rows import Row
from eventseg.labels.maps import IGNORED
from eventseg.metrics.reliability import LEVELS, Bin, Reliability, reliability_counts
from eventseg.metrics.scores import confusion_matrix
from eventseg.recordings.progress import Progress, Report, no_report

Against = Literal["truth", "teacher"]

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Least confidences that the table of thresholds shows."""

ASKED = 0.9
"""The confidence that is looked at: does 0.9 mean 90 %?"""

BINS = 15


class Threshold(NamedTuple):
    """One point of the risk-coverage curve.

    Coverage is the share of the known pixels that have a label so sure, accuracy the share of
    these that is right.
    """

    threshold: float
    coverage: float
    accuracy: float


@dataclass(frozen=True, eq=False, slots=True)
class Audit:
    """Labels counted against the truth, or against another teacher's labels.

    Parameters
    ----------
    against : {"truth", "teacher"}
        Against another teacher, to be right is to agree.
    row : Row
        Confusion matrices of the covered pixels by frame; rows are the truth or the other teacher.
    other : str
        Name of the truth or of the other teacher's labels.
    ignored : int64 (N, K)
        Pixels of each class that the labels ignore, by frame.
    counts : int64 (256, 2), optional
        Covered pixels and right ones by confidence; None where the labels have none.
    merged_after : bool
        Labels were merged after their confidence was taken, which then is too low.
    left_out : int
        Frames that one of the two does not have.
    """

    against: Against
    row: Row
    other: str
    ignored: NDArray[np.int64]
    counts: NDArray[np.int64] | None
    merged_after: bool = False
    left_out: int = 0

    @property
    def reliability(self) -> Reliability | None:
        """Calibration and risk-coverage of the covered pixels."""
        return None if self.counts is None else Reliability(self.counts)

    @property
    def known(self) -> NDArray[np.int64]:
        """Pixels of each class whose truth is known, (K,)."""
        known: NDArray[np.int64] = self.row.matrices.sum((0, 2)) + self.ignored.sum(0)
        return known

    @property
    def ignored_share(self) -> float:
        """Share of the known pixels that the labels ignore, nan without any."""
        return _share(int(self.ignored.sum()), int(self.known.sum()))

    @property
    def ignored_shares(self) -> tuple[float, ...]:
        """The same of each class (K,)."""
        pairs = zip(self.ignored.sum(0).tolist(), self.known.tolist(), strict=True)
        return tuple(_share(part, whole) for part, whole in pairs)

    def thresholds(self) -> tuple[Threshold, ...]:
        """Return the risk-coverage points at :data:`THRESHOLDS`; none without confidences."""
        reliability = self.reliability
        if reliability is None:
            return ()
        kept = [(threshold, reliability.kept_above(threshold)) for threshold in THRESHOLDS]
        covered = 1 - self.ignored_share
        return tuple(Threshold(t, k.coverage * covered, k.accuracy) for t, k in kept)

    def risk_coverage(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the risk-coverage curve, coverage being of the known pixels.

        It ends at the share that the labels cover, and is empty without confidences.
        """
        reliability = self.reliability
        if reliability is None:
            return np.empty(0), np.empty(0)
        coverage, risk = reliability.risk_coverage()
        return coverage * (1 - self.ignored_share), risk

    def around_asked(self) -> Bin | None:
        """Return the bin of the calibration curve that holds :data:`ASKED`."""
        reliability = self.reliability
        return (
            None if reliability is None else reliability.calibration(bins=BINS)[int(ASKED * BINS)]
        )

    def worst(self, count: int) -> list[int]:
        """Return the frames of least accuracy over their covered pixels, worst first."""
        accuracy = self.row.sample_accuracy
        known = np.flatnonzero(~np.isnan(accuracy))
        order: list[int] = known[np.argsort(accuracy[known], kind="stable")].tolist()
        return order[:count]

    def frame_coverage(self, i: int) -> float:
        """Return the share of a frame's known pixels that have a label."""
        covered = int(self.row.matrices[i].sum())
        return _share(covered, covered + int(self.ignored[i].sum()))

    def to_dict(self) -> dict[str, Any]:
        """Return everything, as JSON holds it; None for nan.

        Against another teacher, ``truth`` in the names of scores stands for that teacher.
        """
        reliability = self.reliability
        coverage, risk = self.risk_coverage()
        curve = {"coverage": coverage.tolist(), "risk": risk.tolist()}
        return {
            "against": self.against,
            "labels": self.row.name,
            "other": self.other,
            "classes": list(self.row.classes.names),
            "frames_left_out": self.left_out,
            **self.row.to_dict(),
            "known_pixels": int(self.known.sum()),
            "ignored_share": _number(self.ignored_share),
            "ignored_shares": {
                name: _number(share)
                for name, share in zip(self.row.classes.names, self.ignored_shares, strict=True)
            },
            "confidence": None
            if reliability is None
            else {**reliability.to_dict(bins=BINS), "risk_coverage": curve},
            "confidence_merged_after": self.merged_after,
            "thresholds": [
                {key: _number(value) for key, value in row._asdict().items()}
                for row in self.thresholds()
            ],
            "frames": [
                {
                    "id": name,
                    "accuracy": _number(float(accuracy)),
                    "coverage": _number(self.frame_coverage(i)),
                }
                for i, (name, accuracy) in enumerate(
                    zip(self.row.ids, self.row.sample_accuracy, strict=True)
                )
            ],
        }


def audit(
    pair: Pair,
    *,
    against: Against = "truth",
    progress: Report = no_report,
) -> Audit:
    """Count labels against the truth or against another teacher's, frame by frame.

    Parameters
    ----------
    pair : Pair
        See :func:`eventseg.evaluation.audit.maps.open_pair`.
    against : {"truth", "teacher"}
    progress : callable
        Called after every frame.

    Raises
    ------
    DatasetError, LabelError
        Files that cannot be read, of two sizes, or with ids outside their table.
    """
    k = len(pair.classes)
    sure = pair.labels.confidence
    counts = None if sure is None else np.zeros((LEVELS, 2), np.int64)
    matrices, ignored = [], []
    for done, name in enumerate(pair.ids, 1):
        labels, other = pair.maps(name)
        left = (other != IGNORED) & (labels == IGNORED)
        ignored.append(np.bincount(other[left], minlength=k))
        scored = np.where(labels == IGNORED, np.uint8(IGNORED), other)
        matrices.append(confusion_matrix(scored, labels, classes=k))
        if sure is not None and counts is not None:
            try:
                counts += reliability_counts(scored, labels, sure(name))
            except LabelError as error:
                raise LabelError(f"{pair.labels.name}, {name}: {error}") from error
        progress(Progress("audit", done, len(pair.ids), "frame"))
    return Audit(
        against,
        Row(
            pair.labels.name,
            "-",
            pair.ids,
            pair.sequences,
            np.array(matrices),
            pair.classes,
            times_us=pair.times_us,
        ),
        pair.other.name,
        np.array(ignored, np.int64),
        counts,
        sure is not None and pair.labels.classes.names != pair.classes.names,
        pair.left_out,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
