"""Measures of an evaluation: checked before anything is scored, sections of the report after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eventseg.evaluation.measures.conditions import CONDITIONS, Condition, Values, sample_values
from eventseg.evaluation.measures.groups import (
    class_scores,
    condition_section,
    group_scores,
    groups_of,
)
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.rows import Row
from eventseg.evaluation.settings import EvaluationRequest
from eventseg.sources.source import Source


class _Known(NamedTuple):
    """Values of the samples of one window under a condition."""

    ids: tuple[str, ...]
    values: Values

    def of(self, ids: Sequence[str]) -> Values:
        """Return the values of samples by their ids."""
        place = {name: k for k, name in enumerate(self.ids)}
        order = [place[name] for name in ids]
        if isinstance(self.values, tuple):
            return tuple(self.values[k] for k in order)
        return self.values[order]


@dataclass(frozen=True, eq=False, slots=True)
class MeasurePlan:
    """Measures that an evaluation has besides its scores.

    Parameters
    ----------
    conditions : sequence of Condition
    values : mapping
        Values of the samples by the name of a condition, one a window in order.
    """

    conditions: Sequence[Condition]
    values: Mapping[str, Sequence[_Known]]

    def sections(self, rows: Sequence[Row]) -> list[Section]:
        """Return the sections of the report.

        Parameters
        ----------
        rows : sequence of Row
            The network at each window, in the order of the plan.
        """
        return [self._by(condition, rows) for condition in self.conditions]

    def _by(self, condition: Condition, rows: Sequence[Row]) -> Section:
        found = []
        for k, row in enumerate(rows):
            if condition.name == "class":
                found += class_scores(row)
                continue
            values = self.values[condition.name][k].of(row.ids)
            found += group_scores(row, groups_of(row, values, condition=condition))
        return condition_section(condition, found)


def plan_measures(
    request: EvaluationRequest, source: Source, *, parts: Mapping[str, NDArray[np.int64]]
) -> MeasurePlan:
    """Return the measures of a request for the samples of each window.

    Parameters
    ----------
    request : EvaluationRequest
    source : Source
    parts : mapping of str to int64 (N,)
        Samples that are scored, by window.

    Raises
    ------
    TrainingError
        A condition that the source does not hold; the message says which it holds.
    DatasetError
        A recording that is needed is gone or has changed.
    """
    conditions = [CONDITIONS[name] for name in dict.fromkeys(request.by)]
    values: dict[str, list[_Known]] = {
        condition.name: [
            _Known(
                tuple(source.ids[i] for i in indices),
                sample_values(condition.name, source, indices, window=window),
            )
            for window, indices in parts.items()
        ]
        for condition in conditions
        if condition.name != "class"
    }
    return MeasurePlan(conditions, values)
