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


def splitmix64(key, n):
    """Return the first n words of SplitMix64 from a seed, as Python integers."""
    words = []
    for _ in range(n):
        key = (key + 0x9E3779B97F4A7C15) % 2**64
        word = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
        words.append(word ^ word >> 31)
    return words


def changed(events, change):
    """Return the events (t, x, y, p) of a stream after an EventChange, sorted by time."""
    height, width = events.sensor
    words = splitmix64(change.key, len(events) + 2 * change.noise)
    steps = 2 * change.jitter_us + 1
    made = []
    for t, x, y, p in events.to_records().tolist():
        high, low = divmod(words.pop(0), 2**32)
        t += low * steps // 2**32 - change.jitter_us
        t = sorted((events.t0_us, t, events.t1_us - 1))[1]
        x = (width - 1 - x if change.flip else x) + change.dx
        y += change.dy
        on_sensor = x in range(width) and y in range(height)
        if on_sensor and high >= round(change.drop * 2**32):
            made.append((t, x, y, 1 - p if change.swap else p))
    while words:
        when, where = words.pop(0), words.pop(0)
        t = events.t0_us + when % (events.t1_us - events.t0_us)
        high, low = divmod(where, 2**32)
        made.append((t, high * width // 2**32, low // 2 * height // 2**31, where % 2))
    return sorted(made, key=lambda event: event[0])


def fates(events, *, hot=None, refractory_us=0, support_us=0):
    """Return what becomes of each event, by looking at all events before it: a list of words."""
    found = []
    columns = [[int(value) for value in getattr(events, name)] for name in "txy"]
    stream = list(zip(*columns, strict=True))
    for i, (t, x, y) in enumerate(stream):
        mine = [t2 for t2, x2, y2 in stream[:i] if (x2, y2) == (x, y)]
        beside = [
            t2
            for (t2, x2, y2), fate in zip(stream, found, strict=False)
            if fate in ("kept", "background") and max(abs(x2 - x), abs(y2 - y)) == 1
        ]
        if hot is not None and hot[y, x]:
            found.append("hot")
        elif refractory_us and any(t - t2 < refractory_us for t2 in mine):
            found.append("refractory")
        elif support_us and not any(t - t2 <= support_us for t2 in beside):
            found.append("background")
        else:
            found.append("kept")
    return found
