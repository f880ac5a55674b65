"""Selected samples of a source, their times, and their labels in the classes that are scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import LabelError, TrainingError
from eventseg.labels.maps import ClassTable, merge_labels, merge_of, shown_ids, unknown_labels
from eventseg.labels.tables import described
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source

if TYPE_CHECKING:
    import torch


def part(
    source: Source,
    *,
    split: str,
    window: str | None = None,
    min_covered: float = 1.0,
    published: bool = False,
) -> NDArray[np.int64]:
    """Return the samples of a part that have labels and whose window is covered, int64 (N,).

    Parameters
    ----------
    source : Source
    split : str
        Part of the data.
    window : str, optional
        Window whose covered share counts.
    min_covered : float
        Least share of the window that the sample's recording covers.
    published : bool
        Take the splits of the protocol ``paper``, without validation held back of training.

    Raises
    ------
    TrainingError
        There are none; the message says whether labels or coverage are missing.
    """
    of = source.published_splits if published else source.splits
    found = np.flatnonzero((np.array(of) == split) & source.labelled)
    if len(found) == 0:
        splits = sorted({of[i] for i in np.flatnonzero(source.labelled)})
        there = f"it has those of {', '.join(splits)}: choose one with --split"
        raise TrainingError(
            f"{source.path} has no labelled samples of split {split}; "
            f"{there if splits else 'none of its samples has labels'}"
        )
    if window is None:
        return found
    covered = source.covered(window)[found]
    if covered.max() < min_covered:
        raise TrainingError(
            f"none of the {len(found):,} labelled samples of split {split} in {source.path} has "
            f"{min_covered:.0%} of its window {window} within its recording: the best has "
            f"{covered.max():.1%}; take a shorter --window"
        )
    return found[covered >= min_covered]


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
    import torch

    labels = source.labels(i)
    unknown = unknown_labels(labels, len(source.classes))
    if unknown:
        raise LabelError(
            f"labels of {source.ids[i]} hold {shown_ids(unknown)}; {described(source.classes)}"
        )
    return torch.from_numpy(
        np.ascontiguousarray(labels if merge is None else merge_labels(labels, merge))
    )


def times_of(source: Source) -> NDArray[np.int64] | None:
    """Return the time of each sample in us on the clock of its recording, int64 (N,).

    None where nothing tells times, as in an image folder.
    """
    if isinstance(source, League):
        return source.t_us
    return source.dataset.samples.t_us if isinstance(source, EventSource) else None
