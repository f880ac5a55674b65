"""What a network must beat: the majority class, the position prior, a frame's teacher."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.evaluate import Row, Setting, merge_into, part, truth_of
from eventseg.labels import IGNORED, ClassTable, Labels, merge_labels
from eventseg.metrics import confusion_matrix
from eventseg.training.sources import Source


def position_counts(
    source: Source, indices: NDArray[np.int64], *, classes: ClassTable
) -> NDArray[np.int64]:
    """Return how often each pixel has each class over samples, int64 (K, H, W)."""
    merge = merge_into(source.classes, classes)
    counts = np.zeros((len(classes), *source.size), np.int64)
    for i in indices:
        labels = truth_of(source, int(i), merge=merge).numpy()
        for k in range(len(classes)):
            counts[k] += labels == k
    return counts


def baseline_rows(
    source: Source, *, setting: Setting, classes: ClassTable, window: str | None
) -> list[Row]:
    """Return the majority class and the position prior of the training part, scored.

    The position prior predicts at each pixel the class that it has most often in training:
    what can be had without looking at all.

    Parameters
    ----------
    source : Source
    setting : Setting
        Its split and least covered share; baselines are scored at native size.
    classes : ClassTable
    window : str, optional
        Window that decides which samples are scored.

    Raises
    ------
    TrainingError
        No samples to learn from or to score.
    """
    if "train" not in source.splits:
        raise TrainingError(
            f"{source.path} has no split train to learn the baselines from; score without them: "
            "--no-baselines"
        )
    learnt = part(source, Setting(split="train", min_covered=0), None)
    counts = position_counts(source, learnt, classes=classes)
    majority = int(counts.sum((1, 2)).argmax())
    prior = counts.argmax(0).astype(np.uint8)
    size = prior.shape
    guesses = {
        f"majority class ({classes.names[majority]})": np.full(size, majority, np.uint8),
        "position prior": prior,
    }
    indices = part(source, setting, window)
    return [_row(name, source, indices, guess, classes=classes) for name, guess in guesses.items()]


def teacher_row(
    truth: Source, teacher: Source, *, setting: Setting, classes: ClassTable, window: str | None
) -> Row:
    """Return the labels of a teacher scored as if they were a prediction.

    Pixels that the teacher left out are not scored: the note says what share they are.

    Parameters
    ----------
    truth, teacher : Source
        The same data set with two label sets.
    setting, classes, window
        As for :func:`baseline_rows`.
    """
    indices = part(truth, setting, window)
    of_truth = merge_into(truth.classes, classes)
    of_teacher = merge_into(teacher.classes, classes)
    matrices, left_out, pixels = [], 0, 0
    for i in indices:
        labels = truth_of(truth, int(i), merge=of_truth).numpy().copy()
        guess = teacher.labels(int(i))
        guess = guess if of_teacher is None else merge_labels(guess, of_teacher)
        scored = labels != IGNORED
        left_out += int((scored & (guess == IGNORED)).sum())
        pixels += int(scored.sum())
        labels[guess == IGNORED] = IGNORED
        matrices.append(confusion_matrix(labels, guess, classes=len(classes)))
    note = f"{100 * left_out / max(1, pixels):.2f} % of the pixels have no label of the teacher"
    return Row(
        "frame teacher", "-",
        tuple(truth.ids[i] for i in indices), tuple(truth.sequences[i] for i in indices),
        np.array(matrices), classes, note,
    )  # fmt: skip


def _row(
    name: str,
    source: Source,
    indices: NDArray[np.int64],
    guess: Labels,
    *,
    classes: ClassTable,
) -> Row:
    merge = merge_into(source.classes, classes)
    matrices = [
        confusion_matrix(truth_of(source, int(i), merge=merge).numpy(), guess, classes=len(classes))
        for i in indices
    ]
    return Row(
        name, "-", tuple(source.ids[i] for i in indices),
        tuple(source.sequences[i] for i in indices), np.array(matrices), classes,
    )  # fmt: skip
