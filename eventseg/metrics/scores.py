"""Every score that follows from one integer confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg import html
from eventseg.errors import LabelError
from eventseg.labels.tables import IGNORED
from eventseg.metrics.bootstrap import Interval as Interval
from eventseg.metrics.bootstrap import bootstrap_interval as bootstrap_interval
from eventseg.metrics.confusion import Confusion as Confusion
from eventseg.metrics.confusion import checked_matrix
from eventseg.metrics.confusion import confusion_matrix as confusion_matrix
from eventseg.metrics.confusion import merge_confusion as merge_confusion

RULE_PRESENT = "mean over the classes that occur in truth or prediction; absent classes are skipped"
RULE_ALL = "mean over all classes; absent classes count as 0"


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of one confusion matrix; nan where nothing is there to be scored.

    With a pixel's true class as row, ``tp`` the diagonal, ``t`` the row sums and ``p`` the column
    sums: IoU = tp / (t + p - tp), Dice = 2 tp / (t + p), accuracy of a class = tp / t.

    Parameters
    ----------
    names : tuple of str (K,)
    truth_pixels, predicted_pixels : tuple of int (K,)
        Row and column sums.
    iou, dice : tuple of float (K,)
        nan for a class in neither truth nor prediction; 0 for one that is only predicted.
    accuracy : tuple of float (K,)
        Share of a class's true pixels that are found; nan without true pixels.
    pixel_accuracy : float
        Share of all pixels that are right.
    miou_present : float
        Mean IoU over the classes in truth or prediction, as scikit-learn and torchmetrics average
        (macro Jaccard).
    miou_all : float
        Mean IoU over all classes, absent ones as 0, as the code of EV-SegNet averages.
    jaccard_micro : float
        sum(tp) / (2 N - sum(tp)) of N pixels.
    jaccard_weighted : float
        Mean IoU weighted by the true pixels of each class.
    categories : mapping of str to float
        IoU of each category, errors inside a category being none; empty unless asked for.
    """

    names: tuple[str, ...]
    truth_pixels: tuple[int, ...]
    predicted_pixels: tuple[int, ...]
    iou: tuple[float, ...]
    dice: tuple[float, ...]
    accuracy: tuple[float, ...]
    pixel_accuracy: float
    miou_present: float
    miou_all: float
    jaccard_micro: float
    jaccard_weighted: float
    categories: Mapping[str, float] = field(default_factory=dict)

    @property
    def pixels(self) -> int:
        """Number of pixels that are scored."""
        return sum(self.truth_pixels)

    @property
    def classes_present(self) -> int:
        """Number of classes in truth or prediction: those that `miou_present` averages."""
        return sum(not math.isnan(iou) for iou in self.iou)

    @property
    def miou_truth(self) -> float:
        """Mean IoU over the classes that have true pixels, so that none can enter by mistake."""
        return _mean(
            tuple(
                iou for iou, pixels in zip(self.iou, self.truth_pixels, strict=True) if pixels > 0
            )
        )

    @property
    def mean_accuracy(self) -> float:
        """Mean accuracy over the classes that have true pixels."""
        return _mean(self.accuracy)

    @property
    def category_miou(self) -> float:
        """Mean IoU over the categories in truth or prediction."""
        return _mean(tuple(self.categories.values()))

    def _repr_html_(self) -> str:
        """Return the scores of each class and their means as a table, in percent."""
        rows = [
            [name, *("absent" if math.isnan(v) else f"{100 * v:.2f}" for v in values)]
            for name, *values in zip(self.names, self.iou, self.dice, self.accuracy, strict=True)
        ]
        mean = f"{100 * self.miou_present:.2f}"
        rows.append(["mean of those present", mean, "", f"{100 * self.mean_accuracy:.2f}"])
        return html.table(("class", "IoU, %", "Dice, %", "accuracy, %"), rows)

    def to_dict(self) -> dict[str, Any]:
        """Return all scores and the rules behind them, None for nan, as JSON holds them."""
        columns = zip(
            self.names,
            self.iou,
            self.dice,
            self.accuracy,
            self.truth_pixels,
            self.predicted_pixels,
            strict=True,
        )
        return {
            "pixels": self.pixels,
            "classes": len(self.names),
            "classes_present": self.classes_present,
            "pixel_accuracy": _number(self.pixel_accuracy),
            "mean_accuracy": _number(self.mean_accuracy),
            "miou_present": _number(self.miou_present),
            "miou_present_rule": RULE_PRESENT,
            "miou_all": _number(self.miou_all),
            "miou_all_rule": RULE_ALL,
            "jaccard_micro": _number(self.jaccard_micro),
            "jaccard_macro": _number(self.miou_present),
            "jaccard_weighted": _number(self.jaccard_weighted),
            "per_class": [
                {
                    "name": name,
                    "iou": _number(iou),
                    "dice": _number(dice),
                    "accuracy": _number(accuracy),
                    "truth_pixels": truth,
                    "predicted_pixels": predicted,
                }
                for name, iou, dice, accuracy, truth, predicted in columns
            ],
            "categories": {name: _number(iou) for name, iou in self.categories.items()},
            "category_miou": _number(self.category_miou),
        }

    def lines(self) -> list[str]:
        """Return the scores in per cent as lines for people, each mean with its rule."""
        present = f"{self.classes_present} of {len(self.names)} classes"
        lines = [
            f"pixel accuracy    {_percent(self.pixel_accuracy)}  of {self.pixels:,} pixels",
            f"mIoU (present)    {_percent(self.miou_present)}  {RULE_PRESENT} ({present})",
            f"mIoU (all)        {_percent(self.miou_all)}  {RULE_ALL}",
            f"Jaccard micro     {_percent(self.jaccard_micro)}  over all pixels at once",
            f"Jaccard weighted  {_percent(self.jaccard_weighted)}  by true pixels of the class",
            f"{'class':<24}     IoU    Dice  accuracy     true pixels",
        ]
        lines += [
            f"  {name:<22} {_percent(iou)} {_percent(dice)}   {_percent(accuracy)} {truth:>15,}"
            for name, iou, dice, accuracy, truth in zip(
                self.names, self.iou, self.dice, self.accuracy, self.truth_pixels, strict=True
            )
        ]
        if self.categories:
            lines.append(f"{'category':<24} {_percent(self.category_miou)}  {RULE_PRESENT}")
            lines += [f"  {name:<22} {_percent(iou)}" for name, iou in self.categories.items()]
        return lines


