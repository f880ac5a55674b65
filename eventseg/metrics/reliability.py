"""Calibration and risk-coverage of a confidence, from exact counts of its 256 values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.labels.tables import IGNORED
from eventseg.metrics.confusion import Ids, counted_pixels

LEVELS = 256
"""Confidences are bytes: round(255 * confidence)."""


class Bin(NamedTuple):
    """A range of confidences: pixels, and their mean confidence and share that is right."""

    pixels: int
    confidence: float
    accuracy: float


class Kept(NamedTuple):
    """One point of the risk-coverage curve: pixels above a threshold, and their accuracy."""

    coverage: float
    accuracy: float


def reliability_counts(
    truth: Ids, prediction: Ids, confidence: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return how many pixels have each confidence, and how many of these are right.

    Parameters
    ----------
    truth, prediction : integer arrays of one shape
        Class ids; pixels whose truth is 255 are dropped.
    confidence : uint8, of the same shape
        round(255 * confidence).

    Returns
    -------
    int64 (256, 2)
        Pixels and right pixels by confidence. Counts of several images add up.

    Raises
    ------
    LabelError
        Arrays of other types or shapes, or a prediction of 255 where the truth is not.
    """
    confidence = np.asarray(confidence)
    if confidence.dtype != np.uint8 or confidence.shape != np.shape(truth):
        raise LabelError(
            f"confidence is {confidence.dtype} {confidence.shape}; give uint8 {np.shape(truth)}, "
            "round(255 * confidence)"
        )
    true, predicted = counted_pixels(truth, prediction)
    levels = confidence[np.asarray(truth) != IGNORED]
    pixels = np.bincount(levels, minlength=LEVELS)
    right = np.bincount(levels[true == predicted], minlength=LEVELS)
    return np.stack([pixels, right], axis=1).astype(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """Curves and figures of the counts of :func:`reliability_counts`.

    Parameters
    ----------
    counts : int64 (256, 2)
        Pixels and right pixels by confidence.
    """

    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        counts = self.counts
        if np.shape(counts) != (LEVELS, 2) or not np.all(
            (counts[:, 1] >= 0) & (counts[:, 1] <= counts[:, 0])
        ):
            raise LabelError(
                f"counts are ({LEVELS}, 2): pixels and right pixels, which are no more of them"
            )

    @property
    def pixels(self) -> int:
        """Number of pixels that are scored."""
        return int(self.counts[:, 0].sum())

    def calibration(self, *, bins: int = 15) -> tuple[Bin, ...]:
        """Return the calibration curve: bins of equal width, from low confidence to high.

        Bin i holds confidences from i / bins up to (i + 1) / bins, the last one also 1. Empty
        bins have nan. Does 0.9 mean 90 %? Then accuracy equals confidence in every bin.

        Raises
        ------
        LabelError
            Fewer than 1 or more than 256 bins.
        """
        if not 1 <= bins <= LEVELS:
            raise LabelError(f"{bins} bins; allowed are 1 to {LEVELS}")
        values = np.arange(LEVELS)
        # In integers: as floats, a value on an edge could fall on either side.
        index = np.minimum(values * bins // (LEVELS - 1), bins - 1)
        pixels, right = np.zeros((2, bins), np.int64)
        total = np.zeros(bins, np.int64)
        np.add.at(pixels, index, self.counts[:, 0])
        np.add.at(right, index, self.counts[:, 1])
        np.add.at(total, index, self.counts[:, 0] * values)
        return tuple(
            Bin(int(n), float(sum_ / (n * (LEVELS - 1))), float(k / n))
            if n
            else Bin(0, math.nan, math.nan)
            for n, k, sum_ in zip(pixels, right, total, strict=True)
        )

    def calibration_error(self, *, bins: int = 15) -> float:
        """Return the expected calibration error, nan without pixels.

        ECE = sum over bins of pixels / N * |accuracy - confidence| (Guo et al., ICML 2017,
        equation 3), with the bins of :meth:`calibration`.
        """
        curve = [row for row in self.calibration(bins=bins) if row.pixels]
        if not curve:
            return math.nan
        return sum(n * abs(accuracy - mean) for n, mean, accuracy in curve) / self.pixels

    def kept_above(self, threshold: float) -> Kept:
        """Return the point of the risk-coverage curve at a threshold of the confidence.

        Parameters
        ----------
        threshold : float
            0 to 1; compared with the byte over 255.

        Returns
        -------
        Kept
            Coverage and accuracy; nan where nothing is left to divide by.

        Raises
        ------
        LabelError
            A threshold outside 0 to 1.
        """
        if not 0 <= threshold <= 1:
            raise LabelError(f"threshold {threshold}; allowed are 0 to 1")
        kept = np.arange(LEVELS) / (LEVELS - 1) >= threshold
        n, k = self.counts[kept].sum(0).tolist()
        return Kept(n / self.pixels if self.pixels else math.nan, k / n if n else math.nan)

    def risk_coverage(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the risk-coverage curve, from the most confident pixels to all.

        Returns
        -------
        (float64 (P,), float64 (P,))
            Coverage, rising to 1, and risk, the share of wrong pixels among those above the
            threshold: one point for each confidence that occurs (El-Yaniv and Wiener, JMLR 2010).
            Empty without pixels.
        """
        rows = self.counts[::-1]
        rows = rows[rows[:, 0] > 0].cumsum(0)
        return rows[:, 0] / max(1, self.pixels), 1 - rows[:, 1] / rows[:, 0]

    def area_under_risk_coverage(self) -> float:
        """Return the mean risk over all coverages (AURC), nan without pixels.

        Pixels of one confidence enter together, with the risk once they are in.
        """
        coverage, risk = self.risk_coverage()
        if not len(coverage):
            return math.nan
        return float((np.diff(coverage, prepend=0.0) * risk).sum())

    def to_dict(self, *, bins: int = 15) -> dict[str, Any]:
        """Return figures and curves as JSON holds them, None for nan."""
        coverage, risk = self.risk_coverage()
        error, area = self.calibration_error(bins=bins), self.area_under_risk_coverage()
        return {
            "pixels": self.pixels,
            "calibration_error": None if math.isnan(error) else error,
            "area_under_risk_coverage": None if math.isnan(area) else area,
            "calibration": [
                row._asdict() if row.pixels else {"pixels": 0, "confidence": None, "accuracy": None}
                for row in self.calibration(bins=bins)
            ],
            "risk_coverage": {"coverage": coverage.tolist(), "risk": risk.tolist()},
        }
