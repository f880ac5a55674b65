"""Report of a run: the network of a plan scored beside its baselines, and written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.evaluation.adabn import adabn_rows
from eventseg.evaluation.baselines import baselines_or_note, teacher_row
from eventseg.evaluation.counter import Counter
from eventseg.evaluation.evaluate import Protocol, evaluate, scored_by_network
from eventseg.evaluation.evaluation import Evaluation
from eventseg.evaluation.late_clock import late_clock_rows
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.measures.plan import plan_measures
from eventseg.evaluation.plan import EvaluationPlan
from eventseg.evaluation.report.warning import warning_of
from eventseg.evaluation.report.write import write_report
from eventseg.evaluation.rows import Row
from eventseg.evaluation.saved_predictions import SavedPredictions
from eventseg.evaluation.scored_network import NetworkFile
from eventseg.events import SensorSize
from eventseg.files.digests import digest_of
from eventseg.labels.maps import ClassTable
from eventseg.networks import TrainedNetwork, parameter_count
from eventseg.plots.events import Figure
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings.progress import Report, no_report
from eventseg.sources.leagues.league import League
from eventseg.sources.recorded import EventSource
from eventseg.sources.source import Source
from eventseg.training.epoch_tables import best_of, read_metrics
from eventseg.training.layout import METRICS
from eventseg.training.parts import published_parts
from eventseg.training.pictures import history_figure, sample_panels


def scoring_of(plan: EvaluationPlan, *, progress: Report = no_report) -> Scoring:
    """Return network, data and protocol of a plan, as its measures see them."""
    return Scoring(
        plan.trained,
        plan.source,
        plan.parts,
        plan.protocol,
        plan.classes,
        plan.device,
        batch_size=plan.request.batch_size,
        workers=plan.request.workers,
        progress=progress,
    )


def report_of(
    plan: EvaluationPlan,
    *,
    counter: Counter | None,
    predictions: str | Path | Literal[True] | None,
    progress: Report,
) -> Evaluation:
    """Score the network of a plan and its baselines, and write the report.

    Parameters
    ----------
    plan : EvaluationPlan
    counter : Counter, optional
        Gives the counts of the network; by default it is scored here.
    predictions, progress
        As for :func:`eventseg.evaluate_run`.
    """
    request, source, trained = plan.request, plan.source, plan.trained
    protocol, table, windows, parts = plan.protocol, plan.classes, plan.windows, plan.parts
    file, folder = plan.file, plan.folder

    def score(
        label: str, windows: Sequence[str], network: TrainedNetwork = trained, **changes: Any
    ) -> list[Row]:
        return evaluate(
            network,
            source,
            windows=windows,
            name=label,
            protocol=protocol,
            classes=table,
            device=plan.device,
            batch_size=request.batch_size,
            workers=request.workers,
            counter=counter if network is trained else None,
            progress=progress,
            **changes,
        )

    scoring = scoring_of(plan, progress=progress)
    with closing(plan_measures(request, scoring)) as measures, ExitStack() as held:
        saved: SavedPredictions | None = None
        if predictions is not None:
            saved = SavedPredictions.begin(
                folder / "predictions" if predictions is True else Path(predictions),
                file,
                trained,
                source,
                parts=parts,
                protocol=protocol,
                classes=table,
                label_set=plan.labels,
                overwrite=predictions is True,
            )
            held.enter_context(closing(saved))

        def observe(window: str, batch: ScoredBatch) -> None:
            measures.observe(window, batch)
            if saved is not None:
                saved.observe(window, batch)

        rows = score(file.name, tuple(parts), observe=observe)
        # Figures are drawn later, when the list has rows of baselines too.
        sections = measures.sections(tuple(rows))
        if saved is not None:
            saved.finish()
    if request.adabn:
        rows += adabn_rows(score, scoring, name=file.name, progress=progress)
    notes = list(plan.notes)
    if request.baselines:
        first = windows[0] if plan.uses_events else None
        baselines, missing = baselines_or_note(
            source,
            protocol=protocol,
            classes=table,
            window=first,
            published=file.config is not None and published_parts(file.config),
        )
        rows, notes = rows + baselines, notes + missing
        if plan.uses_events and isinstance(source, EventSource | League):
            late, late_notes = late_clock_rows(score, source, name=file.name, parts=parts)
            rows, notes = rows + late, notes + late_notes
    if plan.teacher is not None:
        rows.append(
            teacher_row(
                source,
                plan.teacher,
                protocol=protocol,
                classes=table,
                window=windows[0] if plan.uses_events else None,
            )
        )
    page = write_report(
        folder,
        rows,
        protocol=protocol,
        about=_about(file, trained, source, plan.labels, plan.key),
        panels=lambda sample: _panels(
            sample, trained, source, table, windows[0], protocol, plan.device
        ),
        curves=(lambda: _curves(file, trained.classes)) if file.has_curves else None,
        warning=warning_of(file.config, source, protocol, plan.labels),
        sections=sections,
        notes=notes,
    )
    return Evaluation(page, rows, sections, notes)


def _size_text(size: tuple[int, int] | None) -> str:
    return "that of the data" if size is None else str(SensorSize(*size))


def _about(
    file: NetworkFile, trained: TrainedNetwork, source: Source, labels: str, key: str
) -> dict[str, Any]:
    about: dict[str, Any] = {
        "network": trained.blueprint.name,
        "parameters": parameter_count(trained.network),
        "input": trained.inputs.kind,
        "input size": _size_text(trained.inputs.size),
        "trained on windows": ", ".join(trained.inputs.windows) or "-",
        "checkpoint": file.checkpoint.name,
        "checkpoint digest": digest_of(file.checkpoint),
        "data": source.path.resolve().name,
        "label set": labels,
        "scored as": key,
        "data digests": source.digests,
    }
    if file.named is not None:
        about["weights"] = trained.source
        about["scaling"] = str(trained.inputs.scaling)
    if file.run is not None:
        about["trained with"] = " ".join(file.run["command"])
        about["trained on inputs"] = file.run["inputs"]
        about["versions"] = file.run["versions"]
    return about


def _curves(file: NetworkFile, classes: ClassTable) -> Figure:
    history, names = read_metrics(file.folder)
    if names != classes.names:
        raise TrainingError(f"{file.folder / METRICS} is of other classes than the checkpoint")
    min_delta = 0.0 if file.config is None else file.config.min_delta
    return history_figure(
        history, classes=classes, best_epoch=best_of(history, min_delta=min_delta).epoch
    )


def _panels(
    sample: str,
    trained: TrainedNetwork,
    source: Source,
    table: ClassTable,
    window: str,
    protocol: Protocol,
    device: torch.device,
) -> list[NDArray[np.uint8]]:
    """Return input, truth and prediction of a sample as pictures, at the size of its labels."""
    (scored,) = scored_by_network(
        trained,
        source,
        np.array([source.ids.index(sample)]),
        window=window,
        protocol=replace(protocol, size=None),
        classes=table,
        device=device,
    )
    return sample_panels(scored, trained.inputs, table=table)[0]
