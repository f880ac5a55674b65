"""Integer sums into the float channels: the one place where encoding rounds.

With ``s1 = sum(dt)``, ``s2 = sum(dt ** 2)`` and window length w, all in integers:

    count = n    mean = s1 / (n w)    std = sqrt((n s2 - s1^2) / (n (n - ddof))) / w

(EV-SegNet, arXiv 1811.12039, section 3.1, whose divisor is n - 1.)
``n s2 - s1^2`` is an integer and formed exactly, modulo 2^64; it is at most (n w / 2)^2, so the
wrapped result is the true one while n w < EXACT_LIMIT. Beyond, float64 takes over, whose error
stays below 2e-8 of the window.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from eventseg.kernels import cells
from eventseg.kernels.cells import COUNT_SHIFT, EXACT_LIMIT, TIME_MASK
from eventseg.kernels.compiled import compiled

exact_moments = njit(nogil=True, inline="always")(cells.exact_moments)
far_moments = njit(nogil=True, inline="always")(cells.far_moments)


@compiled
def finalize_packed(count_time, square, out, window_us, shift_us, keep, ddof):
    """Write the six channels of all cells, then clear the words or move their origin.

    Parameters
    ----------
    count_time, square : int64 (2 C + 1,)
        Packed words of ON cells, OFF cells and the cell for events outside the rows.
    out : float32 (6, C)
        Channels ``count+ count- mean+ std+ mean- std-``.
    window_us : int
        Length of the window.
    shift_us : int
        With ``keep``, how far the origin of dt moves forward for the next window.
    keep : bool
        Keep the sums for the next window; else set them to zero.
    ddof : int
        1 or 0.
    """
    cells = out.shape[1]
    for polarity in range(2):
        finalize_plane(
            count_time[polarity * cells : polarity * cells + cells],
            square[polarity * cells : polarity * cells + cells],
            out[polarity],
            out[2 + 2 * polarity],
            out[3 + 2 * polarity],
            window_us,
            shift_us,
            keep,
            ddof,
        )
    if not keep:
        count_time[2 * cells] = 0
        square[2 * cells] = 0


@compiled
def finalize_plane(words, squares, counts, means, stds, window_us, shift_us, keep, ddof):
    """Write the three channels of cells of one polarity, see :func:`finalize_packed`."""
    per_window = np.float32(1.0 / window_us)
    less = np.float32(ddof)
    words, squares = words[: len(counts)], squares[: len(counts)]
    means, stds = means[: len(counts)], stds[: len(counts)]
    for i in range(len(counts)):
        n = words[i] >> COUNT_SHIFT
        s1 = words[i] & TIME_MASK
        counts[i] = np.float32(n)
        means[i], stds[i] = exact_moments(n, s1, squares[i], per_window, less)
        if keep:
            # sum(dt - s) and sum((dt - s)^2), by the sums of dt and dt^2
            words[i] -= n * shift_us
            squares[i] += shift_us * (n * shift_us - 2 * s1)
        else:
            words[i] = 0
            squares[i] = 0


@compiled
def move_origin(count_time, square, shift_us):
    """Move the origin of dt forward by ``shift_us`` in the two packed words of every cell.

    By ``sum(dt - s) = s1 - n s`` and ``sum((dt - s)^2) = s2 - 2 s s1 + n s^2``. Every dt must be at
    least ``shift_us``: then both sums stay in their words.
    """
    for i in range(len(count_time)):
        n = count_time[i] >> COUNT_SHIFT
        s1 = count_time[i] & TIME_MASK
        count_time[i] -= n * shift_us
        square[i] += shift_us * (n * shift_us - 2 * s1)


@compiled
def largest_count(count_time, cells):
    """Return the largest number of events in any of the first ``cells`` cells."""
    largest = np.int64(0)
    words = count_time[:cells]
    for i in range(cells):
        largest = max(largest, words[i])
    return largest >> COUNT_SHIFT


@compiled
def finalize_cell(n, s1, square_high, square_low, window_us, ddof):
    """Return mean and std of one cell of any size, float32 each, as shares of the window."""
    if n * window_us < EXACT_LIMIT:
        s2 = (square_high << 32) + square_low
        return exact_moments(n, s1, s2, np.float32(1.0 / window_us), np.float32(ddof))
    mean_us = s1 / n
    return far_moments(n, mean_us, mean_us * mean_us, square_high, square_low, window_us, ddof)


@compiled
def finalize_wide(count, time, square_high, square_low, out, window_us, ddof):
    """Write the six channels of all cells from the four wide words, then clear them."""
    cells = out.shape[1]
    for polarity in range(2):
        for i in range(cells):
            c = polarity * cells + i
            mean, std = finalize_cell(
                count[c], time[c], square_high[c], square_low[c], window_us, ddof
            )
            out[polarity, i] = np.float32(count[c])
            out[2 + 2 * polarity, i] = mean
            out[3 + 2 * polarity, i] = std
            count[c] = time[c] = square_high[c] = square_low[c] = 0
