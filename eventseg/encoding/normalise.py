"""Normalisation of the six channels: equal spread at any rate, or EV-SegNet's ranges.

sqrt       count -> sqrt(n), whose spread does not grow with the rate of events (Anscombe 1948);
times stay as they are
evsegnet   the ranges of EV-SegNet's released files, see :func:`normalise_evsegnet`
"""

from __future__ import annotations

import numpy as np

from eventseg.encoding.representations.mean_std import CHANNELS
from eventseg.encoding.settings import Normalisation, Tensor
from eventseg.errors import WindowError
from eventseg.kernels.ranges import evsegnet_ranges


def normalise_raw(tensor: Tensor, *, normalise: Normalisation) -> None:
    """Bring raw channels into a normalisation, in place.

    Parameters
    ----------
    tensor : float32 (..., 6, H, W)
    normalise : {"raw", "sqrt", "evsegnet"}
    """
    if normalise == "evsegnet":
        normalise_evsegnet(tensor, out=tensor)
    elif normalise == "sqrt":
        counts = tensor[..., :2, :, :]
        np.sqrt(counts, out=counts)


def normalise_evsegnet(tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return raw channels in the ranges of EV-SegNet's released files.

    count -> 2 n / max - 1 with the maximum of each polarity and window, all -1 without an event;
    mean -> 2 mean - 1, and 0 where there is no event; std -> min(1, 2 std). The scaling of the
    original is not published; these are the choices that fit the known facts about its files.

    Parameters
    ----------
    tensor : float32 (..., 6, H, W)
        Raw channels; those of another type are taken as float32.
    out : float32 (..., 6, H, W), optional
        Array to write into; may be ``tensor`` itself.

    Returns
    -------
    float32 (..., 6, H, W)

    Raises
    ------
    WindowError
        Another shape than (..., 6, H, W), or an `out` of another shape or type or read-only.

    Examples
    --------
    >>> x = normalise_evsegnet(encode(recording.events()))
    >>> float(x[:2].min()), float(x[:2].max())
    (-1.0, 1.0)
    """
    if tensor.ndim < 3 or tensor.shape[-3] != len(CHANNELS):
        raise WindowError(f"a tensor must have the shape (..., 6, H, W), got {tensor.shape}")
    if out is not None and (
        out.shape != tensor.shape or out.dtype != np.float32 or not out.flags.writeable
    ):
        raise WindowError(
            f"out must be writeable float32 {tensor.shape}, got {out.dtype} {out.shape}"
        )
    result = np.empty(tensor.shape, np.float32) if out is None else out
    shape = (-1, len(CHANNELS), tensor.shape[-2] * tensor.shape[-1])
    if result.flags.c_contiguous:
        raw = np.ascontiguousarray(tensor, np.float32)
        evsegnet_ranges(raw.reshape(shape), result.reshape(shape))
    else:
        result[...] = normalise_evsegnet(np.ascontiguousarray(tensor))
    return result
