"""Comparison of predictions: seeds as mean, deviation and interval, two groups by a paired test."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from eventseg.errors import LabelError
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, percent
from eventseg.evaluation.rows import Row
from eventseg.evaluation.significance import PairedTest, paired_test
from eventseg.metrics.paired_bootstrap import Difference, seeds_interval


def versus_section(
    first: Sequence[Row], second: Sequence[Row], *, seed: int
) -> tuple[Section | None, str]:
    """Return the section of a paired test, and why there is none.

    Parameters
    ----------
    first, second : sequence of Row
        One row a seed of each.
    seed : int
        Random seed of the draws.

    Raises
    ------
    TrainingError
        No sample in common, or another truth of a sample.
    """
    try:
        found = paired_test(first, second, seed=seed)
    except LabelError as error:  # too few blocks
        return None, f"no paired test: {error}"
    named = [
        ("mIoU of true classes", found.miou),
        *zip(found.classes, found.differences.iou, strict=True),
    ]
    return (
        Section(
            key="versus",
            title=f"{found.first} against {found.second}",
            note="; ".join(filter(None, (verdict(found), _rule(found), found.note))),
            facts={"test": found.to_dict()},
            lines=[{"score": name, **_values(one)} for name, one in named],
            table=Table(
                "Paired test",
                (
                    "score",
                    f"{found.first}, %",
                    f"{found.second}, %",
                    "difference",
                    "95 % interval",
                    "p",
                    "first is better with probability",
                ),
                [[name, *_cells(one)] for name, one in named],
            ),
        ),
        "",
    )


def verdict(found: PairedTest) -> str:
    """Return in words which is better, with its probability."""
    one = found.miou
    first, second = found.first, found.second
    if one.difference < 0:
        first, second = second, first
    if one.difference == 0:
        return f"{first} and {second} have equal scores"
    probability = max(one.better, 1 - one.better)
    certain = "" if probability >= 0.975 else ": not certain"
    return (
        f"{first} is better than {second} by {100 * abs(one.difference):.2f} points of mIoU with "
        f"probability {probability:.3f}{certain}"
    )


def seeds_section(groups: Sequence[Sequence[Row]], *, seed: int) -> Section | None:
    """Return mean, deviation and interval of each group of several seeds, None without any."""
    several = [rows for rows in groups if len(rows) > 1]
    if not several:
        return None
    lines: list[dict[str, str | int | float]] = []
    cells = []
    for rows in several:
        values = [row.scores.miou_truth for row in rows]
        mean, deviation = statistics.fmean(values), statistics.stdev(values)
        low, high = _interval(rows, seed)
        name = ", ".join(row.name for row in rows)
        lines.append(
            {
                "predictions": name,
                "seeds": len(rows),
                "miou_truth": mean,
                "deviation": deviation,
                "interval_low": low,
                "interval_high": high,
            }
        )
        ends = "too few blocks" if np.isnan(low) else f"{percent(low)} to {percent(high)}"
        cells.append([name, str(len(rows)), percent(mean), percent(deviation), ends])
    return Section(
        key="seeds",
        title="Several seeds, %",
        note=(
            "mean and sample deviation of the mIoU of true classes over the seeds; the interval is "
            "of the mean, from draws of blocks and of seeds"
        ),
        lines=lines,
        table=Table(
            "Several seeds", ("predictions", "seeds", "mean", "deviation", "95 % interval"), cells
        ),
    )


def _interval(rows: Sequence[Row], seed: int) -> tuple[float, float]:
    """Return the interval over the samples that all seeds have, NaN of too few blocks."""
    if len({row.ids for row in rows}) > 1:
        return float("nan"), float("nan")
    blocks = rows[0].blocks
    try:
        return seeds_interval(np.array([blocks.sums(row.matrices) for row in rows]), seed=seed)
    except LabelError:
        return float("nan"), float("nan")


def _rule(found: PairedTest) -> str:
    return (
        f"{found.samples:,} samples in common, drawn as {found.blocks}, the same for both, with "
        f"the seeds of each ({found.seeds[0]} and {found.seeds[1]}), {found.differences.repeats:,} "
        "times; the p-values of classes are not corrected for their number"
    )


def _values(one: Difference) -> dict[str, float]:
    return {
        "first": one.first,
        "second": one.second,
        "difference": one.difference,
        "interval_low": one.low,
        "interval_high": one.high,
        "p": one.p_value,
        "first_better": one.better,
    }


def _cells(one: Difference) -> list[str]:
    known = not np.isnan(one.low)
    return [
        percent(one.first),
        percent(one.second),
        "-" if np.isnan(one.difference) else f"{100 * one.difference:+.2f}",
        f"{100 * one.low:+.2f} to {100 * one.high:+.2f}" if known else "too few blocks",
        f"{one.p_value:.3f}" if known else "-",
        f"{one.better:.3f}" if known else "-",
    ]
