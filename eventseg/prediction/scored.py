"""Scored samples: truth beside prediction, in the classes and at the size that are scored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eventseg.labels.maps import IGNORED
from eventseg.metrics.confusion_torch import add_confusion, confusion


@dataclass(frozen=True, eq=False, slots=True)
class ScoredBatch:
    """Truth and prediction of some samples, whoever predicted: a network, a baseline, a teacher.

    Parameters
    ----------
    indices : tuple of int (N,)
        Samples, as the source counts them.
    truth : int64 (N, H, W)
        Labels; 255 is not scored.
    likelihood : float (N, K, H, W)
        Logits or probabilities of each class; the largest one is the prediction.
    inputs : float32 (N, C, h, w), optional
        Inputs of the network.
    silent_pixels : int
        Pixels with truth that are not scored, since nothing was predicted there.
    """

    indices: tuple[int, ...]
    truth: Tensor
    likelihood: Tensor
    inputs: Tensor | None = None
    silent_pixels: int = 0

    @classmethod
    def of_labels(cls, index: int, truth: Tensor, labels: Tensor, *, classes: int) -> ScoredBatch:
        """Return one sample whose prediction is a label map; pixels it ignores are not scored.

        Parameters
        ----------
        index : int
        truth, labels : int64 (H, W)
        classes : int
        """
        silent = labels == IGNORED
        one_hot = functional.one_hot(labels.masked_fill(silent, 0), classes)
        return cls(
            (index,),
            truth.masked_fill(silent, IGNORED)[None],
            one_hot.movedim(-1, 0)[None].float(),
            silent_pixels=int((silent & (truth != IGNORED)).sum()),
        )

    @property
    def prediction(self) -> Tensor:
        """The most likely class of each pixel, int64 (N, H, W)."""
        return self.likelihood.argmax(1)

    def add_to(self, counts: Tensor) -> None:
        """Add the batch to a confusion matrix on its device, int64 (K, K)."""
        add_confusion(self.likelihood, self.truth, counts)

    def confusions(self) -> list[NDArray[np.int64]]:
        """Return the confusion matrix of each sample, int64 (K, K) with the truth as rows."""
        classes = self.likelihood.shape[1]
        return [
            confusion(likelihood[None], truth[None], classes=classes)
            for likelihood, truth in zip(self.likelihood, self.truth, strict=True)
        ]
