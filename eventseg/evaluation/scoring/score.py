"""From anyone's predictions and a data set to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from eventseg.errors import LabelError, TrainingError, known_names
from eventseg.evaluation.request import split_word
from eventseg.evaluation.scoring.contenders import Contender, open_contender, seeds_of
from eventseg.evaluation.scoring.files import PredictionFiles
from eventseg.evaluation.scoring.folder_name import differing_words
from eventseg.evaluation.scoring.parts import ScoredSplits, joined, scored_splits
from eventseg.evaluation.scoring.score_report import Score, write_score
from eventseg.evaluation.scoring.scored import ScoredContender, score_contender
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.files.whole import check_folder
from eventseg.labels.maps import ClassTable, load_class_table
from eventseg.recordings.progress import Report, no_report
from eventseg.sources.source import Source, open_source

SCORES = Path("scores")
"""Folder that holds one folder of reports for each score."""


def score_predictions(
    predictions: Any,
    data: str | Path,
    *,
    request: ScoreRequest | None = None,
    out: str | Path | None = None,
    progress: Report = no_report,
    **settings: Any,
) -> Score:
    """Score anyone's predictions against the labels of a data set, and write the report.

    Parameters
    ----------
    predictions : path, str, callable or sequence
        Folder of label PNG or ``.npy`` named by sample ids or frame numbers, a prediction folder,
        ``python:MODULE:FUNCTION`` or ``FILE.py:FUNCTION`` or a function of a
        :class:`~eventseg.evaluation.scoring.callables.ScoredSample`, a run folder, a checkpoint or
        ``NETWORK:PATH``. A sequence of two is compared by a paired test; each of its items may be
        a sequence of its own, or ``A,B,C``: the same predictions by several seeds.
    data : path
        Data set folder or image folder.
    request : ScoreRequest, optional
    out : path, optional
        Folder of the report; by default ``scores/NAME-DATA-LABELS-SPLIT`` and what differs from
        the usual: classes, window, baselines, teacher.
    progress : callable
        Called after every sample.
    **settings
        Fields of :class:`ScoreRequest` in place of a request.

    Returns
    -------
    Score

    Raises
    ------
    CheckpointError, DatasetError, ExtensionError, LabelError, TrainingError
        Predictions that are missing, duplicate, of another size or of other classes, by name; runs
        whose own splits differ.

    Examples
    --------
    >>> summary = predict_into(run.path, "drives", "maps", split="test", device="cpu")
    >>> found = score_predictions("maps/labels", "drives", network_classes="cityscapes19")
    >>> found.rows[0].name, found.mistakes
    ('labels', ())
    """
    if request is not None and settings:
        raise TrainingError(f"give a request or {', '.join(settings)}, not both")
    request = request or _request_of(settings)
    source = open_source(data, label_set=request.labels)
    try:
        if request.teacher:  # before minutes of scoring
            open_source(data, label_set=request.teacher).close()
        groups = _opened(predictions, source, request)
        contenders = [one for group in groups for one in group]
        if request.stress:
            _check_stressed(contenders)
        table = _table(contenders, request)
        splits = scored_splits(
            contenders, source, split=request.split, split_file=request.split_file
        )
        of_file = f"-{split_word(splits.sources[0])}" if request.split_file else ""
        name = "-".join(
            [
                _folder_name(groups, source, request),
                *differing_words(contenders[0], source, request, table),
            ]
        )
        folder = SCORES / f"{name}{of_file}" if out is None else Path(out)
        check_folder(folder)
        scored = _scored(groups, splits, request, table, progress)
        return write_score(scored, splits, request, of_file, table, folder, progress)
    finally:
        source.close()


def _request_of(settings: dict[str, Any]) -> ScoreRequest:
    known = [field.name for field in fields(ScoreRequest)]
    for name in settings:
        if name not in known:
            raise TrainingError(
                f"unknown setting {name!r} of a score"
                f"{known_names(name, known, listed='eventseg score --help lists all')}"
            )
    if isinstance(settings.get("stress"), str):
        settings = {**settings, "stress": tuple(settings["stress"].split(","))}
    return ScoreRequest(**settings)


def _opened(
    predictions: Any, source: Source, request: ScoreRequest
) -> list[list[Contender | PredictionFiles]]:
    """Return the contenders of each group, one a seed."""
    several = isinstance(predictions, Sequence) and not isinstance(predictions, str)
    specs = list(predictions) if several else [predictions]
    if not 1 <= len(specs) <= 2:
        raise TrainingError(
            f"{len(specs)} predictions to score; give one, or two to compare, each of several "
            "seeds as A,B,C"
        )
    return [[open_contender(one, source, request=request) for one in seeds_of(s)] for s in specs]


def _check_stressed(contenders: Sequence[Contender | PredictionFiles]) -> None:
    for one in contenders:
        if isinstance(one, PredictionFiles):
            raise TrainingError(
                f"{one.name} is a folder of predictions: stress changes the inputs, and needs a "
                "function or a run"
            )


def _table(contenders: Sequence[Any], request: ScoreRequest) -> ClassTable:
    if request.classes:
        return load_class_table(request.classes)
    table: ClassTable = contenders[0].classes
    for one in contenders[1:]:
        if one.classes.names != table.names:
            raise LabelError(
                f"{contenders[0].name} predicts the classes {', '.join(table.names[:3])}, ... and "
                f"{one.name} {', '.join(one.classes.names[:3])}, ...; name classes that both can "
                "be merged into with --classes"
            )
    return table


def _scored(
    groups: Sequence[Sequence[Contender | PredictionFiles]],
    splits: ScoredSplits,
    request: ScoreRequest,
    table: ClassTable,
    progress: Report,
) -> list[list[ScoredContender]]:
    """Score all contenders; baselines stand beside the first."""
    names = Counter(one.name for group in groups for one in group)
    done: list[list[ScoredContender]] = []
    seen: Counter[str] = Counter()
    sources = iter(splits.sources)
    for group in groups:
        done.append([])
        for opened in group:
            source = next(sources)
            contender, indices = joined(opened, source, request)
            first = not seen
            seen[contender.name] += 1
            found = score_contender(
                contender,
                source,
                indices,
                request=request,
                classes=table,
                with_baselines=request.baselines and first,
                progress=progress,
            )
            if names[contender.name] > 1:
                found = _renamed(found, f"{contender.name} ({seen[contender.name]})")
            done[-1].append(found)
    return done


def _renamed(found: ScoredContender, name: str) -> ScoredContender:
    own = found.contender.name
    rows = {
        key: [replace(row, name=name) if row.name == own else row for row in rows]
        for key, rows in found.rows.items()
    }
    return replace(found, rows=rows)


def _folder_name(
    groups: Sequence[Sequence[Contender | PredictionFiles]], source: Source, request: ScoreRequest
) -> str:
    names = ["+".join(dict.fromkeys(one.name for one in group)) for group in groups]
    name = "-vs-".join(names).replace("/", "_").replace(":", "_")
    return f"{name}-{source.path.resolve().name}-{request.labels}-{request.split}"
