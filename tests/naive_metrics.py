"""The scores in loops over pixels, straight from their definitions."""

from __future__ import annotations

import math

IGNORED = 255


def confusion(truth, prediction, classes):
    """Count pairs of true and predicted class."""
    matrix = [[0] * classes for _ in range(classes)]
    for true, predicted in zip(truth, prediction, strict=True):
        if true != IGNORED:
            matrix[true][predicted] += 1
    return matrix


def class_scores(truth, prediction, k):
    """Return IoU, Dice and accuracy of class k from sets of pixels."""
    counted = [i for i, true in enumerate(truth) if true != IGNORED]
    true = {i for i in counted if truth[i] == k}
    predicted = {i for i in counted if prediction[i] == k}
    both, either = len(true & predicted), len(true | predicted)
    return (
        both / either if either else math.nan,
        2 * both / (len(true) + len(predicted)) if either else math.nan,
        both / len(true) if true else math.nan,
    )


def instance_iou(truth, instances, prediction, k, mean=None, countable=False):
    """Return the iIoU of class k: weights on single pixels, mean size from these instances."""
    size = {}
    for true, thing in zip(truth, instances, strict=True):
        if true == k and thing:
            size[thing] = size.get(thing, 0) + 1
    if not size:
        wrong = any(
            true not in (k, IGNORED) and predicted == k
            for true, predicted in zip(truth, prediction, strict=True)
        )
        return 0.0 if countable and wrong else math.nan
    mean = sum(size.values()) / len(size) if mean is None else mean
    tp = fn = fp = 0.0
    for true, thing, predicted in zip(truth, instances, prediction, strict=True):
        if true == k and thing:
            if predicted == k:
                tp += mean / size[thing]
            else:
                fn += mean / size[thing]
        elif true not in (k, IGNORED) and predicted == k:
            fp += 1
    return tp / (tp + fp + fn)


def calibration_error(truth, prediction, confidence, bins):
    """Return the ECE over bins of equal width, compared without rounding."""
    rows = [
        (byte, true == predicted)
        for true, predicted, byte in zip(truth, prediction, confidence, strict=True)
        if true != IGNORED
    ]
    error = 0.0
    for i in range(bins):
        held = [
            row
            for row in rows
            if i * 255 <= row[0] * bins and (row[0] * bins < (i + 1) * 255 or i == bins - 1)
        ]
        if held:
            mean = sum(byte / 255 for byte, _ in held) / len(held)
            accuracy = sum(right for _, right in held) / len(held)
            error += len(held) / len(rows) * abs(accuracy - mean)
    return error


def risk_coverage(truth, prediction, confidence):
    """Return (coverage, risk) at every confidence that occurs, the highest first."""
    rows = [
        (byte, true == predicted)
        for true, predicted, byte in zip(truth, prediction, confidence, strict=True)
        if true != IGNORED
    ]
    points = []
    for threshold in sorted({byte for byte, _ in rows}, reverse=True):
        kept = [right for byte, right in rows if byte >= threshold]
        points.append((len(kept) / len(rows), 1 - sum(kept) / len(kept)))
    return points


def prior_of(counts, weights):
    """Return the class of each pixel with the largest product of count and weight."""
    return [
        max(range(len(weights)), key=lambda k: column[k] * weights[k])
        for column in zip(*counts, strict=True)
    ]


def prior_miou(counts, chosen):
    """Return the mean IoU over the true classes where pixel x is always predicted as chosen[x]."""
    ious = []
    for k, own in enumerate(counts):
        if sum(own):
            hits = sum(n for n, c in zip(own, chosen, strict=True) if c == k)
            predicted = sum(
                sum(column) for column, c in zip(zip(*counts, strict=True), chosen, strict=True)
                if c == k
            )  # fmt: skip
            ious.append(hits / (sum(own) + predicted - hits))
    return sum(ious) / len(ious)


def near_boundary(labels, width):
    """Return the pixels (row, column) with another class at most width rows and columns away."""
    height, breadth = len(labels), len(labels[0])
    near = set()
    for row in range(height):
        for column in range(breadth):
            around = {
                labels[r][c]
                for r in range(max(0, row - width), min(height, row + width + 1))
                for c in range(max(0, column - width), min(breadth, column + width + 1))
            }
            if labels[row][column] != IGNORED and around - {labels[row][column], IGNORED}:
                near.add((row, column))
    return near


def boundary_iou(truth, prediction, k, width):
    """Return (both, either) of class k from sets of pixels near the boundaries of its two masks."""
    shown = [
        [IGNORED if true == IGNORED else guess for true, guess in zip(*rows, strict=True)]
        for rows in zip(truth, prediction, strict=True)
    ]
    of_truth, of_prediction = (
        {(row, column) for row, column in near_boundary(maps, width) if maps[row][column] == k}
        for maps in (truth, shown)
    )
    return len(of_truth & of_prediction), len(of_truth | of_prediction)


def calibration(pixels, temperature, bins):
    """Return ECE and mean NLL of (scores, true class) of each pixel."""
    rows, log_loss = [], 0.0
    for scores, true in pixels:
        if true == IGNORED:
            continue
        powers = [math.exp(score / temperature) for score in scores]
        shares = [power / sum(powers) for power in powers]
        confidence = max(shares)
        rows.append((confidence, shares.index(confidence) == true))
        log_loss -= math.log(shares[true])
    error = 0.0
    for i in range(bins):
        held = [row for row in rows if i == min(int(row[0] * bins), bins - 1)]
        if held:
            mean = sum(confidence for confidence, _ in held) / len(held)
            accuracy = sum(right for _, right in held) / len(held)
            error += len(held) / len(rows) * abs(accuracy - mean)
    return error, log_loss / len(rows)


def flicker(before, after, classes, way=None):
    """Return (still, changed) pixels of each class; way is (right, down) of each pixel."""
    height, width = len(after[0]), len(after[0][0])
    still, changed = [0] * classes, [0] * classes
    for row in range(height):
        for column in range(width):
            source = row, column
            if way is not None:
                right, down = (way[axis][row][column] for axis in (0, 1))
                if not (math.isfinite(right) and math.isfinite(down)):
                    continue
                source = math.floor(row - down + 0.5), math.floor(column - right + 0.5)
            if not (0 <= source[0] < height and 0 <= source[1] < width):
                continue
            was, true = before[0][source[0]][source[1]], after[0][row][column]
            if true == was != IGNORED:
                still[true] += 1
                changed[true] += before[1][source[0]][source[1]] != after[1][row][column]
    return still, changed
