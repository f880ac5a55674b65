"""Rows from scored samples: confusion matrices, instances and times."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.evaluation.rows import Row
from eventseg.labels.maps import IGNORED, ClassTable
from eventseg.metrics.instances import InstanceCounts, instance_counts
from eventseg.networks.resizing import ResizeRule, resize_nearest
from eventseg.prediction.scored import ScoredBatch
from eventseg.sources.selection import times_of
from eventseg.sources.source import Source


def row_of(
    batches: Iterable[ScoredBatch],
    source: Source,
    *,
    name: str,
    window: str,
    classes: ClassTable,
    resize: ResizeRule,
) -> Row:
    """Count scored samples and return them as one row; pixels without a prediction are noted."""
    indices: list[int] = []
    matrices: list[NDArray[np.int64]] = []
    instances: InstanceCounts | None = None
    silent = ignored = 0
    for batch in batches:
        indices += batch.indices
        matrices += batch.confusions()
        silent += batch.silent_pixels
        # Pixels without a prediction are ignored in the batch's truth only.
        ignored += int((batch.truth == IGNORED).sum()) - batch.silent_pixels
        for i, truth, prediction in zip(batch.indices, batch.truth, batch.prediction, strict=True):
            ids = source.instances(i)
            if ids is not None:
                counts = _instance_counts(
                    ids, truth, prediction, classes=len(classes), resize=resize
                )
                instances = counts if instances is None else instances + counts
    summed = np.array(matrices)
    times_us = times_of(source)
    labelled = silent + int(summed.sum())
    share = 100 * silent / max(1, labelled)
    return Row(
        name,
        window,
        tuple(source.ids[i] for i in indices),
        tuple(source.sequences[i] for i in indices),
        summed,
        classes,
        f"{share:.2f} % of the pixels have no prediction" if silent else "",
        instances,
        None if times_us is None else times_us[indices],
        ignored / (ignored + labelled),
    )


def _instance_counts(
    ids: NDArray[np.int32],
    truth: torch.Tensor,
    prediction: torch.Tensor,
    *,
    classes: int,
    resize: ResizeRule,
) -> InstanceCounts:
    """Return the counts of the iIoU of one sample; its ids are brought to the size of the truth."""
    size = (truth.shape[0], truth.shape[1])
    ids = resize_nearest(ids, size, rule=resize)
    return instance_counts(truth.cpu().numpy(), ids, prediction.cpu().numpy(), classes=classes)
