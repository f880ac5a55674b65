"""Measures of an evaluation: checked before anything is scored, sections of the report after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventseg.evaluation.measures.boundaries import ScoresNearBoundaries
from eventseg.evaluation.measures.by_condition import ScoresByClass, ScoresByCondition
from eventseg.evaluation.measures.calibration import CalibrationScores
from eventseg.evaluation.measures.distance import ScoresByDistance
from eventseg.evaluation.measures.flicker import Flicker
from eventseg.evaluation.measures.measure import Measure, Scoring
from eventseg.evaluation.measures.stress import stress_measures
from eventseg.evaluation.measures.timing import StepTimes
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.rows import Row
from eventseg.evaluation.settings import ConditionName, EvaluationRequest
from eventseg.prediction.scored import ScoredBatch


@dataclass(frozen=True, eq=False, slots=True)
class MeasurePlan:
    """Measures that an evaluation has besides its scores, in the order of the report."""

    measures: Sequence[Measure]

    def observe(self, window: str, batch: ScoredBatch) -> None:
        """Count a batch of a window for all measures."""
        for measure in self.measures:
            measure.observe(window, batch)

    def sections(self, rows: Sequence[Row]) -> list[Section]:
        """Return the sections of the report; rows are those of the network, one a window."""
        return [measure.section(rows) for measure in self.measures]

    def close(self) -> None:
        """Close the files that measures read."""
        for measure in self.measures:
            measure.close()


def plan_measures(request: EvaluationRequest, scoring: Scoring) -> MeasurePlan:
    """Return the measures of a request.

    Parameters
    ----------
    request : EvaluationRequest
    scoring : Scoring

    Raises
    ------
    TrainingError
        A condition that the data does not hold; the message says which it holds.
    DatasetError
        A recording or truth file that is needed is gone or has changed.
    """
    measures = [_by(name, scoring) for name in dict.fromkeys(request.by)]
    if request.boundary:
        measures.append(ScoresNearBoundaries.of(request.boundary, scoring))
    if request.flicker:
        measures.append(Flicker.of(scoring))
    stressed: list[Measure] = []
    if request.stress:
        stressed += stress_measures(
            scoring, request.stress, most=request.stress_samples, seed=request.seed
        )
    if request.calibration:  # last, after all that may be refused
        measures.append(CalibrationScores.of(scoring))
    if request.time:
        measures.append(StepTimes(scoring))
    measures += stressed
    return MeasurePlan(measures)


def _by(name: ConditionName, scoring: Scoring) -> Measure:
    if name == "class":
        return ScoresByClass()
    if name == "distance":
        return ScoresByDistance.of(scoring)
    return ScoresByCondition.of(name, scoring)
