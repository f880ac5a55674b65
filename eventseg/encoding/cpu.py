"""Tensors of consecutive windows on one thread of the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.normalise import normalise_evsegnet
from eventseg.encoding.representation import MEAN_STD
from eventseg.encoding.rivals import Columns, encode_rival
from eventseg.encoding.settings import Encoding, Tensor
from eventseg.events import EventStream
from eventseg.kernels import scratch
from eventseg.kernels.accumulate import PACKED_MAX_EVENTS, PACKED_MAX_WINDOW_US
from eventseg.kernels.encode import encode_packed, encode_wide
from eventseg.windows import check_window


def encode_run(
    columns: Columns,
    lo: NDArray[np.int64],
    hi: NDArray[np.int64],
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    encoding: Encoding,
    out: Tensor,
) -> None:
    """Encode neighbouring windows on this thread; packed where that is exact, else wide."""
    first_row, ddof = encoding.rows[0], encoding.ddof
    if encoding.representation != MEAN_STD:
        encode_rival(columns, lo, hi, t0_us, t1_us, encoding=encoding, out=out)
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
                *columns,
                lo[k],
                hi[k],
                t0_us[k],
                t1_us[k],
                flat[k],
                four,
                first_row,
                height,
                width,
                ddof,
            )
    if encoding.normalise == "evsegnet":
        for tensor in out:
            normalise_evsegnet(tensor, out=tensor)


def check_windows(t0_us: NDArray[np.int64], t1_us: NDArray[np.int64]) -> None:
    """Raise a WindowError for windows that are empty or too long."""
    for length in np.unique(t1_us - t0_us):
        check_window(int(length))


def bounds(
    events: EventStream, t0_us: NDArray[np.int64], t1_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the first event of each window and the one after its last, int64 (2, N)."""
    return np.searchsorted(events.t, np.stack([t0_us, t1_us])).astype(np.int64, copy=False)


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
