"""Encoding settings: everything but the events that determines a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.errors import WindowError
from eventseg.events import EventStream, SensorSize
from eventseg.windows import check_window


def bounds(
    events: EventStream, t0_us: NDArray[np.int64], t1_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the first event of each window and the one after its last, int64 (2, N)."""
    return np.searchsorted(events.t, np.stack([t0_us, t1_us])).astype(np.int64, copy=False)


def rows_kept(sensor: SensorSize, rows: tuple[int, int] | None) -> int:
    """Return the number of rows kept."""
    if rows is None:
        return sensor.height
    if not 0 <= rows[0] < rows[1] <= sensor.height:
        raise WindowError(
            f"rows {rows[0]}:{rows[1]} must lie within the {sensor.height} rows of the sensor"
        )
    return rows[1] - rows[0]


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
    # Loaded here, so that settings are read without Numba.
    from eventseg.kernels.ranges import evsegnet_ranges

    result = np.empty_like(tensor, order="C") if out is None else out
    shape = (-1, len(CHANNELS), tensor.shape[-2] * tensor.shape[-1])
    if result.flags.c_contiguous:
        evsegnet_ranges(np.ascontiguousarray(tensor).reshape(shape), result.reshape(shape))
    else:
        result[...] = normalise_evsegnet(np.ascontiguousarray(tensor))
    return result


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoding settings: everything but the events that determines a tensor.

    Parameters
    ----------
    sensor : SensorSize
    rows : (int, int)
    normalise : {"raw", "evsegnet"}
    ddof : {1, 0}
    representation : Representation
    """

    sensor: SensorSize
    rows: tuple[int, int]
    normalise: Normalisation
    ddof: int
    representation: Representation
