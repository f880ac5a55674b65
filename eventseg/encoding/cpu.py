"""Windows of events into tensors on one thread: settings, kernels and EV-SegNet's ranges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.encoding.rivals import Columns, encode_rival
from eventseg.encoding.settings import Normalisation, Tensor, normalise_evsegnet
from eventseg.kernels import scratch
from eventseg.kernels.accumulate import PACKED_MAX_EVENTS, PACKED_MAX_WINDOW_US
from eventseg.kernels.encode import encode_packed, encode_wide


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
