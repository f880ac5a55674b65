"""Label filters over all frames of a label set, in at most two passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eventseg.images import read_image, write_image
from eventseg.labels.files import write_labels
from eventseg.labels.maps import IGNORED, ClassTable
from eventseg.pseudolabel.confidence import (
    NEIGHBOUR_US,
    LabelFilters,
    class_histogram,
    confident,
    consistent,
    least_level,
    quantile_levels,
)
from eventseg.pseudolabel.label_set_folder import LabelSetFolder
from eventseg.pseudolabel.target import Frame
from eventseg.recordings.progress import Progress, Report

Image = NDArray[np.uint8]


def filter_frames(
    folder: LabelSetFolder,
    *,
    classes: ClassTable,
    filters: LabelFilters,
    report: Report,
) -> tuple[int, ...]:
    """Write the labels of every frame that pass the filters.

    Parameters
    ----------
    folder : LabelSetFolder
        Label set that holds the raw labels of every frame.
    classes : ClassTable
    filters : LabelFilters
    report : callable
        Called after every frame, in the stages ``measure`` and ``filter``.

    Returns
    -------
    tuple of int (K + 1,)
        Pixels of each class and, last, ignored, over all frames.
    """
    shape, frames = folder.target.size, folder.target.frames
    ego = np.zeros(shape, bool) if filters.ego is None else filters.ego.of_shape(shape)

    def raw_labels(frame: Frame) -> tuple[Image, Image]:
        labels, confidence = map(read_image, folder.raw_label_files(frame.key))
        labels[ego] = IGNORED
        return labels, confidence

    levels = np.full(len(classes), least_level(filters.threshold), np.int64)
    if filters.quantile > 0:
        histogram = np.zeros((len(classes), 256), np.int64)
        for i, frame in enumerate(frames):
            report(Progress("measure", i, len(frames), "frame"))
            histogram += class_histogram(*raw_labels(frame), classes=len(classes))
        levels = np.maximum(levels, quantile_levels(histogram, filters.quantile))
    counts = np.zeros(256, np.int64)
    for i, frame in enumerate(frames):
        report(Progress("filter", i, len(frames), "frame"))
        labels, confidence = raw_labels(frame)
        kept = confident(labels, confidence, levels=levels)
        if filters.temporal is not None:
            for other in _neighbours(frames, i):
                kept = consistent(kept, raw_labels(other)[0], radius=filters.temporal)
        counts += np.bincount(kept.ravel(), minlength=256)
        for sample in frame.samples:
            label_path, confidence_path = folder.label_files(sample)
            write_labels(label_path, kept, classes)
            write_image(confidence_path, confidence)
    report(Progress("filter", len(frames), len(frames), "frame"))
    return (*counts[: len(classes)].tolist(), int(counts[IGNORED]))


def _neighbours(frames: Sequence[Frame], i: int) -> list[Frame]:
    """Return the frames before and after one, where they are near in time."""
    return [
        frames[j]
        for j in (i - 1, i + 1)
        if 0 <= j < len(frames)
        and frames[j].recording == frames[i].recording
        and _near(frames[j].t_us, frames[i].t_us)
    ]


def _near(one_us: int | None, other_us: int | None) -> bool:
    return one_us is not None and other_us is not None and abs(one_us - other_us) <= NEIGHBOUR_US
