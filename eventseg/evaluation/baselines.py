"""What a network must beat: the majority class, the position prior, a frame's teacher."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.evaluate import Setting, add_things
from eventseg.evaluation.rows import Row
from eventseg.labels.maps import IGNORED, ClassTable, Labels, merge_labels
from eventseg.metrics.instances import InstanceCounts
from eventseg.metrics.scores import confusion_matrix
from eventseg.sources.selection import merge_into, nearest_labels, part, truth_of
from eventseg.sources.source import Source

POSITION_PRIOR = "position prior"


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
        Its split, least covered share and size: what is guessed at native size is brought to it.
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
    prior = counts.argmax(0).astype(np.uint8)
    size = prior.shape
    guesses = {
        f"majority class ({classes.names[majority]})": np.full(size, majority, np.uint8),
        POSITION_PRIOR: prior,
    }
    return [
        _row(name, source, _always(guess), setting=setting, classes=classes, window=window)
        for name, guess in guesses.items()
    ]


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
    merge = merge_into(teacher.classes, classes)

    def guess(i: int) -> Labels:
        labels = teacher.labels(i)
        return labels if merge is None else merge_labels(labels, merge)

    return _row("frame teacher", truth, guess, setting=setting, classes=classes, window=window)


def _row(
    name: str,
    source: Source,
    guess_of: Callable[[int], Labels],
    *,
    setting: Setting,
    classes: ClassTable,
    window: str | None,
) -> Row:
    """Return guesses scored; pixels that a guess ignores are not, and are told in the note."""
    merge = merge_into(source.classes, classes)
    indices = part(source, split=setting.split, window=window, min_covered=setting.min_covered)
    matrices, left_out, pixels = [], 0, 0
    things: InstanceCounts | None = None
    for i in indices.tolist():
        truth, guess = (
            _at_size(labels, setting)
            for labels in (truth_of(source, i, merge=merge), torch.from_numpy(guess_of(i)))
        )
        silent = guess == IGNORED
        scored = truth != IGNORED
        left_out += int((scored & silent).sum())
        pixels += int(scored.sum())
        truth = truth.masked_fill(silent, IGNORED)
        matrices.append(confusion_matrix(truth.numpy(), guess.numpy(), classes=len(classes)))
        things = add_things(things, source, i, truth, guess, classes=len(classes))
    share = f"{100 * left_out / max(1, pixels):.2f} % of the pixels have no label of the teacher"
    return Row(
        name, "-", tuple(source.ids[i] for i in indices),
        tuple(source.sequences[i] for i in indices), np.array(matrices), classes,
        share if left_out else "", things,
    )  # fmt: skip


def _always(guess: Labels) -> Callable[[int], Labels]:
    return lambda _i: guess


def _at_size(labels: torch.Tensor, setting: Setting) -> torch.Tensor:
    """Return a label map (H, W) as int64 at the size that is scored at."""
    return nearest_labels(labels[None], setting.size or (labels.shape[0], labels.shape[1]))[0]
