"""Flicker of predicted label maps: changes of the prediction where the truth does not change."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from eventseg.labels.tables import IGNORED


class LabelPair(NamedTuple):
    """Truth and prediction of one instant, integers (H, W); 255 in the truth is ignored."""

    truth: Tensor
    prediction: Tensor


class FlickerCounts(NamedTuple):
    """Pixels of a pair of instants by their true class, int64 (K,) each.

    Parameters
    ----------
    still : int64 (K,)
        Pixels whose true class is the same at both instants.
    changed : int64 (K,)
        Those of them whose predicted class is not.
    """

    still: Tensor
    changed: Tensor


def flicker_counts(
    before: LabelPair, after: LabelPair, *, classes: int, moved: Tensor | None = None
) -> FlickerCounts:
    """Count the pixels whose prediction changes between two instants while the truth stays.

    Parameters
    ----------
    before, after : LabelPair
    classes : int
        Number K of classes.
    moved : float (2, H, W), optional
        Way of each pixel of `after` since `before` in pixels: right, down. A pixel is compared
        with the place that it comes from, to the nearest pixel; pixels that come from outside, or
        whose way is not finite, are left out. By default pixels do not move.

    Examples
    --------
    >>> rows = [[[0, 0, 1, 255]], [[0, 1, 1, 0]]], [[[0, 0, 1, 0]], [[0, 0, 0, 0]]]
    >>> before, after = (LabelPair(*map(torch.tensor, pair)) for pair in rows)
    >>> found = flicker_counts(before, after, classes=2)
    >>> found.still.tolist(), found.changed.tolist()
    ([2, 1], [1, 1])
    """
    truth, prediction = before
    known = torch.ones_like(after.truth, dtype=torch.bool)
    if moved is not None:
        height, width = truth.shape
        rows = torch.arange(height, device=truth.device)[:, None]
        columns = torch.arange(width, device=truth.device)[None]
        # Far beyond any picture, so that what is not finite falls outside.
        way = torch.nan_to_num(moved.double(), nan=1e9, posinf=1e9, neginf=-1e9)
        column = torch.floor(columns - way[0] + 0.5).long()
        row = torch.floor(rows - way[1] + 0.5).long()
        known = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        places = row.clamp(0, height - 1), column.clamp(0, width - 1)
        truth, prediction = truth[places], prediction[places]
    still = known & (truth == after.truth) & (truth != IGNORED)
    changed = still & (prediction != after.prediction)
    return FlickerCounts(
        *(torch.bincount(truth[chosen], minlength=classes) for chosen in (still, changed))
    )
