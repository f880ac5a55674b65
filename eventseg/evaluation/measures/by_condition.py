"""Measures that group the matrices of an evaluation by a condition of the sample or the class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventseg.evaluation.measures.conditions import CONDITIONS, Condition, Values, sample_values
from eventseg.evaluation.measures.groups import (
    GroupScores,
    class_scores,
    condition_section,
    group_scores,
    groups_of,
)
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.rows import Row
from eventseg.evaluation.settings import ConditionName
from eventseg.prediction.scored import ScoredBatch


@dataclass(frozen=True, eq=False, slots=True)
class ScoresByClass:
    """IoU of each class with its interval."""

    def observe(self, _window: str, _batch: ScoredBatch) -> None:
        """Do nothing: the rows have all that is needed."""

    def section(self, rows: Sequence[Row]) -> Section:
        """Return the section of the report."""
        return condition_section(
            CONDITIONS["class"], [scores for row in rows for scores in class_scores(row)]
        )

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, eq=False, slots=True)
class ScoresByCondition:
    """Scores of groups of samples.

    Parameters
    ----------
    condition : Condition
    values : sequence of Values
        Values of the samples of each window, in the order of the windows.
    ids : sequence of tuple of str
        Ids of the same samples.
    """

    condition: Condition
    values: Sequence[Values]
    ids: Sequence[tuple[str, ...]]

    @classmethod
    def of(cls, name: ConditionName, scoring: Scoring) -> ScoresByCondition:
        """Return the measure of a condition.

        Raises
        ------
        TrainingError
            The data does not hold the condition, see :func:`sample_values`.
        """
        source, parts = scoring.source, scoring.parts
        return cls(
            CONDITIONS[name],
            [
                sample_values(name, source, indices, window=window)
                for window, indices in parts.items()
            ],
            [tuple(source.ids[i] for i in indices) for indices in parts.values()],
        )

    def observe(self, _window: str, _batch: ScoredBatch) -> None:
        """Do nothing: the rows have all that is needed."""

    def section(self, rows: Sequence[Row]) -> Section:
        """Return the section of the report."""
        found: list[GroupScores] = []
        for row, values, ids in zip(rows, self.values, self.ids, strict=True):
            place = {name: k for k, name in enumerate(ids)}
            order = [place[name] for name in row.ids]
            mine = tuple(values[k] for k in order) if isinstance(values, tuple) else values[order]
            found += group_scores(row, groups_of(row, mine, condition=self.condition))
        return condition_section(self.condition, found)

    def close(self) -> None:
        """Do nothing."""
