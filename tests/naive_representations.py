"""Baseline representations in loops: slow, obvious, by fractions, without a look at the kernels."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from naive import cells


def counts(events, t0_us, t1_us, *, slices=1):
    """Return (2 slices, H, W): events of each polarity in each equal part of the window."""
    height, width = events.sensor
    made = np.zeros((2, slices, height, width))
    for (p, y, x), dts in cells(events, t0_us, t1_us).items():
        for dt in dts:
            part = math.floor(Fraction(dt, t1_us - t0_us) * slices)
            made[0 if p == 1 else 1, part, y, x] += 1
    return made.reshape(2 * slices, height, width)


def latest(events, t0_us, t1_us):
    """Return (2, H, W): the end of the latest event's microsecond as a share of the window."""
    made = np.zeros((2, *events.sensor))
    for (p, y, x), dts in cells(events, t0_us, t1_us).items():
        made[0 if p == 1 else 1, y, x] = float(Fraction(max(dts) + 1, t1_us - t0_us))
    return made


def voxels(events, t0_us, t1_us, *, bins):
    """Return (bins, H, W): polarity times max(0, 1 - |b - tau (bins - 1)|), summed exactly."""
    made = np.zeros((bins, *events.sensor))
    for b in range(bins):
        exact = {}
        for (p, y, x), dts in cells(events, t0_us, t1_us).items():
            for dt in dts:
                moment = Fraction(dt, t1_us - t0_us) * (bins - 1)
                near = max(Fraction(0), 1 - abs(b - moment))
                exact[y, x] = exact.get((y, x), 0) + (1 if p == 1 else -1) * near
        for pixel, value in exact.items():
            made[b][pixel] = float(value)
    return made


def surface(events, t0_us, t1_us, *, decay_us):
    """Return (2, H, W): exp(-age / tau), age from the end of the latest event's microsecond."""
    made = np.zeros((2, *events.sensor))
    for (p, y, x), dts in cells(events, t0_us, t1_us).items():
        age_us = (t1_us - t0_us) - (max(dts) + 1)
        made[0 if p == 1 else 1, y, x] = math.exp(-age_us / decay_us)
    return made


def tensor(name, events, t0_us, t1_us):
    """Return the tensor of a representation by its name, float64."""
    kind, _, value = name.partition(":")
    if kind == "count":
        return counts(events, t0_us, t1_us)
    if kind == "count-latest":
        parts = [counts(events, t0_us, t1_us), latest(events, t0_us, t1_us)]
        return np.concatenate(parts)
    if kind == "stack":
        return counts(events, t0_us, t1_us, slices=int(value))
    if kind == "voxel":
        return voxels(events, t0_us, t1_us, bins=int(value))
    return surface(events, t0_us, t1_us, decay_us=int(value.removesuffix("us")))
