"""Scores of one contender under both protocols, with its measures and its baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import EventsegError
from eventseg.evaluation.baselines import NEAREST_FRAME, baseline_rows, constant_maps
from eventseg.evaluation.evaluate import Protocol, evaluate
from eventseg.evaluation.late_clock import CLOCK_SHIFT_US
from eventseg.evaluation.measures.calibration import CalibrationScores
from eventseg.evaluation.measures.measure import Scoring
from eventseg.evaluation.nearest_frame import nearest_note, nearest_training
from eventseg.evaluation.report.sections import Section
from eventseg.evaluation.rows import Row
from eventseg.evaluation.scoring.callables import Function
from eventseg.evaluation.scoring.contenders import Contender, FolderContender, NetworkContender
from eventseg.evaluation.scoring.label_pass import (
    BoundaryStack,
    PassPlan,
    pixel_digest,
    score_labels,
    size_error,
)
from eventseg.evaluation.scoring.sections import boundary_sections, calibration_section
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.labels.maps import ClassTable, Labels
from eventseg.metrics.label_pairs import pair_boundaries
from eventseg.prediction.scored import ScoredBatch
from eventseg.recordings.progress import Report
from eventseg.sources.changed import ChangedSource
from eventseg.sources.selection import merge_into, truth_of
from eventseg.sources.source import Source

PROTOCOLS = (Protocol.named("clean"), Protocol.named("paper"))

KEPT_LABELS = 64
"""Label maps of training samples that are kept while the nearest one is copied."""


@dataclass(frozen=True, eq=False, slots=True)
class ScoredContender:
    """Scores of a contender.

    Parameters
    ----------
    contender : Contender
    indices : int64 (N,)
    protocols : tuple of Protocol
        Those that it is scored under; the first is that of the report.
    rows : mapping of str to list of Row
        By name of the protocol: the contender, then its baselines.
    sections : list of Section
    digests : mapping of str to str
        Of every file that was read.
    notes : list of str
    """

    contender: Contender
    indices: NDArray[np.int64]
    protocols: tuple[Protocol, ...]
    rows: dict[str, list[Row]]
    sections: list[Section]
    digests: dict[str, str]
    notes: list[str] = field(default_factory=list)

    @property
    def row(self) -> Row:
        """Its row under the protocol of the report."""
        return self.rows[self.protocols[0].name][0]


def score_contender(
    contender: Contender,
    source: Source,
    indices: NDArray[np.int64],
    *,
    request: ScoreRequest,
    classes: ClassTable,
    with_baselines: bool,
    progress: Report,
) -> ScoredContender:
    """Score a contender on some samples.

    Parameters
    ----------
    contender : Contender
    source : Source
    indices : int64 (N,)
    request : ScoreRequest
    classes : ClassTable
        Classes that are scored.
    with_baselines : bool
    progress : callable

    Raises
    ------
    DatasetError, ExtensionError, LabelError, TrainingError
        Predictions that do not fit, by name.
    """
    protocols = tuple(replace(one, split=request.split) for one in PROTOCOLS)
    if isinstance(contender, NetworkContender):
        return _score_network(
            contender,
            source,
            indices,
            request=request,
            protocols=protocols,
            classes=classes,
            with_baselines=with_baselines,
            progress=progress,
        )
    protocols, notes = _fitting(contender, source, int(indices[0]), protocols)
    baselines: dict[str, Callable[[int], Labels]] = {}
    baseline_notes: dict[str, str] = {}
    if with_baselines:
        baselines, baseline_notes, reasons = _baselines(source, indices, classes)
        notes += reasons
    plan = PassPlan(
        source,
        indices,
        protocols,
        contender.classes,
        classes,
        widths=tuple(dict.fromkeys(request.boundary)),
        baselines=baselines,
    )
    found = score_labels(
        plan,
        partial(contender.predict, source),
        name=contender.name,
        window=contender.window,
        workers=request.workers if isinstance(contender, FolderContender) else 0,
        progress=progress,
    )
    rows = {
        name: [
            replace(row, note="; ".join(filter(None, (baseline_notes.get(row.name), row.note))))
            for row in of
        ]
        for name, of in found.rows.items()
    }
    if isinstance(contender, Function) and with_baselines:
        late, reason = _late(contender, plan, progress)
        notes += [reason] if reason else []
        for name, row in late.items():
            rows[name].append(row)
    if isinstance(contender, FolderContender):
        notes += contender.notes()
    if found.coloured:
        notes.append(
            f"{found.coloured:,} label maps of {contender.name} hold colours of "
            f"{contender.classes.name or 'the class table'} instead of ids"
        )
    own = rows[protocols[0].name][0]
    sections = boundary_sections(own, found.boundaries)
    if found.calibration is not None:
        sections.append(calibration_section(own, found.calibration, split=request.split))
    return ScoredContender(
        contender, indices, protocols, rows, sections, dict(found.digests), notes
    )


def _fitting(
    contender: Contender, source: Source, i: int, protocols: tuple[Protocol, ...]
) -> tuple[tuple[Protocol, ...], list[str]]:
    """Return the protocols that the size of the predictions fits, and why not all.

    Raises
    ------
    DatasetError
        The size fits none.
    """
    labels = contender.predict(source, i).labels
    truth = tuple(source.size)
    if labels.shape == truth:
        return protocols, []
    fits = [one for one in protocols if one.size == labels.shape]
    if not fits:
        what = f"the prediction of {source.ids[i]}"
        raise size_error(labels, truth, what=what, source=source)
    return tuple(fits), [
        f"predictions of {contender.name} are {labels.shape[1]}x{labels.shape[0]}: only protocol "
        f"{fits[0].name} is scored"
    ]


def _baselines(
    source: Source, indices: NDArray[np.int64], classes: ClassTable
) -> tuple[dict[str, Callable[[int], Labels]], dict[str, str], list[str]]:
    """Return the label map of each baseline by sample, notes on rows, and baselines left out."""
    if not (source.labelled & (np.array(source.splits) == "train")).any():
        return {}, {}, [f"no baselines: {source.path} has no labelled samples of split train"]
    maps, learnt = constant_maps(source, classes=classes)
    found: dict[str, Callable[[int], Labels]] = {
        name: partial(_constant, labels) for name, labels in maps.items()
    }
    if len(learnt) == 1 and learnt[0] in indices:
        return found, {}, []
    nearest = nearest_training(source, learnt, indices)
    copied = dict(zip(indices.tolist(), nearest.tolist(), strict=True))
    merge = merge_into(source.classes, classes)

    @lru_cache(maxsize=KEPT_LABELS)
    def read(i: int) -> Labels:
        labels: Labels = truth_of(source, i, merge=merge).numpy()
        return labels

    found[NEAREST_FRAME] = lambda i: read(copied[i])
    return found, {NEAREST_FRAME: nearest_note(source, indices, nearest)}, []


def _constant(labels: Labels, _i: int) -> Labels:
    return labels


def _late(function: Function, plan: PassPlan, progress: Report) -> tuple[dict[str, Row], str]:
    """Return the rows of a function with late events, or why there are none."""
    name = f"{function.name}, events {CLOCK_SHIFT_US // 1000} ms late"
    if plan.source.encoding is None:
        return {}, ""
    late = ChangedSource(
        plan.source, span=lambda span: (span[0] - CLOCK_SHIFT_US, span[1] - CLOCK_SHIFT_US)
    )
    try:
        found = score_labels(
            replace(plan, widths=(), baselines={}),
            partial(function.predict, late),
            name=name,
            window=function.window,
            workers=0,
            progress=progress,
        )
    except EventsegError as error:
        return {}, f"{name}, is not scored: {error}"
    return {key: rows[0] for key, rows in found.rows.items()}, ""


def _score_network(
    contender: NetworkContender,
    source: Source,
    indices: NDArray[np.int64],
    *,
    request: ScoreRequest,
    protocols: tuple[Protocol, ...],
    classes: ClassTable,
    with_baselines: bool,
    progress: Report,
) -> ScoredContender:
    boundaries = {width: BoundaryStack() for width in request.boundary}
    first = protocols[0]
    windows = [contender.window if contender.sees_events else "50ms"]
    scoring = Scoring(
        contender.trained,
        source,
        {windows[0]: indices},
        first,
        classes,
        contender.device,
        batch_size=request.batch_size,
        workers=request.workers,
        progress=progress,
    )
    calibration = CalibrationScores.of(scoring)

    def observe(window: str, batch: ScoredBatch) -> None:
        calibration.observe(window, batch)
        maps = (batch.truth.cpu().numpy(), batch.prediction.cpu().numpy())
        for truth, prediction in zip(*(one.astype(np.uint8) for one in maps), strict=True):
            for width, counts in boundaries.items():
                counts.append(pair_boundaries(truth, prediction, width=width, classes=len(classes)))

    def rows_of(protocol: Protocol, name: str, *, shift_us: int = 0) -> list[Row]:
        return evaluate(
            contender.trained,
            source,
            windows=windows,
            name=name,
            protocol=protocol,
            classes=classes,
            device=contender.device,
            batch_size=request.batch_size,
            workers=request.workers,
            shift_us=shift_us,
            observe=observe if protocol is first and not shift_us else None,
            progress=progress,
        )

    rows: dict[str, list[Row]] = {}
    notes: list[str] = []
    late = f"{contender.name}, clock {CLOCK_SHIFT_US // 1000} ms late"
    for protocol in protocols:
        rows[protocol.name] = rows_of(protocol, contender.name)
    own = rows[first.name][0]
    stacked = {width: stack.stacked() for width, stack in boundaries.items()}
    sections = [*boundary_sections(own, stacked), calibration.section([own])]
    if with_baselines:
        window = contender.window if contender.sees_events else None
        has_train = (source.labelled & (np.array(source.splits) == "train")).any()
        if not has_train:
            notes.append(f"no baselines: {source.path} has no labelled samples of split train")
        for protocol in protocols:
            if has_train:
                rows[protocol.name] += baseline_rows(
                    source, protocol=protocol, classes=classes, window=window
                )
        if contender.sees_events:
            try:
                for protocol in protocols:
                    rows[protocol.name] += rows_of(protocol, late, shift_us=CLOCK_SHIFT_US)
            except EventsegError as error:  # recordings that are gone
                notes.append(f"{late}, is not scored: {error}")
    ids = source.ids
    digests = {
        f"labels of {ids[i]}": pixel_digest(truth_of(source, i, merge=None).numpy())
        for i in indices.tolist()
    }
    return ScoredContender(contender, indices, protocols, rows, sections, digests, notes)
