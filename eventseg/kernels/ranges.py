"""Raw channels into the ranges of EV-SegNet's files, in one pass over memory."""

from __future__ import annotations

import numpy as np

from eventseg.kernels.compiled import compiled


@compiled
def evsegnet_ranges(raw, out):
    """Write the channels of windows in EV-SegNet's ranges.

    Parameters
    ----------
    raw : float32 (K, 6, C)
        Channels ``count+ count- mean+ std+ mean- std-`` of C cells each.
    out : float32 (K, 6, C)
        May be ``raw`` itself.
    """
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    for window in range(len(raw)):
        for polarity in range(2):
            counts, made_counts = raw[window, polarity], out[window, polarity]
            means, made_means = raw[window, 2 + 2 * polarity], out[window, 2 + 2 * polarity]
            stds, made_stds = raw[window, 3 + 2 * polarity], out[window, 3 + 2 * polarity]
            largest = zero
            for i in range(len(counts)):
                largest = max(largest, counts[i])
            per_count = two / (largest if largest > zero else one)
            for i in range(len(counts)):
                n = counts[i]
                made_counts[i] = n * per_count - one
                made_means[i] = two * means[i] - one if n != zero else zero
                made_stds[i] = min(two * stds[i], one)
