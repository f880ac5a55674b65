"""Loops over events and over pixels around the functions of a representation, on the CPU.

``sums`` is int64 (planes, C), C = rows x width pixels, zero before and after; ``out`` is float32
(planes, C). The functions are those of :class:`eventseg.encoding.definition.Definition`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core.errors import NumbaError as NumbaError  # for those above, who import no Numba

from eventseg.kernels.compiled import compiled


def pixel_of(x, y, row0, rows, width):
    """Return the pixel of an event among the rows kept, int32, or -1 for all other rows."""
    row = np.int32(y) - np.int32(row0)
    inside = np.int32(0) <= row < np.int32(rows)
    return row * np.int32(width) + np.int32(x) if inside else np.int32(-1)


def inlined(function: Callable[..., Any]) -> Any:
    """Return a function compiled into those that call it."""
    return njit(nogil=True, inline="always")(function)


pixel = inlined(pixel_of)
MERGED = {
    "sum": inlined(lambda a, b: a + b),
    "max": inlined(lambda a, b: max(a, b)),
    "difference": inlined(lambda a, b: a - b),
}
"""How the value of an event is merged into a sum, by the name of the rule; ``difference`` undoes
``sum``."""


@cache
def event_loop(add: Callable[..., Any], combine: str) -> Any:
    """Return the loop that adds the events ``lo`` to ``hi`` of a window to the sums.

    It returns how many values had a plane that does not exist.
    """
    add_event, merged = inlined(add), MERGED[combine]

    def loop(sums, t, x, y, p, lo, hi, t0_us, window_us, parameter, row0, rows, width):
        strays = 0
        for i in range(lo, hi):
            c = pixel(x[i], y[i], row0, rows, width)
            if c >= 0:
                pairs = add_event(t[i] - t0_us, np.int64(p[i]), window_us, parameter)
                for plane, value in pairs:
                    if 0 <= plane < sums.shape[0]:
                        sums[plane, c] = merged(sums[plane, c], value)
                    else:
                        strays += 1
        return strays

    digest = source_digest(add)
    return compiled(loop, inner=None if digest is None else f"{combine} {digest}")


@cache
def move_loop(move: Callable[..., Any]) -> Any:
    """Return the loop that moves the origin of time in the sums to a later one."""
    moved = inlined(move)

    def loop(sums, shift_us, parameter):
        for plane in range(sums.shape[0]):
            for c in range(sums.shape[1]):
                sums[plane, c] = moved(sums[plane, c], plane, shift_us, parameter)

    return compiled(loop, inner=source_digest(move))


@cache
def write_loop(finish: Callable[..., Any]) -> Any:
    """Return the loop that writes the sums as floats and keeps them."""
    value_of = inlined(finish)

    def loop(sums, window_us, parameter, table, out):
        for plane in range(sums.shape[0]):
            for c in range(sums.shape[1]):
                out[plane, c] = value_of(sums[plane, c], plane, window_us, parameter, table)

    return compiled(loop, inner=source_digest(finish))


@cache
def finish_loop(finish: Callable[..., Any]) -> Any:
    """Return the loop that writes the sums as floats and clears them."""
    value_of = inlined(finish)

    def loop(sums, window_us, parameter, table, out):
        for plane in range(sums.shape[0]):
            for c in range(sums.shape[1]):
                out[plane, c] = value_of(sums[plane, c], plane, window_us, parameter, table)
                sums[plane, c] = 0

    return compiled(loop, inner=source_digest(finish))


def source_digest(function: Callable[..., Any]) -> str | None:
    """Return a function's name and the digest of its file, None where there is no file."""
    code = function.__code__
    try:
        content = Path(code.co_filename).read_bytes()
    except OSError:
        return None
    place = f"{function.__qualname__} {code.co_firstlineno} ".encode()
    return hashlib.sha256(place + content).hexdigest()
