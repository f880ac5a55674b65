"""Counts of pairs of 8-bit label maps on the CPU: confusion, and pixels near boundaries.

Rows stay in the cache, and the comparisons of a row are vectorised.
"""

from __future__ import annotations

import numpy as np

from eventseg.kernels.compiled import compiled

IGNORED = 255


@compiled
def count_pairs(truth, prediction, counts):
    """Add the pixels of two uint8 (H, W) maps to ``counts``, int32 (4, 256, 256).

    Neighbours, which are mostly of one pair, go to different tables: no addition waits for the
    one before. The sum over the tables is the count.
    """
    height, width = truth.shape
    whole = width - width % 4
    for y in range(height):
        for x in range(0, whole, 4):
            counts[0, truth[y, x], prediction[y, x]] += 1
            counts[1, truth[y, x + 1], prediction[y, x + 1]] += 1
            counts[2, truth[y, x + 2], prediction[y, x + 2]] += 1
            counts[3, truth[y, x + 3], prediction[y, x + 3]] += 1
        for x in range(whole, width):
            counts[0, truth[y, x], prediction[y, x]] += 1


@compiled
def mark_near(labels, raised, width, near):
    """Mark in ``near``, bool (H, W), the pixels with one of another class nearby.

    Nearby is at most ``width`` rows and columns away; 255 is near nothing and makes no boundary.
    ``raised`` is ``labels`` + 1, where what is ignored wraps to 0. Values stay 8-bit, so that a
    row is compared many pixels at a time.
    """
    rows, columns = labels.shape
    high = np.zeros(columns + 2 * width, np.uint8)
    low = np.full(columns + 2 * width, IGNORED, np.uint8)
    inner_high, inner_low = high[width : width + columns], low[width : width + columns]
    highest, lowest = np.empty(columns, np.uint8), np.empty(columns, np.uint8)
    for y in range(rows):
        inner_high[:] = raised[y]
        inner_low[:] = labels[y]
        for row in range(max(0, y - width), min(rows, y + width + 1)):
            up, down = raised[row], labels[row]
            for x in range(columns):
                inner_high[x] = max(inner_high[x], up[x])
            for x in range(columns):
                inner_low[x] = min(inner_low[x], down[x])
        highest[:] = high[:columns]
        lowest[:] = low[:columns]
        for shift in range(1, 2 * width + 1):
            other_high, other_low = high[shift : shift + columns], low[shift : shift + columns]
            for x in range(columns):
                highest[x] = max(highest[x], other_high[x])
            for x in range(columns):
                lowest[x] = min(lowest[x], other_low[x])
        own, own_raised, marks = labels[y], raised[y], near[y]
        for x in range(columns):
            marks[x] = (own_raised[x] != 0) & (
                (highest[x] != own_raised[x]) | (lowest[x] != own[x])
            )


@compiled
def spread_classes(labels, edge, bits, width, spread):
    """Write to ``spread``, uint32 (H, W), the bits of the classes of all edge pixels nearby."""
    rows, columns = labels.shape
    own = np.empty((rows, columns), np.uint32)
    for y in range(rows):
        for x in range(columns):
            own[y, x] = bits[labels[y, x]] if edge[y, x] else np.uint32(0)
    column = np.zeros(columns + 2 * width, np.uint32)
    inner = column[width : width + columns]
    for y in range(rows):
        inner[:] = np.uint32(0)
        for row in range(max(0, y - width), min(rows, y + width + 1)):
            given = own[row]
            for x in range(columns):
                inner[x] |= given[x]
        found = spread[y]
        found[:] = column[:columns]
        for shift in range(1, 2 * width + 1):
            other = column[shift : shift + columns]
            for x in range(columns):
                found[x] |= other[x]


@compiled
def count_near(truth, prediction, near_true, near_predicted, both, either, trimap):
    """Add the pixels near boundaries: ``both``, ``either`` int64 (K,), ``trimap`` (K, K).

    ``either`` gets the pixels near a boundary of the truth and those of the prediction.
    """
    rows, columns = truth.shape
    for y in range(rows):
        for x in range(columns):
            if near_true[y, x]:
                either[truth[y, x]] += 1
                trimap[truth[y, x], prediction[y, x]] += 1
                if near_predicted[y, x] and truth[y, x] == prediction[y, x]:
                    both[truth[y, x]] += 1
            if near_predicted[y, x]:
                either[prediction[y, x]] += 1


@compiled
def count_matched(labels, edge, bits, spread, total, matched):
    """Add the edge pixels of each class, and those with one of it nearby in the other map."""
    rows, columns = labels.shape
    for y in range(rows):
        for x in range(columns):
            if edge[y, x]:
                bit = bits[labels[y, x]]
                if bit:
                    total[labels[y, x]] += 1
                    if spread[y, x] & bit:
                        matched[labels[y, x]] += 1
