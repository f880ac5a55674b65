"""From mask classification (a class and a mask a query) to class probabilities of pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def query_scores(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """Return the scores of each class at each pixel, summed over queries.

    ``sum over queries of softmax(class)[without "no object"] * sigmoid(mask)``, as in
    MaskFormer (Cheng et al. 2021, section 3.4). Not yet probabilities: they need not add up to 1.

    Parameters
    ----------
    class_logits : float (N, Q, C + 1)
        The last class is "no object".
    mask_logits : float (N, Q, h, w)

    Returns
    -------
    float (N, C, h, w)
    """
    classes = class_logits.softmax(-1)[..., :-1]
    return torch.einsum("nqc,nqhw->nchw", classes, mask_logits.sigmoid())


def normalised(scores: Tensor) -> Tensor:
    """Return scores (N, C, H, W) divided by their sum over classes.

    Where every query scores 0, all classes are as likely.
    """
    total = scores.sum(1, keepdim=True)
    even = 1.0 / scores.shape[1]
    return torch.where(total > 0, scores / total.clamp_min(torch.finfo(scores.dtype).tiny), even)


def windowed(scores: Callable[[Tensor], Tensor], pictures: Tensor, *, side: int) -> Tensor:
    """Return the scores of a network that takes squares of one size only.

    The short side of the pictures becomes that of the square; as few squares as cover the long
    side, evenly spread, are averaged where they overlap (as EoMT is evaluated).

    Parameters
    ----------
    scores : callable
        Squares (N, 3, side, side) to scores (N, C, h, w).
    pictures : float (N, 3, H, W)
    side : int

    Returns
    -------
    float (N, C, H, W)
    """
    height, width = pictures.shape[2:]
    upright = height > width
    work = pictures.transpose(2, 3) if upright else pictures
    long = max(side, round(side * work.shape[3] / work.shape[2]))
    work = functional.interpolate(work, size=(side, long), mode="bilinear", antialias=True)
    count = math.ceil(long / side)
    starts = [round(i * (long - side) / max(1, count - 1)) for i in range(count)]
    total: Tensor | None = None
    seen = work.new_zeros(long)
    for start in starts:
        square = work[:, :, :, start : start + side]
        output = scores(square.transpose(2, 3) if upright else square)
        output = functional.interpolate(output, size=(side, side), mode="bilinear")
        output = output.transpose(2, 3) if upright else output
        if total is None:
            total = output.new_zeros((*output.shape[:2], side, long))
        total[:, :, :, start : start + side] += output
        seen[start : start + side] += 1
    assert total is not None  # a picture has a square
    mean = total / seen
    mean = mean.transpose(2, 3) if upright else mean
    return functional.interpolate(mean, size=(height, width), mode="bilinear", antialias=True)
