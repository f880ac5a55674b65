"""Windows of events into tensors on one thread: settings, kernels and EV-SegNet's ranges."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.encoding.rivals import Columns, encode_rival
from eventseg.errors import WindowError
from eventseg.kernels import scratch
from eventseg.kernels.accumulate import PACKED_MAX_EVENTS, PACKED_MAX_WINDOW_US
from eventseg.kernels.encode import encode_packed, encode_wide
from eventseg.kernels.ranges import evsegnet_ranges
from eventseg.windows import check_window

Tensor = NDArray[np.float32]
Normalisation = Literal["raw", "evsegnet"]

CHANNELS = ("count+", "count-", "mean+", "std+", "mean-", "std-")
"""Order of the channels in memory and on disk, as in EV-SegNet's released files."""


def check_settings(
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    normalise: str,
    ddof: int,
    representation: Representation,
) -> None:
    """Raise a WindowError where windows or settings cannot be encoded."""
    for length in np.unique(t1_us - t0_us):
        check_window(int(length))
    if normalise not in ("raw", "evsegnet"):
        raise WindowError(f"normalise must be raw or evsegnet, got {normalise!r}")
    if normalise == "evsegnet" and representation != MEAN_STD:
        raise WindowError(
            f"the evsegnet ranges are those of {MEAN_STD}: {representation} must be raw"
        )
    if ddof not in (0, 1):
        raise WindowError(f"ddof must be 0 or 1, got {ddof!r}")


def normalise_evsegnet(tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return raw channels in the ranges of EV-SegNet's released files.

    count -> 2 n / max - 1 with the maximum of each polarity and window, all -1 without an event;
    mean -> 2 mean - 1, and 0 where there is no event; std -> min(1, 2 std). The scaling of the
    original is not published; these are the choices that fit what is known of its files.

    Parameters
    ----------
    tensor : float32 (..., 6, H, W)
        Raw channels.
    out : float32 (..., 6, H, W), optional
        Array to write into; may be ``tensor`` itself.

    Returns
    -------
    float32 (..., 6, H, W)
    """
    if tensor.ndim < 3 or tensor.shape[-3] != len(CHANNELS):
        raise WindowError(f"a tensor must have the shape (..., 6, H, W), got {tensor.shape}")
    result = np.empty_like(tensor, order="C") if out is None else out
    shape = (-1, len(CHANNELS), tensor.shape[-2] * tensor.shape[-1])
    if result.flags.c_contiguous:
        evsegnet_ranges(np.ascontiguousarray(tensor).reshape(shape), result.reshape(shape))
    else:
        result[...] = normalise_evsegnet(np.ascontiguousarray(tensor))
    return result


def encode_run(
    columns: Columns,
    lo: NDArray[np.int64],
    hi: NDArray[np.int64],
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    normalise: Normalisation,
    ddof: int,
    representation: Representation,
    out: Tensor,
    first_row: int,
) -> None:
    """Encode neighbouring windows on this thread; packed where that is exact, else wide."""
    if representation != MEAN_STD:
        encode_rival(
            columns, lo, hi, t0_us, t1_us,
            representation=representation, out=out, first_row=first_row,
        )  # fmt: skip
        return
    height, width = out.shape[2:]
    flat = out.reshape(len(out), 6, height * width)
    wide = beyond_packed(lo, hi, t0_us, t1_us)
    with scratch.packed(height * width) as words:
        encode_packed(
            *columns, lo, hi, t0_us, t1_us, flat, wide, words, first_row, height, width, ddof
        )
    for k in np.flatnonzero(wide):
        with scratch.wide(height * width) as four:
            encode_wide(
                *columns, lo[k], hi[k], t0_us[k], t1_us[k], flat[k], four,
                first_row, height, width, ddof,
            )  # fmt: skip
    if normalise == "evsegnet":
        for tensor in out:
            normalise_evsegnet(tensor, out=tensor)


def beyond_packed(
    lo: NDArray[np.int64],
    hi: NDArray[np.int64],
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Return which windows two packed words a cell cannot hold, bool (N,)."""
    beyond: NDArray[np.bool_] = (t1_us - t0_us >= PACKED_MAX_WINDOW_US) | (
        hi - lo >= PACKED_MAX_EVENTS
    )
    return beyond
