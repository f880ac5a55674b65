"""Tensors of consecutive windows on one thread of the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.element_type import rounded
from eventseg.encoding.normalise import normalise_raw
from eventseg.encoding.representation import MEAN_STD, Representation
from eventseg.encoding.settings import Encoding, Tensor
from eventseg.errors import ExtensionError, WindowError
from eventseg.events import EventStream
from eventseg.kernels import bands, planes, reused, scratch
from eventseg.kernels.accumulate import PACKED_MAX_EVENTS, PACKED_MAX_WINDOW_US
from eventseg.kernels.counts import count_bytes, stack_bytes
from eventseg.kernels.encode import encode_packed, encode_wide
from eventseg.windows import check_window

Columns = tuple[NDArray[np.int64], NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int8]]
"""Times in us, columns, rows and polarities."""


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
    if encoding.dtype != "float32":
        _encode_rounded(columns, lo, hi, t0_us, t1_us, encoding=encoding, out=out)
        return
    first_row, ddof = encoding.rows[0], encoding.ddof
    if encoding.representation != MEAN_STD:
        _encode_planes(columns, lo, hi, t0_us, t1_us, encoding=encoding, out=out)
        return
    height, width = out.shape[2:]
    flat = out.reshape(len(out), 6, height * width)
    wide = beyond_packed(lo, hi, t0_us, t1_us)
    banding = _banding(lo, hi, rows=height, width=width)
    with scratch.packed(height * width) as words:
        encode_packed(
            *columns,
            lo,
            hi,
            t0_us,
            t1_us,
            flat,
            wide,
            words,
            banding,
            first_row,
            height,
            width,
            ddof,
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
    for tensor in out:
        normalise_raw(tensor, normalise=encoding.normalise)


def _banding(
    lo: NDArray[np.int64], hi: NDArray[np.int64], *, rows: int, width: int
) -> tuple[int, NDArray[np.uint8], NDArray[np.uint64]]:
    """Return how windows are encoded in bands, as ``encode_packed`` takes it."""
    shift = bands.band_shift(rows, width)
    counts = hi - lo
    most = min(PACKED_MAX_EVENTS, bands.MOST_EVENTS_A_PIXEL * rows * width)
    room = int(counts.max(initial=0, where=counts <= most)) if shift >= 0 else 0
    return shift, reused.empty(room, np.uint8), reused.empty(room, np.uint64)


def _encode_rounded(
    columns: Columns,
    lo: NDArray[np.int64],
    hi: NDArray[np.int64],
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    encoding: Encoding,
    out: NDArray[Any],
) -> None:
    """Encode windows whose raw channels are rounded; counts are made in bytes at once."""
    kind, (row0, row1) = encoding.representation.kind, encoding.rows
    if out.dtype == np.uint8 and kind in ("count", "stack"):
        t, x, y, p = columns
        flat = out.reshape(*out.shape[:2], -1)
        place = (flat, row0, row1 - row0, encoding.sensor.width)
        if kind == "count":
            count_bytes(x, y, p, lo, hi, *place)
        else:
            stack_bytes(t, x, y, p, lo, hi, t0_us, t1_us, out.shape[1] // 2, *place)
        return
    raw = replace(encoding, dtype="float32", normalise="raw")
    one = np.empty((1, *encoding.shape), np.float32)
    for k in range(len(lo)):
        here = slice(k, k + 1)
        encode_run(columns, lo[here], hi[here], t0_us[here], t1_us[here], encoding=raw, out=one)
        out[k] = rounded(one[0], encoding.dtype)
        if encoding.normalise != "raw":
            normalise_raw(out[k], normalise=encoding.normalise)


def _encode_planes(
    columns: Columns,
    lo: NDArray[np.int64],
    hi: NDArray[np.int64],
    t0_us: NDArray[np.int64],
    t1_us: NDArray[np.int64],
    *,
    encoding: Encoding,
    out: Tensor,
) -> None:
    """Encode windows in any representation but ``mean-std``, by its definition."""
    representation, (row0, row1) = encoding.representation, encoding.rows
    definition, parameter = representation.definition, representation.parameter
    size = (row1 - row0, encoding.sensor.width)
    flat = out.reshape(*out.shape[:2], size[0] * size[1])
    sums = np.zeros(flat.shape[1:], np.int64)
    table = definition.table(parameter)
    with compile_advice(representation):
        loops = [planes.event_loop(step.add, step.combine) for step in definition.steps]
        finish = planes.finish_loop(definition.finish)
        for k in range(len(lo)):
            window_us = t1_us[k] - t0_us[k]
            for loop in loops:
                strays = loop(
                    sums, *columns, lo[k], hi[k], t0_us[k], window_us, parameter, row0, *size
                )
                if strays:
                    raise WindowError(
                        f"{representation}: {strays} events lie outside their window, or are added "
                        f"to a plane beyond the {len(sums)} channels"
                    )
            finish(sums, window_us, parameter, table, flat[k])


@contextmanager
def compile_advice(representation: Representation) -> Iterator[None]:
    """Raise an ExtensionError where the functions of a representation cannot be compiled."""
    try:
        yield
    except planes.NumbaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise ExtensionError(
            f"the functions of {representation} cannot be compiled: {' '.join(lines[:2])[:200]}"
        ) from error


def check_windows(t0_us: NDArray[np.int64], t1_us: NDArray[np.int64]) -> None:
    """Raise a WindowError for windows that are empty or too long."""
    if len(t0_us):
        lengths = t1_us - t0_us
        check_window(int(lengths.min()))
        check_window(int(lengths.max()))


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
