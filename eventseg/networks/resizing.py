"""Resizing of network inputs and label maps: one rule, and the one of EV-SegNet's code.

=========================  ==============================  ===========================
array                      rule ``centres``                rule ``evsegnet``
=========================  ==============================  ===========================
events, labels, masks      nearest centre of a pixel,      pixel ``floor(d * in / out)``
                           ``floor((d + 1/2) * in / out)``
frames and pictures        bilinear between centres, with  average over the area
                           a low-pass where they shrink
test-time views of inputs  as above                        bilinear, corners aligned
probabilities              bilinear between centres        bilinear, corners aligned
=========================  ==============================  ===========================

``d`` is a row or column of the result, ``in`` and ``out`` are the sizes. The second column is the
released code of EV-SegNet on the way to 352x224 and in its six passes (Shathe/Ev-SegNet;
whether it resizes logits or probabilities is not known, here it is logits).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

ResizeRule = Literal["centres", "evsegnet"]
RESIZE_RULES: tuple[ResizeRule, ...] = get_args(ResizeRule)

Value = TypeVar("Value", bound=np.generic)


def nearest_positions(source: int, target: int, *, rule: ResizeRule) -> NDArray[np.int64]:
    """Return the row or column that each one of the result takes its value from, int64 (target,).

    Examples
    --------
    >>> nearest_positions(5, 3, rule="centres").tolist()
    [0, 2, 4]
    >>> nearest_positions(5, 3, rule="evsegnet").tolist()
    [0, 1, 3]
    """
    d = np.arange(target, dtype=np.int64)
    return d * source // target if rule == "evsegnet" else (2 * d + 1) * source // (2 * target)


def resize_nearest(x: NDArray[Value], size: tuple[int, int], *, rule: ResizeRule) -> NDArray[Value]:
    """Return events, labels or masks (..., H, W) at another height and width, values unchanged."""
    rows = nearest_positions(x.shape[-2], size[0], rule=rule)
    columns = nearest_positions(x.shape[-1], size[1], rule=rule)
    return x[..., rows[:, None], columns]


def nearest(x: Tensor, size: tuple[int, int], *, rule: ResizeRule) -> Tensor:
    """Return the same as :func:`resize_nearest`, of a tensor on any device."""
    rows = torch.from_numpy(nearest_positions(x.shape[-2], size[0], rule=rule)).to(x.device)
    columns = torch.from_numpy(nearest_positions(x.shape[-1], size[1], rule=rule)).to(x.device)
    return x[..., rows[:, None], columns]


def resize_pictures(x: Tensor, size: tuple[int, int], *, rule: ResizeRule) -> Tensor:
    """Return frames or pictures, float32 (N, C, H, W), at another height and width."""
    if rule == "centres":
        return functional.interpolate(x, size=size, mode="bilinear", antialias=True)
    down = _shares(x.shape[-2], size[0]).to(x)
    across = _shares(x.shape[-1], size[1]).to(x)
    return down @ x @ across.mT


def resize_inputs(x: Tensor, size: tuple[int, int], *, kind: str, rule: ResizeRule) -> Tensor:
    """Return network inputs, float32 (N, C, H, W), at another height and width.

    Parameters
    ----------
    x : float32 (N, C, H, W)
    size : (int, int)
        Height and width.
    kind : {"events", "gray", "rgb", "both"}
        Which channels are a frame: none, all, or the first.
    rule : {"centres", "evsegnet"}
    """
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if kind in ("gray", "rgb"):
        return resize_pictures(x, size, rule=rule)
    events = nearest(x, size, rule=rule)
    if kind == "both":
        events[:, :1] = resize_pictures(x[:, :1], size, rule=rule)
    return events


def resize_views(x: Tensor, size: tuple[int, int], *, kind: str, rule: ResizeRule) -> Tensor:
    """Return test-time views of network inputs, float32 (N, C, H, W), at another size."""
    if rule == "centres":
        return resize_inputs(x, size, kind=kind, rule=rule)
    return resize_scores(x, size, rule=rule)


def resize_scores(x: Tensor, size: tuple[int, int], *, rule: ResizeRule) -> Tensor:
    """Return logits or probabilities, float32 (N, K, H, W), at another size, bilinear."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return functional.interpolate(x, size=size, mode="bilinear", align_corners=rule == "evsegnet")


def _shares(source: int, target: int) -> Tensor:
    """Return the share of each source pixel in each pixel of the result, float64 (target, source).

    Pixel d of the result covers the places ``d * source / target`` to ``(d + 1) * source /
    target``, where source pixel s covers s to s + 1.
    """
    edges = np.arange(target + 1) * source / target
    begin, pixels = edges[:-1, None], np.arange(source)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(begin, pixels)
    return torch.from_numpy(np.maximum(covered, 0) * target / source)


def enlarge_by_products(x: Tensor, size: tuple[int, int], *, align_corners: bool) -> Tensor:
    """Return a map enlarged bilinear by two matrix products: ``rows x columns^T`` of each channel.

    The weights are those of ``torch.nn.functional.interpolate``, whose sums differ by rounding. On
    a CPU the products of a small map take a fraction of its time, forward and backward.

    Parameters
    ----------
    x : float (N, C, h, w)
    size : tuple of int
        Height and width of the result.
    align_corners : bool

    Returns
    -------
    float32 (N, C, H, W), or float64 as `x`
        Whatever autocast says.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(torch.promote_types(x.dtype, torch.float32)).contiguous()
        rows, columns = (
            _bilinear_weights(source, target, align_corners).to(x)
            for source, target in zip(x.shape[-2:], size, strict=True)
        )
        return rows @ (x @ columns.mT)


@lru_cache(maxsize=64)
def _bilinear_weights(source: int, target: int, align_corners: bool) -> Tensor:
    """Return the weights of an interpolation along one axis, float64 (target, source)."""
    with torch.inference_mode(False), torch.no_grad():
        units = torch.eye(source, dtype=torch.float64)[None]
        weights = functional.interpolate(
            units, size=target, mode="linear", align_corners=align_corners
        )
        return weights[0].mT.contiguous()
