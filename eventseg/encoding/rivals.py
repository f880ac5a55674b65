"""Events to tensors of a rival representation on the CPU."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.settings import Encoding
from eventseg.events import SensorSize
from eventseg.kernels import rivals
from eventseg.kernels.rival_cells import DECAY_BITS, DECAY_STEPS, DECAY_TABLES

Columns = tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int8]]
LOOPS = {
    "add_slices": rivals.add_slices,
    "add_voxels": rivals.add_voxels,
    "keep_latest": rivals.keep_latest,
}


@lru_cache(maxsize=8)
def decay_tables(decay_us: int) -> NDArray[np.float64]:
    """Return exp(-age / tau) for each digit of an age in us, float64 (3, 2048), read-only."""
    ages = np.arange(DECAY_STEPS) * 2.0 ** (DECAY_BITS * np.arange(DECAY_TABLES))[:, np.newaxis]
    tables: NDArray[np.float64] = np.exp(-ages / decay_us)
    tables.flags.writeable = False
    return tables


def encode_rival(
    columns: Columns,
    lo: NDArray[np.int64],
    hi: NDArray[np.int64],
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    encoding: Encoding,
    out: NDArray[np.float32],
) -> None:
    """Encode windows in a rival representation on this thread.

    Parameters
    ----------
    columns : t, x, y, p
        Columns of an event stream.
    lo, hi, t0_us, t1_us : int64 (N,)
        First event of each window and the one after its last; its begin and end.
    encoding : Encoding
        Of any representation but ``mean-std``.
    out : float32 (N, channels, rows, width)
        Array to write into, C-contiguous.
    """
    representation, first_row = encoding.representation, encoding.rows[0]
    kept = SensorSize(*out.shape[2:])
    flat = out.reshape(len(out), representation.channels, kept.height * kept.width)
    sums = np.zeros(flat.shape[1:], np.int64)
    for k in range(len(lo)):
        window_us = t1_us[k] - t0_us[k]
        for name, plane0 in representation.steps:
            LOOPS[name](
                sums, plane0, *columns, lo[k], hi[k], t0_us[k], window_us,
                representation.bins, first_row, kept.height, kept.width,
            )  # fmt: skip
        if representation.kind == "time-surface":
            decay = decay_tables(representation.decay_us)
            rivals.finalize_decay(sums, window_us, decay, flat[k])
        else:
            rivals.finalize_shares(sums, window_us, representation.of_window, flat[k])
