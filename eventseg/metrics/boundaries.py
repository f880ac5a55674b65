"""Boundary IoU and trimap counts of label maps, where the maps are: on the CPU or a GPU.

Both look at pixels near a boundary. A pixel is near one at a width w if a pixel of another class is
at most w rows and w columns away. Pixels without a true class (255) are near none, make no boundary
and are not scored, and neither is the edge of the picture a boundary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from eventseg.errors import LabelError
from eventseg.labels.tables import IGNORED


class BoundaryCounts(NamedTuple):
    """Pixels near boundaries of N samples in K classes.

    Parameters
    ----------
    both, either : int64 (N, K)
        Pixels of the class that are near a boundary in truth and prediction, and in truth or
        prediction. Boundary IoU is both / either, of the sums over samples (Cheng et al.,
        Boundary IoU, CVPR 2021, equation 1, with one mask a class).
    trimap : int64 (N, K, K)
        Confusion matrix of the pixels that are near a boundary of the truth (Kraehenbuehl and
        Koltun, Efficient Inference in Fully Connected CRFs, NeurIPS 2011, section 4).
    """

    both: Tensor
    either: Tensor
    trimap: Tensor


def near_boundary(labels: Tensor, *, width: int) -> Tensor:
    """Return which pixels are near a boundary, bool (N, H, W).

    Parameters
    ----------
    labels : int64 (N, H, W)
        Classes; 255 is ignored.
    width : int
        Largest distance in rows and columns, 1 or more.

    Raises
    ------
    LabelError
        A width below 1.

    Examples
    --------
    >>> near_boundary(torch.tensor([[[0, 0, 0, 1, 255]]]), width=1).int().tolist()
    [[[0, 0, 1, 1, 0]]]
    """
    if width < 1:
        raise LabelError(f"boundaries of {width} pixels; give 1 or more")
    ignored = labels == IGNORED
    # The largest and the smallest class around; what is ignored is neither.
    high = _largest_around(labels.masked_fill(ignored, -1), width)
    low = -_largest_around(-labels.masked_fill(ignored, IGNORED + 1), width)
    return ~ignored & ((high != labels) | (low != labels))


def boundary_counts(
    truth: Tensor, prediction: Tensor, *, width: int, classes: int
) -> BoundaryCounts:
    """Return the counts of boundary IoU and trimap of each sample.

    Parameters
    ----------
    truth, prediction : int64 (N, H, W)
        Classes; pixels whose truth is 255 are left out of both.
    width : int
        Width of the band in pixels, on each side of a boundary.
    classes : int
        Number K of classes.

    Raises
    ------
    LabelError
        A width below 1.
    """
    scored = truth != IGNORED
    prediction = prediction.masked_fill(~scored, IGNORED)
    near_true = near_boundary(truth, width=width)
    near_predicted = near_boundary(prediction, width=width)
    both = _by_class(truth, near_true & near_predicted & (truth == prediction), classes)
    either = _by_class(truth, near_true, classes) + _by_class(prediction, near_predicted, classes)
    pairs = (truth * classes + prediction).masked_fill(~scored, IGNORED)
    trimap = _by_class(pairs, near_true, classes**2)
    return BoundaryCounts(both, either - both, trimap.view(-1, classes, classes))


def _largest_around(values: Tensor, width: int) -> Tensor:
    """Return the largest value at most `width` rows and columns away, int64 (N, H, W)."""
    around = values.float()[:, None]
    # Along rows and columns one after the other: a square window would be slow where it is wide.
    for kernel, padding in (((2 * width + 1, 1), (width, 0)), ((1, 2 * width + 1), (0, width))):
        around = functional.max_pool2d(around, kernel, stride=1, padding=padding)
    return around[:, 0].long()


def _by_class(values: Tensor, chosen: Tensor, count: int) -> Tensor:
    """Return how many chosen pixels of each sample have each value, int64 (N, count)."""
    samples = torch.arange(len(values), device=values.device).view(-1, 1, 1)
    cells = (samples * count + values)[chosen]
    return torch.bincount(cells, minlength=len(values) * count).view(-1, count)
