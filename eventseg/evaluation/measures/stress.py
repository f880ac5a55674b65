"""Stress curves as measures of an evaluation, in its views and at its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.rows import Row
from eventseg.evaluation.scoring.arrays import Prediction
from eventseg.evaluation.settings import StressName
from eventseg.evaluation.stress.curves import (
    StressCurve,
    StressedPredictor,
    curve_section,
    stress_curve,
    summary_section,
)
from eventseg.prediction.predictor import network_input, probabilities
from eventseg.prediction.scored import ScoredBatch
from eventseg.sources.source import Source


@dataclass(frozen=True, eq=False, slots=True)
class StressMeasure:
    """Curve of one axis, computed when its section is made; or the summary after all of them.

    Parameters
    ----------
    predictor : StressedPredictor
    name : str
        Axis; empty for the summary.
    curves : list of StressCurve
        Those of the axes before, shared by the measures of an evaluation.
    """

    predictor: StressedPredictor
    name: StressName | None
    curves: list[StressCurve] = field(default_factory=list)

    def observe(self, _window: str, _batch: ScoredBatch) -> None:
        """Do nothing: batches are of unchanged samples."""

    def section(self, _rows: Sequence[Row]) -> Section:
        """Return the section of the report."""
        if self.name is None:
            return summary_section(self.curves, seed=self.predictor.seed)
        self.curves.append(stress_curve(self.predictor, self.name))
        return curve_section(self.curves[-1])

    def close(self) -> None:
        """Do nothing."""


def stress_measures(
    scoring: Scoring, names: Sequence[StressName], *, most: int, seed: int
) -> list[StressMeasure]:
    """Return the measures of some axes at the first window, and their summary.

    Raises
    ------
    TrainingError
        An axis of an input that the network does not see or that cannot be changed.
    """
    window, indices = next(iter(scoring.parts.items()))
    kind = scoring.trained.inputs.kind
    sees = {"events": ("events",), "both": ("events", "frame")}.get(kind, ("frame",))
    predictor = StressedPredictor(
        name=scoring.trained.blueprint.name,
        window=window,
        predict=partial(_prediction, scoring, window),
        predicted=scoring.trained.classes,
        classes=scoring.classes,
        source=scoring.source,
        indices=indices,
        sees=frozenset(sees),
        most=most,
        seed=seed,
        progress=scoring.progress,
        protocol=scoring.protocol,
    )
    predictor.check(names)
    curves: list[StressCurve] = []
    axes: list[StressName | None] = [*dict.fromkeys(names), None]
    return [StressMeasure(predictor, name, curves) for name in axes]


def _prediction(scoring: Scoring, window: str, view: Source, i: int) -> Prediction:
    """Return the prediction for a changed sample, by the views and at the size of the protocol."""
    protocol, trained = scoring.protocol, scoring.trained
    trained.network.to(scoring.device).eval()
    x = network_input(view, i, inputs=trained.inputs, window=window)
    height, width = protocol.size or scoring.source.labels(i).shape
    found = (
        probabilities(
            trained,
            x[None].to(scoring.device),
            size=(height, width),
            test_time=protocol.test_time,
        )[0]
        .cpu()
        .numpy()
    )
    return Prediction(found.argmax(0).astype(np.uint8), found, "probabilities")
