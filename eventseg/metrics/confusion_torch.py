"""Confusion matrices counted where the logits are, on the CPU or a GPU."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eventseg.kernels.confusion import count_confusion


def confusion(logits: Tensor, labels: Tensor, *, classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix of logits (N, K, H, W) against int64 labels (N, H, W).

    As :func:`eventseg.metrics.scores.confusion_matrix`, but counted where the logits are.
    """
    counts = new_counts(classes, logits.device)
    add_confusion(logits, labels, counts)
    return counts.cpu().numpy()


def new_counts(classes: int, device: torch.device) -> Tensor:
    """Return an empty confusion matrix on a device, int64 (K, K)."""
    return torch.zeros((classes, classes), dtype=torch.int64, device=device)


def add_confusion(logits: Tensor, labels: Tensor, counts: Tensor) -> None:
    """Add a batch to a confusion matrix that stays where the logits are.

    Parameters
    ----------
    logits : float (N, K, H, W)
    labels : int64 (N, H, W)
        255 counts nowhere.
    counts : int64 (K, K)
        Row is the label, column the class of the largest logit.
    """
    logits, classes = logits.detach(), len(counts)
    if logits.device.type == "cpu":
        # NumPy knows no bfloat16; as float32 it is the same number.
        known = logits.to(torch.promote_types(logits.dtype, torch.float32))
        count_confusion(known.numpy(), labels.numpy(), counts.numpy())
        return
    # An ignored label is beyond all pairs, and goes to one bin behind them: no pixel is selected.
    # Added one by one: torch.bincount would wait for the device, to look for the largest.
    pairs = (labels * classes + logits.argmax(1)).clamp_max(classes * classes).flatten()
    sums = counts.new_zeros(classes * classes + 1).scatter_add_(0, pairs, torch.ones_like(pairs))
    counts += sums[:-1].view_as(counts)
