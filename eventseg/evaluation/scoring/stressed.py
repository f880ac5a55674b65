"""Stress curves of a contender that sees inputs: a function or a trained network."""

from __future__ import annotations

from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.scoring.contenders import NetworkContender
from eventseg.evaluation.scoring.scored import ScoredContender
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.evaluation.stress.curves import (
    StressedPredictor,
    curve_section,
    stress_curve,
    summary_section,
)
from eventseg.labels.maps import ClassTable
from eventseg.recordings.progress import Report
from eventseg.sources.source import Source


def stress_sections(
    scored: ScoredContender,
    source: Source,
    request: ScoreRequest,
    classes: ClassTable,
    progress: Report,
) -> list[Section]:
    """Return a section for each axis of a request, and their summary.

    Raises
    ------
    TrainingError
        An axis of an input that is not seen or cannot be changed.
    """
    contender = scored.contender
    sees = {"events", "frame"}
    if isinstance(contender, NetworkContender):
        sees = {
            name
            for name, seen in (("events", contender.sees_events), ("frame", contender.sees_frames))
            if seen
        }
    elif source.encoding is None:
        sees = {"frame"}
    predictor = StressedPredictor(
        name=scored.row.name,
        window=contender.window,
        predict=contender.predict,
        predicted=contender.classes,
        classes=classes,
        source=source,
        indices=scored.indices,
        sees=frozenset(sees),
        most=request.stress_samples,
        seed=request.seed,
        progress=progress,
    )
    axes = tuple(dict.fromkeys(request.stress))
    predictor.check(axes)
    curves = [stress_curve(predictor, name) for name in axes]
    return [*map(curve_section, curves), summary_section(curves, seed=request.seed)]
