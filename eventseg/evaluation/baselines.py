"""Baselines: majority class, position priors, neighbouring labels, labels of a frame teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.counting import row_of
from eventseg.evaluation.evaluate import Protocol, scored_by_labels
from eventseg.evaluation.nearest_frame import nearest_note, nearest_training
from eventseg.evaluation.position_prior import position_counts, position_prior, tuned_weights
from eventseg.evaluation.rows import Row
from eventseg.labels.maps import ClassTable, Labels
from eventseg.sources.selection import merge_into, part, truth_of
from eventseg.sources.source import Source

POSITION_PRIOR = "position prior"
"""Row of the most frequent class of each pixel in the training part."""

TUNED_PRIOR = "position prior, tuned for mIoU"
"""Row of the position prior with class weights that raise its mIoU on the training part."""

NEAREST_FRAME = "nearest training frame"
"""Row of the labels of the training sample that is nearest in time."""


def baseline_rows(
    source: Source,
    *,
    protocol: Protocol,
    classes: ClassTable,
    window: str | None,
    published: bool = False,
) -> list[Row]:
    """Return the scores of predictions without the input: labels of the training part.

    The majority class, everywhere. The position prior: at each pixel the class that it has most
    often in training. The tuned position prior: the same with class weights that raise the mIoU
    on the training part, see :func:`eventseg.evaluation.position_prior.tuned_weights`. The
    nearest training frame: its labels, copied, see
    :func:`eventseg.evaluation.nearest_frame.nearest_training`; left out where the only training
    sample is scored itself.

    Parameters
    ----------
    source : Source
    protocol : Protocol
        Its split, least covered share and size: what is predicted at native size is brought to it.
    classes : ClassTable
    window : str, optional
        Window that decides which samples are scored.
    published : bool
        Learn from the training part of the protocol ``paper``, as a network trained with it did.

    Raises
    ------
    TrainingError
        No samples to learn from or to score.
    """
    maps, learnt = constant_maps(source, classes=classes, published=published)
    indices = _scored_part(source, protocol, window)
    rows = []
    for name, labels in maps.items():
        always = partial(_same_map, labels)
        rows.append(_row_of_maps(name, always, source, indices, protocol, classes))
    if len(learnt) > 1 or learnt[0] not in indices:
        nearest = nearest_training(source, learnt, indices)
        copied = dict(zip(indices.tolist(), nearest.tolist(), strict=True))
        merge = merge_into(source.classes, classes)
        row = _row_of_maps(
            NEAREST_FRAME,
            lambda i: truth_of(source, copied[i], merge=merge).numpy(),
            source,
            indices,
            protocol,
            classes,
        )
        notes = [nearest_note(source, indices, nearest), row.note]
        rows.append(replace(row, note="; ".join(filter(None, notes))))
    return rows


def baselines_or_note(
    source: Source,
    *,
    protocol: Protocol,
    classes: ClassTable,
    window: str | None,
    published: bool = False,
) -> tuple[list[Row], list[str]]:
    """Return the rows of :func:`baseline_rows`, or a note where there is nothing to learn from.

    Parameters as of :func:`baseline_rows`.
    """
    if not _has_training(source, published=published):
        return [], [f"no baselines: {source.path} has no labelled samples of split train"]
    rows = baseline_rows(
        source, protocol=protocol, classes=classes, window=window, published=published
    )
    return rows, []


def _has_training(source: Source, *, published: bool) -> bool:
    splits = source.published_splits if published else source.splits
    return bool((source.labelled & (np.array(splits) == "train")).any())


def constant_maps(
    source: Source, *, classes: ClassTable, published: bool = False
) -> tuple[dict[str, Labels], NDArray[np.int64]]:
    """Return the label maps that are predicted for every sample alike, and the samples learnt from.

    Parameters as of :func:`baseline_rows`.

    Returns
    -------
    dict of str to uint8 (H, W)
        Majority class, position prior and tuned position prior, by the names of their rows.
    int64 (M,)
        Samples of the training part.

    Raises
    ------
    TrainingError
        No samples to learn from.
    """
    if not _has_training(source, published=published):
        raise TrainingError(
            f"{source.path} has no labelled samples of split train to learn the baselines from; "
            "score without them: --no-baselines"
        )
    learnt = part(source, split="train", published=published)
    counts = position_counts(source, learnt, classes=classes)
    majority = int(counts.sum((1, 2)).argmax())
    maps: dict[str, Labels] = {
        f"majority class ({classes.names[majority]})": np.full(source.size, majority, np.uint8),
        POSITION_PRIOR: position_prior(counts),
        TUNED_PRIOR: position_prior(counts, weights=tuned_weights(counts)),
    }
    return maps, learnt


def teacher_row(
    truth: Source, teacher: Source, *, protocol: Protocol, classes: ClassTable, window: str | None
) -> Row:
    """Return the labels of a teacher scored as if they were a prediction.

    Samples and pixels that the teacher left out are not scored: the note says what share of the
    pixels of its samples they are.

    Parameters
    ----------
    truth, teacher : Source
        The same data set with two label sets.
    protocol, classes, window
        As for :func:`baseline_rows`.

    Raises
    ------
    TrainingError
        The teacher has labels of none of the samples.
    """
    indices = teacher_part(truth, teacher, protocol=protocol, window=window)
    merge = merge_into(teacher.classes, classes)

    def predict(i: int) -> Labels:
        labels: Labels = truth_of(teacher, i, merge=merge).numpy()
        return labels

    return _row_of_maps("frame teacher", predict, truth, indices, protocol, classes)


def teacher_part(
    truth: Source, teacher: Source, *, protocol: Protocol, window: str | None
) -> NDArray[np.int64]:
    """Return the scored samples that a teacher has labels of, int64 (N,).

    Parameters and errors as of :func:`teacher_row`.
    """
    indices = _scored_part(truth, protocol, window)
    labelled = indices[teacher.labelled[indices]]
    if len(labelled) == 0:
        raise TrainingError(
            f"the teacher's label set has labels of none of the {len(indices):,} scored samples of "
            f"split {protocol.split} in {truth.path}; leave it out, or run eventseg pseudolabel"
        )
    return labelled


def _scored_part(source: Source, protocol: Protocol, window: str | None) -> NDArray[np.int64]:
    return part(source, split=protocol.split, window=window, min_covered=protocol.min_covered)


def _same_map(labels: Labels, _i: int) -> Labels:
    """Return the label map of any sample."""
    return labels


def _row_of_maps(
    name: str,
    predict: Callable[[int], Labels],
    source: Source,
    indices: NDArray[np.int64],
    protocol: Protocol,
    classes: ClassTable,
) -> Row:
    """Return the row of a label map for each sample."""
    batches = scored_by_labels(predict, source, indices, protocol=protocol, classes=classes)
    return row_of(batches, source, name=name, window="-", resize=protocol.resize, classes=classes)
