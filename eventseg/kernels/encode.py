"""Loops over windows: each window fresh, or made from the one before where they overlap."""

from __future__ import annotations

from eventseg.kernels.accumulate import add_packed, add_wide, subtract_packed
from eventseg.kernels.bands import encode_bands
from eventseg.kernels.cells import EXACT_LIMIT
from eventseg.kernels.compiled import compiled
from eventseg.kernels.finalize import finalize_packed, finalize_wide, largest_count


@compiled
def encode_packed(
    t, x, y, p, lo, hi, t0_us, t1_us, out, wide, words, banding, row0, rows, width, ddof
):
    """Encode windows in order, each by the cheaper way: fresh, or sliding from the one before.

    Sliding adds the events that enter, takes away those that leave and moves the origin of time
    in the sums: integers, so the result is the same to the bit and nothing drifts.

    Parameters
    ----------
    t, x, y, p : columns of an event stream
    lo, hi : int64 (K,)
        First event of each window and the one after its last.
    t0_us, t1_us : int64 (K,)
        Begin and end of each window.
    out : float32 (K, 6, C)
        Channels of each window, C = rows x width cells.
    wide : bool (K,)
        Windows to leave out, since they are beyond the packed limits; on return, also those with a
        cell whose spread is beyond exact integers; their output is to be made by the wide path.
    words : tuple of int64 (2 C + 1,) twice and int32 (BLOCK,) twice
        Sums, all zero before and after, and the staging buffers.
    banding : int, uint8 (N,), uint64 (N,)
        Logarithm of the rows of a band, or -1; and room for N events. Fresh windows of at most N
        events that no other window is made from are encoded in bands.
    """
    count_time, square, cell, dt = words
    shift, key, order = banding
    cells = rows * width
    held = False
    for k in range(len(lo)):
        if wide[k]:
            continue
        begin, end, origin = lo[k], hi[k], t0_us[k]
        window_us = t1_us[k] - origin
        keep = (
            k + 1 < len(lo)
            and not wide[k + 1]
            and t1_us[k + 1] - t0_us[k + 1] == window_us
            and lo[k] <= lo[k + 1] < end <= hi[k + 1]
            and (lo[k + 1] - lo[k]) + (hi[k + 1] - end) < hi[k + 1] - lo[k + 1]
        )
        if not held and not keep and shift >= 0 and end - begin <= len(order):
            wide[k] = encode_bands(
                t,
                x,
                y,
                p,
                begin,
                end,
                origin,
                window_us,
                out[k],
                count_time,
                square,
                shift,
                key,
                order,
                row0,
                rows,
                width,
                ddof,
            )
            continue
        if held:
            subtract_packed(
                count_time,
                square,
                t,
                x,
                y,
                p,
                lo[k - 1],
                begin,
                origin,
                row0,
                rows,
                width,
                cell,
                dt,
            )
            begin = hi[k - 1]
        add_packed(count_time, square, t, x, y, p, begin, end, origin, row0, rows, width, cell, dt)
        if (end - lo[k]) * window_us >= EXACT_LIMIT:
            wide[k] = largest_count(count_time, 2 * cells) * window_us >= EXACT_LIMIT
        held = keep
        shift_us = t0_us[k + 1] - origin if held else 0
        finalize_packed(count_time, square, out[k], window_us, shift_us, held, ddof)


@compiled
def encode_wide(t, x, y, p, lo, hi, t0_us, t1_us, out, words, row0, rows, width, ddof):
    """Encode one window of any length up to 2^31 us and any count; ``out`` is float32 (6, C)."""
    count, time, square_high, square_low = words
    add_wide(count, time, square_high, square_low, t, x, y, p, lo, hi, t0_us, row0, rows, width)
    finalize_wide(count, time, square_high, square_low, out, t1_us - t0_us, ddof)
