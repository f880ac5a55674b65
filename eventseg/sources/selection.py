"""Selected samples of a source, and their labels in the classes that are scored."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import LabelError, TrainingError
from eventseg.labels.maps import ClassTable, merge_labels, merge_of, unknown_labels
from eventseg.sources.source import Source


def part(
    source: Source, *, split: str, window: str | None = None, min_covered: float = 1.0
) -> NDArray[np.int64]:
    """Return the samples of a part that have labels and whose window is covered, int64 (N,).

    Raises
    ------
    TrainingError
        There are none.
    """
    found = np.flatnonzero((np.array(source.splits) == split) & source.labelled)
    if window is not None:
        found = found[source.covered(window)[found] >= min_covered]
    if len(found) == 0:
        raise TrainingError(
            f"{source.path} has no labelled samples of split {split}; it has "
            f"{', '.join(sorted(set(source.splits)))}: choose one with --split"
        )
    return found


def merge_into(source: ClassTable, target: ClassTable) -> tuple[int, ...] | None:
    """Return the target's class of each class of the source, or None where they are the same."""
    return None if source.names == target.names else merge_of(source, target)


def truth_of(source: Source, i: int, *, merge: tuple[int, ...] | None) -> torch.Tensor:
    """Return the labels of a sample, merged, uint8 (H, W).

    Raises
    ------
    LabelError
        Labels outside the classes.
    """
    labels = source.labels(i)
    unknown = unknown_labels(labels, len(source.classes))
    if unknown:
        raise LabelError(
            f"labels of {source.ids[i]} hold {', '.join(map(str, unknown))}; allowed are 0 to "
            f"{len(source.classes) - 1} and 255 for ignored"
        )
    return torch.from_numpy(
        np.ascontiguousarray(labels if merge is None else merge_labels(labels, merge))
    )
