"""Evaluations that several runs share: which one they are compared by, and whether they can be."""

from __future__ import annotations

from collections.abc import Sequence

from eventseg.evaluation.compare.runs import RunSummary
from eventseg.evaluation.compare.scores import Evaluation, SampleSet, by_length, differ, samples_of

PICK = (
    "the one that most runs have; of several the one against the truth, then on the test part, "
    "then the one at most windows, then the first by name"
)
"""Which evaluation the table of runs shows."""


def pick_evaluation(runs: Sequence[RunSummary], *, split: str = "") -> Evaluation | None:
    """Return the evaluation that runs are compared by, :data:`PICK`; None where there is none.

    With ``split`` of those of that part only.
    """
    found = {
        evaluation for run in runs for evaluation in run.scored if split in ("", evaluation.split)
    }

    def order(evaluation: Evaluation) -> tuple[int, bool, bool, int, Evaluation]:
        having = [run.scored[evaluation] for run in runs if evaluation in run.scored]
        windows = {window for scores in having for window in scores}
        return (
            -len(having),
            evaluation.labels != "truth",
            evaluation.split != "test",
            -len(windows),
            evaluation,
        )

    return min(found, key=order, default=None)


def evaluation_names(runs: Sequence[RunSummary]) -> dict[Evaluation, str]:
    """Return a name for each evaluation; different data of one name gets its digest."""
    evaluations = sorted({evaluation for run in runs for evaluation in run.scored})
    labels = [f"{evaluation.how}, {evaluation.classes}" for evaluation in evaluations]
    return {
        evaluation: name if labels.count(name) == 1 else f"{name} (data {evaluation.data})"
        for evaluation, name in zip(evaluations, labels, strict=True)
    }


def other_samples(runs: Sequence[RunSummary], evaluation: Evaluation) -> dict[tuple[int, str], str]:
    """Return notes by place of the run and window where samples are not those of the first row.

    Reports of earlier versions do not say which samples they are of: their number is compared.
    """
    scored = {
        (place, window): {samples_of(score) for score in scores}
        for place, run in enumerate(runs)
        for window, scores in sorted(
            run.scored.get(evaluation, {}).items(), key=lambda item: by_length(item[0])
        )
    }
    notes: dict[tuple[int, str], str] = {}
    reference: set[SampleSet] = next(iter(scored.values()), set())
    for key, sets in scored.items():
        if any(differ(one, other) for one in sets for other in sets):
            notes[key] = "seeds scored on different samples"
        elif any(differ(one, other) for one in sets for other in reference):
            notes[key] = "other samples than the first row of this evaluation"
        elif any(0 not in (one[2], o[2]) and one[2] != o[2] for one in sets for o in reference):
            notes[key] = "other pixels (rows or size) than the first row of this evaluation"
    return notes
