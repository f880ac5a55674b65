"""Region mutual information: a loss on how small regions of a map vary together."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from eventseg.errors import TrainingError
from eventseg.labels.maps import IGNORED

RIDGE = 1e-6
"""Added to the diagonals of covariances, so that they can be inverted."""


def region_mutual_information_loss(
    logits: Tensor, labels: Tensor, *, radius: int = 3, pool: int = 4
) -> Tensor:
    """Return how much of the labels' regions the predicted regions leave unexplained.

    Each pixel of a pooled map stands for the d = radius^2 pixels around it. With the labels' and
    the probabilities' regions as vectors Y and P of one class and image, and covariances over
    the pixels of the map, their mutual information is at least ``-1/2 ln det M`` with
    ``M = cov(Y) - cov(Y, P) (cov(P) + ridge)^-1 cov(P, Y)``, but for a constant: Zhao et al.
    2019, arXiv 1910.12037. The loss is ``1/(2 d) ln det(M / ridge + 1)``,
    summed over classes and averaged over images: as in the paper, but for a constant that makes
    it 0 where nothing is left to explain, and with the softmax where the paper has a sigmoid.
    Ignored pixels are 0 in both maps.

    Parameters
    ----------
    logits : float (N, C, H, W)
    labels : int64 (N, H, W)
        255 is ignored.
    radius : int
        Side of a region, in pixels of the pooled map.
    pool : int
        Side of the squares that are averaged before.

    Returns
    -------
    float ()

    Raises
    ------
    TrainingError
        A map that is smaller than one region.
    """
    height, width = (math.ceil(side / pool) for side in labels.shape[-2:])
    if min(height, width) < radius:
        raise TrainingError(
            f"maps of {labels.shape[-1]}x{labels.shape[-2]} have no region of {radius}x{radius} "
            f"squares of {pool} pixels; lower region_radius or region_pool, or train larger crops"
        )
    # The determinant of a well-explained class spans more digits than float32 has.
    with torch.autocast(logits.device.type, enabled=False):
        counted = (labels != IGNORED)[:, None]
        probability = logits.double().softmax(dim=1) * counted
        known = labels.where(labels != IGNORED, 0)[:, None]
        truth = torch.zeros_like(probability).scatter_(1, known, 1) * counted
        p = _regions(probability, radius=radius, pool=pool)
        y = _regions(truth, radius=radius, pool=pool)
        ridge = RIDGE * torch.eye(radius**2, dtype=p.dtype, device=p.device)
        pixels = p.shape[-1]
        lower = _cholesky(p @ p.mT / pixels + ridge)
        explained = torch.linalg.solve_triangular(lower, p @ y.mT / pixels, upper=False)
        left = y @ y.mT / pixels - explained.mT @ explained
        diagonal = _cholesky(left + ridge).diagonal(dim1=-2, dim2=-1)
        # ln det = 2 sum ln diagonal, less that of the ridge alone.
        loss = (diagonal.log() - 0.5 * math.log(RIDGE)).mean(dim=-1)
        return (loss.sum() / len(logits)).to(logits.dtype)


def _regions(x: Tensor, *, radius: int, pool: int) -> Tensor:
    """Return the regions of each class and image, less their mean: (N C, radius^2, pixels)."""
    pooled = functional.avg_pool2d(x, pool, ceil_mode=True)
    vectors = functional.unfold(pooled.flatten(0, 1)[:, None], radius)
    return vectors - vectors.mean(dim=-1, keepdim=True)


def _cholesky(matrix: Tensor) -> Tensor:
    """Return the lower factor; NaN logits give NaN, for the trainer to report, and no error."""
    factor: Tensor = torch.linalg.cholesky_ex(matrix).L
    return factor
