"""Evaluations of runs on differently encoded data sets of the same recordings, as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from eventseg.evaluation.compare.runs import RunSummary
from eventseg.evaluation.compare.scores import Evaluation


def align_encodings(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """Return the runs with one key for evaluations that differ only in the encoding of the events.

    Two networks of other representations, windows or filters need data sets of their own, of the
    same recordings with the same labels: each is scored on its own input, and the scores belong
    into one column. Where one run has several such evaluations, they stay apart.

    Parameters
    ----------
    runs : sequence of RunSummary
    """
    alike: dict[tuple[str, ...], set[Evaluation]] = defaultdict(set)
    for run in runs:
        for one in run.scored:
            if one.source:
                alike[one.source, one.classes, one.labels, one.split].add(one)
    unified: dict[Evaluation, Evaluation] = {}
    for group in alike.values():
        alone = all(len(group & run.scored.keys()) <= 1 for run in runs)
        if len(group) > 1 and alone:
            how = " and ".join(sorted({one.how for one in group}))
            first = min(group)
            unified |= {one: first._replace(how=how, data=first.source) for one in group}
    return [
        replace(
            run,
            scored={unified.get(one, one): scores for one, scores in run.scored.items()},
            own=frozenset(unified.get(one, one) for one in run.own),
        )
        for run in runs
    ]
