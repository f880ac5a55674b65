"""Diagnosis of a low score: predictions are scored again with each cheap mistake undone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from eventseg.augmentation.event_changes import EventChange
from eventseg.augmentation.events import change_events
from eventseg.encoding.settings import Normalisation, default_normalisation
from eventseg.errors import EventsegError
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.report.tables import Table, percent
from eventseg.evaluation.scoring.callables import Function
from eventseg.evaluation.scoring.contenders import Contender, FolderContender, NetworkContender
from eventseg.evaluation.scoring.mistakes import (
    EVENT_MISTAKES,
    FRAME_MISTAKES,
    Mistake,
    label_mistakes,
    normalisation_mistake,
)
from eventseg.labels.maps import IGNORED, ClassTable, Labels, merge_labels
from eventseg.recordings.progress import Progress, Report
from eventseg.sources.changed import ChangedSource
from eventseg.sources.order import recording_ranks
from eventseg.sources.selection import merge_into, times_of, truth_of
from eventseg.sources.source import Source

STRETCHES, LENGTH = 12, 8
"""Stretches of consecutive samples that are looked at, and samples of each."""

LEAST_GAIN, LEAST_SHIFT_GAIN = 0.02, 0.002
"""Least rise of the mIoU that a mistake is named for; pictures hardly change in one frame."""

LEAST_BETTER = 0.75
"""Least share of the samples whose pixel accuracy rises."""

FEWEST = 5
"""Fewest samples that a mistake is named by."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Score of the samples that were looked at, with one mistake undone.

    Parameters
    ----------
    mistake : Mistake
    given, undone : float
        mIoU of the true classes as the predictions are, and with the mistake undone.
    better : float
        Share of the samples whose pixel accuracy rises.
    samples : int
    """

    mistake: Mistake
    given: float
    undone: float
    better: float
    samples: int

    @property
    def named(self) -> bool:
        """Whether the mistake is named: the score rises, and that in most samples."""
        least = LEAST_SHIFT_GAIN if self.mistake.neighbour else LEAST_GAIN
        return (
            self.samples >= FEWEST
            and self.undone - self.given >= least
            and self.better >= LEAST_BETTER
        )


def diagnose(
    contender: Contender,
    source: Source,
    indices: NDArray[np.int64],
    *,
    classes: ClassTable,
    progress: Report,
) -> list[Finding]:
    """Return the gain that each mistake would explain, the largest first.

    Parameters
    ----------
    contender : Contender
    source : Source
    indices : int64 (N,)
        Samples that are scored.
    classes : ClassTable
        Classes that are scored.
    progress : callable
        Called after every sample.
    """
    chosen, neighbours = stretches(source, indices)
    merges = merge_into(contender.classes, classes), merge_into(source.classes, classes)
    truths = {i: truth_of(source, i, merge=merges[1]).numpy() for i in chosen}

    def scored(labels: Labels | None, i: int) -> NDArray[np.int64] | None:
        if labels is None:
            return None
        if merges[0] is not None:
            labels = merge_labels(labels, merges[0])
        if labels.shape != truths[i].shape:
            return None
        return _with_misses(truths[i], labels, len(classes))

    total = len(chosen)
    maps: dict[int, Labels] = {}
    for number, i in enumerate(chosen, start=1):
        maps[i] = contender.predict(source, i).labels
        progress(Progress("diagnosis", number, total, "sample"))
    given = {i: scored(maps[i], i) for i in chosen}
    findings = []
    for mistake in label_mistakes(source, classes=len(contender.classes)):
        undone = {}
        for i in chosen:
            labels: Labels | None = maps[i]
            if mistake.neighbour:
                other = neighbours.get((i, mistake.neighbour))
                labels = None if other is None else maps[other]
            elif mistake.undo is not None:
                labels = mistake.undo(maps[i])
            undone[i] = scored(labels, i)
        findings.append(_finding(mistake, given, undone))
    for mistake, predict in _input_mistakes(contender, source):
        undone = {}
        for number, i in enumerate(chosen, start=1):
            undone[i] = scored(predict(i), i)
            progress(Progress(f"diagnosis, {mistake.key}", number, total, "sample"))
        findings.append(_finding(mistake, given, undone))
    known = [finding for finding in findings if finding.samples]
    return sorted(known, key=lambda finding: finding.given - finding.undone)


def stretches(
    source: Source, indices: NDArray[np.int64]
) -> tuple[list[int], Mapping[tuple[int, int], int]]:
    """Return stretches of consecutive samples spread over a part, and the neighbours in them.

    Returns
    -------
    list of int
        Samples, in order.
    mapping of (int, int) to int
        The sample one place after (1) or before (-1) a sample, in the same stretch.
    """
    ranks = recording_ranks(source.ids, source.sequences, times_us=times_of(source))
    sequences = source.sequences
    ordered = sorted(indices.tolist(), key=lambda i: (sequences[i], ranks[i]))
    firsts = np.linspace(0, max(0, len(ordered) - LENGTH), STRETCHES).round().astype(int)
    places = sorted({p for first in firsts for p in range(first, first + LENGTH)})
    chosen = [ordered[p] for p in places if p < len(ordered)]
    neighbours: dict[tuple[int, int], int] = {}
    for one, two in pairwise(chosen):
        if sequences[one] == sequences[two] and ranks[two] - ranks[one] == 1:
            neighbours[one, 1], neighbours[two, -1] = two, one
    return chosen, neighbours


def diagnosis_section(findings: Sequence[Finding]) -> Section:
    """Return the section of a diagnosis: every mistake with the score that undoing it gives."""
    named = [finding for finding in findings if finding.named]
    words = (
        "; ".join(f"{finding.mistake.title}; {finding.mistake.cure}" for finding in named)
        if named
        else "none of these mistakes explains the score"
    )
    return Section(
        key="diagnosis",
        title="Diagnosis",
        note=(
            f"{words}. Up to {STRETCHES * LENGTH} samples in {STRETCHES} stretches are scored "
            "again with each mistake undone, mIoU of their true classes, pixels without a "
            "prediction being wrong; a mistake is named where the score rises by "
            f"{100 * LEAST_GAIN:g} points or more ({100 * LEAST_SHIFT_GAIN:g} for a shift by a "
            f"frame) and at least {100 * LEAST_BETTER:g} % of the samples get better"
        ),
        facts={"named": [finding.mistake.key for finding in named]},
        lines=[
            {
                "mistake": finding.mistake.key,
                "miou_given": finding.given,
                "miou_undone": finding.undone,
                "gain": finding.undone - finding.given,
                "better": finding.better,
                "samples": finding.samples,
                "named": str(finding.named).lower(),
            }
            for finding in findings
        ],
        table=Table(
            "Diagnosis",
            ("mistake", "mIoU as given, %", "undone, %", "gain", "samples better, %", "named"),
            [
                [
                    finding.mistake.title,
                    percent(finding.given),
                    percent(finding.undone),
                    f"{100 * (finding.undone - finding.given):+.2f}",
                    percent(finding.better),
                    "yes" if finding.named else "",
                ]
                for finding in findings
            ],
        ),
    )


def _input_mistakes(
    contender: Contender, source: Source
) -> Iterator[tuple[Mistake, Callable[[int], Labels | None]]]:
    """Yield the mistakes that need other inputs, each with the predictions on them."""
    if isinstance(contender, FolderContender):
        return
    network = contender if isinstance(contender, NetworkContender) else None
    has_events = source.encoding is not None and (network is None or network.sees_events)
    if has_events:
        swapped = ChangedSource(
            source,
            events_of=lambda _i, events, _span: change_events(events, EventChange(swap=True)),
        )
        for mistake in EVENT_MISTAKES:
            yield mistake, _predictor(contender, swapped)
        yield from _normalisations(contender, source)
    if network is None or network.trained.inputs.kind == "rgb":
        reversed_colours = ChangedSource(
            source,
            frame_of=lambda i, colour: np.ascontiguousarray(source.image(i, colour=colour)[::-1]),
        )
        for mistake in FRAME_MISTAKES:
            yield mistake, _predictor(contender, reversed_colours)


def _normalisations(
    contender: Contender, source: Source
) -> Iterator[tuple[Mistake, Callable[[int], Labels | None]]]:
    encoding = source.encoding
    assert encoding is not None
    if default_normalisation(encoding.representation) == "raw":
        return  # others than the six channels have none
    for name in get_args(Normalisation):
        if isinstance(contender, NetworkContender):
            if name == contender.trained.inputs.normalise:
                continue
            inputs = replace(contender.trained.inputs, normalise=name)
            other: Contender = replace(contender, trained=replace(contender.trained, inputs=inputs))
        else:
            assert isinstance(contender, Function)
            other = replace(contender, normalise=name)
        yield normalisation_mistake(name), _predictor(other, source)


def _predictor(contender: Contender, source: Source) -> Callable[[int], Labels | None]:
    """Return predictions on a changed source; None where its inputs cannot be had."""

    def predict(i: int) -> Labels | None:
        try:
            return contender.predict(source, i).labels
        except EventsegError:
            # Recordings that are gone, or tensors stored in one normalisation only.
            return None

    return predict


def _with_misses(truth: Labels, labels: Labels, classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix with one column more, of pixels without a prediction."""
    scored = truth != IGNORED
    columns = np.minimum(labels[scored], classes).astype(np.intp)
    cells = truth[scored].astype(np.intp) * (classes + 1) + columns
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def _finding(
    mistake: Mistake,
    given: Mapping[int, NDArray[np.int64] | None],
    undone: Mapping[int, NDArray[np.int64] | None],
) -> Finding:
    """Compare the samples that have both."""
    pairs = [
        (one, two)
        for one, two in ((given[i], undone[i]) for i in given)
        if one is not None and two is not None
    ]
    if not pairs:
        return Finding(mistake, float("nan"), float("nan"), float("nan"), 0)
    before, after = (np.array([pair[k] for pair in pairs]) for k in (0, 1))
    right = [np.trace(matrices, axis1=1, axis2=2) for matrices in (before, after)]
    return Finding(
        mistake,
        _miou(before.sum(0)),
        _miou(after.sum(0)),
        float((right[1] > right[0]).mean()),
        len(pairs),
    )


def _miou(matrix: NDArray[np.int64]) -> float:
    truth, right = matrix.sum(1), np.diagonal(matrix)
    predicted = matrix.sum(0)[: len(matrix)]
    there = truth > 0
    if not there.any():
        return float("nan")
    return float((right[there] / (truth + predicted - right)[there]).mean())
