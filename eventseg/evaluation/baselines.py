"""Baselines: majority class, position priors, neighbouring labels, labels of a frame teacher."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.evaluate import Protocol, row_of, scored_by_labels
from eventseg.evaluation.position_prior import position_counts, position_prior, tuned_weights
from eventseg.evaluation.rows import Row
from eventseg.labels.maps import ClassTable, Labels
from eventseg.sources.selection import merge_into, part, truth_of
from eventseg.sources.source import Source

POSITION_PRIOR = "position prior"
"""Row of the most frequent class of each pixel in the training part."""

TUNED_PRIOR = "position prior, tuned for mIoU"
"""Row of the position prior with class weights that raise its mIoU on the training part."""


def baseline_rows(
    source: Source, *, protocol: Protocol, classes: ClassTable, window: str | None
) -> list[Row]:
    """Return the majority class and the position priors of the training part, scored.

    The position prior predicts at each pixel the class that it has most often in training: a
    score that needs no look at the input. The accuracy is its aim; the tuned one weights the
    classes so that the mIoU on the training part is large, see
    :func:`eventseg.evaluation.position_prior.tuned_weights`.

    Parameters
    ----------
    source : Source
    protocol : Protocol
        Its split, least covered share and size: what is predicted at native size is brought to it.
    classes : ClassTable
    window : str, optional
        Window that decides which samples are scored.

    Raises
    ------
    TrainingError
        No samples to learn from or to score.
    """
    if not (source.labelled & (np.array(source.splits) == "train")).any():
        raise TrainingError(
            f"{source.path} has no labelled samples of split train to learn the baselines from; "
            "score without them: --no-baselines"
        )
    learnt = part(source, split="train")
    counts = position_counts(source, learnt, classes=classes)
    majority = int(counts.sum((1, 2)).argmax())
    baselines = {
        f"majority class ({classes.names[majority]})": np.full(source.size, majority, np.uint8),
        POSITION_PRIOR: position_prior(counts),
        TUNED_PRIOR: position_prior(counts, weights=tuned_weights(counts)),
    }
    indices = _scored_part(source, protocol, window)
    return [
        row_of(
            scored_by_labels(
                lambda _i, labels=labels: labels,  # type: ignore[misc]
                source,
                indices,
                protocol=protocol,
                classes=classes,
            ),
            source,
            name=name,
            window="-",
            resize=protocol.resize,
            classes=classes,
        )
        for name, labels in baselines.items()
    ]


def teacher_row(
    truth: Source, teacher: Source, *, protocol: Protocol, classes: ClassTable, window: str | None
) -> Row:
    """Return the labels of a teacher scored as if they were a prediction.

    Pixels that the teacher left out are not scored: the note says what share they are.

    Parameters
    ----------
    truth, teacher : Source
        The same data set with two label sets.
    protocol, classes, window
        As for :func:`baseline_rows`.
    """
    merge = merge_into(teacher.classes, classes)

    def predict(i: int) -> Labels:
        labels: Labels = truth_of(teacher, i, merge=merge).numpy()
        return labels

    indices = _scored_part(truth, protocol, window)
    batches = scored_by_labels(predict, truth, indices, protocol=protocol, classes=classes)
    return row_of(
        batches,
        truth,
        name="frame teacher",
        window="-",
        classes=classes,
        resize=protocol.resize,
    )


def _scored_part(source: Source, protocol: Protocol, window: str | None) -> NDArray[np.int64]:
    return part(source, split=protocol.split, window=window, min_covered=protocol.min_covered)
