"""Calibration of class probabilities: ECE and NLL of counts, and the temperature that fits best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from torch import Tensor

from eventseg.errors import LabelError
from eventseg.labels.tables import IGNORED
from eventseg.metrics.reliability import Bin

BINS = 15
"""Bins of equal width of the confidence, as Guo et al. have."""

TEMPERATURES = (0.05, 20.0)
"""Lowest and highest temperature that is fitted."""


@dataclass(frozen=True, eq=False, slots=True)
class Calibration:
    """Counts of scored pixels by confidence; those of several images add up.

    Parameters
    ----------
    bins : float64 (B, 3)
        Pixels, sum of their confidence and right pixels. Bin i holds confidences from i / B up to
        (i + 1) / B, the last one also 1.
    log_loss : float
        Sum over the pixels of ``-log p(true class)``.
    """

    bins: NDArray[np.float64]
    log_loss: float

    @classmethod
    def empty(cls, bins: int = BINS) -> Calibration:
        """Return the counts of no pixel."""
        return cls(np.zeros((bins, 3)), 0.0)

    def __add__(self, other: Calibration) -> Calibration:
        """Return the counts of both."""
        return Calibration(self.bins + other.bins, self.log_loss + other.log_loss)

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(self.bins[:, 0].sum())

    @property
    def nll(self) -> float:
        """Mean negative log-likelihood of the true class in nats, nan without pixels."""
        return self.log_loss / self.pixels if self.pixels else math.nan

    @property
    def ece(self) -> float:
        """Expected calibration error, nan without pixels.

        ECE = sum over bins of pixels / N * |accuracy - confidence| (Guo et al., On Calibration of
        Modern Neural Networks, ICML 2017, equation 3).
        """
        if not self.pixels:
            return math.nan
        return float(np.abs(self.bins[:, 2] - self.bins[:, 1]).sum() / self.pixels)

    @property
    def confidence(self) -> float:
        """Mean confidence, nan without pixels."""
        return float(self.bins[:, 1].sum() / self.pixels) if self.pixels else math.nan

    @property
    def accuracy(self) -> float:
        """Share of right pixels, nan without pixels."""
        return float(self.bins[:, 2].sum() / self.pixels) if self.pixels else math.nan

    def curve(self) -> tuple[Bin, ...]:
        """Return pixels, mean confidence and accuracy of each bin, nan where it is empty."""
        return tuple(
            Bin(int(n), total / n, right / n) if n else Bin(0, math.nan, math.nan)
            for n, total, right in self.bins.tolist()
        )


def log_probabilities(probabilities: Tensor) -> Tensor:
    """Return the logarithm of probabilities, those too small for the type as its least number."""
    return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()


def calibration_counts(
    scores: Tensor, truth: Tensor, *, temperature: float = 1.0, bins: int = BINS
) -> Calibration:
    """Return the counts of scored pixels.

    Parameters
    ----------
    scores : float (N, K, H, W)
        Logits, or logarithms of probabilities.
    truth : int64 (N, H, W)
        Classes; 255 is not scored.
    temperature : float
        Probabilities are ``softmax(scores / temperature)`` (Guo et al. 2017, section 4.2).
    bins : int
        Number of bins.

    Raises
    ------
    LabelError
        A temperature of 0 or below, or no bin.

    Examples
    --------
    >>> scores = torch.tensor([3.0, 1.0]).log().view(1, 2, 1, 1)
    >>> found = calibration_counts(scores, torch.tensor([[[1]]]))
    >>> round(found.confidence, 4), found.accuracy, round(found.ece, 4), round(found.nll, 4)
    (0.75, 0.0, 0.75, 1.3863)
    """
    if not temperature > 0 or bins < 1:
        raise LabelError(f"temperature {temperature} and {bins} bins; both must be above 0")
    scored = truth != IGNORED
    log_p = torch.log_softmax(scores.movedim(1, -1)[scored].double() / temperature, dim=-1)
    true = truth[scored]
    highest, predicted = log_p.max(-1)
    confidence = highest.exp().clamp_max(1)
    index = (confidence * bins).long().clamp_max(bins - 1)
    columns = torch.stack([torch.ones_like(confidence), confidence, (predicted == true).double()])
    sums = torch.zeros((3, bins), dtype=torch.float64, device=scores.device)
    sums.index_add_(1, index, columns)
    log_loss = -log_p.gather(-1, true[:, None]).sum()
    return Calibration(sums.T.cpu().numpy(), float(log_loss))


def fit_temperature(scores: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> float:
    """Return the temperature of the least NLL (Guo et al. 2017, section 4.2).

    With beta = 1 / temperature the NLL is convex and its slope is the mean over the pixels of
    ``sum_k softmax(beta z)_k z_k - z_true``: its root is sought, or the end of
    :data:`TEMPERATURES` on whose side it lies.

    Parameters
    ----------
    scores : float (P, K)
        Logits z, or logarithms of probabilities.
    truth : int64 (P,)
        Classes.

    Raises
    ------
    LabelError
        No pixel, or a class that is none of K.
    """
    if not len(truth) or truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise LabelError(f"{len(truth)} pixels of classes 0 to {scores.shape[1] - 1} are needed")
    z = np.asarray(scores, np.float64)
    z = z - z.max(1, keepdims=True)
    z_true = z[np.arange(len(z)), truth]

    def slope(log_beta: float) -> float:
        weights = np.exp(math.exp(log_beta) * z)
        expected = (weights * z).sum(1) / weights.sum(1)
        return float((expected - z_true).mean())

    low, high = sorted(-math.log(temperature) for temperature in TEMPERATURES)
    if slope(low) >= 0:
        return max(TEMPERATURES)
    if slope(high) <= 0:
        return min(TEMPERATURES)
    return math.exp(-brentq(slope, low, high, xtol=1e-6))
