"""One line of an evaluation: the counts of one predictor at one window, and its scores."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError
from eventseg.evaluation.blocks import Blocks, blocks_of
from eventseg.labels.maps import CITYSCAPES_19, ClassTable, groups_of
from eventseg.metrics.instances import (
    CITYSCAPES_MEAN_PIXELS,
    InstanceCounts,
    InstanceScores,
    instance_scores,
)
from eventseg.metrics.scores import Interval, Scores, bootstrap_interval, scores

CATEGORIES = "cityscapes_categories"
"""Class table whose classes are the categories."""

CITYSCAPES_PIXELS = 2048 * 1024
"""Pixels of the pictures that the mean sizes of Cityscapes are of."""


@dataclass(frozen=True, eq=False)
class Row:
    """Scores of one predictor at one window.

    Parameters
    ----------
    name : str
        The network's run, or the baseline.
    window : str
        Window of the events; ``-`` where there is none.
    ids : tuple of str (N,)
        Samples that were scored.
    sequences : tuple of str (N,)
        Recording of each.
    matrices : int64 (N, K, K)
        Confusion matrix of each sample; rows are the truth.
    classes : ClassTable
    note : str
    instances : InstanceCounts, optional
        Of the samples that have instance ids; None where none has.
    times_us : int64 (N,), optional
        Time of each sample on the clock of its recording; None where times are unknown.
    ignored_share : float, optional
        Share of the samples' pixels that their labels ignore, as void or where a teacher was in
        doubt; no score counts them. None where it is unknown.
    """

    name: str
    window: str
    ids: tuple[str, ...]
    sequences: tuple[str, ...]
    matrices: NDArray[np.int64]
    classes: ClassTable
    note: str = ""
    instances: InstanceCounts | None = None
    times_us: NDArray[np.int64] | None = None
    ignored_share: float | None = None

    @cached_property
    def scores(self) -> Scores:
        """Scores of the one matrix of all samples, with those of the categories if there are."""
        return scores(
            self.matrices.sum(0), names=self.classes.names, categories=categories_of(self.classes)
        )

    @cached_property
    def instance_scores(self) -> InstanceScores | None:
        """The iIoU of each class; None without instance ids."""
        if self.instances is None:
            return None
        return instance_scores(
            self.instances, mean_pixels=self._mean_pixels(), countable=self.classes.instances
        )

    @property
    def sample_accuracy(self) -> NDArray[np.float64]:
        """Pixel accuracy of each sample, (N,), NaN where nothing is scored."""
        right = np.trace(self.matrices, axis1=1, axis2=2)
        pixels = self.matrices.sum((1, 2))
        return np.where(pixels > 0, right / np.maximum(pixels, 1), np.nan)

    @cached_property
    def blocks(self) -> Blocks:
        """Blocks of samples that the bootstrap draws."""
        return blocks_of(self.sequences, ids=self.ids, times_us=self.times_us)

    def interval(self, *, seed: int = 0) -> Interval | None:
        """Return the bootstrap interval of the mIoU; None where there are too few blocks."""
        return bootstrap_interval(self._summed, seed=seed) if self._has_interval else None

    @property
    def interval_scope(self) -> str:
        """Limit of the interval, empty without one or where recordings were drawn."""
        return self.blocks.scope if self._has_interval else ""

    @cached_property
    def _summed(self) -> NDArray[np.int64]:
        return self.blocks.sums(self.matrices)

    @property
    def _has_interval(self) -> bool:
        return int(self._summed.any((1, 2)).sum()) >= 2

    @property
    def sample_set(self) -> str:
        """Digest of the names of the samples, whatever their order."""
        return hashlib.sha256("\n".join(sorted(self.ids)).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the samples' matrices, as JSON holds it.

        Categories and instances are there only where they are scored.
        """
        found, held = self.interval(), self.scores.to_dict()
        if not self.scores.categories:
            del held["categories"], held["category_miou"]
        if self.instances is not None and self.instance_scores is not None:
            held["iiou"] = {
                "mean": self.instance_scores.to_dict()["mean"],
                "samples": self.instances.images,
                "instances": dict(
                    zip(self.classes.names, self.instances.instances.tolist(), strict=True)
                ),
                "per_class": dict(
                    zip(self.classes.names, self.instance_scores.to_dict()["iiou"], strict=True)
                ),
            }
        return {
            "name": self.name,
            "window": self.window,
            "samples": len(self.ids),
            "note": self.note,
            "ignored_share": self.ignored_share,
            "scores": held,
            "interval_95": None if found is None else [found.low, found.high],
            "interval_blocks": None if found is None else found.blocks,
            "interval_over": None if found is None else str(self.blocks),
            "interval_scope": self.interval_scope,
            "sample_set": self.sample_set,
            "confusion": self.matrices.sum(0).tolist(),
        }

    def _mean_pixels(self) -> NDArray[np.float64] | None:
        if self.instances is None or not has_mean_pixels(self.classes):
            return None
        shrunk = self.instances.image_pixels / self.instances.images / CITYSCAPES_PIXELS
        return (
            np.array([CITYSCAPES_MEAN_PIXELS.get(name, np.nan) for name in self.classes.names])
            * shrunk
        )


def has_mean_pixels(table: ClassTable) -> bool:
    """Return whether the iIoU of these classes takes the mean sizes that Cityscapes published."""
    return table.names == CITYSCAPES_19.names


def categories_of(table: ClassTable) -> dict[str, tuple[int, ...]]:
    """Return the classes of each category of Cityscapes; empty where a class has none.

    Only a table with a category for each class is scored by them: what is predicted as a class
    of no category could not be counted.
    """
    try:
        groups = groups_of(table, CATEGORIES)
    except LabelError:  # no merge of this table is known
        return {}
    return groups if sum(map(len, groups.values())) == len(table) else {}
