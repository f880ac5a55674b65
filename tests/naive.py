"""The specification in loops: slow, obvious, and written without a look at the kernels."""

from __future__ import annotations

from fractions import Fraction

import numpy as np


def cells(events, t0_us, t1_us):
    """Return {(polarity, y, x): [t - t0, ...]} of the events with t0 <= t < t1."""
    found = {}
    for t, x, y, p in zip(events.t, events.x, events.y, events.p, strict=True):
        if t0_us <= t < t1_us:
            found.setdefault((int(p), int(y), int(x)), []).append(int(t) - t0_us)
    return found


def sums(events, t0_us, t1_us):
    """Return {(polarity, y, x): (n, sum of dt, sum of dt^2)} in exact integers."""
    return {
        cell: (len(dt), sum(dt), sum(d * d for d in dt))
        for cell, dt in cells(events, t0_us, t1_us).items()
    }


def tensor(events, t0_us, t1_us, *, ddof=1, rows=None):
    """Return the six channels as float64 (6, H, W), mean and variance by exact fractions."""
    height, width = events.sensor
    full = np.zeros((6, height, width))
    window = t1_us - t0_us
    for (p, y, x), dt in cells(events, t0_us, t1_us).items():
        n = len(dt)
        mean = Fraction(sum(dt), n)
        spread = sum((d - mean) ** 2 for d in dt)
        on = p == 1
        full[0 if on else 1, y, x] = n
        full[2 if on else 4, y, x] = float(mean / window)
        if n > 1:
            variance = spread / (n - ddof)
            full[3 if on else 5, y, x] = float(variance) ** 0.5 / window
    return full if rows is None else full[:, rows[0] : rows[1]]


def evsegnet(raw):
    """Return raw channels (6, H, W) in the ranges of EV-SegNet's files."""
    result = np.zeros_like(raw)
    for count, mean, std in ((0, 2, 3), (1, 4, 5)):
        most = raw[count].max()
        for y, x in np.ndindex(raw.shape[1:]):
            n = raw[count, y, x]
            result[count, y, x] = 2 * n / most - 1 if most > 0 else -1
            result[mean, y, x] = 2 * raw[mean, y, x] - 1 if n > 0 else 0
            result[std, y, x] = min(1, 2 * raw[std, y, x])
    return result