def scores(
    matrix: Confusion,
    *,
    names: Sequence[str] | None = None,
    categories: Mapping[str, Sequence[int]] | None = None,
) -> Scores:
    """Return every score that follows from a confusion matrix.

    Parameters
    ----------
    matrix : int64 (K, K)
        Rows are the truth; see :func:`confusion_matrix`.
    names : sequence of str (K,), optional
        Names of the classes, by default their ids.
    categories : mapping of str to sequence of int, optional
        Class ids of each category; see :func:`eventseg.labels.tables.groups_of`.

    Raises
    ------
    LabelError
        A matrix of another shape or with negative counts, names that do not fit, or categories
        that share a class or name one that is not there.
    """
    matrix = checked_matrix(matrix)
    classes = len(matrix)
    labels = tuple(map(str, range(classes) if names is None else names))
    if len(labels) != classes:
        raise LabelError(f"{len(labels)} names do not fit a matrix of {classes} classes")
    tp, truth, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    iou = _ratio(tp, truth + predicted - tp)
    pixels, right = truth.sum(), tp.sum()
    present = ~np.isnan(iou)
    return Scores(
        names=labels,
        truth_pixels=tuple(truth.tolist()),
        predicted_pixels=tuple(predicted.tolist()),
        iou=tuple(iou.tolist()),
        dice=tuple(_ratio(2 * tp, truth + predicted).tolist()),
        accuracy=tuple(_ratio(tp, truth).tolist()),
        pixel_accuracy=float(_ratio(right, pixels)),
        miou_present=_mean(tuple(iou.tolist())),
        miou_all=float(iou[present].sum() / classes),
        jaccard_micro=float(_ratio(right, 2 * pixels - right)),
        jaccard_weighted=float(_ratio((truth * np.where(present, iou, 0)).sum(), pixels)),
        categories=_category_iou(matrix, categories or {}),
    )


def _category_iou(matrix: Confusion, categories: Mapping[str, Sequence[int]]) -> dict[str, float]:
    if not categories:
        return {}
    merge = np.full(len(matrix), IGNORED)
    for i, (name, members) in enumerate(categories.items()):
        for member in members:
            if not 0 <= member < len(matrix) or merge[member] != IGNORED:
                raise LabelError(
                    f"category {name} holds class {member}; allowed are 0 to {len(matrix) - 1}, "
                    "each in one category"
                )
            merge[member] = i
    merged = scores(merge_confusion(matrix, merge.tolist(), classes=len(categories)))
    return dict(zip(categories, merged.iou, strict=True))


def _ratio(part: NDArray[np.number[Any]], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return part / total, nan where the total is 0."""
    nan = np.full(np.shape(whole), np.nan)
    ratio: NDArray[np.float64] = np.divide(part, whole, out=nan, where=np.asarray(whole) != 0)
    return ratio


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are not nan, nan without any."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _percent(value: float) -> str:
    return "      -" if math.isnan(value) else f"{100 * value:7.2f}"
