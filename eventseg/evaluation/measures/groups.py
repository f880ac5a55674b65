"""Scores of groups of samples, or of classes, as a section of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.evaluation.measures.conditions import UNKNOWN, Condition, Values
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, percent
from eventseg.evaluation.rows import Row
from eventseg.metrics.bootstrap import Interval, class_intervals, iou_interval
from eventseg.plots.conditions import Line, figure_groups

FEWEST_BLOCKS = 6
"""Fewest blocks of an interval of a group, as those of a paired test: the draws of fewer spread
too little."""

GROUPS_RULE = (
    "mIoU is over the classes that have true pixels in the group, so groups may differ in their "
    "classes; intervals are over the blocks of the group's samples, whole recordings or stretches "
    f"of them, {FEWEST_BLOCKS} or more"
)
EDGES_RULE = "a group holds its lower edge"
CLASSES_RULE = f"intervals are over {FEWEST_BLOCKS} or more blocks that hold the class"


class Group(NamedTuple):
    """Samples under one condition, as a row of their own."""

    name: str
    row: Row


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of one group of one row.

    Parameters
    ----------
    group : str
        Name of the group, such as ``1 to 20``, or of the class.
    window : str
        Window of the row, such as ``50ms``.
    samples, pixels : int
        Samples of the group and scored pixels in them; of a class, those with true pixels.
    share : float
        Share of the pixels in all scored pixels of the row.
    iou : float
        Mean IoU over the classes with true pixels in the group, or IoU of the class.
    classes : int
        Number of classes in the mean; 1 for a class.
    interval : Interval, optional
        95 % interval of `iou`; None of fewer than :data:`FEWEST_BLOCKS` blocks.
    accuracy : float
        Share of the pixels that are right.
    """

    group: str
    window: str
    samples: int
    pixels: int
    share: float
    iou: float
    classes: int
    interval: Interval | None
    accuracy: float


def groups_of(row: Row, values: Values, *, condition: Condition) -> list[Group]:
    """Return the samples of a row by the value of a condition, without empty groups.

    Parameters
    ----------
    row : Row
    values : float64 (N,) or tuple of str (N,)
        Value of each sample of the row.
    condition : Condition

    Returns
    -------
    list of Group
        In the order of the edges or of the names, unknown values last.
    """
    if isinstance(values, tuple):
        names = sorted(set(values), key=lambda name: (name == UNKNOWN, name))
        of_group = [(name, np.array(values) == name) for name in names]
    else:
        numbers = np.searchsorted(condition.edges, values, side="right")
        unknown = np.isnan(values)
        of_group = [
            (name, (numbers == k) & ~unknown) for k, name in enumerate(group_names(condition.edges))
        ]
        of_group.append((UNKNOWN, unknown))
    return [Group(name, part_of(row, chosen)) for name, chosen in of_group if chosen.any()]


def group_names(edges: Sequence[float]) -> list[str]:
    """Return the names of the groups between edges, the open ones at both ends too.

    Examples
    --------
    >>> group_names((1, 20))
    ['below 1', '1 to 20', '20 and more']
    """
    inner = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g}", *inner, f"{edges[-1]:g} and more"]


def part_of(row: Row, chosen: NDArray[np.bool_]) -> Row:
    """Return a row of some of the samples, without instances.

    Parameters
    ----------
    row : Row
    chosen : bool (N,)
        Whether each sample of the row is taken.
    """
    indices = np.flatnonzero(chosen)
    return replace(
        row,
        ids=tuple(row.ids[i] for i in indices),
        sequences=tuple(row.sequences[i] for i in indices),
        matrices=row.matrices[indices],
        note="",
        instances=None,
        times_us=None if row.times_us is None else row.times_us[indices],
    )


def group_scores(row: Row, groups: Sequence[Group]) -> list[GroupScores]:
    """Return the scores of each group; shares are of the pixels of `row`."""
    total = max(1, int(row.matrices.sum()))
    return [
        GroupScores(
            group=name,
            window=group.window,
            samples=len(group.ids),
            pixels=group.scores.pixels,
            share=group.scores.pixels / total,
            iou=group.scores.miou_truth,
            classes=sum(count > 0 for count in group.scores.truth_pixels),
            interval=_interval(group),
            accuracy=group.scores.pixel_accuracy,
        )
        for name, group in groups
    ]


