"""Curves of a score under stress, the area under each, and one number of all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.evaluate import Protocol
from eventseg.evaluation.measures.conditions import missing, sample_values
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, percent
from eventseg.evaluation.scoring.arrays import Prediction
from eventseg.evaluation.scoring.label_pass import in_classes
from eventseg.evaluation.settings import StressName
from eventseg.evaluation.stress.axes import AXES, Axis
from eventseg.evaluation.stress.changes import changed
from eventseg.evaluation.stress.streets import simulated_again, why_not_again
from eventseg.files.texts import counted
from eventseg.labels.maps import ClassTable, Labels, merge_labels
from eventseg.metrics.label_pairs import pair_counts
from eventseg.metrics.scores import Scores, scores
from eventseg.networks.resizing import resize_nearest
from eventseg.plots.conditions import Line, figure_groups
from eventseg.recordings.progress import Progress, Report
from eventseg.sources.selection import merge_into, truth_of
from eventseg.sources.source import Source

ALL = "all"
"""Group of all samples; the others are recordings, or scenarios of simulated drives."""

MOST_LINES = 6
"""Most scenes that have a line of their own in the figure."""

Predict = Callable[[Source, int], Prediction]
"""Prediction of a sample of a source by its index."""


@dataclass(frozen=True, eq=False, slots=True)
class StressedPredictor:
    """Predictor and samples of the curves.

    Parameters
    ----------
    name : str
    window : str
        Window of its events.
    predict : callable
    predicted, classes : ClassTable
        Classes of the predictions, and those that are scored.
    source : Source
    indices : int64 (N,)
        Samples of the part.
    sees : frozenset of str
        ``events``, ``frame``: inputs that it sees.
    most : int
        Most samples of a curve.
    seed : int
    progress : callable
    protocol : Protocol
        Size that is scored at, that of the predictions; by default that of the labels.
    """

    name: str
    window: str
    predict: Predict
    predicted: ClassTable
    classes: ClassTable
    source: Source
    indices: NDArray[np.int64]
    sees: frozenset[str]
    most: int
    seed: int
    progress: Report
    protocol: Protocol = field(default_factory=Protocol)

    @property
    def chosen(self) -> NDArray[np.int64]:
        """Samples of the curves, int64 (M,), spread evenly over the part."""
        count = min(self.most, len(self.indices))
        places = np.linspace(0, len(self.indices) - 1, count).round().astype(np.int64)
        return np.take(self.indices, places)

    def check(self, names: Sequence[StressName]) -> None:
        """Refuse axes of inputs that are not seen or cannot be changed.

        Raises
        ------
        TrainingError
            Says why.
        """
        for name in names:
            needs = AXES[name].needs
            reason = ""
            if needs == "frame" and "frame" not in self.sees:
                reason = "it sees no frames"
            elif needs != "frame" and "events" not in self.sees:
                reason = "it sees no events"
            elif needs == "street":
                recordings = sorted({self.source.sequences[i] for i in self.chosen.tolist()})
                reason = why_not_again(self.source, recordings, name)
            if reason:
                raise TrainingError(f"{self.name} cannot be scored under stress {name}: {reason}")


@dataclass(frozen=True, slots=True)
class StressCurve:
    """Scores of one axis.

    Parameters
    ----------
    axis : Axis
    by_group : mapping of str to tuple of Scores
        Scores at each level, of all samples first and then of each scene.
    samples : mapping of str to int
    """

    axis: Axis
    by_group: Mapping[str, tuple[Scores, ...]]
    samples: Mapping[str, int]

    @property
    def miou(self) -> tuple[float, ...]:
        """Mean IoU of the true classes at each level."""
        return tuple(found.miou_truth for found in self.by_group[ALL])

    @property
    def unchanged(self) -> float:
        """Mean IoU where nothing is changed."""
        return self.miou[self.axis.levels.index(self.axis.unchanged)]

    @property
    def area(self) -> float:
        """Area under the curve over evenly spaced levels, as a mean IoU."""
        return statistics.fmean((one + two) / 2 for one, two in pairwise(self.miou))

    @property
    def kept(self) -> float:
        """Area as a share of the unchanged score, NaN where that is 0."""
        return self.area / self.unchanged if self.unchanged > 0 else float("nan")


def stress_curve(predictor: StressedPredictor, name: StressName) -> StressCurve:
    """Score a predictor at each level of an axis.

    Parameters
    ----------
    predictor : StressedPredictor
    name : str

    Raises
    ------
    TrainingError
        As of :meth:`StressedPredictor.check`.
    """
    predictor.check([name])
    axis, source, chosen = AXES[name], predictor.source, predictor.chosen.tolist()
    merges = (
        merge_into(predictor.predicted, predictor.classes),
        merge_into(source.classes, predictor.classes),
    )
    groups = _groups(predictor)
    recordings = sorted({source.sequences[i] for i in chosen})
    found: dict[str, list[Scores]] = {group: [] for group in (ALL, *dict.fromkeys(groups))}
    for level in axis.levels:
        sums = {group: np.zeros((len(predictor.classes),) * 2, np.int64) for group in found}
        again = axis.needs == "street" and level != axis.unchanged
        with (
            simulated_again(source, recordings, name, level, progress=predictor.progress)
            if again
            else nullcontext(
                source
                if level == axis.unchanged
                else changed(source, name, level, seed=predictor.seed)
            )
        ) as view:
            for number, (i, group) in enumerate(zip(chosen, groups, strict=True), start=1):
                truth: Labels = truth_of(source, i, merge=None).numpy()
                truth = truth if merges[1] is None else merge_labels(truth, merges[1])
                if predictor.protocol.size is not None:
                    size, rule = predictor.protocol.size, predictor.protocol.resize
                    truth = resize_nearest(truth, size, rule=rule)
                prediction = predictor.predict(view, i)
                labels, _ = in_classes(prediction, merges[0], classes=len(predictor.classes))
                matrix = pair_counts(truth, labels, classes=len(predictor.classes)).confusion
                sums[ALL] += matrix
                sums[group] += matrix
                predictor.progress(
                    Progress(f"stress {name} {level:g}", number, len(chosen), "sample")
                )
        for group, matrix in sums.items():
            found[group].append(scores(matrix, names=predictor.classes.names))
    counts = {group: groups.count(group) for group in dict.fromkeys(groups)}
    return StressCurve(
        axis,
        {group: tuple(values) for group, values in found.items()},
        {ALL: len(chosen), **counts},
    )


def _groups(predictor: StressedPredictor) -> list[str]:
    """Return the scene of each sample: the scenario of its drive, or else its recording.

    A recording whose name is that of the group of all samples gets another one.
    """
    chosen = predictor.chosen
    if not missing("scenario", predictor.source, chosen, window=predictor.window):
        values = sample_values("scenario", predictor.source, chosen, window=predictor.window)
        return [str(value) for value in values]
    names = [predictor.source.sequences[i] for i in chosen.tolist()]
    return [f"recording {name}" if name == ALL else name for name in names]


def curve_section(curve: StressCurve) -> Section:
    """Return the section of an axis: mean IoU, accuracy and IoU of each class by level."""
    axis, names = curve.axis, curve.by_group[ALL][0].names
    levels = [f"{level:g}" for level in axis.levels]
    scenes = [group for group in curve.by_group if group != ALL]
    lines: list[dict[str, str | int | float]] = [
        {
            axis.name: level,
            "scene": group,
            "samples": curve.samples[group],
            "miou_truth": found.miou_truth,
            "accuracy": found.pixel_accuracy,
            **{f"iou_{name}": value for name, value in zip(names, found.iou, strict=True)},
        }
        for group, values in curve.by_group.items()
        for level, found in zip(axis.levels, values, strict=True)
    ]
    shown = [ALL, *(scenes[:MOST_LINES] if len(scenes) > 1 else [])]
    header = (axis.title, "mIoU of true classes", "accuracy", *shown[1:], *names)
    cells = [
        [
            level,
            percent(curve.miou[k]),
            percent(curve.by_group[ALL][k].pixel_accuracy),
            *(percent(curve.by_group[group][k].miou_truth) for group in shown[1:]),
            *(percent(value) for value in curve.by_group[ALL][k].iou),
        ]
        for k, level in enumerate(levels)
    ]
    return Section(
        key=f"stress_{axis.name}",
        title=f"Stress: {axis.title}",
        note=(
            f"{axis.rule}; {counted(curve.samples[ALL], 'sample')}; area under the curve "
            f"{percent(curve.area)} %, {percent(curve.kept)} % of the unchanged score"
        ),
        facts={"area": _known(curve.area), "kept": _known(curve.kept)},
        lines=lines,
        table=Table(f"Stress: {axis.title}", header, cells),
        figure=lambda: figure_groups(
            [_line(curve, group) for group in shown],
            names=levels,
            title="mIoU of true classes, %",
            label=axis.title,
            joined=True,
        ),
    )


def summary_section(curves: Sequence[StressCurve], *, seed: int) -> Section:
    """Return the section of all axes, with the mean share of the score that is kept."""
    known = [curve.kept for curve in curves if not np.isnan(curve.kept)]
    mean = statistics.fmean(known) if known else float("nan")
    worst = [_worst(curve) for curve in curves]
    return Section(
        key="stress",
        title="Under stress, %",
        note=(
            f"kept: area under the curve over the unchanged score, {percent(mean)} % on average; "
            "levels are evenly spaced in the area; random numbers follow from the seed "
            f"{seed}; mIoU of true classes"
        ),
        facts={"kept": _known(mean), "seed": seed},
        lines=[
            {
                "stress": curve.axis.name,
                "unchanged": curve.unchanged,
                "area": curve.area,
                "kept": curve.kept,
                "worst_level": level,
                "worst": miou,
            }
            for curve, (level, miou) in zip(curves, worst, strict=True)
        ],
        table=Table(
            "Under stress",
            ("stress", "unchanged", "area", "kept", "worst", "at"),
            [
                [
                    curve.axis.title,
                    percent(curve.unchanged),
                    percent(curve.area),
                    percent(curve.kept),
                    percent(miou),
                    "-" if np.isnan(level) else f"{level:g}",
                ]
                for curve, (level, miou) in zip(curves, worst, strict=True)
            ],
        ),
    )


def _worst(curve: StressCurve) -> tuple[float, float]:
    """Return the level with the least score and that score; NaN where no level has one."""
    if np.isnan(curve.miou).all():
        return float("nan"), float("nan")
    place = int(np.nanargmin(curve.miou))
    return curve.axis.levels[place], curve.miou[place]


def _known(value: float) -> float | None:
    """Return a number, None for NaN, which JSON does not have."""
    return None if np.isnan(value) else value


def _line(curve: StressCurve, group: str) -> Line:
    values = 100 * np.array([found.miou_truth for found in curve.by_group[group]])
    none = np.full(len(values), np.nan)
    return Line(group, values, none, none, [curve.samples[group]] * len(values))
