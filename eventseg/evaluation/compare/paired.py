"""Paired tests of two runs from the matrices that their reports keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eventseg.errors import TrainingError
from eventseg.evaluation.compare.evaluations import pick_evaluation
from eventseg.evaluation.compare.runs import RunSummary
from eventseg.evaluation.compare.scores import Evaluation, by_length
from eventseg.evaluation.report.tables import percent
from eventseg.evaluation.rows import Row
from eventseg.evaluation.sample_scores import read_sample_scores
from eventseg.evaluation.significance import PairedTest, paired_test
from eventseg.files.texts import counted
from eventseg.metrics.paired_bootstrap import Difference
from eventseg.windows import format_duration, parse_duration

TEST_HEADER = ("score", "first", "second", "difference", "95 % interval", "p")

READING = (
    "IoU in percent, differences in points; mIoU is over the classes with true pixels. p is "
    "two-sided, from the share of bootstrap draws with the other sign; interval and p are widened "
    "for few blocks; the p of classes are not corrected for their number."
)


def paired_tests(
    groups: Sequence[RunSummary], pair: tuple[str | Path, str | Path]
) -> list[PairedTest]:
    """Return the tests of two run folders, each with the seeds it is grouped with.

    They are tested at each window that both were scored at, or, where there is none, one that was
    scored at a single window against every window of the other.

    Parameters
    ----------
    groups : sequence of RunSummary
        Runs, those that differ only in the seed as one.
    pair : (path, path)

    Raises
    ------
    TrainingError
        Two seeds of one run, no evaluation or no window to test at, or reports that lack or
        contradict the matrices.
    """
    first, second = (_group_of(groups, Path(folder)) for folder in pair)
    if first is second:
        raise TrainingError(
            f"--test {pair[0]} {pair[1]}: these are seeds of one run; give two runs that differ "
            "in more than the seed"
        )
    evaluations = _evaluations(first, second)
    scored = [run.scored[key] for run, key in zip((first, second), evaluations, strict=True)]
    windows = sorted(set(scored[0]) & set(scored[1]), key=by_length)
    pairs = [(window, window) for window in windows]
    if not pairs and 1 in map(len, scored):
        pairs = [(one, other) for one in scored[0] for other in scored[1]]
    if not pairs:
        raise TrainingError(
            f"{first.name} was scored at {', '.join(scored[0])}, {second.name} at "
            f"{', '.join(scored[1])}; evaluate both at a common --window"
        )
    return [
        paired_test(
            [_row(score.report, one) for score in scored[0][one]],
            [_row(score.report, other) for score in scored[1][other]],
        )
        for one, other in pairs
    ]


def paired_table(test: PairedTest) -> tuple[str, tuple[str, ...], list[list[str]]]:
    """Return title, header and text cells of a test; classes without truth are left out.

    First and second are the two runs of the title.
    """
    runs = zip((test.first, test.second), test.windows, strict=True)
    title = "Test: " + " against ".join(
        f"{name} {window}".removesuffix(" -") for name, window in runs
    )
    lines = [_cells("mIoU", test.miou)]
    lines += [
        _cells(name, one)
        for name, one in zip(test.classes, test.differences.iou, strict=True)
        if not math.isnan(one.difference)
    ]
    return title, TEST_HEADER, lines


def paired_lines(test: PairedTest) -> list[str]:
    """Return the sentences below the table of a test."""
    seeds = " and ".join(str(count) for count in test.seeds)
    line = (
        f"{counted(test.samples, 'sample')}; seeds: {seeds}; {test.differences.repeats:,} draws of "
        f"{test.blocks}, the same for both."
    )
    return [line, *([f"Note: {test.note}."] if test.note else []), READING]


def _group_of(groups: Sequence[RunSummary], folder: Path) -> RunSummary:
    for run in groups:
        if folder.resolve() in run.folders:
            return run
    raise TrainingError(f"--test {folder} is none of the runs that are compared; name it as RUN")


def _evaluations(first: RunSummary, second: RunSummary) -> tuple[Evaluation, Evaluation]:
    """Return the evaluation of each run: one that both have, or else the choice of each alone.

    Runs on differently encoded data sets have none of one key, and yet the same samples.
    """
    common = set(first.scored) & set(second.scored)
    keys = []
    for run in (first, second):
        key = pick_evaluation([first, second]) if common else pick_evaluation([run])
        if key is None:
            raise TrainingError(f"{run.name} has no evaluation: run eventseg evaluate RUN DATA")
        keys.append(key)
    return keys[0], keys[1]


def _row(report: str, window: str) -> Row:
    """Return the network's row of a report at a window."""
    rows = read_sample_scores(report)
    for row in rows:
        length = row.window if row.window == "-" else format_duration(parse_duration(row.window))
        if row.name == rows[0].name and length == window:
            # Reports keep the name that the run had; folders may have been renamed.
            return replace(row, name=Path(report).resolve().parent.name)
    raise TrainingError(f"{report} keeps no matrices of {window}; run eventseg evaluate again")


def _cells(name: str, one: Difference) -> list[str]:
    if math.isnan(one.low):
        return [name, percent(one.first), percent(one.second), _points(one.difference), "-", "-"]
    interval = f"{_points(one.low)} to {_points(one.high)}"
    p_value = "< 0.001" if one.p_value < 0.001 else f"{one.p_value:.3f}"
    cells = [name, percent(one.first), percent(one.second)]
    return [*cells, _points(one.difference), interval, p_value]


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"