def class_scores(row: Row) -> list[GroupScores]:
    """Return the IoU of each class with its interval and the share of its true pixels."""
    blocks = row.blocks.sums(row.matrices)
    enough = int(blocks.any((1, 2)).sum()) >= 2
    intervals = class_intervals(blocks, seed=0) if enough else (None,) * len(row.classes)
    counts = [0 if interval is None else interval.blocks for interval in intervals]
    samples = (row.matrices.sum(2) > 0).sum(0).tolist()
    scores, total = row.scores, max(1, row.scores.pixels)
    return [
        GroupScores(
            group=name,
            window=row.window,
            samples=samples[k],
            pixels=scores.truth_pixels[k],
            share=scores.truth_pixels[k] / total,
            iou=scores.iou[k],
            classes=1,
            interval=intervals[k] if counts[k] >= FEWEST_BLOCKS else None,
            accuracy=scores.accuracy[k],
        )
        for k, name in enumerate(row.classes.names)
    ]


def condition_section(
    condition: Condition, found: Sequence[GroupScores], *, names: Sequence[str] = ()
) -> Section:
    """Return the section of a condition: its table, and its curve over the groups.

    Parameters
    ----------
    condition : Condition
    found : sequence of GroupScores
        Scores of all windows, group by group.
    names : sequence of str
        Groups in order, by default those of the condition.
    """
    of_classes = condition.name == "class"
    names = _names(names or (group_names(condition.edges) if condition.edges else ()), found)
    windows = list(dict.fromkeys(scores.window for scores in found))
    rules = [f"{condition.title}: {condition.rule}"]
    rules += [EDGES_RULE] if condition.edges else []
    rules.append(CLASSES_RULE if of_classes else GROUPS_RULE)
    score = "IoU" if of_classes else "mIoU of true classes"
    return Section(
        key=f"by_{condition.name}",
        title=f"Scores by {condition.name}, %",
        note="; ".join(rules),
        facts={"edges": list(condition.edges)} if condition.edges else {},
        lines=tuple(_line(condition, scores) for scores in found),
        table=Table(
            f"Scores by {condition.name}",
            (condition.title, "window", "samples", "pixels", score, "95 % interval", "accuracy"),
            [_cells(scores, of_classes=of_classes) for scores in found],
        ),
        figure=lambda: figure_groups(
            [_curve(window, names, found) for window in windows],
            names=names,
            title=f"{score} by {condition.name}, %",
            label=condition.title,
            joined=bool(condition.edges),
        ),
    )


def _interval(row: Row) -> Interval | None:
    """Return the interval of the mean IoU over the true classes, None of too few blocks."""
    blocks = row.blocks.sums(row.matrices)
    truth = blocks.sum(2)
    both = np.diagonal(blocks, axis1=1, axis2=2)
    if int(truth.any(1).sum()) < FEWEST_BLOCKS:
        return None
    return iou_interval(both, truth + blocks.sum(1) - both, holding=truth, seed=0)


def _names(order: Sequence[str], found: Sequence[GroupScores]) -> list[str]:
    """Return the names of all groups that a window has, those in a given order first."""
    names = list(dict.fromkeys(scores.group for scores in found))
    known = [name for name in order if name in names]
    return known + [name for name in names if name not in known]


def _line(condition: Condition, scores: GroupScores) -> dict[str, str | int | float]:
    low, high = (
        (float("nan"),) * 2
        if scores.interval is None
        else (scores.interval.low, scores.interval.high)
    )
    return {
        condition.name: scores.group,
        "window": scores.window,
        "samples": scores.samples,
        "pixels": scores.pixels,
        "share": scores.share,
        "iou" if condition.name == "class" else "miou_truth": scores.iou,
        "classes": scores.classes,
        "interval_low": low,
        "interval_high": high,
        "blocks": 0 if scores.interval is None else scores.interval.blocks,
        "accuracy": scores.accuracy,
    }


def _cells(scores: GroupScores, *, of_classes: bool) -> list[str]:
    classes = "" if of_classes else f" ({scores.classes} classes)"
    interval = scores.interval
    return [
        scores.group,
        scores.window,
        f"{scores.samples:,}",
        percent(scores.share),
        percent(scores.iou) + classes,
        "too few blocks"
        if interval is None
        else f"{percent(interval.low)} to {percent(interval.high)} ({interval.blocks} blocks)",
        percent(scores.accuracy),
    ]


def _curve(window: str, names: Sequence[str], found: Sequence[GroupScores]) -> Line:
    """Return the scores of one window over all groups, NaN where it has none."""
    mine = {scores.group: scores for scores in found if scores.window == window}
    values = np.full((3, len(names)), np.nan)
    samples = [0] * len(names)
    for k, name in enumerate(names):
        if name in mine:
            scores = mine[name]
            values[0, k], samples[k] = 100 * scores.iou, scores.samples
            if scores.interval is not None:
                values[1:, k] = 100 * scores.interval.low, 100 * scores.interval.high
    return Line(window, values[0], values[1], values[2], samples)
